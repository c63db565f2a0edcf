/* SPDX-License-Identifier: Apache-2.0
 *
 * credentials.h - are the watchdog's user, groups and capabilities those of a thread of the host?
 *
 * Context: watchdog, and threads of the host that are about to change theirs
 */
#ifndef LOOPDOG_BASE_CREDENTIALS_H
#define LOOPDOG_BASE_CREDENTIALS_H

#include <stdbool.h>

/* The calling thread's are the watchdog's: it is that thread, or libc has just changed both alike. */
void credentials_note(void);

/* Does the calling thread have others, as far as is known? Where nothing is known it does. */
bool credentials_differ(void);

#endif
