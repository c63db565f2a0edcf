/* SPDX-License-Identifier: Apache-2.0
 *
 * notice.h - things that are said once
 *
 * What is wrong with a setting, missing on this machine or switched off is noted when it is found, anywhere and at any
 * time, and said by the record stage once there is a loop: nothing is ever printed in a program without one. The same
 * text is noted once.
 *
 * Context: everywhere but the signal handler; takes no lock
 */
#ifndef LOOPDOG_BASE_NOTICE_H
#define LOOPDOG_BASE_NOTICE_H

#include <stddef.h>

/* Note a line without "loopdog: " and without newline. The format is text_format()'s subset; what could move the cursor
 * of a terminal is made visible. Beyond LIMIT_NOTICES they are only counted. */
void notice(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The notes so far: `count` of them; index from 0, NULL beyond. A note never changes once it is visible here. */
size_t notice_count(void);
const char *notice_get(size_t index);

/* How often something was noted for which there was no room. */
size_t notice_lost(void);

#endif
