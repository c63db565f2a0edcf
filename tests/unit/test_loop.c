/* SPDX-License-Identifier: Apache-2.0
 *
 * test_loop.c - what is a loop and what is its own wait, told as the hooks tell it
 *
 * Context: unit test; Criterion gives each test a process of its own
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <signal.h>
#include <unistd.h>

#include "waits.h"

TestSuite(loop, .init = set_up_loops);

/* ---- becoming a loop ---- */

Test(detector, knows_nothing_before_it_was_set_up)
{
        struct wait wait = on_epoll(5);
        cr_expect(zero(ptr, loop_enter(&wait)));
        cr_expect(eq(uint, slots_used(), 0));
}

Test(detector, finds_nothing_while_it_is_off)
{
        loop_setup(&test_calls, 0, true);
        cr_expect(zero(ptr, wait_on(5)));
        cr_expect(zero(ptr, wait_on(5)));
        cr_expect(eq(uint, slots_used(), 0));
        cr_expect(eq(uint, starts, 0));
}

Test(loop, is_a_candidate_at_its_first_wait)
{
        struct wait wait = on_epoll(5);
        struct slot *slot = loop_enter(&wait);
        cr_assert(not(zero(ptr, slot)));
        cr_expect(eq(ptr, loop_slot_here, slot));
        cr_expect(eq(uint, atomic_load(&slot->state), SLOT_CANDIDATE));
        cr_expect(zero(u64, atomic_load(&slot->key)));
        cr_expect(eq(u64, atomic_load(&slot->candidate_key), wait.key));
        cr_expect(eq(u64, atomic_load(&slot->site), SITE));
        cr_expect(eq(u64, atomic_load(&slot->own_cfa), LOOP_CFA));
        cr_expect(eq(int, atomic_load(&slot->tid), gettid()));
        cr_expect(not(is_busy(slot)));
        cr_expect(eq(uint, starts, 1), "the first own wait starts the watchdog");
        cr_expect(eq(u64, loop_totals().loops, 0));
}

Test(loop, is_one_when_it_waits_there_again)
{
        struct slot *slot = wait_on(5);
        cr_expect(is_busy(slot));
        cr_expect(eq(ptr, wait_on(5), slot));
        cr_expect(eq(uint, atomic_load(&slot->state), SLOT_LOOP));
        cr_expect(eq(u64, atomic_load(&slot->key), WAIT_KEY(WAIT_EPOLL, 5)));
        cr_expect(zero(u64, atomic_load(&slot->candidate_key)));
        cr_expect(eq(u64, loop_totals().loops, 1));
        cr_expect(eq(u64, iterations(slot), 1), "the iteration between the two waits counts");
        cr_expect(eq(uint, starts, 1));
}

Test(loop, may_have_descriptor_0_as_its_instance)
{
        struct slot *slot = make_loop(0);
        cr_expect(eq(u64, atomic_load(&slot->key), WAIT_KEY(WAIT_EPOLL, 0)));
}

Test(loop, hands_over_a_long_first_iteration_once_it_is_confirmed)
{
        struct slot_ended ended;
        struct slot *slot = wait_on(5);
        make_last(slot, 300 * MS);
        cr_expect(not(loop_take_ended(slot, &ended)));
        wait_on(5);
        cr_assert(loop_take_ended(slot, &ended));
        cr_expect(ge(u64, ended.end_ns - ended.begin_ns, 300 * MS));
        cr_expect(not(ended.left));
}

Test(loop, is_the_place_that_is_waited_at_again_first)
{
        struct slot *slot = wait_on(5);
        cr_expect(zero(ptr, wait_on(6)), "so far nested");
        cr_expect(eq(ptr, wait_on(5), slot));
        cr_expect(eq(u64, atomic_load(&slot->key), WAIT_KEY(WAIT_EPOLL, 5)));
        cr_expect(zero(u64, loop_totals().candidates_dropped));
        cr_expect(zero(ptr, wait_on(6)));
        cr_expect(zero(ptr, wait_on(6)), "nested in the loop for ever");
}

Test(loop, is_the_rival_when_that_is_waited_at_again_first)
{
        struct slot *slot = wait_on(5);
        make_last(slot, 400 * MS);
        wait_on(6);
        cr_expect(eq(ptr, wait_on(6), slot));
        cr_expect(eq(u64, atomic_load(&slot->key), WAIT_KEY(WAIT_EPOLL, 6)));
        cr_expect(eq(uint, atomic_load(&slot->state), SLOT_LOOP));
        cr_expect(eq(u64, loop_totals().candidates_dropped, 1));
        struct slot_ended ended;
        cr_assert(loop_take_ended(slot, &ended));
        cr_expect(ended.left, "what went on since the dropped candidate's wait was no iteration of this loop");
        cr_expect(zero(u64, iterations(slot)));
        cr_expect(ge(u64, slot->outside_ns, 400 * MS));
}

Test(loop, forgets_a_rival_for_another)
{
        struct slot *slot = wait_on(5);
        cr_expect(zero(ptr, wait_on(6)));
        cr_expect(zero(ptr, wait_on(7)));
        cr_expect(zero(ptr, wait_on(6)));
        cr_expect(eq(ptr, wait_on(5), slot));
        cr_expect(eq(u64, atomic_load(&slot->key), WAIT_KEY(WAIT_EPOLL, 5)));
}

Test(loop, is_not_watched_when_there_are_too_many)
{
        while (slot_claim() != NULL)
                ;
        errno = EXDEV;
        cr_expect(zero(ptr, wait_on(5)));
        cr_expect(zero(ptr, wait_on(5)));
        cr_expect(eq(int, errno, EXDEV));
        cr_expect(eq(u64, loop_totals().unwatched, 1), "threads are counted, not their waits");
}

Test(loop, is_watched_later_where_there_is_room_again)
{
        while (slot_claim() != NULL)
                ;
        wait_on(5);
        slot_free(slot_at(7));
        cr_expect(zero(ptr, wait_on(5)), "the table is not searched at each wait");
        unsigned waits = 1;
        while (waits < 2 * LIMIT_REFUSED_WAITS && wait_on(5) == NULL)
                waits++;
        cr_expect(eq(uint, waits, LIMIT_REFUSED_WAITS - 1));
        cr_expect(eq(ptr, loop_slot_here, slot_at(7)));
        cr_expect(eq(ptr, wait_on(5), slot_at(7)), "from now on at each wait");
        cr_expect(eq(uint, atomic_load(&slot_at(7)->state), SLOT_LOOP));
}

Test(loop, is_refused_again_and_counted_once_where_there_is_still_no_room)
{
        while (slot_claim() != NULL)
                ;
        for (unsigned waits = 0; waits < 3 * LIMIT_REFUSED_WAITS; waits++)
                cr_assert(zero(ptr, wait_on(5)));
        cr_expect(eq(u64, loop_totals().unwatched, 1));
        loop_after_fork();
        cr_expect(not(zero(ptr, wait_on(5))), "a child's table is empty");
}

/* ---- own waits ---- */

Test(loop, is_idle_in_its_own_wait_and_busy_after_it)
{
        struct slot *slot = make_loop(5);
        struct wait wait = on_epoll(5);
        cr_expect(is_busy(slot));
        uint64_t before_ns = clock_now_ns();
        cr_expect(eq(ptr, loop_enter(&wait), slot));
        uint64_t mark = mark_of(slot);
        cr_expect(not(is_busy(slot)));
        cr_expect(ge(u64, MARK_NS(mark), before_ns));
        loop_leave(slot, 0);
        cr_expect(is_busy(slot));
        cr_expect(ge(u64, MARK_NS(mark_of(slot)), MARK_NS(mark)));
}

/* As a hook does it. */
static void wait_and_get(struct slot *slot, bool sleeps, int result, const struct epoll_event *events)
{
        struct wait wait = on_epoll(5);
        wait.sleeps = sleeps;
        cr_expect(eq(ptr, loop_enter(&wait), slot));
        loop_note_events(slot, result, events);
        loop_leave(slot, result);
}

Test(loop, keeps_what_its_wait_returned_until_it_sleeps_for_nothing)
{
        struct epoll_event events[LIMIT_SERVED_KEPT + 2] = { { .events = EPOLLIN, .data.fd = 7 }, { .data.fd = 8 } };
        struct slot *slot = make_loop(5);
        wait_and_get(slot, true, 2, events);
        cr_expect(slot->returned == events && slot->returned_result == 2 && slot->returned_before == 0);
        cr_expect(slot->first_events[0].data.fd == 7 && slot->first_events[1].data.fd == 8);
        wait_and_get(slot, false, 0, NULL);
        wait_and_get(slot, false, 0, NULL);
        cr_expect(slot->returned_result == 2 && slot->returned_before == 2);
        wait_and_get(slot, true, 0, NULL);
        wait_and_get(slot, false, 0, NULL);
        cr_expect(eq(u32, slot->returned_before, LOOP_RETURNED_LONG_AGO));
        wait_and_get(slot, false, LIMIT_SERVED_KEPT + 2, events);
        cr_expect(slot->returned_result == LIMIT_SERVED_KEPT + 2 && slot->returned_before == 0);
        wait_and_get(slot, false, -1, NULL);
        cr_expect(eq(u32, slot->returned_before, LOOP_RETURNED_LONG_AGO));
        loop_note_events(NULL, 1, events); /* a nested wait */
}

Test(loop, counts_busy_time)
{
        struct slot *slot = make_loop(5);
        struct wait wait = on_epoll(5);
        uint64_t busy_ns = slot->busy_ns, count = iterations(slot);
        make_last(slot, 30 * MS);
        loop_enter(&wait);
        cr_expect(ge(u64, slot->busy_ns - busy_ns, 30 * MS));
        cr_expect(lt(u64, slot->busy_ns - busy_ns, 60 * MS));
        cr_expect(eq(u64, iterations(slot), count + 1));
        cr_expect(ge(uint,
                     atomic_load(&slot->histogram[histogram_bucket(30 * MS)]) +
                             atomic_load(&slot->histogram[histogram_bucket(30 * MS) + 1]),
                     1));
        busy_ns = slot->busy_ns;
        atomic_store(&slot->mark, MARK(clock_now_ns() - 70 * MS, 0));
        loop_leave(slot, 1);
        loop_enter(&wait);
        cr_expect(lt(u64, slot->busy_ns - busy_ns, 30 * MS), "the wait before was no work");
}

Test(loop, ends_its_iteration_at_an_own_wait_that_can_not_sleep)
{
        struct slot *slot = make_loop(5);
        struct wait wait = on_epoll(5);
        wait.sleeps = false;
        make_last(slot, 5 * MS);
        uint64_t count = iterations(slot);
        cr_expect(eq(ptr, go_through(wait, 3), slot));
        cr_expect(eq(u64, iterations(slot), count + 1));
}

Test(loop, may_wait_from_a_frame_that_lies_elsewhere_each_time)
{
        struct slot *slot = make_loop(5);
        struct wait wait = on_epoll(5);
        wait.cfa = DEEPER;
        cr_expect(eq(ptr, go_through(wait, 1), slot), "a sleeping wait is the own one, however deep");
        cr_expect(eq(u64, atomic_load(&slot->own_cfa), DEEPER));
        wait.cfa = OUTER;
        wait.sleeps = false;
        cr_expect(eq(ptr, go_through(wait, 1), slot));
        cr_expect(eq(u64, atomic_load(&slot->own_cfa), OUTER));
}

Test(loop, does_not_take_an_empty_look_before_the_real_wait_for_an_iteration)
{
        struct slot *slot = make_loop(5);
        struct wait look = on_epoll(5), real = on_epoll(5);
        bool forgiven = false;
        look.sleeps = false;
        /* Taken off the CPU between the two, the test would be busy for longer than the microsecond that is forgiven.
         * */
        for (int i = 0; i < 100 && !forgiven; i++) {
                go_through(look, 0);
                uint64_t count = iterations(slot), busy_ns = slot->busy_ns;
                atomic_store(&slot->mark, MARK(clock_now_ns(), 1));
                loop_enter(&real);
                forgiven = iterations(slot) == count && slot->busy_ns == busy_ns;
                loop_leave(slot, 0);
        }
        cr_expect(forgiven);
}

Test(loop, counts_what_follows_a_look_that_found_something_or_took_time)
{
        struct slot *slot = make_loop(5);
        struct wait look = on_epoll(5);
        look.sleeps = false;
        go_through(look, 2);
        uint64_t count = iterations(slot);
        wait_on(5);
        cr_expect(eq(u64, iterations(slot), count + 1), "events were found");
        go_through(look, 0);
        make_last(slot, 2 * MS);
        count = iterations(slot);
        wait_on(5);
        cr_expect(eq(u64, iterations(slot), count + 1), "it took 2 ms");
        go_through(look, -1);
        count = iterations(slot);
        wait_on(5);
        cr_expect(eq(u64, iterations(slot), count + 1), "it failed");
}

Test(loop, counts_an_iteration_after_a_wait_that_could_sleep_however_short)
{
        struct slot *slot = make_loop(5);
        uint64_t count = iterations(slot);
        go_through(on_epoll(5), 0);
        go_through(on_epoll(5), 0);
        cr_expect(eq(u64, iterations(slot), count + 2));
}

/* ---- nested waits ---- */

Test(loop, goes_on_through_nested_waits_of_all_kinds)
{
        struct slot *slot = make_loop(5);
        make_last(slot, 20 * MS);
        uint64_t mark = mark_of(slot);
        struct pollfd polled = { .fd = 5, .events = POLLIN };
        fd_set set;
        FD_ZERO(&set);
        FD_SET(5, &set);
        struct wait waits[] = {
                on_epoll(6),
                { .key = WAIT_KEY(WAIT_POLL, SITE),
                  .site = SITE,
                  .cfa = DEEPER,
                  .sleeps = true,
                  .polled = &polled,
                  .polled_count = 1 },
                { .key = WAIT_KEY(WAIT_SELECT, SITE),
                  .site = SITE,
                  .cfa = OUTER,
                  .sleeps = true,
                  .selected = { &set },
                  .selected_count = 6 },
        };
        for (int i = 0; i < 30; i++) {
                waits[i % 3].sleeps = i & 1;
                cr_expect(zero(ptr, loop_enter_slow(&waits[i % 3])));
                loop_leave(NULL, 1);
        }
        cr_expect(eq(u64, mark_of(slot), mark));
        cr_expect(zero(uint, atomic_load(&slot->yields)));
        cr_expect(eq(u64, atomic_load(&slot->key), WAIT_KEY(WAIT_EPOLL, 5)));
}

Test(loop, counts_re_entrant_waits_that_can_not_sleep_as_yields)
{
        struct slot *slot = make_loop(5);
        struct wait within = on_epoll(5);
        within.sleeps = false;
        within.cfa = DEEPER;
        make_last(slot, 20 * MS);
        uint64_t mark = mark_of(slot), before_ns = clock_now_ns();
        cr_expect(zero(ptr, go_through(within, 1)));
        cr_expect(zero(ptr, go_through(within, 1)));
        cr_expect(eq(uint, atomic_load(&slot->yields), 2));
        cr_expect(ge(u64, atomic_load(&slot->yield_ns), before_ns));
        cr_expect(eq(u64, atomic_load(&slot->yield_cfa), DEEPER));
        cr_expect(eq(u64, mark_of(slot), mark), "the iteration goes on");
        cr_expect(eq(u64, atomic_load(&slot->own_cfa), LOOP_CFA));
        wait_on(5);
        cr_expect(zero(uint, atomic_load(&slot->yields)), "the next iteration begins without");
}

Test(loop, tells_a_re_entrant_wait_by_a_single_byte_of_depth)
{
        struct slot *slot = make_loop(5);
        struct wait wait = on_epoll(5);
        wait.sleeps = false;
        cr_expect(eq(ptr, go_through(wait, 1), slot));
        wait.cfa--;
        cr_expect(zero(ptr, go_through(wait, 1)));
}

Test(loop, takes_a_re_entrant_wait_that_sleeps_for_idleness)
{
        struct slot *slot = make_loop(5);
        struct wait within = on_epoll(5);
        within.cfa = DEEPER;
        cr_expect(eq(ptr, loop_enter(&within), slot));
        cr_expect(not(is_busy(slot)));
}

/* ---- long iterations ---- */

Test(loop, puts_an_iteration_as_long_as_the_threshold_into_the_ring)
{
        struct slot *slot = make_loop(5);
        struct slot_ended ended;
        make_last(slot, THRESHOLD_NS - 50 * MS);
        wait_on(5);
        cr_expect(not(loop_take_ended(slot, &ended)));
        make_last(slot, THRESHOLD_NS);
        uint64_t begin_ns = MARK_NS(mark_of(slot)), busy_ns = slot->busy_ns, count = iterations(slot);
        wait_on(5);
        cr_assert(loop_take_ended(slot, &ended));
        cr_expect(eq(u64, ended.begin_ns, begin_ns));
        cr_expect(ge(u64, ended.end_ns, begin_ns + THRESHOLD_NS));
        cr_expect(eq(u64, slot->busy_ns - busy_ns, ended.end_ns - ended.begin_ns));
        cr_expect(eq(u64, iterations(slot), count + 1));
        cr_expect(not(ended.left));
        cr_expect(not(ended.serial));
        cr_expect(not(ended.startup));
        cr_expect(zero(u64, ended.yield_ns));
        cr_expect(not(loop_take_ended(slot, &ended)));
}

Test(loop, tells_of_yields_in_a_long_iteration)
{
        struct slot *slot = make_loop(5);
        struct slot_ended ended;
        struct wait within = on_epoll(5);
        within.sleeps = false;
        within.cfa = DEEPER;
        make_last(slot, 300 * MS);
        for (int i = 0; i < 7; i++)
                go_through(within, 0);
        wait_on(5);
        cr_assert(loop_take_ended(slot, &ended));
        cr_expect(eq(uint, ended.yields, 7));
        cr_expect(eq(u64, ended.yield_ns, atomic_load(&slot->yield_ns)));
        make_last(slot, 300 * MS);
        wait_on(5);
        cr_assert(loop_take_ended(slot, &ended));
        cr_expect(zero(uint, ended.yields));
        cr_expect(zero(u64, ended.yield_ns), "that of an earlier iteration");
}

Test(loop, starts_up_until_an_own_wait_could_sleep)
{
        struct slot_ended ended;
        struct wait look = on_epoll(5);
        look.sleeps = false;
        struct slot *slot = go_through(look, 0);
        cr_expect(not(slot->slept));
        for (int i = 0; i < 3; i++) {
                make_last(slot, 300 * MS);
                go_through(look, 0);
                cr_assert(loop_take_ended(slot, &ended));
                cr_expect(ended.startup);
        }
        make_last(slot, 300 * MS);
        wait_on(5); /* ends the last iteration of the start-up, and could sleep */
        cr_assert(loop_take_ended(slot, &ended));
        cr_expect(ended.startup);
        cr_expect(slot->slept);
        make_last(slot, 300 * MS);
        go_through(look, 0);
        cr_assert(loop_take_ended(slot, &ended));
        cr_expect(not(ended.startup));
}

Test(loop, keeps_the_oldest_and_counts_the_rest_when_the_ring_is_full)
{
        struct slot *slot = make_loop(5);
        struct slot_ended ended;
        uint64_t begin_ns[LIMIT_RING + 5];
        for (int i = 0; i < LIMIT_RING + 5; i++) {
                make_last(slot, 200 * MS + (unsigned)i * MS);
                begin_ns[i] = MARK_NS(mark_of(slot));
                wait_on(5);
        }
        cr_expect(eq(uint, atomic_load(&slot->ring_lost), 5));
        for (int i = 0; i < LIMIT_RING; i++) {
                cr_assert(loop_take_ended(slot, &ended));
                cr_expect(eq(u64, ended.begin_ns, begin_ns[i]));
        }
        cr_expect(not(loop_take_ended(slot, &ended)));
        cr_expect(eq(u64, iterations(slot), LIMIT_RING + 5 + 1), "the histogram has them all");
        make_last(slot, 200 * MS);
        wait_on(5);
        cr_expect(loop_take_ended(slot, &ended), "and there is room again");
}

Test(loop, takes_the_ring_round_its_end)
{
        struct slot *slot = make_loop(5);
        struct slot_ended ended;
        atomic_store(&slot->ring_head, UINT32_MAX - 2);
        atomic_store(&slot->ring_tail, UINT32_MAX - 2);
        for (int i = 0; i < 8; i++) {
                make_last(slot, 200 * MS);
                uint64_t begin_ns = MARK_NS(mark_of(slot));
                wait_on(5);
                cr_assert(loop_take_ended(slot, &ended));
                cr_expect(eq(u64, ended.begin_ns, begin_ns));
        }
        for (int i = 0; i < LIMIT_RING + 1; i++) {
                make_last(slot, 200 * MS);
                wait_on(5);
        }
        cr_expect(eq(uint, atomic_load(&slot->ring_lost), 1));
}

Test(loop, gives_no_length_to_an_iteration_that_began_in_the_future)
{
        struct slot *slot = make_loop(5);
        struct slot_ended ended;
        uint64_t busy_ns = slot->busy_ns, count = iterations(slot);
        atomic_store(&slot->mark, MARK(clock_now_ns() + 3600 * 1000 * MS, 1)); /* the clock was exchanged */
        struct wait wait = on_epoll(5);
        loop_enter(&wait);
        cr_expect(not(loop_take_ended(slot, &ended)));
        cr_expect(eq(u64, slot->busy_ns, busy_ns));
        cr_expect(eq(u64, iterations(slot), count));
        cr_expect(le(u64, MARK_NS(mark_of(slot)), clock_now_ns()), "and all is well again");
        atomic_store(&slot->mark, MARK(clock_now_ns() + 3600 * 1000 * MS, 0));
        loop_leave(slot, 0);
        cr_expect(le(u64, MARK_NS(mark_of(slot)), clock_now_ns()));
}
/* ---- labels, attention, errno ---- */

Test(loop, has_a_label)
{
        char label[32];
        struct slot *slot = slot_claim();
        loop_label(slot, label, sizeof label);
        cr_expect_str_eq(label, "none");
        atomic_store(&slot->candidate_key, WAIT_KEY(WAIT_EPOLL, 12));
        loop_label(slot, label, sizeof label);
        cr_expect_str_eq(label, "epoll:12");
        atomic_store(&slot->key, WAIT_KEY(WAIT_POLL, SITE));
        loop_label(slot, label, sizeof label);
        cr_expect_str_eq(label, "poll");
        atomic_store(&slot->key, WAIT_KEY(WAIT_EPOLL, UINT32_MAX));
        loop_label(slot, label, sizeof label);
        cr_expect_str_eq(label, "epoll:4294967295");
        loop_label(slot, label, 4);
        cr_expect_str_eq(label, "epo");
}

Test(loop, wakes_the_watchdog_only_when_it_sleeps)
{
        make_loop(5);
        wait_on(5);
        cr_expect(eq(uint, wakes, 0));
        atomic_store(&loop_attention, LOOP_ASLEEP);
        wait_on(5);
        cr_expect(eq(uint, wakes, 1));
        wait_on(6); /* nested waits tell nothing */
        cr_expect(eq(uint, wakes, 1));
}

Test(loop, starts_a_watchdog_that_was_stopped)
{
        make_loop(5);
        cr_expect(eq(uint, starts, 1));
        atomic_store(&loop_attention, LOOP_STOPPED);
        wait_on(5);
        cr_expect(eq(uint, starts, 2));
        atomic_store(&loop_attention, LOOP_STOPPED);
        wait_on(6);
        cr_expect(eq(uint, starts, 2), "a nested wait may be in a signal handler");
        wait_on(5);
        cr_expect(eq(uint, starts, 3), "somebody else's fork: at the loop's next own wait");
        atomic_store(&loop_attention, LOOP_STOPPED);
        loop_note_fork();
        wait_on(6);
        cr_expect(eq(uint, starts, 4), "a fork in this very callback: at its next wait, nested or not");
        atomic_store(&loop_attention, LOOP_STOPPED);
        wait_on(6);
        cr_expect(eq(uint, starts, 4), "but only once");
}

static void wait_in_handler(int number)
{
        wait_on(5);
}

Test(loop, starts_no_watchdog_on_an_alternate_signal_stack)
{
        static char bytes[65536];
        stack_t stack = { .ss_sp = bytes, .ss_size = sizeof bytes };
        struct sigaction action = { .sa_handler = wait_in_handler, .sa_flags = SA_ONSTACK };
        cr_assert(zero(int, sigaltstack(&stack, NULL)));
        cr_assert(zero(int, sigaction(SIGUSR1, &action, NULL)));
        atomic_store(&loop_attention, LOOP_STOPPED);
        raise(SIGUSR1);
        cr_expect(not(zero(ptr, loop_slot_here)), "it is a candidate all the same");
        cr_expect(zero(uint, starts));
        wait_on(5);
        cr_expect(eq(uint, starts, 1));
}

Test(loop, leaves_errno_alone)
{
        int pipes[2];
        cr_assert(zero(int, pipe(pipes)));
        errno = EXDEV;
        wait_on(5); /* claims, and starts the watchdog */
        cr_expect(eq(int, errno, EXDEV));
        wait_on(6); /* rival */
        wait_on(5); /* confirmed */
        cr_expect(eq(int, errno, EXDEV));
        atomic_store(&loop_attention, LOOP_ASLEEP);
        wait_on(5); /* wakes it */
        cr_expect(eq(int, errno, EXDEV));
        atomic_store(&loop_attention, LOOP_STOPPED);
        wait_on(5);
        cr_expect(eq(int, errno, EXDEV));
        loop_note_close(5, 5);
        cr_expect(eq(int, errno, EXDEV));
}
