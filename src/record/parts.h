/* SPDX-License-Identifier: Apache-2.0
 *
 * parts.h - pieces of a line that people read: cut to columns, coloured, safe on a terminal
 *
 * Context: watchdog, reader
 */
#ifndef LOOPDOG_RECORD_PARTS_H
#define LOOPDOG_RECORD_PARTS_H

#include "record/record.h"

#define PART_BYTES 512   /* a location, a function or a line of source */
#define COLUMNS_LEAST 20 /* a narrower terminal is taken for none */

#define RED "\x1b[1;31m"
#define BOLD "\x1b[1m"
#define DIM "\x1b[2m"
#define CYAN "\x1b[36m"

/* Columns of what text_printable() has made. */
size_t part_columns(const struct text *text);

/* `string` in at most `columns` (4 or more), its start or its end kept: of a path that is the file. */
void part_start(struct text *out, const char *string, size_t columns);
void part_end(struct text *out, const char *string, size_t columns);

/* Blanks up to `column`, and two at least. */
void part_pad(struct text *line, size_t column);

void part_coloured(struct text *text, const struct record_style *style, const char *code, const char *bytes,
                   size_t length);

/* A line with its newline, cut to the width of the terminal. */
void part_line(struct text *text, const struct record_style *style, const char *code, const struct text *line);

/* "fastapi/routing.py:163", of a frame that has a file, in at most `columns` (16 or more). */
void part_location(struct text *out, const struct record_frame *frame, size_t columns);

/* "redis-server+0x8a3c0", or the address alone where there is no module; false where there is neither. */
bool part_address(struct text *out, const struct record_frame *frame);

#endif
