/* SPDX-License-Identifier: Apache-2.0
 *
 * pass.h - one pass of the watchdog over all loops
 *
 * Context: the watchdog thread; pass_set() and pass_after_fork() where there is none
 */
#ifndef LOOPDOG_WATCH_PASS_H
#define LOOPDOG_WATCH_PASS_H

#include <stdbool.h>
#include <stdint.h>

#include "watch/away.h"
#include "watch/watchdog.h"

/* What stalls are measured by, and who is told of them. Before the thread starts. */
void pass_set(const struct watch_calls *calls, const struct policy_limits *limits, uint64_t grace_ns);

/* The watchdog begins, perhaps after a fork that stopped it: what belonged to its descriptor table must be opened anew.
 */
void pass_begin(void);

/* Look at all loops. Returns when to look again. */
uint64_t pass_over_all(void);

/* The clock was exchanged: its readings can't be compared with those of the old one, so forget what is under way. */
void pass_forget(void);

/* Has a loop iterated, or appeared, since the last pass? */
bool pass_is_due(void);

/* Is a long iteration being followed? */
bool pass_follows(void);

/* The watchdog was away, as absence.h has it. */
void pass_note_absence(const struct watch_absence *absence);

/* It was stopped some time between these two, and had nothing to do before that. */
void pass_note_stop(uint64_t from_ns, uint64_t to_ns);

/* The machine has slept for so long, while clock_now_ns() stood still. The iterations that were under way are recorded
 * as suspended. */
void pass_note_sleep(uint64_t slept_ns);

/* When a loop last iterated. */
uint64_t pass_active_ns(void);

/* The process ends: what goes on now ends with it. */
void pass_close_all(void);

void pass_after_fork(void);

#endif
