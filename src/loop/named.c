/* SPDX-License-Identifier: Apache-2.0
 *
 * named.c - loops that the API names
 *
 * A handle is the index of an entry and a generation, so that one that was closed is recognized however late. An entry
 * gets its slot in the thread of the first wait: programs open their loops in main() and run them elsewhere.
 *
 * Context: app thread; no lock, no system call but at the first wait of a loop
 */
#include "loop/named.h"

#include <string.h>

#include "base/text.h"
#include "loop/loop.h"

#define INDEX_BITS 10
_Static_assert(LIMIT_NAMED == 1 << INDEX_BITS, "an index must fit its bits");

struct entry {
        _Atomic uint32_t generation; /* odd while it is open */
        _Atomic uint32_t slot_generation;
        struct slot *_Atomic slot; /* NULL: has not waited yet */
        bool hooked;
        uint64_t threshold_ns; /* 0: the usual one */
        char name[LIMIT_LOOP_NAME];
};
static struct entry entries[LIMIT_NAMED];

/* The loop that the hooks find in this thread has this handle; 0: none. */
static __thread uintptr_t hooked_here;

static struct entry *find(uintptr_t handle)
{
        struct entry *entry = &entries[handle & (LIMIT_NAMED - 1)];
        uint32_t generation = (uint32_t)(handle >> INDEX_BITS);
        bool open =
                generation % 2 == 1 && (uintptr_t)generation << INDEX_BITS == (handle & ~(uintptr_t)(LIMIT_NAMED - 1));
        return open && atomic_load_explicit(&entry->generation, memory_order_acquire) == generation ? entry : NULL;
}

/* Its slot, unless that serves another loop by now: its thread has ended. */
static struct slot *slot_of(const struct entry *entry)
{
        struct slot *slot = atomic_load_explicit(&entry->slot, memory_order_acquire);
        bool same = slot != NULL && atomic_load_explicit(&slot->generation, memory_order_relaxed) ==
                                            atomic_load_explicit(&entry->slot_generation, memory_order_relaxed);
        return same ? slot : NULL;
}

static bool is_here(const struct slot *slot)
{
        return atomic_load_explicit(&slot->thread_pointer, memory_order_relaxed) ==
               (uint64_t)(uintptr_t)__builtin_thread_pointer();
}

static void set_slot(struct entry *entry, struct slot *slot)
{
        atomic_store_explicit(&entry->slot_generation, slot != NULL ? atomic_load(&slot->generation) : 0,
                              memory_order_relaxed);
        atomic_store_explicit(&entry->slot, slot, memory_order_release);
}

static void name_slot(struct slot *slot, const struct entry *entry)
{
        memcpy(slot->name, entry->name, sizeof slot->name);
        if (entry->threshold_ns != 0)
                atomic_store(&slot->threshold_ns, entry->threshold_ns);
}

/* ---- open and close ---- */

static void open_hooked(uintptr_t handle, struct entry *entry)
{
        hooked_here = handle;
        memcpy(loop_name_here, entry->name, sizeof loop_name_here);
        struct slot *slot = loop_slot_here;
        if (slot == NULL || slot->name[0] != '\0')
                return;
        name_slot(slot, entry);
        set_slot(entry, slot);
}

uintptr_t named_open(const char *name, uint64_t threshold_ns, bool hooked)
{
        for (uintptr_t i = 0; i < LIMIT_NAMED; i++) {
                struct entry *entry = &entries[i];
                uint32_t generation = atomic_load_explicit(&entry->generation, memory_order_relaxed);
                /* Two steps, so that nobody finds it while it is filled in. */
                if (generation % 4 != 0 ||
                    !atomic_compare_exchange_strong(&entry->generation, &generation, generation + 2))
                        continue;
                struct text text = TEXT_IN(entry->name);
                text_clear(&text);
                text_printable(&text, name != NULL && *name != '\0' ? name : "unnamed");
                entry->hooked = hooked;
                entry->threshold_ns = threshold_ns;
                set_slot(entry, NULL);
                atomic_store_explicit(&entry->generation, generation + 3, memory_order_release);
                uintptr_t handle = (uintptr_t)(generation + 3) << INDEX_BITS | i;
                if (hooked)
                        open_hooked(handle, entry);
                return handle;
        }
        return 0;
}

void named_by_thread(struct slot *slot)
{
        struct entry *entry = hooked_here != 0 ? find(hooked_here) : NULL;
        if (entry == NULL)
                return;
        name_slot(slot, entry);
        set_slot(entry, slot);
}

/* The iteration that goes on is none of a loop's: it was left. */
static void leave(struct slot *slot)
{
        uint64_t mark = atomic_load(&slot->mark);
        if (MARK_BUSY(mark))
                loop_mark_left(slot, mark);
}

static bool is_open_here(const struct slot *slot)
{
        const struct slot *mine = loop_first_here();
        while (mine != NULL && mine != slot)
                mine = mine->next_here;
        return mine != NULL;
}

/* The loop from within which this one was run is in its callback again. */
static void return_to(struct slot *around)
{
        loop_slot_here = around != NULL && is_open_here(around) ? around : NULL;
        if (loop_slot_here != NULL)
                atomic_store_explicit(&around->mark, MARK(clock_now_ns(), 1), memory_order_release);
}

static void end_here(struct slot *slot)
{
        struct slot *around = slot->around;
        bool in_use = loop_slot_here == slot;
        if (in_use && MARK_BUSY(atomic_load(&slot->mark)))
                loop_end_iteration(slot, 0, true);
        loop_forget_here(slot);
        loop_release(slot);
        if (in_use)
                return_to(around);
}

enum named_misuse named_close(uintptr_t handle)
{
        struct entry *entry = find(handle);
        if (entry == NULL)
                return NAMED_UNKNOWN;
        struct slot *slot = slot_of(entry);
        if (slot != NULL && !is_here(slot))
                return NAMED_FOREIGN;
        uint32_t generation = (uint32_t)(handle >> INDEX_BITS);
        if (!atomic_compare_exchange_strong(&entry->generation, &generation, generation + 1))
                return NAMED_UNKNOWN;
        if (handle == hooked_here) {
                hooked_here = 0;
                loop_name_here[0] = '\0';
        }
        if (slot != NULL) /* with its name, by which the watchdog has yet to tell of its last stall */
                end_here(slot);
        return NAMED_OK;
}

/* ---- waits ---- */

/* The first wait of a loop: this is its thread. What the hooks took for its loop was not. */
static struct slot *bind(struct entry *entry, uintptr_t handle, uint64_t cfa)
{
        struct slot *before = loop_slot_here;
        struct slot *slot = loop_claim();
        if (slot == NULL)
                return NULL;
        if (before != NULL && WAIT_KEY_KIND(atomic_load(&before->key)) != WAIT_NAMED) {
                leave(before);
                loop_forget_here(before);
                loop_release(before);
        }
        name_slot(slot, entry);
        atomic_store(&slot->own_cfa, cfa);
        atomic_store(&slot->last_key, WAIT_KEY(WAIT_NAMED, handle));
        atomic_store(&slot->confirmed, true);
        atomic_store(&slot->state, SLOT_LOOP);
        atomic_store(&slot->key, WAIT_KEY(WAIT_NAMED, handle));
        atomic_store(&slot->slept, true);
        slot->last_slept = true;
        slot->last_result = 1; /* each wait of the API ends an iteration, however short it was */
        set_slot(entry, slot);
        atomic_store_explicit(&slot->mark, MARK(clock_now_ns(), 0), memory_order_release);
        return slot;
}

/* Another loop of this thread waits. */
static void switch_to(struct slot *slot)
{
        struct slot *before = loop_slot_here;
        if (before != NULL && before != slot) {
                if (MARK_BUSY(atomic_load(&before->mark)))
                        loop_end_iteration(before, atomic_load(&before->own_cfa), true);
                if (before->around != slot)
                        slot->around = before;
        }
        loop_slot_here = slot;
}

static struct slot *first_wait(struct entry *entry, uintptr_t handle, uint64_t cfa)
{
        struct slot *before = loop_slot_here;
        bool named = before != NULL && WAIT_KEY_KIND(atomic_load(&before->key)) == WAIT_NAMED;
        struct slot *slot = bind(entry, handle, cfa);
        if (slot == NULL)
                return NULL;
        loop_slot_here = named ? before : NULL;
        switch_to(slot);
        loop_named_begins(slot);
        return loop_slot_here; /* NULL in a child of clone(), where all slots have just been emptied */
}

enum named_misuse named_wait_begin(uintptr_t handle, uint64_t cfa)
{
        struct entry *entry = find(handle);
        if (__builtin_expect(entry == NULL, 0))
                return NAMED_UNKNOWN;
        struct slot *slot = slot_of(entry);
        if (__builtin_expect(entry->hooked, 0))
                return NAMED_HOOKED;
        if (__builtin_expect(slot == NULL, 0)) {
                first_wait(entry, handle, cfa);
                return NAMED_OK;
        }
        if (__builtin_expect(!is_here(slot), 0))
                return NAMED_FOREIGN;
        if (__builtin_expect(slot != loop_slot_here, 0))
                switch_to(slot);
        if (MARK_BUSY(atomic_load_explicit(&slot->mark, memory_order_relaxed)))
                loop_end_iteration(slot, cfa, true);
        return NAMED_OK;
}

enum named_misuse named_wait_end(uintptr_t handle)
{
        struct entry *entry = find(handle);
        if (__builtin_expect(entry == NULL, 0))
                return NAMED_UNKNOWN;
        struct slot *slot = slot_of(entry);
        if (__builtin_expect(slot == NULL, 0)) /* there was no room for it */
                return entry->hooked ? NAMED_HOOKED : NAMED_OK;
        if (__builtin_expect(!is_here(slot), 0))
                return NAMED_FOREIGN;
        if (__builtin_expect(slot->paused_key != 0, 0))
                return NAMED_OK;
        if (MARK_BUSY(atomic_load_explicit(&slot->mark, memory_order_relaxed)) || slot != loop_slot_here)
                return NAMED_NOT_BEGUN;
        loop_leave(slot, 1);
        return NAMED_OK;
}

/* ---- pause, threshold, slot ---- */

enum named_misuse named_slot(uintptr_t handle, struct slot **slot)
{
        struct entry *entry = handle != 0 ? find(handle) : NULL;
        *slot = handle == 0 ? loop_slot_here : entry != NULL ? slot_of(entry) : NULL;
        return handle != 0 && entry == NULL ? NAMED_UNKNOWN : NAMED_OK;
}

static enum named_misuse slot_here(uintptr_t handle, struct slot **slot)
{
        enum named_misuse misuse = named_slot(handle, slot);
        return misuse == NAMED_OK && *slot != NULL && !is_here(*slot) ? NAMED_FOREIGN : misuse;
}

/* Its key is put away, so that no wait is its own: it stays idle. */
enum named_misuse named_pause(uintptr_t handle)
{
        struct slot *slot;
        enum named_misuse misuse = slot_here(handle, &slot);
        if (misuse != NAMED_OK || slot == NULL || slot->paused_key != 0)
                return misuse;
        uint64_t key = atomic_load(&slot->key);
        if (key == 0) /* a candidate: not known to be a loop yet */
                return NAMED_OK;
        if (MARK_BUSY(atomic_load(&slot->mark)))
                loop_end_iteration(slot, atomic_load(&slot->own_cfa), true);
        slot->paused_key = key;
        atomic_store(&slot->key, WAIT_KEY_PAUSED);
        return NAMED_OK;
}

enum named_misuse named_resume(uintptr_t handle)
{
        struct slot *slot;
        enum named_misuse misuse = slot_here(handle, &slot);
        if (misuse != NAMED_OK || slot == NULL)
                return misuse;
        if (slot->paused_key == 0)
                return NAMED_NOT_PAUSED;
        atomic_store(&slot->key, slot->paused_key);
        slot->paused_key = 0;
        loop_leave(slot, 1); /* a callback goes on */
        return NAMED_OK;
}

enum named_misuse named_set_threshold(uintptr_t handle, uint64_t threshold_ns)
{
        struct slot *slot;
        enum named_misuse misuse = named_slot(handle, &slot);
        if (misuse != NAMED_OK)
                return misuse;
        if (handle != 0)
                find(handle)->threshold_ns = threshold_ns;
        if (slot != NULL)
                atomic_store(&slot->threshold_ns, threshold_ns != 0 ? threshold_ns : loop_threshold_ns);
        return slot == NULL && handle == 0 ? NAMED_UNKNOWN : NAMED_OK;
}

void named_after_fork(void)
{
        for (uint32_t i = 0; i < LIMIT_NAMED; i++)
                if (atomic_load_explicit(&entries[i].slot, memory_order_relaxed) != NULL)
                        set_slot(&entries[i], NULL);
}
