/* SPDX-License-Identifier: Apache-2.0
 *
 * shares.h - the parts of a stall, by the functions in which its samples differ
 *
 * Context: watchdog
 */
#ifndef LOOPDOG_RECORD_SHARES_H
#define LOOPDOG_RECORD_SHARES_H

#include "record/record.h"

#define SHARES 8

/* `callbacks[i]` is the index in `stacks[i]` of the frame that the loop has called, or -1. Fills at most SHARES, the
 * largest first, and returns how many. A stall with one path from callback to culprit has one share: the culprit. */
size_t shares_find(const struct record_stack *stacks, const int *callbacks, size_t count, const char *own_prefixes,
                   struct record_share shares[SHARES]);

#endif
