/* SPDX-License-Identifier: Apache-2.0
 *
 * wrap.h - a sentence in as many lines as the terminal's width asks for
 *
 * Context: reader
 */
#ifndef LOOPDOG_RENDER_WRAP_H
#define LOOPDOG_RENDER_WRAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

struct wrapping {
        size_t indent;  /* columns before each line */
        unsigned width; /* of the terminal; 0: unlimited */
        bool begun;     /* what is before the first line stands there already */
        bool dim;       /* in the colour of what matters less */
};

/* Write `text`, which is safe on a terminal, broken between words, with a newline at its end. On a narrow terminal a
 * line keeps some 20 columns. */
void wrap_write(FILE *out, const char *text, const struct wrapping *wrapping);

#endif
