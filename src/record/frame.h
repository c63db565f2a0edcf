/* SPDX-License-Identifier: Apache-2.0
 *
 * frame.h - what a frame's path and fields tell: shared by the writers of JSON and text
 *
 * Context: watchdog, reader
 */
#ifndef LOOPDOG_RECORD_FRAME_H
#define LOOPDOG_RECORD_FRAME_H

#include <stdbool.h>

#include "record/record.h"

enum record_place {
        RECORD_ELSEWHERE,
        RECORD_STDLIB,   /* Python's standard library, and what is frozen into it */
        RECORD_PACKAGES, /* site-packages, dist-packages */
        RECORD_NODE,     /* JavaScript inside node itself */
        RECORD_NODE_MODULES,
};

/* Where `path` (of a file or a module) is installed. `*rest` is the path without the part that says so:
 * "fastapi/routing.py" of ".../site-packages/fastapi/routing.py"; the whole path elsewhere. */
enum record_place record_place_of(const char *path, const char **rest);

/* The last component of a path. */
const char *record_basename(const char *path);

/* Append the short name of what a frame belongs to: "fastapi", "asyncio", "redis-server", "python3.11", "libc". */
void record_frame_package(struct text *text, const struct record_frame *frame);

/* Is `word` one of the words in `list`, which blanks separate? */
bool record_has_word(const char *list, const char *word);

/* Are they equal, or both NULL? */
bool record_same_string(const char *a, const char *b);

/* Is it the same place in the same code? */
bool record_frame_same(const struct record_frame *a, const struct record_frame *b);

/* Index of `frame` in `stack`, or -1; `frame` may be NULL. */
int record_stack_find(const struct record_stack *stack, const struct record_frame *frame);

/* Index of the stack to show where there is room for one: the most frequent that has the culprit, else the most
 * frequent with frames, else the most frequent; -1 for none. */
int record_main_stack(const struct record_stall *stall);

/* What has to be done to get a stack where `reason` says why there is none; NULL: nothing is known, or no reason. */
const char *record_remedy(const char *reason);

#endif
