/* SPDX-License-Identifier: Apache-2.0
 *
 * terminal.h - what a descriptor can show
 *
 * Context: reader
 */
#ifndef LOOPDOG_RENDER_TERMINAL_H
#define LOOPDOG_RENDER_TERMINAL_H

#include <stdbool.h>

enum colour_choice {
        COLOUR_AUTO,
        COLOUR_ALWAYS,
        COLOUR_NEVER,
};

/* "auto" and so on; -1 for another word. */
int colour_from_name(const char *name);
const char *colour_name(int choice); /* NULL: there is none */

/* Whether to write colour to `fd`. On auto: where it is a terminal that has it, unless NO_COLOR is set; elsewhere
 * only where CLICOLOR_FORCE asks for it. */
bool terminal_colour(int fd, enum colour_choice choice);

/* What stands for text that was cut: one character where people read UTF-8, by their locale (LC_ALL, LC_CTYPE, LANG),
 * else three dots. Static. */
const char *terminal_ellipsis(void);

/* The width of the terminal at `fd`, 0 where it is none. */
unsigned terminal_columns(int fd);

#endif
