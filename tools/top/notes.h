/* SPDX-License-Identifier: Apache-2.0
 *
 * notes.h - messages while there is a screen
 *
 * What say() would write to stderr would spoil the screen: the last of it stands at the bottom for a while, and all of
 * it is said when the terminal is given back, also where the command ends in the middle of something.
 *
 * Context: reader
 */
#ifndef LOOPDOG_TOP_NOTES_H
#define LOOPDOG_TOP_NOTES_H

/* Before the screen begins. */
void notes_begin(void);

/* The last message as long as it is new, else NULL. */
const char *notes_last(void);

/* The screen is gone: say them. Once. */
void notes_end(void);

#endif
