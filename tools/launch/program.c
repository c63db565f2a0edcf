/* SPDX-License-Identifier: Apache-2.0
 *
 * program.c - can the agent be preloaded into a command, and if not, why
 *
 * A program that LD_PRELOAD does not reach runs as well as ever, and nothing is seen of it. That silence would look
 * like health, so everything that can be known beforehand is looked up: the ELF header, the loader it asks for, the
 * note that Go leaves, and what makes the kernel start it in secure mode.
 *
 * Context: reader
 */
#include "launch/program.h"

#include <elf.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "alloc.h"

#define SCRIPT_DEPTH 5 /* as many "#!" as the kernel follows */
#define HEADERS 128
#define NOTE_BYTES (64 * 1024)
#define GO_BUILD_ID 4

/* -------------------------------------------------------------------------------------------------------- finding */

static bool can_run(const char *path)
{
        struct stat status;
        return stat(path, &status) == 0 && S_ISREG(status.st_mode) && access(path, X_OK) == 0;
}

/* As execvp() does. */
static char *find_command(const char *command)
{
        if (strchr(command, '/'))
                return access(command, F_OK) == 0 ? alloc_string(command) : NULL;
        const char *path = getenv("PATH");
        path = path ? path : "/bin:/usr/bin";
        while (*command) {
                size_t length = strcspn(path, ":");
                char *candidate = length ? alloc_format("%.*s/%s", (int)length, path, command) : alloc_string(command);
                if (can_run(candidate))
                        return candidate;
                free(candidate);
                if (path[length] == '\0')
                        break;
                path += length + 1;
        }
        return NULL;
}

/* What "env" would start, given its arguments from a "#!" line. */
static char *find_env_command(char *arguments)
{
        char *rest = NULL;
        for (char *word = strtok_r(arguments, " \t", &rest); word; word = strtok_r(NULL, " \t", &rest))
                if (word[0] != '-' && !strchr(word, '='))
                        return find_command(word);
        return NULL;
}

/* The interpreter of the script whose first bytes are in `head`; what does not exist is left in `missing`. */
static char *find_interpreter(char *head, char **missing)
{
        head += strlen("#!");
        head += strspn(head, " \t");
        head[strcspn(head, "\r\n")] = '\0';
        size_t length = strcspn(head, " \t");
        char *arguments = head[length] ? head + length + 1 : head + length;
        head[length] = '\0';
        if (access(head, F_OK) < 0) {
                *missing = alloc_string(head);
                return NULL;
        }
        const char *name = strrchr(head, '/');
        if (name && strcmp(name, "/env") == 0)
                return find_env_command(arguments);
        return alloc_string(head);
}

/* ------------------------------------------------------------------------------------------------------------ ELF */

struct elf {
        bool readable;
        bool same_kind; /* 64 bits, this processor */
        bool go;
        char loader[256]; /* PT_INTERP; empty: none */
};

static bool has_go_note(int fd, const Elf64_Phdr *header)
{
        size_t size = header->p_filesz < NOTE_BYTES ? header->p_filesz : NOTE_BYTES;
        char *notes = alloc_zeroed(size, 1);
        ssize_t got = pread(fd, notes, size, (off_t)header->p_offset);
        bool found = false;
        for (size_t at = 0; got > 0 && at + sizeof(Elf64_Nhdr) <= (size_t)got && !found;) {
                Elf64_Nhdr note;
                memcpy(&note, notes + at, sizeof(note));
                const char *name = notes + at + sizeof(note);
                found = note.n_type == GO_BUILD_ID && note.n_namesz == 4 && at + sizeof(note) + 4 <= (size_t)got &&
                        memcmp(name, "Go\0\0", 4) == 0;
                at += sizeof(note) + (((uint64_t)note.n_namesz + 3) & ~UINT64_C(3)) +
                      (((uint64_t)note.n_descsz + 3) & ~UINT64_C(3));
        }
        free(notes);
        return found;
}

static void read_headers(struct elf *elf, int fd, const Elf64_Ehdr *ehdr)
{
        for (unsigned i = 0; i < ehdr->e_phnum && i < HEADERS; i++) {
                Elf64_Phdr header;
                off_t at = (off_t)(ehdr->e_phoff + (uint64_t)i * ehdr->e_phentsize);
                if (pread(fd, &header, sizeof(header), at) != sizeof(header))
                        return;
                if (header.p_type == PT_INTERP && header.p_filesz < sizeof(elf->loader)) {
                        ssize_t got = pread(fd, elf->loader, header.p_filesz, (off_t)header.p_offset);
                        elf->loader[got > 0 ? got : 0] = '\0';
                } else if (header.p_type == PT_NOTE) {
                        elf->go |= has_go_note(fd, &header);
                }
        }
}

/* `head` are the first bytes of the file, at least an ELF header of them. */
static void read_elf(struct elf *elf, int fd, const char *head)
{
        Elf64_Ehdr ehdr;
        memcpy(&ehdr, head, sizeof(ehdr));
        *elf = (struct elf){ .readable = memcmp(ehdr.e_ident, ELFMAG, SELFMAG) == 0 };
        elf->same_kind = ehdr.e_ident[EI_CLASS] == ELFCLASS64 && ehdr.e_machine == EM_X86_64;
        if (elf->readable && elf->same_kind)
                read_headers(elf, fd, &ehdr);
}

/* ------------------------------------------------------------------------------------------------------ obstacles */

/* Why the kernel would start this file in secure mode, where the loader ignores LD_PRELOAD; NULL: it would not. */
static const char *secure_reason(int fd)
{
        struct stat status;
        struct statvfs mount;
        char capability[32];
        if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1 || fstat(fd, &status) < 0)
                return NULL;
        if (fstatvfs(fd, &mount) == 0 && (mount.f_flag & ST_NOSUID))
                return NULL;
        if ((status.st_mode & S_ISUID) && status.st_uid != getuid())
                return "is set-user-ID";
        if ((status.st_mode & (S_ISGID | S_IXGRP)) == (S_ISGID | S_IXGRP) && status.st_gid != getgid())
                return "is set-group-ID";
        if (getuid() != 0 && fgetxattr(fd, "security.capability", capability, sizeof(capability)) > 0)
                return "has file capabilities";
        return NULL;
}

static bool is_glibc_loader(const char *path)
{
        const char *name = strrchr(path, '/');
        name = name ? name + 1 : path;
        return strncmp(name, "ld-linux", 8) == 0 || strncmp(name, "ld-2.", 5) == 0 || strcmp(name, "ld.so") == 0;
}

static enum program_kind kind_of(const struct elf *elf, const char *path, const char *secure)
{
        if (!elf->same_kind)
                return PROGRAM_FOREIGN;
        if (secure)
                return PROGRAM_SECURE;
        if (elf->go)
                return PROGRAM_GO;
        if (!elf->loader[0])
                return is_glibc_loader(path) ? PROGRAM_REACHED : PROGRAM_STATIC;
        return is_glibc_loader(elf->loader) ? PROGRAM_REACHED : PROGRAM_OTHER_LOADER;
}

static char *describe_obstacle(enum program_kind kind, const struct elf *elf, const char *path, const char *secure)
{
        switch (kind) {
        case PROGRAM_REACHED:
                break;
        case PROGRAM_FOREIGN:
                return alloc_format("%s is built for another processor or word size than libloopdog.so, "
                                    "which is not preloaded",
                                    path);
        case PROGRAM_SECURE:
                return alloc_format("%s %s, so the loader ignores LD_PRELOAD: put loopdog behind it "
                                    "(sudo loopdog run ...) or start it as the user it changes to",
                                    path, secure);
        case PROGRAM_GO:
                return alloc_format("%s is a Go program: its runtime waits by system calls of its own, "
                                    "which LD_PRELOAD does not reach",
                                    path);
        case PROGRAM_STATIC:
                return alloc_format("%s is statically linked: LD_PRELOAD does not reach it", path);
        case PROGRAM_OTHER_LOADER:
                return alloc_format("%s is loaded by %s and not by glibc's loader: libloopdog.so is not preloaded",
                                    path, elf->loader);
        }
        return NULL;
}

static void judge(struct program *program, const struct elf *elf, const char *secure)
{
        program->kind = kind_of(elf, program->examined, secure);
        program->refuses = program->kind == PROGRAM_FOREIGN || program->kind == PROGRAM_OTHER_LOADER;
        program->obstacle = describe_obstacle(program->kind, elf, program->examined, secure);
        if (elf->loader[0] && access(elf->loader, F_OK) < 0)
                program->missing = alloc_string(elf->loader);
}

/* Examine the file at `path`. Returns the interpreter to go on with, or NULL. `starts`: it has yet to be started, and
 * the kernel may do that in secure mode. */
static char *examine_file(struct program *program, const char *path, bool starts)
{
        char head[257] = { 0 };
        struct elf elf;
        int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
        if (fd < 0)
                return NULL; /* executable but not readable: nothing is known */
        ssize_t got = read(fd, head, sizeof(head) - 1);
        char *interpreter = NULL;
        if (got > 2 && memcmp(head, "#!", 2) == 0) {
                interpreter = find_interpreter(head, &program->missing);
        } else if (got >= (ssize_t)sizeof(Elf64_Ehdr)) {
                read_elf(&elf, fd, head);
                program->elf = elf.readable;
                if (elf.readable)
                        judge(program, &elf, starts ? secure_reason(fd) : NULL);
        }
        close(fd);
        return interpreter;
}

void program_examine(struct program *program, const char *command)
{
        *program = (struct program){ .path = find_command(command) };
        program->examined = alloc_string(program->path);
        for (int depth = 0; program->examined && depth <= SCRIPT_DEPTH; depth++) {
                char *interpreter = examine_file(program, program->examined, true);
                if (!interpreter)
                        return;
                free(program->examined);
                program->examined = interpreter;
        }
}

void program_examine_running(struct program *program, const char *path, const char *name)
{
        *program = (struct program){ .path = alloc_string(name), .examined = alloc_string(name) };
        free(examine_file(program, path, false));
}

void program_free(struct program *program)
{
        free(program->path);
        free(program->examined);
        free(program->missing);
        free(program->obstacle);
        *program = (struct program){ 0 };
}
