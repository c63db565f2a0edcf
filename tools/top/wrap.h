/* SPDX-License-Identifier: Apache-2.0
 *
 * wrap.h - lines of text that are too long for a screen
 *
 * Context: reader
 */
#ifndef LOOPDOG_TOP_WRAP_H
#define LOOPDOG_TOP_WRAP_H

#include <stddef.h>

/* The text with no line longer than `columns` (from 20 on, else it stays as it is), broken between words where that
 * goes; what goes on is indented. Colours (ESC [ ... m) take no room and go on behind a break. To be freed. */
char *wrap_text(const char *text, unsigned columns);

/* How many lines a text has. */
size_t wrap_count(const char *text);

#endif
