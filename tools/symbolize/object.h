/* SPDX-License-Identifier: Apache-2.0
 *
 * object.h - one ELF object with its debug information, found by path and build-id
 *
 * Context: reader
 */
#ifndef LOOPDOG_SYMBOLIZE_OBJECT_H
#define LOOPDOG_SYMBOLIZE_OBJECT_H

#include <elfutils/libdwfl.h>
#include <stdbool.h>
#include <stdint.h>

/* Where programs and their debug files may lie. All zero: where they lay when they ran, and where the system keeps
 * them. */
struct object_places {
        const char *sysroot;      /* looked in first: a copy of the other machine's files; NULL: none */
        const char *const *debug; /* folders like /usr/lib/debug, looked in before it */
        size_t debug_count;
        bool network; /* ask the servers of DEBUGINFOD_URLS */
};

struct object {
        const struct object_places *places;
        Dwfl_Callbacks callbacks;
        char *debug_path;
        char *path;
        char *build_id; /* of the record; NULL: it names none */
        Dwfl *dwfl;     /* NULL: closed, or not usable */
        Dwfl_Module *module;
        GElf_Addr bias; /* address in `module` minus ELF virtual address */
        bool tried;     /* opened once: what was to be said about it has been said */
        bool usable;
};

/* `places` stays the caller's, as long as the object. */
struct object *object_new(const char *path, const char *build_id, const struct object_places *places);
void object_free(struct object *object);

/* Open it where it is not. A file at its path is used only if it is the build that ran; else the debug file of that
 * build, where one of the places has it. False, said once, where there is neither: names of another build would
 * mislead. */
bool object_open(struct object *object);

/* Close its files; object_open() opens them again. */
void object_close(struct object *object);

#endif
