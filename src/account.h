/* SPDX-License-Identifier: Apache-2.0
 *
 * account.h - the statistics of the loops and of the agent itself
 *
 * Context: watchdog, except where a function says otherwise
 */
#ifndef LOOPDOG_ACCOUNT_H
#define LOOPDOG_ACCOUNT_H

#include <stdint.h>

#include "loop/slot.h"

/* Count a stall of this loop. */
void account_stall(const struct slot *slot, uint64_t duration_ns);

/* Write a loop's record, if it has iterated since the last. */
void account_loop(const struct slot *slot);

/* The same for all loops. */
void account_loops(void);

/* At each wake-up of the watchdog: every loop's record after the first second, then when 10 s have passed, or 1 s while
 * somebody shows them live. A second is as long as the watchdog stays awake without an iteration: whoever looks on has
 * the last state of a loop that rests. */
void account_tick(uint64_t now_ns);

/* Write the agent's own account. */
void account_exit(void);

/* The watchdog's thread ends, for good or only for a fork: what it has used counts on. */
void account_thread_ends(void);

/* What it will give as its reason: a static string. Any thread. */
void account_end_reason(const char *reason);

/* In the child, before the slots are cleared. */
void account_after_fork(void);

#endif
