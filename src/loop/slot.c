/* SPDX-License-Identifier: Apache-2.0
 *
 * slot.c - the table of slots: claim, free, clear
 *
 * Context: slot_claim() on an app thread; slot_free() on the watchdog; slots_after_fork() in a child with one thread
 */
#include "loop/slot.h"

#include <stddef.h>
#include <string.h>

#include "base/table.h"

static struct slot first_slots[TABLE_ROWS];
static struct table slots = { sizeof(struct slot), TABLE_ROWS, { first_slots } };
static _Atomic uint32_t used;

struct slot *slot_at(uint32_t index)
{
        return table_row(&slots, index);
}

uint32_t slot_index(const struct slot *slot)
{
        return atomic_load_explicit(&slot->index, memory_order_relaxed);
}

uint32_t slots_used(void)
{
        return atomic_load_explicit(&used, memory_order_acquire);
}

/* `used` covers `index` from now on. */
static void cover(uint32_t index)
{
        uint32_t now = atomic_load(&used);
        while (now <= index && !atomic_compare_exchange_weak(&used, &now, index + 1))
                ;
}

struct slot *slot_claim(void)
{
        for (uint32_t i = 0; i < LIMIT_SLOTS; i++) {
                uint32_t expected = SLOT_FREE;
                struct slot *slot = table_reach(&slots, i);
                if (slot == NULL)
                        return NULL;
                if (atomic_load_explicit(&slot->state, memory_order_relaxed) != SLOT_FREE)
                        continue;
                /* Before it is claimed, so that whoever sees it claimed knows its index; nobody ever stores another. */
                atomic_store_explicit(&slot->index, i, memory_order_relaxed);
                if (!atomic_compare_exchange_strong(&slot->state, &expected, SLOT_CANDIDATE))
                        continue;
                atomic_store(&slot->met, SLOT_UNMET); /* slot_free() leaves it: it says until now who frees */
                cover(i);
                return slot;
        }
        return NULL;
}

void slot_free(struct slot *slot)
{
        uint32_t generation = atomic_load(&slot->generation);
        size_t after_state = offsetof(struct slot, candidate_key);
        /* The state goes last: from then on another thread may claim the slot. `met` stays, so that a watchdog that
         * looks at this moment does not take the slot for one that nobody has met. */
        memset(slot, 0, offsetof(struct slot, state));
        memset((char *)slot + after_state, 0, sizeof *slot - after_state);
        atomic_store(&slot->generation, generation + 1);
        atomic_store_explicit(&slot->state, SLOT_FREE, memory_order_release);
}

void slots_after_fork(void)
{
        uint32_t count = slots_used();
        for (uint32_t i = 0; i < count; i++)
                if (atomic_load(&slot_at(i)->state) != SLOT_FREE)
                        slot_free(slot_at(i));
        atomic_store(&used, 0);
}

uint64_t histogram_from_ns(unsigned bucket)
{
        if (bucket < 16)
                return (uint64_t)bucket << HISTOGRAM_SHIFT;
        unsigned top = bucket / 16 + 3;
        return (16ull + bucket % 16) << (top - 4) << HISTOGRAM_SHIFT;
}

/* Not counted by the loop itself, which has better things to do on the path of a wait: what is left of its life. */
uint64_t slot_idle_ns(const struct slot *slot)
{
        uint64_t mark = atomic_load(&slot->mark);
        uint64_t now_ns = MARK_BUSY(mark) ? MARK_NS(mark) : clock_now_ns();
        uint64_t first_ns = atomic_load(&slot->first_ns);
        uint64_t life_ns = now_ns > first_ns ? now_ns - first_ns : 0;
        uint64_t spent_ns = atomic_load(&slot->busy_ns) + atomic_load(&slot->outside_ns);
        return life_ns > spent_ns ? life_ns - spent_ns : 0;
}
