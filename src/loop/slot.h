/* SPDX-License-Identifier: Apache-2.0
 *
 * slot.h - a loop's fixed record in memory
 *
 * One thread writes a slot, the loop's own; the watchdog reads it. All that the watchdog must see at once stands in a
 * single word, the mark: the moment at which the present state began, and whether that state is busy. A mark is also
 * the name of an iteration: while it stays the same, the iteration goes on. Fields that belong to an iteration are
 * written before its mark (release) and read after it, and believed only if the mark is still the same then.
 *
 * The first slots are there from the beginning, further ones are mapped as they are claimed (base/table.h); a slot
 * never moves, and reading one never allocates.
 *
 * Context: app thread writes, watchdog reads; each field says which
 */
#ifndef LOOPDOG_LOOP_SLOT_H
#define LOOPDOG_LOOP_SLOT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>

#include "base/clock.h"
#include "base/limits.h"

/* What names an own wait. An epoll loop is its instance; a poll or select loop is its call site (and a shared
 * descriptor, checked apart); a loop of the API is its number there, from 1. The kind stands in the low bits. 0 is no
 * key. */
enum wait_kind {
        WAIT_NAMED = 0,
        WAIT_EPOLL = 1,
        WAIT_POLL = 2,
        WAIT_SELECT = 3,
};
#define WAIT_KEY(kind, value) ((uint64_t)(value) << 2 | (uint64_t)(kind))
#define WAIT_KEY_KIND(key) ((enum wait_kind)((key)&3))
#define WAIT_KEY_VALUE(key) ((key) >> 2)
#define WAIT_KEY_PAUSED WAIT_KEY(WAIT_NAMED, UINT32_MAX) /* of a paused loop: no wait has it */

#define MARK(ns, busy) ((uint64_t)(ns) << 1 | (busy))
#define MARK_BUSY(mark) ((mark)&1)
#define MARK_NS(mark) ((mark) >> 1)

/* Busy time, log-linear: 16 buckets a power of two, the first of about a microsecond, the last from nine and a half
 * hours on. */
#define HISTOGRAM_SHIFT 10
#define HISTOGRAM_BUCKETS (16 * 32)

enum slot_state {
        SLOT_FREE,
        SLOT_CANDIDATE, /* has waited once: its stalls are held back */
        SLOT_LOOP,
        SLOT_RELEASED, /* its thread has ended: the watchdog takes what is left and frees it */
};

/* A thread whose loop the watchdog has never seen gives its slot back itself: so thousands of short threads in the time
 * of one pass do not use up the table. Whoever changes SLOT_UNMET first has it. */
enum slot_met {
        SLOT_UNMET,
        SLOT_MET, /* the watchdog knows it, and frees it */
        SLOT_GIVEN_BACK,
};

/* An iteration that ended above the threshold; `begin` is the iteration's name for the watchdog. */
struct slot_ended {
        uint64_t begin_ns;
        uint64_t end_ns;
        uint64_t yield_ns;     /* the last wait within it that could not sleep; 0: none */
        uint64_t threshold_ns; /* what it was measured by, with what its sections allowed */
        uint32_t yields;
        uint32_t said; /* number of what the program said of it (said.h); 0: nothing */
        bool startup;
        bool serial; /* the loop is a serial server: only LOOPDOG_LOOPS=all reports it */
        bool left;   /* the watchdog had found that the loop was left in it */
};

struct slot {
        /* First line: written at each wait. */
        _Alignas(64) _Atomic uint64_t mark;
        _Atomic uint64_t key;     /* of the own wait; 0: a candidate, or none. The watchdog may set it (take-over) */
        _Atomic uint64_t own_cfa; /* stack pointer of the own wait's caller */
        _Atomic uint64_t busy_ns;
        _Atomic uint32_t yields;       /* re-entrant waits in this iteration */
        int32_t last_result;           /* of the own wait */
        _Atomic bool slept;            /* an own wait could sleep: start-up is over */
        bool last_slept;               /* the last own wait could */
        bool listed;                   /* poll, select: in a known loop library, so never a serial server */
        _Atomic uint64_t threshold_ns; /* busy times from here on are reported; UINT64_MAX: none */

        /* A line of its own: what the own wait got, if anything. The arrays are the host's, and may be gone. */
        _Alignas(64) const void *returned; /* epoll: its events; poll: its set; select: what can be read, */
        struct epoll_event first_events[LIMIT_SERVED_KEPT]; /* epoll: copies of the first */
        int32_t returned_result;                            /* how many there were */
        uint32_t returned_before; /* waits ago: later ones returned nothing and could not sleep */

        /* Second line: seldom written. */
        _Alignas(64) _Atomic uint64_t yield_ns; /* when the last re-entrant wait was */
        _Atomic uint64_t yield_cfa;
        _Atomic uint64_t left_mark; /* this iteration is time outside of the loop: the watchdog says so, or a close() */
        _Atomic uint64_t left_ns;   /* since the close() */
        _Atomic bool reentrant;     /* set by the watchdog: the yields are really within a callback */
        _Atomic bool serial;        /* poll, select: only listening sockets in the own set: serves one at a time */
        _Atomic bool confirmed;     /* it has waited twice at the same place: a loop, no mere candidate */
        _Atomic bool executor;      /* another thread has waited on the same instance */
        _Atomic uint32_t state;     /* enum slot_state */
        _Atomic uint32_t met;       /* enum slot_met */
        _Atomic uint32_t index;     /* its own, always the same once it was claimed */
        _Atomic uint64_t candidate_key;
        _Atomic uint64_t last_key;  /* of the last own wait, also when its instance was closed */
        _Atomic uint64_t rival_key; /* waited on once while the candidate was not confirmed */
        _Atomic uint64_t site;      /* return address of the own wait */
        _Atomic int32_t tid;
        _Atomic uint64_t thread_pointer;  /* its TLS, which lies above the stack of a thread of libc */
        _Atomic uint64_t alternate_bytes; /* of its alternate signal stack; 0: it has none */
        _Atomic bool filtered;            /* set by the watchdog: under a filter of its own, nothing is asked there */
        _Atomic uint32_t generation;
        _Atomic uint64_t allowed_ns;   /* what sections allow beyond the threshold, */
        _Atomic uint64_t allowed_mark; /* in this iteration */
        char name[LIMIT_LOOP_NAME];    /* given by the API; "" */
        struct slot *next_here;        /* the thread's other loops of the API */
        struct slot *around;           /* the loop from within which this one was run; valid while it is open */
        uint64_t paused_key;           /* the key, while the loop is paused */
        _Atomic uint64_t outside_ns;
        _Atomic uint64_t first_ns; /* its first own wait; what is neither busy nor outside since then was idle */

        int own_set[LIMIT_OWN_SET]; /* poll, select: descriptors of the last own set */
        _Atomic uint32_t own_set_count;
        uint32_t own_size; /* the count argument of that wait, */
        uint64_t own_word; /* and of select the first descriptors as bits: to see at once that it is the same */

        const void *returned_more[2]; /* select: what can be written, what is exceptional; */
        uint64_t returned_count;      /* poll and select: descriptors in the set */

        _Atomic uint32_t ring_head; /* written by the thread */
        _Atomic uint32_t ring_tail; /* written by the watchdog */
        _Atomic uint32_t ring_lost;
        struct slot_ended ring[LIMIT_RING];

        _Atomic uint32_t histogram[HISTOGRAM_BUCKETS];
};

/* All slots ever used have an index below slots_used(). */
struct slot *slot_at(uint32_t index);
uint32_t slot_index(const struct slot *slot); /* of one that was claimed */
uint32_t slots_used(void);

/* Claim a free slot for the calling thread; NULL where there is none, or no memory. May map some. */
struct slot *slot_claim(void);

/* Empty a slot and make it free again: the watchdog, or the thread itself where it was never met. */
void slot_free(struct slot *slot);

/* In the child after fork: no loop is known. */
void slots_after_fork(void);

/* How long the loop has been in its own wait since its first. Any thread. */
uint64_t slot_idle_ns(const struct slot *slot);

/* Lower bound of a bucket in nanoseconds. */
uint64_t histogram_from_ns(unsigned bucket);

static inline unsigned histogram_bucket(uint64_t busy_ns)
{
        uint64_t unit = busy_ns >> HISTOGRAM_SHIFT;
        if (unit < 16)
                return (unsigned)unit;
        unsigned top = 63u - (unsigned)__builtin_clzll(unit);
        unsigned bucket = (top - 3) * 16 + (unsigned)(unit >> (top - 4) & 15);
        return bucket < HISTOGRAM_BUCKETS ? bucket : HISTOGRAM_BUCKETS - 1;
}

/* Add to a total of a slot. Only one thread writes it, so a plain load and store do, without a locked instruction. */
static inline void slot_add(_Atomic uint64_t *total, uint64_t part)
{
        atomic_store_explicit(total, atomic_load_explicit(total, memory_order_relaxed) + part, memory_order_relaxed);
}

/* The same for one bucket. */
static inline void histogram_count(struct slot *slot, uint64_t busy_ns)
{
        _Atomic uint32_t *count = &slot->histogram[histogram_bucket(busy_ns)];
        atomic_store_explicit(count, atomic_load_explicit(count, memory_order_relaxed) + 1, memory_order_relaxed);
}

#endif
