/* SPDX-License-Identifier: Apache-2.0
 *
 * paint.h - a line of text on the screen
 *
 * Context: reader
 */
#ifndef LOOPDOG_TOP_PAINT_H
#define LOOPDOG_TOP_PAINT_H

#include <stdbool.h>
#include <stddef.h>

/* After the screen has begun. */
void paint_setup(bool colour);

enum paint {
        PAINT_PLAIN,
        PAINT_BOLD,
        PAINT_DIM,
        PAINT_HEAD,  /* of a table */
        PAINT_FOCUS, /* of the one with the focus */
        PAINT_BAD,   /* what stalls now */
        PAINT_KEYS,  /* the line at the bottom */
};

/* Put `length` bytes of UTF-8 into line `y` from column `x` on, as far as there is room, and clear the rest of the
 * line. Nothing of them moves the cursor or changes the terminal, whatever they are; the colours of record_write_text()
 * are shown as such. `selected`: the whole line is marked. */
void paint_line(int y, int x, const char *text, size_t length, enum paint how, bool selected);

/* Clear a line. */
void paint_empty(int y);

#endif
