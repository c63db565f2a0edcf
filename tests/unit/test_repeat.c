/* SPDX-License-Identifier: Apache-2.0
 *
 * test_repeat.c - how often a signature was seen, and when its stacks are left out
 *
 * Context: unit test; Criterion gives each test a process of its own
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "base/limits.h"
#include "record/repeat.h"

#define SECOND 1000000000ull
#define MINUTE (60 * SECOND)
#define NOW (1000 * MINUTE)

static uint64_t before_of(uint64_t signature, uint64_t now_ns)
{
        uint64_t before = 99;
        repeat_count(signature, now_ns, &before);
        return before;
}

static bool omitted(uint64_t signature, uint64_t now_ns)
{
        uint64_t before;
        return repeat_count(signature, now_ns, &before);
}

Test(repeat, counts_from_0)
{
        for (uint64_t i = 0; i < 100; i++)
                cr_expect(eq(u64, before_of(7, NOW + i), i));
}

Test(repeat, counts_each_signature_apart)
{
        before_of(7, NOW);
        before_of(7, NOW);
        cr_expect(zero(u64, before_of(8, NOW)));
        cr_expect(eq(u64, before_of(7, NOW), 2));
        cr_expect(eq(u64, before_of(8, NOW), 1));
        cr_expect(zero(u64, before_of(UINT64_MAX, NOW)));
}

Test(repeat, leaves_the_stacks_out_from_the_eleventh_in_a_minute_on)
{
        for (unsigned i = 0; i < REPEATS_WITH_STACKS; i++)
                cr_expect(not(omitted(7, NOW + i * SECOND)), "stall %u", i);
        cr_expect(omitted(7, NOW + 11 * SECOND));
        cr_expect(omitted(7, NOW + MINUTE - 1));
        cr_expect(not(omitted(8, NOW + 11 * SECOND)), "a second culprit must not drown in the first");
}

Test(repeat, writes_stacks_again_in_the_next_minute)
{
        for (unsigned i = 0; i < 50; i++)
                omitted(7, NOW + i);
        for (unsigned i = 0; i < REPEATS_WITH_STACKS; i++)
                cr_expect(not(omitted(7, NOW + MINUTE + i)), "stall %u", i);
        cr_expect(omitted(7, NOW + MINUTE + 11));
        cr_expect(eq(u64, before_of(7, NOW + MINUTE + 12), 61), "the total goes on");
}

Test(repeat, begins_its_minute_with_the_first_stall_in_it)
{
        omitted(7, NOW);
        for (unsigned i = 0; i < REPEATS_WITH_STACKS - 1; i++)
                omitted(7, NOW + 50 * SECOND);
        cr_expect(omitted(7, NOW + 59 * SECOND));
        cr_expect(not(omitted(7, NOW + 100 * SECOND)));
        cr_expect(not(omitted(7, NOW + 159 * SECOND)));
        for (unsigned i = 0; i < REPEATS_WITH_STACKS - 2; i++)
                omitted(7, NOW + 159 * SECOND);
        cr_expect(omitted(7, NOW + 159 * SECOND), "the minute since second 100 has its ten");
        cr_expect(not(omitted(7, NOW + 160 * SECOND)));
}

Test(repeat, survives_a_clock_that_goes_back)
{
        for (unsigned i = 0; i < 20; i++)
                omitted(7, NOW);
        cr_expect(not(omitted(7, NOW - 5 * MINUTE)));
        cr_expect(eq(u64, before_of(7, NOW - 5 * MINUTE), 21));
}

Test(repeat, forgets_the_signature_that_was_seen_longest_ago)
{
        for (uint64_t i = 1; i <= LIMIT_SIGNATURES; i++)
                before_of(i, NOW + i);
        cr_expect(eq(u64, before_of(1, NOW + 10000), 1), "seen again: no longer the oldest");
        cr_expect(zero(u64, before_of(5000, NOW + 10001)));
        cr_expect(eq(u64, before_of(1, NOW + 10002), 2));
        cr_expect(eq(u64, before_of(3, NOW + 10003), 1));
        cr_expect(zero(u64, before_of(2, NOW + 10004)), "2 had to make room");
}

Test(repeat, begins_anew_in_a_child)
{
        for (unsigned i = 0; i < 20; i++)
                omitted(7, NOW);
        repeat_after_fork();
        cr_expect(not(omitted(7, NOW)));
        cr_expect(eq(u64, before_of(7, NOW), 1));
}
