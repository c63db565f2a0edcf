/* SPDX-License-Identifier: Apache-2.0
 *
 * watch_pass.h - the watchdog's passes, one at a time and without its thread
 *
 * The source is included, so that a test decides when a pass takes place, and what a loop does in the middle of one.
 *
 * Context: unit tests
 */
#ifndef LOOPDOG_TESTS_WATCH_PASS_H
#define LOOPDOG_TESTS_WATCH_PASS_H

#include "watch_log.h"

/* What a loop's thread does just before the watchdog looks into its ring: the mark was read before that. */
static void (*before_ring)(void);

static inline bool take_ended_after(struct slot *slot, struct slot_ended *ended)
{
        void (*meanwhile)(void) = before_ring;
        before_ring = NULL;
        if (meanwhile != NULL)
                meanwhile();
        return loop_take_ended(slot, ended);
}

#define loop_take_ended take_ended_after
#include "../../src/watch/pass.c"
#undef loop_take_ended

#define INTERVAL_NS (10 * MS)

static inline void set_up_watch(void)
{
        set_up_loops();
        pass.calls = &log_calls;
        pass.limits = pass.usual = (struct policy_limits){ .threshold_ns = THRESHOLD_NS, .interval_ns = INTERVAL_NS };
}

/* Another loop, as if of another thread. */
static inline struct slot *make_other_loop(int fd)
{
        loop_slot_here = NULL;
        return make_loop(fd);
}

static inline void end_iteration(void)
{
        wait_on(5);
}

/* The present iteration of `slot` is over, and the loop sleeps. */
static inline void go_idle(void)
{
        struct wait wait = on_epoll(5);
        loop_enter(&wait);
}

/* A stall that was detected and is sampled. */
static inline struct slot *make_stall(void)
{
        struct slot *slot = make_loop(5);
        pass_over_all();
        make_last(slot, 150 * MS);
        pass_over_all();
        cr_assert(eq(uint, count_of(DETECTED), 1));
        return slot;
}

#endif
