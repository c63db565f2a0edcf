/* SPDX-License-Identifier: Apache-2.0
 *
 * test_watch_left.c - what is no stall, or no longer: a loop that was left, yields, the rest of an executor
 *
 * Context: unit test; Criterion gives each test a process of its own
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "watch_pass.h"

TestSuite(left, .init = set_up_watch);
TestSuite(yields, .init = set_up_watch);
TestSuite(executor, .init = set_up_watch);

/* ---- the loop was left ---- */

Test(left, ends_the_matter_for_this_iteration)
{
        struct slot *slot = make_loop(5);
        make_last(slot, 60 * MS);
        atomic_store(&sample_finds, WATCH_LEFT);
        pass_over_all();
        cr_expect(eq(int, latest(ENDED)->stall.end, STALL_LEFT));
        cr_expect(eq(u64, atomic_load(&slot->left_mark), mark_of(slot)));
        forget_events();
        uint64_t next_ns = pass_over_all();
        cr_expect(eq(uint, count_of(SAMPLE), 0), "it is not looked at again");
        cr_expect(gt(u64, next_ns, clock_now_ns() + THRESHOLD_NS / 4));
        atomic_store(&sample_finds, WATCH_GOES_ON);
        wait_on(5);
        make_last(slot, 300 * MS);
        pass_over_all();
        cr_expect(eq(uint, count_of(DETECTED), 1), "the next iteration is");
}

Test(left, ends_an_announced_stall_so_that_its_end_can_be_written)
{
        struct slot *slot = make_stall();
        atomic_store(&sample_finds, WATCH_LEFT);
        watched_at(slot_index(slot))->stall.next_sample_ns = 0;
        pass_over_all();
        cr_assert(eq(uint, count_of(ENDED), 1));
        cr_expect(eq(int, latest(ENDED)->stall.end, STALL_LEFT));
        cr_expect(latest(ENDED)->stall.announced);
        cr_expect(zero(u64, watch_totals()->stalls));
        wait_on(5);
        pass_over_all();
        cr_expect(eq(uint, count_of(ENDED), 1));
}

Test(left, is_what_closing_the_instance_means)
{
        struct slot *slot = make_loop(5);
        make_last(slot, 30 * MS);
        loop_note_close(5, 5);
        atomic_store(&slot->left_mark, mark_of(slot));
        make_last(slot, 300 * MS); /* it computes on, without a loop */
        atomic_store(&slot->left_mark, mark_of(slot));
        pass_over_all();
        cr_expect(eq(uint, count_of(SAMPLE), 0));
        cr_expect(eq(uint, count_of(DETECTED), 0));
}

Test(left, by_closing_the_instance_ends_a_stall_at_that_moment)
{
        struct slot *slot = make_stall();
        loop_note_close(5, 5);
        atomic_store(&slot->left_ns, MARK_NS(mark_of(slot)) + 140 * MS); /* and the watchdog comes by much later */
        forget_events();
        pass_over_all();
        pass_over_all();
        cr_assert(eq(uint, count_of(ENDED), 1));
        cr_expect(eq(int, latest(ENDED)->stall.end, STALL_WAITED));
        cr_expect(eq(u64, latest(ENDED)->stall.end_ns - latest(ENDED)->stall.begin_ns, 140 * MS));
        cr_expect(eq(uint, count_of(SAMPLE), 0));
        cr_expect(eq(u64, watch_totals()->stalls, 1));
}

Test(left, by_closing_the_instance_in_time_is_no_stall)
{
        struct slot *slot = make_loop(5);
        make_last(slot, 60 * MS);
        pass_over_all();
        loop_note_close(5, 5);
        pass_over_all();
        cr_assert(eq(uint, count_of(ENDED), 1));
        cr_expect(eq(int, latest(ENDED)->stall.end, STALL_LEFT));
        cr_expect(zero(u64, watch_totals()->stalls));
}

Test(left, by_a_thread_that_is_gone_ends_its_loop)
{
        struct slot *slot = make_loop(5);
        pass_over_all();
        make_last(slot, 300 * MS);
        atomic_store(&sample_finds, WATCH_GONE);
        pass_over_all();
        cr_assert(eq(uint, count_of(ENDED), 1));
        cr_expect(eq(int, latest(ENDED)->stall.end, STALL_THREAD));
        pass_over_all();
        cr_expect(eq(uint, count_of(LOOP_ENDS), 1));
        cr_expect(eq(uint, atomic_load(&slot->state), SLOT_FREE));
}

Test(left, for_another_clock_all_that_is_under_way_is_forgotten)
{
        struct slot *slot = make_stall();
        struct slot *other = make_other_loop(6);
        make_last(other, 60 * MS);
        pass_over_all();
        forget_events();
        pass_forget();
        cr_expect(eq(uint, count_of(ENDED), 2));
        pass_over_all();
        cr_expect(eq(uint, count_of(SAMPLE), 0));
        cr_expect(eq(uint, count_of(ENDED), 2));
        make_last(slot, 300 * MS);
        pass_over_all();
        cr_expect(eq(uint, count_of(DETECTED), 1), "the next iterations are watched");
        cr_expect(lt(u64, clock_now_ns() - pass_active_ns(), 1000 * MS),
                  "no sleep without end because of an old reading");
}

/* ---- yields ---- */

static void yield_to(uint64_t cfa)
{
        struct wait within = on_epoll(5);
        within.sleeps = false;
        within.cfa = cfa;
        go_through(within, 0);
}

static void confirm(void)
{
        loop_confirm_reentrant(loop_slot_here);
}

Test(yields, within_a_callback_do_not_end_the_stall)
{
        struct slot *slot = make_loop(5);
        make_last(slot, 300 * MS);
        for (int i = 0; i < 5; i++)
                yield_to(DEEPER);
        atomic_store(&while_sampling, confirm);
        pass_over_all();
        pass_over_all();
        cr_assert(eq(uint, count_of(DETECTED), 1));
        cr_expect(eq(u64, latest(DETECTED)->stall.begin_ns, MARK_NS(mark_of(slot))));
        wait_on(5);
        pass_over_all();
        cr_expect(eq(uint, latest(ENDED)->stall.yields, 5));
        cr_expect(ge(u64, latest(ENDED)->stall.end_ns - latest(ENDED)->stall.begin_ns, 300 * MS));
}

Test(yields, that_nothing_is_known_of_are_taken_for_the_begin_of_an_iteration)
{
        struct slot *slot = make_loop(5);
        make_last(slot, 300 * MS);
        yield_to(DEEPER);
        pass_over_all();
        pass_over_all();
        cr_expect(eq(uint, count_of(DETECTED), 0), "the last yield was just now");
        wait_on(5);
        pass_over_all();
        cr_expect(zero(u64, watch_totals()->stalls));
        make_last(slot, 300 * MS);
        yield_to(DEEPER);
        atomic_store(&slot->yield_ns, clock_now_ns() - 200 * MS);
        pass_over_all();
        pass_over_all();
        cr_assert(eq(uint, count_of(DETECTED), 1));
        cr_expect(eq(u64, latest(DETECTED)->stall.begin_ns, atomic_load(&slot->yield_ns)));
}

/* ---- executors ---- */

static struct slot *make_executor(void)
{
        struct slot *slot = make_loop(5);
        atomic_store(&slot->executor, true);
        pass_over_all();
        return slot;
}

Test(executor, rests_and_is_asked_again_and_again)
{
        struct slot *slot = make_executor();
        make_last(slot, 300 * MS);
        atomic_store(&sample_finds, WATCH_LEFT);
        pass_over_all();
        cr_expect(eq(int, latest(ENDED)->stall.end, STALL_LEFT));
        cr_expect(zero(u64, watch_totals()->stalls));
        forget_events();
        watched_at(slot_index(slot))->rest_ns -= 60 * MS;
        pass_over_all();
        cr_expect(eq(uint, count_of(SAMPLE), 1), "half a threshold later, for it may work by now");
        cr_expect(not(latest(SAMPLE)->may_signal));
}

Test(executor, has_stalls_that_begin_after_its_rest)
{
        struct slot *slot = make_executor();
        make_last(slot, 900 * MS);
        atomic_store(&sample_finds, WATCH_LEFT);
        pass_over_all();
        atomic_store(&sample_finds, WATCH_GOES_ON);
        watched_at(slot_index(slot))->rest_ns -= 150 * MS;
        pass_over_all();
        cr_assert(zero(uint, count_of(DETECTED)), "when its rest ended is not known: it counts from now");
        watched_at(slot_index(slot))->rest_ns -= 150 * MS;
        pass_over_all();
        cr_assert(eq(uint, count_of(DETECTED), 1));
        struct stall stall = latest(DETECTED)->stall;
        cr_expect(eq(u64, stall.begin_ns, watched_at(slot_index(slot))->rest_ns));
        wait_on(5);
        pass_over_all();
        cr_assert(eq(u64, watch_totals()->stalls, 1));
        uint64_t duration_ns = latest(ENDED)->stall.end_ns - latest(ENDED)->stall.begin_ns;
        cr_expect(ge(u64, duration_ns, 150 * MS));
        cr_expect(lt(u64, duration_ns, 600 * MS), "the rest counted as a stall");
}

Test(executor, ends_its_stall_when_it_comes_to_rest)
{
        struct slot *slot = make_executor();
        make_last(slot, 300 * MS);
        pass_over_all();
        cr_assert(eq(uint, count_of(DETECTED), 1));
        atomic_store(&sample_finds, WATCH_LEFT);
        watched_at(slot_index(slot))->stall.next_sample_ns = 0;
        pass_over_all();
        cr_assert(eq(u64, watch_totals()->stalls, 1));
        cr_expect(eq(int, latest(ENDED)->stall.end, STALL_WAITED));
        wait_on(5);
        pass_over_all();
        cr_expect(eq(u64, watch_totals()->stalls, 1), "recorded twice");
}

Test(executor, is_not_blamed_for_a_time_that_nobody_looked_at)
{
        struct slot *slot = make_executor();
        make_last(slot, 900 * MS);
        wait_on(5);
        pass_over_all();
        cr_expect(zero(u64, watch_totals()->stalls), "it may have rested all the time");
}
