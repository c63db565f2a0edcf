/* SPDX-License-Identifier: Apache-2.0
 *
 * taken.h - a line of a file and what it turned out to be
 *
 * Context: reader; parse_taken() on any of its threads
 */
#ifndef LOOPDOG_READ_TAKEN_H
#define LOOPDOG_READ_TAKEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "read/parse.h"

struct taken {
        const char *line;
        size_t length;
        uint64_t number; /* in its file, from 1 */
        bool whole;      /* its newline was there */
        int status;      /* as of parse_record() */
        bool brief;      /* `parsed` is of what stands before its stacks, which it has */
        struct parsed parsed;
        char *why; /* of a line that is no record; its own */
};

/* Fill in what the line is. `briefly`: without its stacks, where these stand at its end. */
void parse_taken(struct taken *taken, bool briefly);

#endif
