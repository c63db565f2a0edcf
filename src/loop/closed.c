/* SPDX-License-Identifier: Apache-2.0
 *
 * closed.c - a loop ends when its instance is closed
 *
 * A bitmap tells which descriptors are own epoll instances, so that close() goes on after one load.
 *
 * Context: app thread
 */
#include "loop/closed.h"

#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/calls.h"
#include "base/raw.h"
#include "loop/loop.h"

/* Which descriptors are own epoll instances: lets close() go on after one load. */
#define CLOSE_MAP_FDS 65536
static _Atomic uint64_t close_map[CLOSE_MAP_FDS / 64];

static _Atomic pid_t process;
static _Atomic uint64_t candidates;

bool closed_note_process(void)
{
        pid_t now = (pid_t)raw_syscall_sigsafe(SYS_getpid, 0, 0, 0, 0, 0, 0);
        return atomic_exchange(&process, now) != now;
}

int32_t closed_process(void)
{
        return atomic_load(&process);
}

uint64_t closed_candidates(void)
{
        return atomic_load(&candidates);
}

void closed_expect(uint64_t key)
{
        uint64_t fd = WAIT_KEY_VALUE(key);
        if (WAIT_KEY_KIND(key) == WAIT_EPOLL && fd < CLOSE_MAP_FDS)
                atomic_fetch_or(&close_map[fd / 64], 1ull << fd % 64);
}

/* The own instance is gone: what the thread does until it waits on another is not an iteration. */
static void lose_instance(struct slot *slot, uint64_t key)
{
        uint64_t own = key, candidate = key;
        uint64_t mark = atomic_load(&slot->mark);
        /* Exchanged, because another thread's slot may serve another loop by now. */
        bool lost = atomic_compare_exchange_strong(&slot->key, &own, 0);
        bool dropped = !lost && atomic_compare_exchange_strong(&slot->candidate_key, &candidate, 0);
        if ((lost || dropped) && MARK_BUSY(mark)) {
                atomic_store(&slot->left_ns, clock_now_ns());
                atomic_store(&slot->left_mark, mark);
        }
        if (dropped)
                atomic_fetch_add(&candidates, 1);
}

static void close_one(unsigned fd)
{
        atomic_fetch_and(&close_map[fd / 64], ~(1ull << fd % 64));
        uint32_t count = slots_used();
        for (uint32_t i = 0; i < count; i++)
                if (atomic_load(&slot_at(i)->state) != SLOT_FREE)
                        lose_instance(slot_at(i), WAIT_KEY(WAIT_EPOLL, fd));
}

/* A child of vfork() closes its own descriptors but runs in this memory. */
static bool is_this_process(void)
{
        const struct slot *here = loop_slot_here;
        if (!call_allowed_sigsafe(SYS_getpid) || (here != NULL && atomic_load(&here->filtered)))
                return true;
        return raw_syscall_sigsafe(SYS_getpid, 0, 0, 0, 0, 0, 0) == atomic_load(&process);
}

bool loop_waits_on(unsigned fd)
{
        return fd < CLOSE_MAP_FDS &&
               (atomic_load_explicit(&close_map[fd / 64], memory_order_relaxed) >> fd % 64 & 1) != 0;
}

void loop_note_close(unsigned first, unsigned last)
{
        if (loop_is_watchdog) /* it has a table of its own, where the same numbers mean something else */
                return;
        if (last >= CLOSE_MAP_FDS)
                last = CLOSE_MAP_FDS - 1;
        for (unsigned fd = first; fd <= last; fd++) {
                uint64_t word = atomic_load_explicit(&close_map[fd / 64], memory_order_relaxed);
                if (word == 0) {
                        fd |= 63;
                        continue;
                }
                if (word >> fd % 64 & 1 && is_this_process())
                        close_one(fd);
        }
}

void closed_after_fork(void)
{
        memset(close_map, 0, sizeof close_map);
        atomic_store(&candidates, 0);
        closed_note_process();
}
