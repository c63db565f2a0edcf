/* SPDX-License-Identifier: Apache-2.0
 *
 * screen.h - the terminal of `loopdog top`
 *
 * Context: reader; one screen a process
 */
#ifndef LOOPDOG_TOP_SCREEN_H
#define LOOPDOG_TOP_SCREEN_H

#include "top/frame.h"
#include "top/ui.h"

/* Take over the terminal on stdout; keys come from stdin, or from the terminal where that is something else. It is
 * given back by screen_end(), at exit, and where the program crashes. False, said, where there is no terminal that can
 * show it. */
bool screen_begin(bool colour);
void screen_end(void);

/* Poll it for POLLIN, and call screen_key() until it is false. */
int screen_descriptor(void);
bool screen_key(uint32_t *key);

/* The terminal has another size now. */
void screen_resize(void);

/* Give it back for a while, and take it again. */
void screen_leave(void);
void screen_return(void);

unsigned screen_columns(void);
unsigned screen_lines(void);

/* Draw everything; only what has changed is sent. `text`: of the stall that is open, NULL: none is. `note`: a message
 * for the line at the bottom, NULL: none. */
void screen_draw(const struct ui *ui, const struct ui_room *room, const struct frame *frame, const char *text,
                 const char *note);

/* Draw it again whatever is there. */
void screen_redraw(void);

/* The help, in lines. */
const char *screen_help(void);

#endif
