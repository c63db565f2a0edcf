/* SPDX-License-Identifier: Apache-2.0
 *
 * lines.c - the lines of a file that may still be growing
 *
 * Context: reader
 */
#include "read/lines.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "alloc.h"
#include "base/limits.h"

#define CHUNK_BYTES ((size_t)64 * 1024)

static void make_room(struct lines *lines)
{
        if (lines->begin > 0) {
                memmove(lines->buffer, lines->buffer + lines->begin, lines->end - lines->begin);
                lines->end -= lines->begin;
                lines->begin = 0;
        }
        if (lines->capacity - lines->end < CHUNK_BYTES + 1) { /* 1: the NUL of lines_last() */
                lines->capacity = lines->end + 2 * CHUNK_BYTES;
                lines->buffer = alloc_resize(lines->buffer, lines->capacity, 1);
        }
}

int lines_fill(struct lines *lines, int fd)
{
        make_room(lines);
        ssize_t got;
        do {
                got = read(fd, lines->buffer + lines->end, CHUNK_BYTES);
        } while (got < 0 && errno == EINTR);
        if (got < 0)
                return -errno;
        lines->end += (size_t)got;
        return (int)got;
}

/* Throw away what is buffered of a line that is too long. True once its end was found. */
static bool skip(struct lines *lines, const char *newline)
{
        lines->begin = newline ? (size_t)(newline - lines->buffer) + 1 : lines->end;
        lines->skipping = !newline;
        return newline;
}

enum lines_result lines_next(struct lines *lines, char **line, size_t *length)
{
        for (;;) {
                size_t available = lines->end - lines->begin;
                if (available == 0)
                        return LINES_NONE;
                char *begin = lines->buffer + lines->begin;
                char *newline = memchr(begin, '\n', available);
                if (lines->skipping) {
                        if (!skip(lines, newline))
                                return LINES_NONE;
                        continue;
                }
                size_t size = newline ? (size_t)(newline - begin) : available;
                if (size > LIMIT_LINE_BYTES) {
                        lines->number++;
                        skip(lines, newline);
                        return LINES_TOO_LONG;
                }
                if (!newline)
                        return LINES_NONE;
                *newline = '\0';
                *line = begin;
                *length = size;
                lines->begin += size + 1;
                lines->number++;
                return LINES_LINE;
        }
}

enum lines_result lines_last(struct lines *lines, char **line, size_t *length)
{
        if (lines->begin == lines->end || lines->skipping)
                return LINES_NONE;
        lines->buffer[lines->end] = '\0';
        *line = lines->buffer + lines->begin;
        *length = lines->end - lines->begin;
        lines->begin = lines->end;
        lines->number++;
        return LINES_LINE;
}

void lines_rest(struct lines *lines)
{
        if (lines->begin < lines->end)
                return;
        free(lines->buffer);
        lines->buffer = NULL;
        lines->begin = lines->end = lines->capacity = 0;
}

void lines_free(struct lines *lines)
{
        free(lines->buffer);
        *lines = (struct lines){ 0 };
}
