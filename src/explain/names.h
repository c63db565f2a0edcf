/* SPDX-License-Identifier: Apache-2.0
 *
 * names.h - what the frames of a profile are called
 *
 * Context: watchdog
 */
#ifndef LOOPDOG_EXPLAIN_NAMES_H
#define LOOPDOG_EXPLAIN_NAMES_H

#include "explain/profile.h"

/* Strings live as long as the process. */
struct frame_names {
        const char *function; /* NULL: no symbol table has one */
        const char *file;     /* of a script's frame; NULL: a native frame */
        const char *module;   /* path; NULL: in no ELF object, made at run time */
        const char *build_id; /* NULL: it has none */
        uint64_t offset;      /* in the module; the address where there is none */
};

/* Look the names of one stack's frames up, all in one pass a module. */
void names_resolve(const struct frame *frames, unsigned count);

/* The name of the function at this address, or NULL. */
const char *names_function_at(uint64_t address);

/* What was found. */
struct frame_names names_of(const struct frame *frame);

#endif
