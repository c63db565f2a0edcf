/* SPDX-License-Identifier: Apache-2.0
 *
 * symbolize.h - a stall with functions, files and lines
 *
 * The record has a module, its build-id and an offset for each native frame. Here they become names as people write
 * them, source lines, and the frames of inlined functions. Each distinct address is looked up once.
 *
 * Context: reader
 */
#ifndef LOOPDOG_SYMBOLIZE_SYMBOLIZE_H
#define LOOPDOG_SYMBOLIZE_SYMBOLIZE_H

#include "record/record.h"

struct symbolizer;
struct object_places;

/* Unless `places` (NULL: the usual ones) allow the network, DEBUGINFOD_URLS goes out of this process's environment with
 * the first object that is opened: nothing is fetched that nobody asked for. */
struct symbolizer *symbolizer_new(const struct object_places *places);
void symbolizer_free(struct symbolizer *symbolizer);

/* Records are read from this file: maps of code that was made at run time (perf_map.h) are looked for beside it. */
void symbolizer_add_file(struct symbolizer *symbolizer, const char *path);

/* A stall whose frames are symbolized. Strings are borrowed from the record and the symbolizer, arrays are its own. */
struct symbolized {
        struct record record;
        struct record_frame culprit;
        struct record_stack *stacks;
        struct record_other *others;
        struct record_share *profile;
        struct record_frame **frames; /* one array for each stack, then one for each other thread */
};

/* Symbolize a record of type stall or stall-begin into `out`, which symbolized_free() empties. A record without
 * stacks gets the native culprit that an earlier one of the same signature had. Where code made at run time is to blame
 * it has no profile: the agent's tells of the frames that it could name. */
void symbolize(struct symbolizer *symbolizer, const struct record *record, struct symbolized *out);
void symbolized_free(struct symbolized *symbolized);

/* Has it frames of code made at run time, which the agent could not name? */
bool symbolize_has_made(const struct record_stall *stall);

/* Such code has no part in a signature: which of it is to blame for a stall with its stacks, as symbolize() says it;
 * all zero where other code is. Strings are borrowed from the record and the symbolizer. False: the record has no such
 * frames, or no map of them is known. */
bool symbolize_made(struct symbolizer *symbolizer, const struct record *record, struct record_frame *culprit);

/* The stacks alone, with the names of code made at run time, whose addresses mean something in their process only; to
 * be emptied likewise. False: the record has none that are known, and `out` is not set. */
bool symbolize_jit(struct symbolizer *symbolizer, const struct record *record, struct symbolized *out);

/* What one frame stands for, innermost first: what was inlined there, and itself. To be freed; strings are borrowed. */
struct record_frame *symbolize_frame(struct symbolizer *symbolizer, const struct record_frame *frame, size_t *count);

#endif
