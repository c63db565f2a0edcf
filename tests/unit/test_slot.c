/* SPDX-License-Identifier: Apache-2.0
 *
 * test_slot.c - the table of slots and the histogram's bounds
 *
 * Context: unit test; Criterion gives each test a process of its own, so each begins with an empty table
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <pthread.h>
#include <sched.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "loop/slot.h"

/* ---- histogram ---- */

Test(histogram, puts_the_lower_bound_of_each_bucket_into_it_and_the_value_below_into_the_one_before)
{
        for (unsigned bucket = 0; bucket < HISTOGRAM_BUCKETS; bucket++) {
                uint64_t from_ns = histogram_from_ns(bucket);
                cr_expect(eq(uint, histogram_bucket(from_ns), bucket));
                if (bucket > 0)
                        cr_expect(eq(uint, histogram_bucket(from_ns - 1), bucket - 1));
        }
}

Test(histogram, has_sixteen_buckets_a_power_of_two)
{
        for (unsigned bucket = 16; bucket + 16 < HISTOGRAM_BUCKETS; bucket++)
                cr_expect(eq(u64, histogram_from_ns(bucket + 16), 2 * histogram_from_ns(bucket)));
}

Test(histogram, is_never_wrong_by_more_than_a_sixteenth)
{
        for (unsigned bucket = 16; bucket + 1 < HISTOGRAM_BUCKETS; bucket++) {
                uint64_t width_ns = histogram_from_ns(bucket + 1) - histogram_from_ns(bucket);
                cr_expect(le(u64, width_ns * 16, histogram_from_ns(bucket)));
        }
}

Test(histogram, begins_with_buckets_of_a_microsecond)
{
        cr_expect(eq(u64, histogram_from_ns(0), 0));
        cr_expect(eq(u64, histogram_from_ns(1), 1024));
        cr_expect(eq(u64, histogram_from_ns(16), 16 * 1024));
        cr_expect(eq(u64, histogram_from_ns(17), 17 * 1024));
        cr_expect(eq(u64, histogram_from_ns(32), 32 * 1024));
        cr_expect(eq(u64, histogram_from_ns(33), 34 * 1024));
}

Test(histogram, puts_all_that_is_longer_into_the_last_bucket)
{
        uint64_t last_ns = histogram_from_ns(HISTOGRAM_BUCKETS - 1);
        cr_expect(gt(u64, last_ns, 9 * 3600 * UINT64_C(1000000000)));
        cr_expect(eq(uint, histogram_bucket(last_ns * 2), HISTOGRAM_BUCKETS - 1));
        cr_expect(eq(uint, histogram_bucket(UINT64_MAX), HISTOGRAM_BUCKETS - 1));
}

Test(histogram, counts)
{
        struct slot *slot = slot_claim();
        histogram_count(slot, 0);
        histogram_count(slot, 1023);
        histogram_count(slot, 1024);
        histogram_count(slot, UINT64_MAX);
        cr_expect(eq(uint, atomic_load(&slot->histogram[0]), 2));
        cr_expect(eq(uint, atomic_load(&slot->histogram[1]), 1));
        cr_expect(eq(uint, atomic_load(&slot->histogram[HISTOGRAM_BUCKETS - 1]), 1));
}

/* ---- marks and keys ---- */

Test(mark, holds_time_and_state_in_one_word)
{
        uint64_t years_ns = UINT64_C(100) * 365 * 86400 * 1000000000;
        cr_expect(eq(u64, MARK_NS(MARK(years_ns, 1)), years_ns));
        cr_expect(eq(u64, MARK_BUSY(MARK(years_ns, 1)), 1));
        cr_expect(eq(u64, MARK_BUSY(MARK(years_ns, 0)), 0));
        cr_expect(ne(u64, MARK(years_ns, 0), MARK(years_ns, 1)));
}

Test(key, tells_kinds_and_values_apart)
{
        uint64_t site = UINT64_C(0x7fffffffffff);
        cr_expect(eq(int, WAIT_KEY_KIND(WAIT_KEY(WAIT_SELECT, site)), WAIT_SELECT));
        cr_expect(eq(u64, WAIT_KEY_VALUE(WAIT_KEY(WAIT_SELECT, site)), site));
        cr_expect(ne(u64, WAIT_KEY(WAIT_POLL, site), WAIT_KEY(WAIT_SELECT, site)));
        cr_expect(ne(u64, WAIT_KEY(WAIT_EPOLL, 0), 0), "descriptor 0 is an instance like any other");
        cr_expect(eq(u64, WAIT_KEY_VALUE(WAIT_KEY(WAIT_EPOLL, (uint32_t)-1)), UINT32_MAX));
}

/* ---- the table ---- */

static bool is_clear(const struct slot *slot)
{
        struct slot none;
        memset(&none, 0, sizeof none);
        atomic_store(&none.state, atomic_load(&slot->state));
        atomic_store(&none.generation, atomic_load(&slot->generation));
        atomic_store(&none.met, atomic_load(&slot->met));
        atomic_store(&none.index, atomic_load(&slot->index));
        return memcmp(&none, slot, sizeof none) == 0;
}

Test(slot, starts_with_an_empty_table)
{
        cr_expect(eq(uint, slots_used(), 0));
}

Test(slot, is_claimed_clear_and_as_a_candidate)
{
        struct slot *slot = slot_claim();
        cr_assert(not(zero(ptr, slot)));
        cr_expect(is_clear(slot));
        cr_expect(eq(uint, atomic_load(&slot->state), SLOT_CANDIDATE));
        cr_expect(eq(uint, atomic_load(&slot->met), SLOT_UNMET));
        cr_expect(eq(uint, slots_used(), 1));
        cr_expect(eq(ptr, slot_at(slot_index(slot)), slot));
}

Test(slot, fills_whole_cache_lines)
{
        cr_expect(zero(sz, sizeof(struct slot) % 64));
        cr_expect(zero(sz, (size_t)slot_at(0) % 64));
        cr_expect(lt(sz, sizeof(struct slot), 4096), "4 KB a loop are promised");
}

static void use_up(struct slot *slot, size_t from, size_t to)
{
        char *volatile start = (char *)slot; /* gcc's sanitizers take the slot for NULL, and warn */
        memset(start + from, 0x5a, to - from);
}

Test(slot, is_clear_again_and_of_another_generation_when_it_was_freed)
{
        struct slot *slot = slot_claim();
        uint32_t generation = atomic_load(&slot->generation);
        uint32_t index = slot_index(slot);
        use_up(slot, 0, offsetof(struct slot, state));
        use_up(slot, offsetof(struct slot, candidate_key), offsetof(struct slot, generation));
        use_up(slot, offsetof(struct slot, generation) + sizeof generation, sizeof *slot);
        slot_free(slot);
        cr_expect(eq(uint, atomic_load(&slot->state), SLOT_FREE));
        cr_expect(eq(uint, atomic_load(&slot->generation), generation + 1));
        cr_expect(is_clear(slot));
        struct slot *again = slot_claim();
        cr_expect(eq(uint, slot_index(again), index));
        cr_expect(eq(uint, atomic_load(&again->met), SLOT_UNMET), "or the watchdog would never look at it");
        cr_expect(eq(uint, atomic_load(&again->generation), generation + 1));
        cr_expect(is_clear(again));
}

Test(slot, is_not_free_before_the_watchdog_has_taken_what_is_left)
{
        struct slot *slot = slot_claim();
        atomic_store(&slot->state, SLOT_RELEASED);
        cr_expect(ne(ptr, slot_claim(), slot));
        slot_free(slot);
        cr_expect(eq(ptr, slot_claim(), slot));
}

Test(slot, has_no_more_than_the_limit)
{
        for (unsigned i = 0; i < LIMIT_SLOTS; i++) {
                struct slot *slot = slot_claim();
                cr_assert(not(zero(ptr, slot)), "slot %u", i);
                cr_assert(slot_index(slot) == i && slot_at(i) == slot && is_clear(slot), "slot %u", i);
        }
        cr_expect(zero(ptr, slot_claim()));
        cr_expect(zero(ptr, slot_claim()));
        cr_expect(eq(uint, slots_used(), LIMIT_SLOTS));
        slot_free(slot_at(LIMIT_SLOTS - 1));
        cr_expect(eq(ptr, slot_claim(), slot_at(LIMIT_SLOTS - 1)));
        cr_expect(zero(ptr, slot_claim()));
}

Test(slot, forgets_all_after_a_fork)
{
        for (int i = 0; i < 5; i++)
                atomic_store(&slot_claim()->mark, 77);
        slots_after_fork();
        cr_expect(eq(uint, slots_used(), 0));
        struct slot *slot = slot_claim();
        cr_expect(eq(uint, slot_index(slot), 0));
        cr_expect(is_clear(slot));
        cr_expect(eq(uint, slots_used(), 1));
}

/* ---- many threads ---- */

#define THREADS 8
#define EACH (LIMIT_SLOTS / THREADS)

static pthread_barrier_t together;

static void *claim_many(void *unused)
{
        struct slot **mine = calloc(EACH, sizeof *mine);
        pthread_barrier_wait(&together);
        for (unsigned i = 0; i < EACH; i++) {
                mine[i] = slot_claim();
                if (mine[i] != NULL)
                        atomic_fetch_add(&mine[i]->yield_ns, 1); /* two owners would make it 2 */
        }
        return mine;
}

Test(slot, belongs_to_one_thread_of_many)
{
        pthread_t threads[THREADS];
        pthread_barrier_init(&together, NULL, THREADS);
        for (int i = 0; i < THREADS; i++)
                cr_assert(zero(int, pthread_create(&threads[i], NULL, claim_many, NULL)));
        for (int i = 0; i < THREADS; i++) {
                void *mine;
                pthread_join(threads[i], &mine);
                for (unsigned j = 0; j < EACH; j++)
                        cr_expect(not(zero(ptr, ((struct slot **)mine)[j])));
                free(mine);
        }
        cr_expect(eq(uint, slots_used(), LIMIT_SLOTS));
        for (uint32_t i = 0; i < LIMIT_SLOTS; i++)
                cr_assert(eq(u64, atomic_load(&slot_at(i)->yield_ns), 1), "slot %u", i);
}

static _Atomic bool done;
static _Atomic unsigned dirty;

static void *claim_and_release(void *unused)
{
        for (int i = 0; i < 2000; i++) {
                struct slot *slot;
                while ((slot = slot_claim()) == NULL)
                        sched_yield();
                atomic_fetch_add(&dirty, atomic_exchange(&slot->yield_ns, 1) != 0);
                atomic_store(&slot->state, SLOT_RELEASED);
        }
        return NULL;
}

/* As the watchdog does at each pass. */
static void *free_released(void *unused)
{
        while (!atomic_load(&done))
                for (uint32_t i = 0; i < slots_used(); i++)
                        if (atomic_load(&slot_at(i)->state) == SLOT_RELEASED)
                                slot_free(slot_at(i));
        return NULL;
}

Test(slot, goes_from_thread_to_thread_by_way_of_the_watchdog)
{
        pthread_t threads[THREADS / 2], watchdog;
        cr_assert(zero(int, pthread_create(&watchdog, NULL, free_released, NULL)));
        for (int i = 0; i < THREADS / 2; i++)
                cr_assert(zero(int, pthread_create(&threads[i], NULL, claim_and_release, NULL)));
        for (int i = 0; i < THREADS / 2; i++)
                pthread_join(threads[i], NULL);
        atomic_store(&done, true);
        pthread_join(watchdog, NULL);
        cr_expect(zero(uint, dirty), "not clear, or of another thread");
        uint64_t generations = 0;
        for (uint32_t i = 0; i < slots_used(); i++)
                generations +=
                        atomic_load(&slot_at(i)->generation) + (atomic_load(&slot_at(i)->state) == SLOT_RELEASED);
        cr_expect(eq(u64, generations, 2000 * THREADS / 2));
}
