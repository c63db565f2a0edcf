/* SPDX-License-Identifier: Apache-2.0
 *
 * watch_log.h - what the watchdog asks for, written down
 *
 * Stands in the agent's place: each call of the watchdog becomes an event, and what a sample finds is the test's
 * choice.
 *
 * Context: unit tests; the events are written by one thread at a time, and read by the test once they are counted
 */
#ifndef LOOPDOG_TESTS_WATCH_LOG_H
#define LOOPDOG_TESTS_WATCH_LOG_H

#include <stdatomic.h>
#include <time.h>

#include "waits.h"
#include "watch/watchdog.h"

enum happening {
        BEGIN,
        LOOP_BEGINS,
        LOOP_CONFIRMED,
        LOOP_ENDS,
        SAMPLE,
        DETECTED,
        GOES_ON,
        ENDED,
        END,
        HAPPENINGS,
};

struct event {
        enum happening what;
        uint64_t time_ns;
        const struct slot *slot;
        bool may_signal; /* SAMPLE */
        bool for_good;   /* END */
        struct stall stall;
};

#define EVENTS 4096
static struct event events[EVENTS];
static _Atomic unsigned events_count, happened[HAPPENINGS], ticks;

/* What the next samples find, and what happens while one is taken. */
static _Atomic int sample_finds;
static void (*_Atomic while_sampling)(void);

static inline void note(struct event event)
{
        unsigned index = atomic_load(&events_count);
        event.time_ns = clock_now_ns();
        if (index < EVENTS)
                events[index] = event;
        atomic_store(&events_count, index + 1);
        atomic_fetch_add(&happened[event.what], 1);
}

static inline void note_begin(void)
{
        note((struct event){ .what = BEGIN });
}

static inline void note_loop_begins(struct slot *slot)
{
        note((struct event){ .what = LOOP_BEGINS, .slot = slot });
}

static inline void note_loop_confirmed(struct slot *slot)
{
        note((struct event){ .what = LOOP_CONFIRMED, .slot = slot });
}

static inline void note_loop_ends(struct slot *slot)
{
        note((struct event){ .what = LOOP_ENDS, .slot = slot });
}

static inline enum watch_finding note_sample(struct stall *stall, bool may_signal)
{
        void (*meanwhile)(void) = atomic_load(&while_sampling);
        note((struct event){ .what = SAMPLE, .slot = stall->slot, .stall = *stall, .may_signal = may_signal });
        if (meanwhile != NULL)
                meanwhile();
        /* As a capture does: the iteration is looked at again afterwards. */
        if (atomic_load(&stall->slot->mark) != stall->mark)
                return WATCH_ENDED;
        return (enum watch_finding)atomic_load(&sample_finds);
}

static inline void note_detected(struct stall *stall)
{
        note((struct event){ .what = DETECTED, .slot = stall->slot, .stall = *stall });
}

static inline void note_goes_on(struct stall *stall)
{
        note((struct event){ .what = GOES_ON, .slot = stall->slot, .stall = *stall });
}

static inline void note_ended(struct stall *stall)
{
        note((struct event){ .what = ENDED, .slot = stall->slot, .stall = *stall });
}

static inline void note_tick(uint64_t now_ns)
{
        atomic_fetch_add(&ticks, 1);
}

static inline void note_end(bool for_good)
{
        note((struct event){ .what = END, .for_good = for_good });
}

static const struct watch_calls log_calls = {
        .begin = note_begin,
        .loop_begins = note_loop_begins,
        .loop_confirmed = note_loop_confirmed,
        .loop_ends = note_loop_ends,
        .sample = note_sample,
        .stall_detected = note_detected,
        .stall_goes_on = note_goes_on,
        .stall_ended = note_ended,
        .tick = note_tick,
        .end = note_end,
};

static inline unsigned count_of(enum happening what)
{
        return atomic_load(&happened[what]);
}

/* The latest event of a kind. */
static inline const struct event *latest(enum happening what)
{
        for (unsigned i = atomic_load(&events_count); i-- > 0;)
                if (events[i].what == what)
                        return &events[i];
        cr_assert(false, "no event of kind %d", (int)what);
        return NULL;
}

#define PATIENCE_NS (20000 * MS)

static inline void sleep_ns(uint64_t duration_ns)
{
        struct timespec pause = { .tv_sec = (time_t)(duration_ns / 1000000000),
                                  .tv_nsec = (long)(duration_ns % 1000000000) };
        nanosleep(&pause, NULL);
}

static inline bool wait_until_happened(enum happening what, unsigned times)
{
        uint64_t deadline_ns = clock_monotonic_ns() + PATIENCE_NS;
        while (count_of(what) < times && clock_monotonic_ns() < deadline_ns)
                sleep_ns(MS);
        return count_of(what) >= times;
}

static inline void forget_events(void)
{
        atomic_store(&events_count, 0);
        for (int i = 0; i < HAPPENINGS; i++)
                atomic_store(&happened[i], 0);
}

#endif
