/* SPDX-License-Identifier: Apache-2.0
 *
 * watchdog.h - the thread that watches the loops
 *
 * It knows slots, stalls and the time. What is to be done with a stall (capture, unwind, explain, record) it asks of
 * the functions that agent.c gives it.
 *
 * Context: each function says which
 */
#ifndef LOOPDOG_WATCH_WATCHDOG_H
#define LOOPDOG_WATCH_WATCHDOG_H

#include <stdbool.h>
#include <stdint.h>

#include "loop/loop.h"
#include "watch/policy.h"
#include "watch/stall.h"

/* What a sample told about the loop itself. */
enum watch_finding {
        WATCH_GOES_ON, /* the iteration goes on */
        WATCH_ENDED,   /* it ended meanwhile */
        WATCH_LEFT,    /* the thread has left the loop, or rests as an executor's thread does: no stall */
        WATCH_GONE,    /* the thread does not exist any more */
};

struct watch_calls {
        void (*begin)(void);                    /* in the new thread, before anything else */
        void (*loop_begins)(struct slot *slot); /* a slot is seen for the first time (candidates too) */
        void (*loop_confirmed)(struct slot *slot);
        void (*loop_ends)(struct slot *slot); /* its thread has ended: last call for it */
        enum watch_finding (*sample)(struct stall *stall, bool may_signal);
        void (*stall_detected)(struct stall *stall);
        void (*stall_goes_on)(struct stall *stall);
        void (*stall_ended)(struct stall *stall); /* detected or not: frees what belongs to its place */
        void (*tick)(uint64_t now_ns);            /* at each wake-up, when the loops have been looked at */
        void (*asked)(void);                      /* somebody waits for all that is known to be written */
        void (*end)(bool for_good);               /* in the thread, before it ends */
};

struct watch_totals {
        uint64_t wakeups;
        uint64_t latest_ns;
        uint64_t stalls;
        uint64_t stalls_startup;
        uint64_t iterations_lost;
        uint64_t stalls_suspended; /* not among `stalls` */
        uint64_t sampling_ns;      /* time spent in samples, with all that is made of them */
        uint64_t stopped_ns;       /* the watchdog was stopped, by a signal or a debugger, */
        uint64_t starved_ns;       /* or came too late because it had no CPU */
        uint64_t stalls_crowded;   /* their samples were not kept: LIMIT_STALLS were open */
};

/* Constructor: the watchdog runs on the processors that the process was started on, wherever its loops are bound. */
void watchdog_note_processors(void);

/* Constructor: look up what libc tells of the stacks of threads and of their number, as that takes the loader's lock.
 */
void watchdog_ask_libc(void);

/* Start the thread. app thread. 0; -EALREADY where it runs or is being started; -EAGAIN while it is forbidden; -errno.
 */
int watchdog_start(const struct watch_calls *calls, const struct policy_limits *limits, uint64_t grace_ns);

/* End it and wait for that, at most `patience_ns`. `for_good`: the process ends or becomes another program, so open
 * stalls are closed and written; otherwise (fork) they stay open. Where another thread is just starting or stopping it,
 * that is waited for first. 0, -ESRCH where it does not run, -ETIMEDOUT. app thread; keeps errno. */
int watchdog_stop(bool for_good, uint64_t patience_ns);

/* Where watchdog_stop() did not find it ended in time it ends later, and another stop does not wait for it: do so, with
 * a patience of its own. app thread. */
void watchdog_wait_for_late_end(uint64_t patience_ns);

/* From before watchdog_stop() until the fork is over: another loop must not start it in between. It comes back with
 * the next wait. app thread. */
void watchdog_forbid(void);
void watchdog_allow(void);

/* Wait until no other thread is in the middle of starting or stopping it. app thread. */
void watchdog_wait_for_change(uint64_t patience_ns);

void watchdog_wake(void);

/* Have it look at all loops and then call `asked`; wait for that. 0, -ESRCH where it does not run, -ETIMEDOUT. app
 * thread; keeps errno. */
int watchdog_ask(uint64_t patience_ns);

/* May a thread be sent a signal now, as far as stops go? Watchdog. */
bool watch_may_signal(void);

const struct watch_totals *watch_totals(void);
int watchdog_tid(void);

void watchdog_after_fork(void);

#endif
