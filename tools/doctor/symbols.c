/* SPDX-License-Identifier: Apache-2.0
 *
 * symbols.c - which of a process's modules have names and lines here
 *
 * The mapped files themselves are looked at, with the debug files that the system has for their build-ids: just what
 * `loopdog report` will find, as long as it runs here.
 *
 * Context: reader
 */
#include "doctor/symbols.h"

#include <elfutils/libdwfl.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "alloc.h"

static char folders[] = ":.debug:/usr/lib/debug";
static char *debug_path = folders;

static const Dwfl_Callbacks callbacks = {
        .find_elf = dwfl_build_id_find_elf,
        .find_debuginfo = dwfl_standard_find_debuginfo,
        .debuginfo_path = &debug_path,
};

/* A symbol table of its own; what is exported does not name a program's inner functions. */
static bool has_symbol_table(Elf *elf)
{
        for (Elf_Scn *section = NULL; elf && (section = elf_nextscn(elf, section));) {
                GElf_Shdr header;
                if (gelf_getshdr(section, &header) && header.sh_type == SHT_SYMTAB)
                        return true;
        }
        return false;
}

static void look_at(struct symbols *symbols, const struct subject *subject, const struct subject_file *file)
{
        GElf_Addr bias;
        Dwfl *dwfl = dwfl_begin(&callbacks);
        char *path = subject_path(subject, file->path);
        Dwfl_Module *module = dwfl ? dwfl_report_elf(dwfl, file->path, path, -1, 0, true) : NULL;
        Elf *elf = module && dwfl_report_end(dwfl, NULL, NULL) == 0 ? dwfl_module_getelf(module, &bias) : NULL;
        if (elf) {
                bool lines = dwfl_module_getdwarf(module, &bias) != NULL;
                bool names = lines || has_symbol_table(elf);
                symbols->modules++;
                symbols->with_lines += lines;
                symbols->with_names += names && !lines;
                if (subject->executable && strcmp(subject->executable, file->path) == 0) {
                        symbols->program_has_lines = lines;
                        symbols->program_has_names = names;
                }
        }
        free(path);
        if (dwfl)
                dwfl_end(dwfl);
}

int symbols_look(struct symbols *symbols, const struct subject *subject)
{
        *symbols = (struct symbols){ 0 };
        if (subject->maps_error)
                return -subject->maps_error;
        unsetenv("DEBUGINFOD_URLS"); /* nothing is fetched that nobody asked for */
        for (size_t i = 0; i < subject->files_count; i++)
                look_at(symbols, subject, &subject->files[i]);
        return 0;
}
