/* SPDX-License-Identifier: Apache-2.0
 *
 * brief.h - what stands before the stacks of a stall, read without jansson
 *
 * Of most stalls only that is asked for, a hundred thousand times. What is unusual in any way (an escape, a letter that
 * is not ASCII, a fraction, another type of record) is left to the parser that knows all of JSON.
 *
 * Context: reader, any of its threads
 */
#ifndef LOOPDOG_READ_BRIEF_H
#define LOOPDOG_READ_BRIEF_H

#include <stdbool.h>
#include <stddef.h>

#include "read/parse.h"

/* Read the scalars of a stall, its culprit, detail, callback and labels from the first `length` bytes of `line`, which
 * end before the comma in front of its stacks. Lists of other objects are passed over. False: nothing is set, ask
 * parse_record(), which says the same of all that this function reads. */
bool brief_parse(struct parsed *parsed, const char *line, size_t length);

#endif
