/* SPDX-License-Identifier: Apache-2.0
 *
 * repeat.h - how often a signature was seen
 *
 * Context: watchdog
 */
#ifndef LOOPDOG_RECORD_REPEAT_H
#define LOOPDOG_RECORD_REPEAT_H

#include <stdbool.h>
#include <stdint.h>

/* Stacks of one signature written in a minute; further ones come without. */
#define REPEATS_WITH_STACKS 10

/* Count `signature` at `now_ns`. *before: how often it was seen before in this process. Returns whether its stacks need
 * not be written again. */
bool repeat_count(uint64_t signature, uint64_t now_ns, uint64_t *before);

void repeat_after_fork(void);

#endif
