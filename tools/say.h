/* SPDX-License-Identifier: Apache-2.0
 *
 * say.h - messages to people, on stderr
 *
 * Results go to stdout, everything else through here: one line, one write(), so that the lines of a watched program
 * and ours do not mix within a line. Names of files and what stands in them are shown safely: a control character in
 * a record must not reach the terminal.
 *
 * `loopdog run` must go on forwarding signals while nobody reads its stderr (a pager that waits, a full pipe), so it
 * queues what can't be written at once.
 *
 * Context: reader
 */
#ifndef LOOPDOG_TOOLS_SAY_H
#define LOOPDOG_TOOLS_SAY_H

#include <stdbool.h>
#include <stddef.h>

/* "loopdog: " and the message and a newline. What is longer than 2 KB is cut. */
void say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* All bytes to stderr; a closed pipe or a full disk there is nobody's concern. */
void say_bytes(const char *bytes, size_t length);

/* From now on hand everything to take() instead of stderr, where it would spoil a screen; NULL: as before. */
void say_divert(void (*take)(void *context, const char *bytes, size_t length), void *context);

/* A line that stays until something else is said, on a terminal; NULL: remove it. */
void say_passing(const char *line);

/* From now on never wait: queue up to 16 MB, then drop. */
void say_queue(void);
bool say_pending(void); /* something is queued: poll stderr for POLLOUT and then call say_drain() */
void say_drain(void);   /* write what can be written without waiting */
void say_unqueue(void); /* wait until all is written, and be as before say_queue() */

#endif
