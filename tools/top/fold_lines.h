/* SPDX-License-Identifier: Apache-2.0
 *
 * fold_lines.h - lines of text that are too long for a screen
 *
 * Context: reader
 */
#ifndef LOOPDOG_TOP_FOLD_LINES_H
#define LOOPDOG_TOP_FOLD_LINES_H

#include <stddef.h>

/* The text with no line longer than `columns` (from 20 on, else it stays as it is), broken between words where that
 * goes; what goes on is indented. Colours (ESC [ ... m) take no room and go on behind a break. To be freed. */
char *fold_lines(const char *text, unsigned columns);

/* How many lines a text has. */
size_t count_lines(const char *text);

#endif
