/* SPDX-License-Identifier: Apache-2.0
 *
 * interpreter.c - which language's runtime is in a process, and are its frames told
 *
 * A runtime is told by the name of its file; of CPython, which version it is and whether it has a global lock, by what
 * the file exports, as the agent does it.
 *
 * Context: reader
 */
#include "doctor/interpreter.h"

#include <fcntl.h>
#include <gelf.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "alloc.h"

/* What the agent knows; see README.md. */
#define OLDEST_MINOR 8
#define NEWEST_MINOR 13

static const struct {
        const char *prefix; /* of the file's name */
        const char *name;
} runtimes[] = {
        { "libpython3", "CPython" },
        { "python3", "CPython" },
        { "libpython2", "CPython 2" },
        { "python2", "CPython 2" },
        { "libpypy", "PyPy" },
        { "pypy", "PyPy" },
        { "node", "node (V8)" },
        { "libnode.so", "node (V8)" },
        { "deno", "deno (V8)" },
        { "bun", "bun" },
        { "libjvm.so", "Java" },
        { "libruby", "Ruby" },
        { "ruby", "Ruby" },
        { "libperl.so", "Perl" },
        { "perl", "Perl" },
        { "libphp", "PHP" },
        { "php", "PHP" },
        { "libluajit", "LuaJIT" },
        { "beam.smp", "Erlang" },
        { "libcoreclr.so", ".NET" },
        { "libmono", "Mono" },
};

/* ------------------------------------------------------------------------------------------------ what it exports */

struct exports {
        Elf *elf;
        unsigned minor_by_symbol;
        uint64_t version_at; /* address of Py_Version; 0: not exported */
        bool free_threaded;
};

static void take_symbol(struct exports *exports, const char *name, uint64_t address)
{
        static const struct {
                const char *name;
                unsigned minor; /* that has it first; 3.11 and later tell their version */
        } firsts[] = { { "PyCode_NewWithPosOnlyArgs", 8 }, { "PyFrame_GetCode", 9 }, { "PyIter_Send", 10 } };
        for (size_t i = 0; i < sizeof(firsts) / sizeof(*firsts); i++)
                if (strcmp(name, firsts[i].name) == 0 && firsts[i].minor > exports->minor_by_symbol)
                        exports->minor_by_symbol = firsts[i].minor;
        if (strcmp(name, "Py_Version") == 0)
                exports->version_at = address;
        else if (strcmp(name, "_Py_MergeZeroLocalRefcount") ==
                 0) /* builds without a global lock have it, and no others */
                exports->free_threaded = true;
}

static void take_symbols(struct exports *exports, Elf_Scn *section, const GElf_Shdr *header)
{
        Elf_Data *data = elf_getdata(section, NULL);
        size_t count = data && header->sh_entsize ? header->sh_size / header->sh_entsize : 0;
        for (size_t i = 0; i < count; i++) {
                GElf_Sym symbol;
                if (!gelf_getsym(data, (int)i, &symbol) || symbol.st_shndx == SHN_UNDEF)
                        continue;
                const char *name = elf_strptr(exports->elf, header->sh_link, symbol.st_name);
                if (name)
                        take_symbol(exports, name, symbol.st_value);
        }
}

static void take_sections(struct exports *exports)
{
        for (Elf_Scn *section = NULL; (section = elf_nextscn(exports->elf, section));) {
                GElf_Shdr header;
                if (gelf_getshdr(section, &header) && (header.sh_type == SHT_DYNSYM || header.sh_type == SHT_SYMTAB))
                        take_symbols(exports, section, &header);
        }
}

/* The word that the file has at an address of its memory; 0: none. */
static uint64_t word_at(int fd, Elf *elf, uint64_t address)
{
        size_t count = 0;
        uint64_t word = 0;
        elf_getphdrnum(elf, &count);
        for (size_t i = 0; i < count; i++) {
                GElf_Phdr header;
                if (!gelf_getphdr(elf, (int)i, &header) || header.p_type != PT_LOAD || address < header.p_vaddr ||
                    address - header.p_vaddr + sizeof(word) > header.p_filesz)
                        continue;
                if (pread(fd, &word, sizeof(word), (off_t)(header.p_offset + address - header.p_vaddr)) != sizeof(word))
                        word = 0;
        }
        return word;
}

static void look_into(struct interpreter *interpreter, int fd)
{
        struct exports exports = { .elf = elf_begin(fd, ELF_C_READ_MMAP, NULL) };
        if (!exports.elf)
                return;
        interpreter->readable = elf_kind(exports.elf) == ELF_K_ELF;
        take_sections(&exports);
        uint64_t version = exports.version_at ? word_at(fd, exports.elf, exports.version_at) : 0;
        interpreter->minor = (version >> 24 & 255) == 3 ? version >> 16 & 255 : exports.minor_by_symbol;
        interpreter->free_threaded = exports.free_threaded;
        elf_end(exports.elf);
}

void interpreter_look(struct interpreter *interpreter, const struct subject *subject)
{
        char *path = subject_path(subject, interpreter->file->path);
        int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
        free(path);
        elf_version(EV_CURRENT);
        if (fd >= 0) {
                look_into(interpreter, fd);
                close(fd);
        }
}

/* --------------------------------------------------------------------------------------------------------- finding */

/* A library whose name begins so, or a program called so but for its version: "python3.13t", but no "node_exporter". */
static const struct subject_file *find_file(const struct subject *subject, const char *prefix)
{
        if (strncmp(prefix, "lib", 3) == 0 || strchr(prefix, '.'))
                return subject_find_file(subject, prefix);
        const char *slash = subject->executable ? strrchr(subject->executable, '/') : NULL;
        size_t length = strlen(prefix);
        if (!slash || strncmp(slash + 1, prefix, length) != 0)
                return NULL;
        const char *rest = slash + 1 + length;
        bool version = rest[strspn(rest, ".0123456789tdm")] == '\0' || strcmp(rest, "js") == 0;
        return version ? subject_find_file(subject, slash + 1) : NULL;
}

void interpreter_find(struct interpreter *interpreter, const struct subject *subject)
{
        *interpreter = (struct interpreter){ 0 };
        for (size_t i = 0; i < sizeof(runtimes) / sizeof(*runtimes) && !interpreter->name; i++) {
                interpreter->file = find_file(subject, runtimes[i].prefix);
                if (interpreter->file)
                        interpreter->name = runtimes[i].name;
        }
        interpreter->python = interpreter->name && strcmp(interpreter->name, "CPython") == 0;
        if (interpreter->python)
                interpreter_look(interpreter, subject);
}

bool interpreter_is_supported(const struct interpreter *interpreter)
{
        return interpreter->python && !interpreter->free_threaded && interpreter->minor >= OLDEST_MINOR &&
               interpreter->minor <= NEWEST_MINOR;
}
