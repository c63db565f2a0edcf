/* SPDX-License-Identifier: Apache-2.0
 *
 * loop.h - what the hooks tell, and what the watchdog may change
 *
 * The path of a wait makes no system call and takes no lock: an epoll loop's own wait is recognized by one comparison
 * and costs two clock readings, one count in the histogram and two stores. Everything else (a first wait, a nested one,
 * poll and select) goes the longer way in loop.c, which still makes no system call unless a decision is due.
 *
 * Context: each function says which
 */
#ifndef LOOPDOG_LOOP_LOOP_H
#define LOOPDOG_LOOP_LOOP_H

#include <poll.h>
#include <stddef.h>
#include <sys/select.h>

#include "loop/slot.h"

/* One call of a waiting function, as its hook sees it. */
struct wait {
        uint64_t key;  /* WAIT_KEY(kind, descriptor or call site) */
        uint64_t site; /* return address of the hook */
        uint64_t cfa;  /* stack pointer of the hook's caller */
        bool sleeps;   /* its timeout is not 0 */
        /* poll and select: the descriptors waited for. */
        const struct pollfd *polled;
        nfds_t polled_count;
        const fd_set *selected[2]; /* read, write */
        int selected_count;
};

/* Must the path of a wait tell the watchdog something? One plain load. The word lies on a page of its own that the
 * kernel empties in every child (MADV_WIPEONFORK), so that a child made by clone() without libc finds no watchdog. */
enum loop_attention {
        LOOP_STOPPED, /* there is no watchdog: start one */
        LOOP_WATCHED,
        LOOP_ASLEEP, /* the watchdog sleeps until it is woken */
};
struct loop_page {
        _Alignas(4096) _Atomic int attention;
        _Atomic bool noted; /* false in such a child; true in one of vfork(), whose memory is its parent's */
};
extern struct loop_page loop_page;
#define loop_attention loop_page.attention

/* Busy times from here on are reported, unless a loop has its own; UINT64_MAX while the detector is off. */
extern uint64_t loop_threshold_ns;

extern __thread struct slot *loop_slot_here;

/* Set in the watchdog: the hooks, which our own calls pass too, leave it alone. */
extern __thread bool loop_is_watchdog;

/* Of slot.returned_before: it does not count any more. */
#define LOOP_RETURNED_LONG_AGO UINT32_MAX

/* Called by agent.c before anything else: what to do at the first own wait, when the watchdog is asleep, and in a child
 * of clone() whose slots are its parent's. */
struct loop_calls {
        void (*start)(void);
        void (*wake)(void);
        void (*child)(void);
};
void loop_setup(const struct loop_calls *calls, uint64_t threshold_ns, bool all_loops);

/* LOOPDOG_LOOPS=api: the hooks find no loop by themselves, only those that the API has named. */
void loop_ignore_unnamed(void);

/* Is the detector on; was loop_setup() called with a threshold; and switch it off until that is called again. */
bool loop_is_on(void);
bool loop_is_set_up(void);
void loop_turn_off(void);

/* A slot for the calling thread, empty but for what names the thread. NULL where there is none, which is counted. It is
 * seen once it has a mark. app thread. */
struct slot *loop_claim(void);

/* The first of this thread's slots; `next_here` leads on. NULL: it has none. */
struct slot *loop_first_here(void);

/* This slot is not the thread's any more. app thread, its own. */
void loop_forget_here(struct slot *slot);

/* The slot's loop is over; what is left of it is the watchdog's to take. app thread, its own. */
void loop_release(struct slot *slot);

/* A loop of the API has begun: count it, and see to the watchdog. app thread. */
void loop_named_begins(struct slot *slot);

/* The API's name for the loop that the hooks find in this thread; "" for none. app thread. */
extern __thread char loop_name_here[LIMIT_LOOP_NAME];

/* A thread is about to wait. Returns its slot where this is its own wait, NULL where it is nested or the thread is no
 * loop. app thread; errno is left alone. */
struct slot *loop_enter_slow(const struct wait *wait);
void loop_end_long(struct slot *slot, uint64_t mark, uint64_t now_ns);
void loop_attend(void); /* only from an own wait, or a thread's first after a fork: others may be in a signal handler */

/* The slots are those of this process, and its children are to find that out. Calls the system. */
void loop_note_memory(void);

/* This thread is a child of clone() without libc. After loop_after_fork(). */
void loop_note_clone(void);

/* This thread is about to fork, for which the watchdog is stopped. app thread. */
void loop_note_fork(void);

__attribute__((always_inline)) static inline void loop_end_iteration(struct slot *slot, uint64_t cfa, bool sleeps)
{
        uint64_t mark = atomic_load_explicit(&slot->mark, memory_order_relaxed);
        uint64_t now_ns = clock_now_ns();
        if (__builtin_expect(MARK_BUSY(mark), 1)) {
                uint64_t busy_ns = now_ns - MARK_NS(mark);
                if (__builtin_expect(busy_ns >= atomic_load_explicit(&slot->threshold_ns, memory_order_relaxed), 0)) {
                        loop_end_long(slot, mark, now_ns);
                } else if (busy_ns >> HISTOGRAM_SHIFT || slot->last_slept || slot->last_result != 0) {
                        histogram_count(slot, busy_ns);
                        slot_add(&slot->busy_ns, busy_ns);
                } /* else: an empty look without sleep, then the real wait (libuv with idle metrics): no iteration */
        }
        atomic_store_explicit(&slot->own_cfa, cfa, memory_order_relaxed);
        atomic_store_explicit(&slot->slept, atomic_load_explicit(&slot->slept, memory_order_relaxed) | sleeps,
                              memory_order_relaxed);
        slot->last_slept = sleeps;
        atomic_store_explicit(&slot->mark, MARK(now_ns, 0), memory_order_release);
}

/* The hot path, for epoll only: one thread-local load and one comparison find the own wait. Its arguments are
 * scalars, so that nothing is put into memory for it; NULL means that loop_enter_slow() must decide. */
__attribute__((always_inline)) static inline struct slot *loop_enter_epoll(uint64_t key, uint64_t cfa, bool sleeps)
{
        struct slot *slot = loop_slot_here;
        if (__builtin_expect(slot == NULL, 0) ||
            __builtin_expect(key != atomic_load_explicit(&slot->key, memory_order_relaxed), 0))
                return NULL;
        if (!sleeps && cfa < atomic_load_explicit(&slot->own_cfa, memory_order_relaxed))
                return NULL;
        loop_end_iteration(slot, cfa, sleeps);
        return slot;
}

/* The same for poll and select where they wait for the very set of the last own wait. `fds` and the sets must be
 * readable as far as `count` says. */
__attribute__((always_inline)) static inline bool loop_may_enter(const struct slot *slot, uint64_t key, uint64_t cfa,
                                                                 bool sleeps, uint64_t count)
{
        return __builtin_expect(slot != NULL, 1) && key == atomic_load_explicit(&slot->key, memory_order_relaxed) &&
               count == slot->own_size && (sleeps || cfa >= atomic_load_explicit(&slot->own_cfa, memory_order_relaxed));
}

__attribute__((always_inline)) static inline struct slot *loop_enter_poll(uint64_t key, uint64_t cfa, bool sleeps,
                                                                          const struct pollfd *fds, uint64_t count)
{
        struct slot *slot = loop_slot_here;
        if (!loop_may_enter(slot, key, cfa, sleeps, count))
                return NULL;
        uint32_t remembered = atomic_load_explicit(&slot->own_set_count, memory_order_relaxed);
        if (remembered == 0 || remembered > count)
                return NULL;
        for (uint32_t i = 0; i < remembered; i++)
                if (fds[i].fd != slot->own_set[i])
                        return NULL;
        loop_end_iteration(slot, cfa, sleeps);
        return slot;
}

__attribute__((always_inline)) static inline struct slot *
loop_enter_select(uint64_t key, uint64_t cfa, bool sleeps, const fd_set *read, const fd_set *write, int count)
{
        struct slot *slot = loop_slot_here;
        if (count <= 0 || count > 64 || !loop_may_enter(slot, key, cfa, sleeps, (uint64_t)count))
                return NULL;
        uint64_t word =
                (read != NULL ? (uint64_t)read->fds_bits[0] : 0) | (write != NULL ? (uint64_t)write->fds_bits[0] : 0);
        if (word << (64 - count) >> (64 - count) != slot->own_word || slot->own_word == 0)
                return NULL;
        loop_end_iteration(slot, cfa, sleeps);
        return slot;
}

/* Whatever the wait is for, as its hook does it. Used by the tests only: each hook knows its own way. */
static inline struct slot *loop_enter(const struct wait *wait)
{
        struct slot *slot = NULL;
        if (WAIT_KEY_KIND(wait->key) == WAIT_EPOLL)
                slot = loop_enter_epoll(wait->key, wait->cfa, wait->sleeps);
        return slot != NULL ? slot : loop_enter_slow(wait);
}

/* The wait is over. `slot` is what loop_enter_epoll() or loop_enter_slow() returned; `result` the call's. app thread.
 */
static inline void loop_leave(struct slot *slot, int result)
{
        if (slot == NULL)
                return;
        uint64_t now_ns = clock_now_ns();
        slot->last_result = result;
        atomic_store_explicit(&slot->yields, 0, memory_order_relaxed);
        atomic_store_explicit(&slot->mark, MARK(now_ns, 1), memory_order_release);
        if (__builtin_expect(atomic_load_explicit(&loop_attention, memory_order_relaxed) != LOOP_WATCHED, 0))
                loop_attend();
}

/* Just before loop_leave(), with the same result: did the wait return anything for the watchdog to look at, should the
 * iteration become long? What an earlier one returned stays while the loop does not sleep: asyncio runs what an event
 * has woken up in the iteration after it. */
__attribute__((always_inline)) static inline bool loop_note_result(struct slot *slot, int result)
{
        if (slot == NULL)
                return false;
        if (__builtin_expect(result <= 0, 0)) {
                if (result < 0 || slot->last_slept)
                        slot->returned_before = LOOP_RETURNED_LONG_AGO;
                else if (slot->returned_before < LOOP_RETURNED_LONG_AGO)
                        slot->returned_before++;
                return false;
        }
        slot->returned_before = 0;
        slot->returned_result = result;
        return true;
}

/* Of epoll the first events are copied: the program may free the array before it serves them. */
__attribute__((always_inline)) static inline void loop_note_events(struct slot *slot, int result,
                                                                   const struct epoll_event *events)
{
        if (!loop_note_result(slot, result))
                return;
        slot->returned = events;
        for (int i = 0; i < LIMIT_SERVED_KEPT && i < result; i++)
                slot->first_events[i] = events[i];
}

static inline void loop_note_set(struct slot *slot, int result, const void *set, uint64_t count)
{
        if (!loop_note_result(slot, result))
                return;
        slot->returned = set;
        slot->returned_count = count;
}

/* Is this descriptor the own instance of some loop, as far as is known? Costs one load. app thread. */
bool loop_waits_on(unsigned fd);

/* The host closed (or replaced by dup2) descriptors first..last. app thread. */
void loop_note_close(unsigned first, unsigned last);

/* The calling thread has another alternate signal stack, from this address on; 0 bytes: none. app thread. */
void loop_note_alternate_stack(uint64_t low, uint64_t bytes);

/* Do all its calls of sigaltstack() come to the hook? Where it saw none there is none then. Constructor. */
void loop_note_hooks(bool come_first);

/* The smallest that any thread of the process was given, as far as is known; 0: none. */
extern _Atomic uint64_t loop_least_alternate_bytes;

/* Watchdog: the loop frame is gone, or a descriptor was closed unseen. The iteration `mark` counts as outside; where
 * `key` is not 0 the loop waits there from now on. False where the iteration has ended meanwhile. */
bool loop_mark_left(struct slot *slot, uint64_t mark);
void loop_take_over(struct slot *slot, uint64_t key);

/* Watchdog: what it found out about waits that can't sleep and come from deeper in the stack. */
void loop_confirm_reentrant(struct slot *slot);
void loop_deny_reentrant(struct slot *slot);

/* Watchdog: take the oldest ended long iteration. False where there is none. */
bool loop_take_ended(struct slot *slot, struct slot_ended *ended);

/* "epoll:5", "poll", "select", or the name that the API gave it, into `bytes`. */
void loop_label(const struct slot *slot, char *bytes, size_t capacity);

/* What the loop stage counted for the exit record. */
struct loop_totals {
        uint64_t loops;
        uint64_t candidates_dropped;
        uint64_t unwatched;
};
struct loop_totals loop_totals(void);

void loop_after_fork(void);

#endif
