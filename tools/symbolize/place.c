/* SPDX-License-Identifier: Apache-2.0
 *
 * place.c - what stands in the source at one address
 *
 * The line table gives file and line of the innermost function. Each function that was inlined there knows where it was
 * called from, which is file and line of the next one outwards.
 *
 * Context: reader
 */
#include "symbolize/place.h"

#include <dwarf.h>
#include <elfutils/libdw.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "alloc.h"
#include "base/limits.h"
#include "symbolize/demangle.h"

/* Drop "." and ".." and doubled slashes from an absolute path, in place. */
static void normalise(char *path)
{
        char *to = path;
        for (const char *from = path; *from;) {
                const char *part = from + strspn(from, "/");
                size_t length = strcspn(part, "/");
                from = part + length;
                if (length == 0 || (length == 1 && part[0] == '.'))
                        continue;
                if (length == 2 && part[0] == '.' && part[1] == '.') {
                        while (to > path && *--to != '/')
                                ;
                        continue;
                }
                *to++ = '/';
                memmove(to, part, length);
                to += length;
        }
        *to = '\0';
}

/* "/build/../src/x.c" as "/src/x.c", unless a symbolic link makes that another file. */
static char *tidy_path(const char *file, const char *folder)
{
        char *path = file[0] == '/' || !folder || folder[0] != '/' ? alloc_string(file)
                                                                   : alloc_format("%s/%s", folder, file);
        if (path[0] != '/')
                return path;
        char *tidy = alloc_string(path);
        normalise(tidy);
        if (access(tidy, F_OK) < 0 && access(path, F_OK) == 0) {
                free(tidy);
                return path;
        }
        free(path);
        return tidy;
}

static void find_line(const struct object *object, GElf_Addr address, struct place *place)
{
        Dwfl_Line *line = dwfl_module_getsrc(object->module, address);
        int number = 0;
        const char *file = line ? dwfl_lineinfo(line, NULL, &number, NULL, NULL, NULL) : NULL;
        if (!file || number <= 0)
                return;
        place->file = tidy_path(file, dwfl_line_comp_dir(line));
        place->line = (uint32_t)number;
}

/* The name of the function of `die`: the linker's, which says more than the plain one, demangled. */
static char *name_of(Dwarf_Die *die)
{
        static const unsigned int attributes[] = { DW_AT_linkage_name, DW_AT_MIPS_linkage_name, DW_AT_name };
        for (size_t i = 0; i < sizeof(attributes) / sizeof(*attributes); i++) {
                Dwarf_Attribute attribute;
                const char *name = dwarf_formstring(dwarf_attr_integrate(die, attributes[i], &attribute));
                if (name)
                        return demangle(name);
        }
        return NULL;
}

/* Where the inlined `die` was called: file and line of the next function outwards. */
static void find_call(Dwarf_Die *die, struct place *place)
{
        Dwarf_Die unit;
        Dwarf_Files *files;
        Dwarf_Attribute attribute;
        Dwarf_Word index;
        Dwarf_Word line;
        if (dwarf_formudata(dwarf_attr(die, DW_AT_call_line, &attribute), &line) != 0 || line > UINT32_MAX)
                return;
        if (dwarf_formudata(dwarf_attr(die, DW_AT_call_file, &attribute), &index) != 0)
                return;
        if (!dwarf_diecu(die, &unit, NULL, NULL) || dwarf_getsrcfiles(&unit, &files, NULL) != 0)
                return;
        const char *file = dwarf_filesrc(files, index, NULL, NULL);
        const char *folder = dwarf_formstring(dwarf_attr(&unit, DW_AT_comp_dir, &attribute));
        if (!file)
                return;
        place->file = tidy_path(file, folder);
        place->line = (uint32_t)line;
}

/* The DIEs around the address, innermost first, to be freed. The number of them, or 0. */
static int find_scopes(const struct object *object, GElf_Addr address, Dwarf_Die **scopes)
{
        Dwarf_Addr bias = 0;
        Dwarf_Die *unit = dwfl_module_addrdie(object->module, address, &bias);
        Dwarf_Die *at = NULL;
        if (!unit || dwarf_getscopes(unit, address - bias, &at) <= 0)
                return 0;
        /* What dwarf_getscopes() answers follows an inlined function to where it was written. Who called it is found by
         * going up from the innermost. */
        int count = dwarf_getscopes_die(&at[0], scopes);
        free(at);
        return count > 0 ? count : 0;
}

static struct place *add_place(struct places *places)
{
        places->items = alloc_resize(places->items, places->count + 1, sizeof(*places->items));
        places->items[places->count] = (struct place){ 0 };
        return &places->items[places->count++];
}

/* Turn the places into one for each inlined function and one for the function that the compiler made. Returns that
 * one's name by its debug information, or NULL. */
static char *unfold(const struct object *object, GElf_Addr address, struct places *places)
{
        Dwarf_Die *scopes = NULL;
        char *name = NULL;
        int count = find_scopes(object, address, &scopes);
        for (int i = 0; i < count; i++) {
                int tag = dwarf_tag(&scopes[i]);
                if (tag == DW_TAG_subprogram) {
                        name = name_of(&scopes[i]);
                        break;
                }
                if (tag != DW_TAG_inlined_subroutine || places->count >= LIMIT_FRAMES)
                        continue;
                places->items[places->count - 1].function = name_of(&scopes[i]);
                find_call(&scopes[i], add_place(places));
        }
        free(scopes);
        return name;
}

/* The record's name is what the program's own table said when it ran; another is better where that was cut or is not
 * there. Of a function that is local to its file the debug information has the last part of its name only. */
static char *choose_name(const char *symbol, const char *table_name, char *debug_name)
{
        bool usable = symbol && symbol[0] && !(demangle_fails(symbol) && (table_name || debug_name));
        const char *mangled = usable ? symbol : table_name;
        if (!mangled)
                return debug_name;
        free(debug_name);
        return demangle(mangled);
}

struct places *places_find(struct object *object, uint64_t offset, const char *symbol)
{
        struct places *places = alloc_zeroed(1, sizeof(*places));
        struct place *innermost = add_place(places);
        const char *table_name = NULL;
        char *debug_name = NULL;
        if (object && object_open(object)) {
                GElf_Addr address = offset + object->bias;
                GElf_Sym entry;
                GElf_Off distance;
                find_line(object, address, innermost);
                debug_name = unfold(object, address, places);
                table_name = dwfl_module_addrinfo(object->module, address, &distance, &entry, NULL, NULL, NULL);
                if (table_name && entry.st_size > 0 && distance >= entry.st_size)
                        table_name = NULL; /* the nearest symbol before a function that has none */
        }
        places->items[places->count - 1].function = choose_name(symbol, table_name, debug_name);
        return places;
}

void places_free(void *pointer)
{
        struct places *places = pointer;
        for (size_t i = 0; i < places->count; i++) {
                free(places->items[i].function);
                free(places->items[i].file);
        }
        free(places->items);
        free(places);
}
