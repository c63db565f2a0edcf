/* SPDX-License-Identifier: Apache-2.0
 *
 * unwritten.h - why a record file could not be opened or written, in words
 *
 * libc's strerror() reads the locale and may allocate, and does not know what the path was for.
 *
 * Context: watchdog
 */
#ifndef LOOPDOG_RECORD_UNWRITTEN_H
#define LOOPDOG_RECORD_UNWRITTEN_H

#include "base/proc.h"

/* What open_file() in sink.c returns for a file that somebody else may have put in our way: no open() of its ends so.
 */
#define UNWRITTEN_PLANTED (-EEXIST)

/* `error` is negative: -errno, PROC_FILTERED or UNWRITTEN_PLANTED. Begins with ": ", so that it can follow anything;
 * empty where there is nothing to add to the number. */
const char *unwritten_why(int error);

#endif
