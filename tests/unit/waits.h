/* SPDX-License-Identifier: Apache-2.0
 *
 * waits.h - the loop stage as the hooks see it, without hooks
 *
 * A wait is a struct value and no thread sleeps: an iteration is made long by moving its begin into the past.
 *
 * Context: unit tests
 */
#ifndef LOOPDOG_TESTS_WAITS_H
#define LOOPDOG_TESTS_WAITS_H

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>

#include "loop/loop.h"

#define MS 1000000ull
#define THRESHOLD_NS (100 * MS)

/* Stack pointers: larger is older. */
#define OUTER 0x7f0000002000
#define LOOP_CFA 0x7f0000001000
#define DEEPER 0x7f0000000800

#define SITE 0x401234
#define OTHER_SITE 0x405678

/* Each program has its own. */
static _Atomic unsigned starts __attribute__((unused)), wakes __attribute__((unused));

/* As the agent's own do, but for the thread. */
static inline void start(void)
{
        starts++;
        loop_note_memory();
        atomic_store(&loop_attention, LOOP_WATCHED);
        errno = EPERM;
}

static inline void wake(void)
{
        wakes++;
        errno = EPERM;
}

static const struct loop_calls test_calls
        __attribute__((unused)) = { .start = start, .wake = wake, .child = loop_after_fork };

/* What most tests begin with. */
static inline void set_up_loops(void)
{
        loop_setup(&test_calls, THRESHOLD_NS, false);
}

static inline struct wait on_epoll(int fd)
{
        return (struct wait){
                .key = WAIT_KEY(WAIT_EPOLL, (uint32_t)fd), .site = SITE, .cfa = LOOP_CFA, .sleeps = true
        };
}

/* What a hook does around the function behind it. */
static inline struct slot *go_through(struct wait wait, int result)
{
        struct slot *own = loop_enter(&wait);
        loop_leave(own, result);
        return own;
}

static inline struct slot *wait_on(int fd)
{
        return go_through(on_epoll(fd), 1);
}

/* A thread whose loop is instance `fd`, and which is in an iteration. */
static inline struct slot *make_loop(int fd)
{
        wait_on(fd);
        struct slot *slot = wait_on(fd);
        cr_assert(not(zero(ptr, slot)));
        cr_assert(eq(uint, atomic_load(&slot->state), SLOT_LOOP));
        return slot;
}

static inline uint64_t mark_of(const struct slot *slot)
{
        return atomic_load(&slot->mark);
}

static inline bool is_busy(const struct slot *slot)
{
        return MARK_BUSY(mark_of(slot));
}

/* As if the present iteration had begun this long ago. */
static inline void make_last(struct slot *slot, uint64_t duration_ns)
{
        cr_assert(is_busy(slot));
        atomic_store(&slot->mark, MARK(clock_now_ns() - duration_ns, 1));
}

static inline uint64_t iterations(const struct slot *slot)
{
        uint64_t count = 0;
        for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++)
                count += atomic_load(&slot->histogram[i]);
        return count;
}

#endif
