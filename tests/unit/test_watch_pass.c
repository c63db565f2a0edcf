/* SPDX-License-Identifier: Apache-2.0
 *
 * test_watch_pass.c - what a pass of the watchdog does with loops, iterations and stalls
 *
 * Context: unit test; Criterion gives each test a process of its own
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "watch_pass.h"

TestSuite(pass, .init = set_up_watch);

/* ---- loops come and go ---- */

Test(pass, meets_a_loop_once)
{
        struct slot *slot = make_loop(5);
        pass_over_all();
        pass_over_all();
        cr_expect(eq(uint, count_of(LOOP_BEGINS), 1));
        cr_expect(eq(ptr, (void *)latest(LOOP_BEGINS)->slot, slot));
        cr_expect(eq(uint, count_of(LOOP_CONFIRMED), 1));
        cr_expect(eq(uint, ticks, 2));
}

Test(pass, meets_a_candidate_and_confirms_it_later)
{
        wait_on(5);
        pass_over_all();
        cr_expect(eq(uint, count_of(LOOP_BEGINS), 1));
        cr_expect(eq(uint, count_of(LOOP_CONFIRMED), 0));
        wait_on(5);
        pass_over_all();
        cr_expect(eq(uint, count_of(LOOP_BEGINS), 1));
        cr_expect(eq(uint, count_of(LOOP_CONFIRMED), 1));
}

Test(pass, does_not_meet_a_slot_whose_thread_is_just_claiming_it)
{
        struct slot *slot = slot_claim();
        uint64_t next_ns = pass_over_all();
        cr_expect(eq(uint, count_of(LOOP_BEGINS), 0), "its thread is not known yet");
        cr_expect(lt(u64, next_ns, clock_now_ns() + THRESHOLD_NS));
        atomic_store(&slot->tid, 4711);
        atomic_store(&slot->mark, MARK(clock_now_ns(), 0));
        pass_over_all();
        cr_expect(eq(uint, count_of(LOOP_BEGINS), 1));
}

Test(pass, does_not_meet_a_slot_that_its_thread_gives_back)
{
        struct slot *slot = make_loop(5);
        atomic_store(&slot->met, SLOT_GIVEN_BACK);
        pass_over_all();
        cr_expect(eq(uint, count_of(LOOP_BEGINS), 0));
        slot_free(slot);
        cr_expect(eq(ptr, make_other_loop(6), slot));
        pass_over_all();
        cr_expect(eq(uint, count_of(LOOP_BEGINS), 1), "the next thread's loop is met");
        cr_expect(eq(uint, atomic_load(&slot->met), SLOT_MET));
}

Test(pass, parts_from_a_loop_whose_thread_has_ended)
{
        struct slot *slot = make_loop(5);
        uint32_t generation = atomic_load(&slot->generation);
        pass_over_all();
        atomic_store(&slot->state, SLOT_RELEASED);
        pass_over_all();
        cr_expect(eq(uint, count_of(LOOP_ENDS), 1));
        cr_expect(eq(uint, atomic_load(&slot->state), SLOT_FREE));
        cr_expect(eq(uint, atomic_load(&slot->generation), generation + 1));
        pass_over_all();
        cr_expect(eq(uint, count_of(LOOP_ENDS), 1));
        cr_expect(eq(ptr, make_other_loop(6), slot), "the slot serves another loop");
        pass_over_all();
        cr_expect(eq(uint, count_of(LOOP_BEGINS), 2));
        cr_expect(eq(uint, count_of(LOOP_CONFIRMED), 2));
}

Test(pass, takes_what_is_left_of_a_loop_that_came_and_went_unseen)
{
        struct slot *slot = make_loop(5);
        make_last(slot, 300 * MS);
        end_iteration();
        atomic_store(&slot->state, SLOT_RELEASED);
        pass_over_all();
        cr_assert(eq(uint, count_of(ENDED), 1));
        cr_expect(eq(int, latest(ENDED)->stall.end, STALL_WAITED));
        cr_expect(eq(uint, count_of(LOOP_ENDS), 1));
}

/* ---- iterations ---- */

Test(pass, leaves_short_iterations_alone)
{
        struct slot *slot = make_loop(5);
        for (int i = 0; i < 20; i++) {
                make_last(slot, 49 * MS);
                wait_on(5);
                pass_over_all();
        }
        cr_expect(eq(uint, count_of(SAMPLE), 0));
        cr_expect(eq(uint, count_of(ENDED), 0));
}

Test(pass, samples_without_a_signal_from_half_the_threshold_on_and_once)
{
        struct slot *slot = make_loop(5);
        make_last(slot, 60 * MS);
        uint64_t begin_ns = MARK_NS(mark_of(slot));
        uint64_t next_ns = pass_over_all();
        cr_expect(eq(uint, count_of(SAMPLE), 1));
        cr_expect(not(latest(SAMPLE)->may_signal));
        cr_expect(eq(u64, next_ns, begin_ns + THRESHOLD_NS), "and again at the threshold");
        pass_over_all();
        cr_expect(eq(uint, count_of(SAMPLE), 1));
        wait_on(5);
        pass_over_all();
        cr_assert(eq(uint, count_of(ENDED), 1));
        cr_expect(eq(int, latest(ENDED)->stall.end, STALL_LEFT));
        cr_expect(zero(u64, latest(ENDED)->stall.id));
        cr_expect(zero(u64, watch_totals()->stalls));
}

Test(pass, detects_a_stall_announces_it_once_and_samples_on)
{
        struct slot *slot = make_loop(5);
        pass_over_all();
        make_last(slot, 103 * MS);
        pass_over_all();
        cr_expect(eq(uint, count_of(SAMPLE), 1));
        cr_expect(latest(SAMPLE)->may_signal);
        cr_assert(eq(uint, count_of(DETECTED), 1));
        struct stall stall = latest(DETECTED)->stall;
        cr_expect(eq(u64, stall.id, 1));
        cr_expect(eq(u64, stall.begin_ns, MARK_NS(mark_of(slot))));
        cr_expect(ge(u64, stall.late_ns, 3 * MS));
        cr_expect(ge(u64, watch_totals()->latest_ns, 3 * MS));
        cr_expect(lt(uint, stall.place, LIMIT_STALLS));
        watched_at(slot_index(slot))->stall.next_sample_ns = 0;
        pass_over_all();
        cr_expect(eq(uint, count_of(SAMPLE), 2));
        cr_expect(eq(uint, count_of(DETECTED), 1));
        cr_expect(eq(uint, count_of(GOES_ON), 1));
}

Test(pass, ends_a_stall_by_its_next_wait)
{
        struct slot *slot = make_stall();
        uint64_t begin_ns = watched_at(slot_index(slot))->stall.begin_ns;
        wait_on(5);
        uint64_t end_ns = MARK_NS(mark_of(slot));
        pass_over_all();
        cr_assert(eq(uint, count_of(ENDED), 1));
        const struct stall *stall = &latest(ENDED)->stall;
        cr_expect(eq(int, stall->end, STALL_WAITED));
        cr_expect(eq(u64, stall->id, 1));
        cr_expect(eq(u64, stall->begin_ns, begin_ns));
        cr_expect(le(u64, stall->end_ns, end_ns));
        cr_expect(lt(u64, end_ns - stall->end_ns, MS));
        cr_expect(eq(u64, watch_totals()->stalls, 1));
        pass_over_all();
        cr_expect(eq(uint, count_of(ENDED), 1));
}

Test(pass, asks_to_come_back_when_the_next_sample_is_due_and_not_before)
{
        struct slot *slot = make_loop(5);
        make_last(slot, 150 * MS);
        uint64_t next_ns = pass_over_all();
        cr_expect(eq(u64, next_ns, watched_at(slot_index(slot))->stall.next_sample_ns), "woken twice for each sample");
        watched_at(slot_index(slot))->stall.next_sample_ns = 0;
        next_ns = pass_over_all();
        cr_expect(eq(u64, next_ns, watched_at(slot_index(slot))->stall.next_sample_ns));
}

Test(pass, records_a_stall_that_ended_before_it_came_by)
{
        struct slot *slot = make_loop(5);
        pass_over_all();
        make_last(slot, 250 * MS);
        uint64_t begin_ns = MARK_NS(mark_of(slot));
        wait_on(5);
        pass_over_all();
        cr_expect(eq(uint, count_of(SAMPLE), 0));
        cr_assert(eq(uint, count_of(ENDED), 1));
        const struct stall *stall = &latest(ENDED)->stall;
        cr_expect(eq(int, stall->end, STALL_WAITED));
        cr_expect(eq(u64, stall->begin_ns, begin_ns));
        cr_expect(ge(u64, stall->end_ns - begin_ns, 250 * MS));
        cr_expect(zero(uint, stall->samples));
        cr_expect(eq(u64, stall->id, 1));
}

Test(pass, records_a_stall_that_was_looked_at_and_ended_just_after_the_threshold)
{
        struct slot *slot = make_loop(5);
        make_last(slot, 60 * MS);
        pass_over_all();
        struct watched *w = watched_at(slot_index(slot));
        make_last(slot, 101 * MS); /* the same iteration, later */
        w->stall.mark = mark_of(slot);
        w->stall.begin_ns = MARK_NS(mark_of(slot));
        wait_on(5);
        pass_over_all();
        cr_assert(eq(uint, count_of(ENDED), 1));
        cr_expect(eq(int, latest(ENDED)->stall.end, STALL_WAITED));
        cr_expect(eq(uint, latest(ENDED)->stall.samples, 1), "with the evidence that was taken in time");
}

Test(pass, records_all_that_the_ring_holds_and_counts_the_rest)
{
        struct slot *slot = make_loop(5);
        for (int i = 0; i < LIMIT_RING + 3; i++) {
                make_last(slot, 200 * MS);
                wait_on(5);
        }
        pass_over_all();
        cr_expect(eq(uint, count_of(ENDED), LIMIT_RING));
        cr_expect(eq(u64, latest(ENDED)->stall.id, LIMIT_RING));
        atomic_store(&slot->state, SLOT_RELEASED);
        pass_over_all();
        cr_expect(eq(u64, watch_totals()->iterations_lost, 3));
}

static unsigned places_taken(void)
{
        unsigned count = 0;
        for (unsigned i = 0; i < LIMIT_STALLS; i++)
                count += pass.places[i];
        return count;
}

Test(pass, gives_the_place_of_a_short_iteration_back_when_the_next_long_one_is_over_too)
{
        struct slot *slot = make_loop(5);
        pass_over_all();
        for (unsigned i = 1; i <= 3; i++) {
                make_last(slot, 60 * MS);
                pass_over_all();
                cr_assert(eq(uint, places_taken(), 1), "it is followed from half the threshold on");
                wait_on(5); /* below the threshold: not in the ring */
                make_last(slot, 200 * MS);
                wait_on(5);
                pass_over_all();
                cr_expect(eq(u64, watch_totals()->stalls, i));
                cr_expect(eq(uint, places_taken(), 0));
        }
        cr_expect(zero(u64, watch_totals()->stalls_crowded));
}

Test(pass, ends_a_stall_whose_end_was_lost_before_it_records_the_next)
{
        struct slot_ended lost;
        struct slot *slot = make_stall();
        wait_on(5);
        cr_assert(loop_take_ended(slot, &lost));
        make_last(slot, 200 * MS);
        uint64_t next_begin_ns = MARK_NS(mark_of(slot));
        wait_on(5);
        pass_over_all();
        cr_assert(eq(uint, count_of(ENDED), 2));
        cr_expect(eq(u64, latest(ENDED)->stall.id, 2));
        cr_expect(eq(u64, watch_totals()->stalls, 2));
        cr_expect(zero(uint, places_taken()));
        const struct stall *first = NULL;
        for (unsigned i = 0; i < atomic_load(&events_count); i++)
                if (events[i].what == ENDED && events[i].stall.id == 1)
                        first = &events[i].stall;
        cr_assert(ne(ptr, (void *)first, NULL));
        cr_expect(eq(int, first->end, STALL_WAITED));
        cr_expect(eq(u64, first->end_ns, next_begin_ns));
}

/* ---- what happens in the middle of a pass ---- */

Test(pass, records_once_what_ends_between_its_looks_at_mark_and_ring)
{
        struct slot *slot = make_loop(5);
        pass_over_all();
        make_last(slot, 300 * MS);
        before_ring = end_iteration;
        for (int i = 0; i < 3; i++)
                pass_over_all();
        cr_expect(eq(u64, watch_totals()->stalls, 1));
        cr_expect(eq(uint, count_of(DETECTED), 0), "a begin without an end");
}

Test(pass, records_once_a_followed_stall_that_ends_between_its_looks)
{
        make_stall();
        before_ring = end_iteration;
        for (int i = 0; i < 3; i++)
                pass_over_all();
        cr_expect(eq(u64, watch_totals()->stalls, 1));
        cr_expect(eq(uint, count_of(DETECTED), 1));
}

Test(pass, records_a_candidates_stall_that_is_confirmed_in_the_middle_of_it)
{
        struct slot *slot = wait_on(5);
        pass_over_all();
        make_last(slot, 300 * MS);
        before_ring = end_iteration; /* the second wait at the same place */
        pass_over_all();
        pass_over_all();
        cr_expect(eq(u64, watch_totals()->stalls, 1));
        cr_expect(eq(uint, count_of(LOOP_CONFIRMED), 1));
}

/* The thread itself saw it end in time: nothing goes into the ring. */
static void end_in_time(void)
{
        atomic_store(&loop_slot_here->threshold_ns, UINT64_MAX);
        go_idle();
}

Test(pass, records_no_stall_that_ended_below_the_threshold_while_it_was_being_detected)
{
        struct slot *slot = make_loop(5);
        pass_over_all();
        make_last(slot, THRESHOLD_NS + MS);
        atomic_store(&while_sampling, end_in_time);
        pass_over_all();
        atomic_store(&while_sampling, NULL);
        pass_over_all();
        cr_expect(zero(u64, watch_totals()->stalls));
        cr_expect(eq(uint, count_of(DETECTED), 0));
}

Test(pass, looks_again_at_once_when_an_iteration_ended_under_its_hands)
{
        struct slot *slot = make_loop(5);
        pass_over_all();
        make_last(slot, 300 * MS);
        atomic_store(&while_sampling, end_iteration);
        uint64_t next_ns = pass_over_all();
        cr_expect(le(u64, next_ns, clock_now_ns()));
        atomic_store(&while_sampling, NULL);
        pass_over_all();
        cr_assert(eq(u64, watch_totals()->stalls, 1));
        cr_expect(ge(u64, latest(ENDED)->stall.end_ns - latest(ENDED)->stall.begin_ns, 300 * MS));
}

/* ---- candidates ---- */

Test(pass, holds_a_candidates_stall_back_until_it_waits_there_again)
{
        struct slot *slot = wait_on(5);
        pass_over_all();
        make_last(slot, 300 * MS);
        pass_over_all();
        cr_expect(eq(uint, count_of(SAMPLE), 1), "timed and sampled");
        cr_expect(eq(uint, count_of(DETECTED), 0), "but not announced");
        wait_on(5);
        pass_over_all();
        cr_assert(eq(uint, count_of(ENDED), 1));
        cr_expect(eq(int, latest(ENDED)->stall.end, STALL_WAITED));
        cr_expect(eq(u64, latest(ENDED)->stall.id, 1));
        cr_expect(eq(uint, latest(ENDED)->stall.samples, 1));
}

Test(pass, drops_a_candidates_stall_when_it_waits_elsewhere)
{
        struct slot *slot = wait_on(5);
        make_last(slot, 300 * MS);
        pass_over_all();
        wait_on(6);
        wait_on(6);
        pass_over_all();
        cr_expect(zero(u64, watch_totals()->stalls));
        cr_assert(eq(uint, count_of(ENDED), 1));
        cr_expect(eq(int, latest(ENDED)->stall.end, STALL_LEFT));
        cr_expect(zero(u64, latest(ENDED)->stall.id), "numbers are given to stalls only");
}

Test(pass, drops_a_candidates_stall_when_its_thread_ends)
{
        struct slot *slot = wait_on(5);
        make_last(slot, 300 * MS);
        pass_over_all();
        atomic_store(&slot->state, SLOT_RELEASED);
        pass_over_all();
        cr_expect(zero(u64, watch_totals()->stalls));
        cr_expect(eq(int, latest(ENDED)->stall.end, STALL_LEFT));
}

/* ---- serial servers, start-up ---- */

Test(pass, does_not_report_serial_servers)
{
        struct slot *slot = make_loop(5);
        atomic_store(&slot->serial, true);
        make_last(slot, 300 * MS);
        pass_over_all();
        cr_expect(eq(uint, count_of(DETECTED), 0));
        atomic_store(&slot->state, SLOT_RELEASED);
        pass_over_all();
        cr_expect(zero(u64, watch_totals()->stalls));
}

Test(pass, marks_stalls_of_the_start_up)
{
        struct wait look = on_epoll(5);
        look.sleeps = false;
        go_through(look, 0);
        struct slot *slot = go_through(look, 0);
        make_last(slot, 300 * MS);
        pass_over_all();
        cr_expect(latest(DETECTED)->stall.startup);
        go_through(look, 0);
        pass_over_all();
        cr_expect(latest(ENDED)->stall.startup);
        make_last(slot, 300 * MS);
        go_through(look, 0); /* unseen */
        pass_over_all();
        cr_expect(latest(ENDED)->stall.startup);
        cr_expect(eq(u64, watch_totals()->stalls, 2));
        cr_expect(eq(u64, watch_totals()->stalls_startup, 2));
        wait_on(5);
        pass.first_wait_ns -= 1000 * MS; /* long ago, as the next begin is */
        make_last(slot, 300 * MS);
        pass_over_all();
        cr_expect(not(latest(DETECTED)->stall.startup));
}

Test(pass, takes_what_begins_within_the_grace_for_start_up)
{
        struct slot *slot = make_loop(5);
        pass.grace_ns = 10000 * MS;
        pass_over_all();
        make_last(slot, 300 * MS);
        pass_over_all();
        cr_expect(latest(DETECTED)->stall.startup);
        wait_on(5);
        pass_over_all();
        pass.first_wait_ns -= 20000 * MS;
        make_last(slot, 300 * MS);
        pass_over_all();
        cr_expect(not(latest(DETECTED)->stall.startup));
        wait_on(5);
        pass_over_all();
        cr_expect(eq(u64, watch_totals()->stalls_startup, 1));
}

/* ---- many at once ---- */

Test(pass, records_stalls_beyond_the_limit_without_a_place)
{
        struct slot *slots[LIMIT_STALLS + 3];
        bool taken[LIMIT_STALLS] = { false };
        unsigned without = 0;
        for (int i = 0; i < LIMIT_STALLS + 3; i++) {
                slots[i] = make_other_loop(10 + i);
                make_last(slots[i], 300 * MS);
        }
        pass_over_all();
        cr_assert(eq(uint, count_of(DETECTED), LIMIT_STALLS + 3));
        for (unsigned i = 0; i < atomic_load(&events_count); i++) {
                uint32_t place = events[i].stall.place;
                if (events[i].what != DETECTED)
                        continue;
                without += place == UINT32_MAX;
                cr_assert(place == UINT32_MAX || (place < LIMIT_STALLS && !taken[place]));
                if (place != UINT32_MAX)
                        taken[place] = true;
        }
        cr_expect(eq(uint, without, 3));
        for (int i = 0; i < LIMIT_STALLS + 3; i++)
                atomic_store(&slots[i]->state, SLOT_RELEASED);
        pass_over_all();
        cr_expect(eq(u64, watch_totals()->stalls, LIMIT_STALLS + 3));
        cr_expect(eq(u64, watch_totals()->stalls_crowded, 3));
        struct slot *slot = make_other_loop(5);
        make_last(slot, 300 * MS);
        pass_over_all();
        cr_expect(lt(uint, latest(DETECTED)->stall.place, LIMIT_STALLS), "places are given back");
}

Test(pass, does_not_count_as_crowded_what_was_never_looked_at)
{
        for (int i = 0; i < LIMIT_STALLS; i++)
                make_last(make_other_loop(10 + i), 300 * MS);
        pass_over_all();
        make_other_loop(5);
        make_last(loop_slot_here, 300 * MS);
        wait_on(5); /* over before the next pass */
        pass_over_all();
        cr_expect(eq(u64, watch_totals()->stalls, 1));
        cr_expect(zero(u64, watch_totals()->stalls_crowded), "it would have no stack in any case");
}

Test(pass, does_not_count_as_crowded_what_was_no_stall)
{
        struct slot *slots[LIMIT_STALLS + 3];
        for (int i = 0; i < LIMIT_STALLS + 3; i++) {
                slots[i] = make_other_loop(10 + i);
                make_last(slots[i], 60 * MS); /* looked at only */
        }
        pass_over_all();
        for (int i = 0; i < LIMIT_STALLS + 3; i++)
                atomic_store(&slots[i]->state, SLOT_RELEASED);
        pass_over_all();
        cr_expect(zero(u64, watch_totals()->stalls_crowded));
}

/* ---- the end of the process ---- */

Test(pass, closes_all_that_is_open_at_the_end)
{
        make_stall();
        struct slot *other = make_other_loop(6);
        make_last(other, 300 * MS);
        wait_on(6);
        loop_slot_here = NULL;
        wait_on(7); /* a candidate, never seen */
        forget_events();
        pass_close_all();
        cr_expect(eq(uint, count_of(ENDED), 2));
        cr_expect(eq(uint, count_of(LOOP_ENDS), 3));
        cr_expect(eq(u64, watch_totals()->stalls, 2));
        unsigned exits = 0, waited = 0;
        for (unsigned i = 0; i < atomic_load(&events_count); i++) {
                exits += events[i].what == ENDED && events[i].stall.end == STALL_EXIT;
                waited += events[i].what == ENDED && events[i].stall.end == STALL_WAITED;
        }
        cr_expect(eq(uint, exits, 1));
        cr_expect(eq(uint, waited, 1));
}

Test(pass, ends_at_the_end_with_its_thread_what_was_that_threads)
{
        loop_release(make_stall());
        pass_close_all();
        cr_assert(eq(uint, count_of(ENDED), 1));
        cr_expect(eq(int, latest(ENDED)->stall.end, STALL_THREAD));
}

Test(pass, counts_lost_iterations_once_even_where_an_exec_fails)
{
        struct slot *slot = make_loop(5);
        for (int i = 0; i < LIMIT_RING + 4; i++) {
                make_last(slot, 200 * MS);
                wait_on(5);
        }
        pass_close_all();
        cr_expect(eq(u64, watch_totals()->iterations_lost, 4));
        pass_over_all(); /* exec has failed: the watch goes on */
        pass_close_all();
        cr_expect(eq(u64, watch_totals()->iterations_lost, 4));
}

/* ---- fork ---- */

Test(pass, knows_nothing_in_a_child)
{
        make_stall();
        pass_after_fork();
        loop_after_fork();
        forget_events();
        pass_over_all();
        cr_expect(zero(u64, watch_totals()->stalls));
        cr_expect(eq(uint, count_of(LOOP_BEGINS), 0));
        struct slot *slot = make_loop(5);
        make_last(slot, 300 * MS);
        pass_over_all();
        cr_expect(eq(uint, count_of(LOOP_BEGINS), 1));
        cr_expect(eq(u64, latest(DETECTED)->stall.id, 1));
        cr_expect(zero(uint, latest(DETECTED)->stall.place));
}

/* ---- when the watchdog was away itself ---- */

/* A stall of 250 ms that it did not see, with an absence that ended when the stall did. */
static const struct stall *record_with_absence(uint64_t away_ns, uint64_t stopped_ns, uint64_t doubtful_ns)
{
        struct slot *slot = make_loop(5);
        pass_over_all();
        make_last(slot, 250 * MS);
        wait_on(5);
        uint64_t now_ns = clock_now_ns();
        struct watch_absence absence = { .from_ns = now_ns - away_ns,
                                         .to_ns = now_ns,
                                         .stopped_ns = stopped_ns,
                                         .doubtful_ns = doubtful_ns,
                                         .starved_ns = away_ns - stopped_ns };
        pass_note_absence(&absence);
        pass_over_all();
        cr_assert(eq(uint, count_of(ENDED), 1));
        return &latest(ENDED)->stall;
}

Test(pass, counts_no_stall_that_is_none_without_the_time_that_all_was_stopped)
{
        const struct stall *stall = record_with_absence(200 * MS, 200 * MS, 0);
        cr_expect(stall->suspended);
        cr_expect(ge(u64, stall->stopped_ns, 199 * MS));
        cr_expect(zero(u64, stall->starved_ns));
        cr_expect(eq(int, stall->end, STALL_WAITED), "it is recorded all the same");
        cr_expect(eq(u64, stall->id, 1));
        cr_expect(zero(u64, watch_totals()->stalls));
        cr_expect(eq(u64, watch_totals()->stalls_suspended, 1));
        cr_expect(eq(u64, watch_totals()->stopped_ns, 200 * MS));
}

Test(pass, counts_a_stall_whose_rest_is_long_enough)
{
        const struct stall *stall = record_with_absence(100 * MS, 100 * MS, 0);
        cr_expect(not(stall->suspended));
        cr_expect(ge(u64, stall->stopped_ns, 99 * MS));
        cr_expect(eq(u64, watch_totals()->stalls, 1));
}

Test(pass, counts_no_stall_that_may_have_been_stopped_for_long_enough)
{
        cr_expect(record_with_absence(120 * MS, 120 * MS, 50 * MS)->suspended);
}

#define HOUR_NS (3600 * 1000 * MS)

Test(pass, records_what_was_under_way_when_the_machine_slept)
{
        struct slot *slot = make_loop(5);
        make_last(slot, 30 * MS);
        pass_over_all();
        pass_note_sleep(HOUR_NS);
        cr_assert(eq(uint, count_of(ENDED), 1));
        const struct stall *stall = &latest(ENDED)->stall;
        cr_expect(stall->suspended && stall->slept);
        cr_expect(eq(u64, stall->stopped_ns, HOUR_NS));
        cr_expect(ge(u64, stall->end_ns - stall->begin_ns, HOUR_NS + 30 * MS));
        cr_expect(zero(u64, watch_totals()->stalls));
        cr_expect(eq(u64, watch_totals()->stalls_suspended, 1));
        wait_on(5);
        pass_over_all();
        cr_expect(eq(uint, count_of(ENDED), 1), "awake it was not long enough for a stall");
}

Test(pass, records_no_sleep_that_no_loop_noticed)
{
        struct slot *slot = make_loop(5);
        go_idle();
        pass_over_all();
        pass_note_sleep(HOUR_NS);
        cr_expect(eq(uint, count_of(ENDED), 0), "it waited");
        wait_on(5);
        make_last(slot, 30 * MS);
        pass_note_sleep(HOUR_NS);
        cr_expect(eq(uint, count_of(ENDED), 0), "it may have begun after the sleep");
        pass_over_all();
        pass_note_sleep(THRESHOLD_NS - 1);
        cr_expect(eq(uint, count_of(ENDED), 0), "that was short");
}

Test(pass, takes_a_watchdog_without_a_cpu_for_no_stop)
{
        const struct stall *stall = record_with_absence(200 * MS, 0, 0);
        cr_expect(not(stall->suspended));
        cr_expect(zero(u64, stall->stopped_ns));
        cr_expect(ge(u64, stall->starved_ns, 199 * MS));
        cr_expect(eq(u64, watch_totals()->stalls, 1));
}

Test(pass, takes_only_the_part_of_an_absence_that_lies_in_the_stall)
{
        struct slot *slot = make_loop(5);
        pass_over_all();
        uint64_t now_ns = clock_now_ns();
        pass_note_absence(&(struct watch_absence){
                .from_ns = now_ns - 900 * MS, .to_ns = now_ns - 300 * MS, .stopped_ns = 600 * MS });
        make_last(slot, 250 * MS);
        wait_on(5);
        pass_over_all();
        cr_expect(zero(u64, latest(ENDED)->stall.stopped_ns));
        cr_expect(eq(u64, watch_totals()->stalls, 1));
}

/* A thread that was stopped in a sleep makes that call again, which a signal would end. */
Test(pass, sends_no_signal_right_after_a_stop)
{
        struct slot *slot = make_loop(5);
        pass_over_all();
        uint64_t now_ns = clock_now_ns();
        pass_note_absence(
                &(struct watch_absence){ .from_ns = now_ns - 20 * MS, .to_ns = now_ns, .stopped_ns = 20 * MS });
        make_last(slot, 150 * MS);
        pass_over_all();
        cr_assert(eq(uint, count_of(SAMPLE), 1));
        cr_expect(not(latest(SAMPLE)->may_signal));
        pass.signals_from_ns = clock_now_ns();
        watched_at(slot_index(slot))->stall.next_sample_ns = 0;
        pass_over_all();
        cr_assert(eq(uint, count_of(SAMPLE), 2));
        cr_expect(latest(SAMPLE)->may_signal);
        pass_note_sleep(20 * MS); /* nor after one of the machine, */
        cr_expect(not(watch_may_signal()));
        pass.signals_from_ns = UINT64_MAX; /* nor where the clock has been changed, for as long by the new one */
        pass_forget();
        cr_expect(not(watch_may_signal()));
        cr_expect(lt(u64, pass.signals_from_ns, clock_now_ns() + 1000 * MS));
}

Test(pass, measures_no_stall_by_absences_of_another_clock)
{
        struct slot *slot = make_loop(5);
        pass_over_all();
        uint64_t now_ns = clock_now_ns();
        pass_note_absence(&(struct watch_absence){ .from_ns = 0, .to_ns = UINT64_MAX, .stopped_ns = now_ns });
        pass_forget();
        wait_on(5);
        make_last(slot, 250 * MS);
        wait_on(5);
        pass_over_all();
        cr_assert(eq(uint, count_of(ENDED), 1));
        cr_expect(zero(u64, latest(ENDED)->stall.stopped_ns));
        cr_expect(eq(u64, watch_totals()->stalls, 1));
}

/* The loop woke the watchdog, and both were stopped before the watchdog ran. */
Test(pass, counts_no_stall_whose_beginning_nobody_could_watch)
{
        struct slot *slot = make_loop(5);
        pass_over_all();
        make_last(slot, 10250 * MS);
        uint64_t now_ns = clock_now_ns();
        pass_note_stop(now_ns - 60000 * MS, now_ns - 20 * MS);
        wait_on(5);
        pass_over_all();
        cr_expect(latest(ENDED)->stall.suspended);
        cr_expect(zero(u64, watch_totals()->stalls));
        cr_expect(zero(u64, watch_totals()->stopped_ns), "for how long it was stopped is not known");
}
