/* SPDX-License-Identifier: Apache-2.0
 *
 * told.h - the program's own handler is told of each stall
 *
 * Context: each function says which
 */
#ifndef LOOPDOG_TOLD_H
#define LOOPDOG_TOLD_H

#include "loopdog.h"
#include "record/record.h"

/* NULL: nobody is told any more. Any thread. */
void told_set_handler(loopdog_handler *handler, void *context);

/* Tell it of a stall that has ended. Watchdog. */
void told_stall(const struct record_stall *stall);

#endif
