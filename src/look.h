/* SPDX-License-Identifier: Apache-2.0
 *
 * look.h - look at a loop's thread: capture -> unwind -> script -> explain
 *
 * Context: watchdog
 */
#ifndef LOOPDOG_LOOK_H
#define LOOPDOG_LOOK_H

#include <stdbool.h>

#include "capture/capture.h"
#include "explain/explained.h"
#include "watch/watchdog.h"

/* The place of a stall that is none: a loop that is dumped. */
#define LOOK_DUMP_PLACE LIMIT_STALLS

/* Who copies the frames of scripts when a stack is copied. */
extern const struct capture_companion look_companion;

/* Do libunwind's calls pass our hooks, one of which answers mincore() without the kernel? At load. */
void look_note_hooks(bool come_first);

/* A loop begins, or is met by a new watchdog: open the files of its thread; and close them when it ends. */
void look_begin(const struct slot *slot);
void look_close(const struct slot *slot);

/* What a thread blocks in its own wait it blocks as a rule. Not asked at its first wait, by the thread itself, which
 * may be under a filter that punishes that. */
void look_note_blocked(struct slot *slot);

/* Take a sample of a stall that goes on, and judge whether it does. */
enum watch_finding look_at(struct stall *stall, bool may_signal);

/* Take one of the loop's thread in whatever iteration it is, whose mark is the stall's afterwards; `place` is
 * LOOK_DUMP_PLACE. False: the thread has ended, or there is no memory. */
bool look_at_present(struct stall *stall, bool may_signal);

/* What the samples of a stall have shown; NULL where it has no place, or no memory for it. */
struct profile *look_profile(const struct stall *stall);

/* By the verdict: what the thread waited for, and what its iteration served. */
void look_explain(struct explained *explained, const struct stall *stall);

/* The stall has ended; and all loops are left. */
void look_forget(const struct stall *stall);
void look_end(void);

/* In the child, in its only thread. */
void look_after_fork(void);

#endif
