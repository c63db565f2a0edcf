/* SPDX-License-Identifier: Apache-2.0
 *
 * lines.h - the lines of a file that may still be growing
 *
 * Keeps an incomplete line until its rest is there, and gets past a line of any length with bounded memory.
 *
 * Context: reader
 */
#ifndef LOOPDOG_READ_LINES_H
#define LOOPDOG_READ_LINES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* All zero: nothing read. */
struct lines {
        char *buffer;
        size_t begin; /* of what has not been returned */
        size_t end;
        size_t capacity;
        uint64_t number; /* of the line returned last, from 1 */
        bool skipping;   /* in a line over the limit: everything up to its end is thrown away */
};

enum lines_result {
        LINES_NONE, /* no whole line is here yet */
        LINES_LINE,
        LINES_TOO_LONG, /* said once for a line, when its limit is passed; `number` is its own */
};

/* Read once more from `fd`: bytes read, 0 at the end of the file as it is now, or -errno. */
int lines_fill(struct lines *lines, int fd);

/* The next whole line, without its newline and terminated by a NUL; valid until the next call. */
enum lines_result lines_next(struct lines *lines, char **line, size_t *length);

/* At the end of the file: what stands there without a newline, if anything. */
enum lines_result lines_last(struct lines *lines, char **line, size_t *length);

/* Give back the buffer where it holds nothing, so that many idle files cost nothing. */
void lines_rest(struct lines *lines);

void lines_free(struct lines *lines);

#endif
