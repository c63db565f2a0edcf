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

struct object {
        char *path;
        char *build_id; /* of the record; NULL: it names none */
        Dwfl *dwfl;     /* NULL: closed, or not usable */
        Dwfl_Module *module;
        GElf_Addr bias; /* address in `module` minus ELF virtual address */
        bool tried;     /* opened once: what was to be said about it has been said */
        bool usable;
};

struct object *object_new(const char *path, const char *build_id);
void object_free(struct object *object);

/* Open it where it is not. The file at its path is used only if it is the build that ran; else the debug file of that
 * build, where the system has one. False, said once, where there is neither: names of another build would mislead. */
bool object_open(struct object *object);

/* Close its files; object_open() opens them again. */
void object_close(struct object *object);

#endif
