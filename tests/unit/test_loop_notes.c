/* SPDX-License-Identifier: Apache-2.0
 *
 * test_loop_notes.c - what the loop stage is told besides waits: closed descriptors, and the watchdog's findings
 *
 * Context: unit test; Criterion gives each test a process of its own
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <sys/wait.h>
#include <unistd.h>

#include "waits.h"

TestSuite(watchdog_says, .init = set_up_loops);
TestSuite(close_note, .init = set_up_loops);

/* ---- what the watchdog says ---- */

Test(watchdog_says, the_loop_was_left_and_the_time_is_outside)
{
        struct slot *slot = make_loop(5);
        struct slot_ended ended;
        make_last(slot, 300 * MS);
        uint64_t busy_ns = slot->busy_ns, count = iterations(slot);
        cr_expect(loop_mark_left(slot, mark_of(slot)));
        wait_on(5);
        cr_expect(ge(u64, slot->outside_ns, 300 * MS));
        cr_expect(eq(u64, slot->busy_ns, busy_ns));
        cr_expect(eq(u64, iterations(slot), count));
        cr_assert(loop_take_ended(slot, &ended));
        cr_expect(ended.left);
        make_last(slot, 300 * MS);
        wait_on(5);
        cr_assert(loop_take_ended(slot, &ended));
        cr_expect(not(ended.left), "the next iteration is one again");
}

Test(watchdog_says, nothing_of_an_iteration_that_has_ended_meanwhile)
{
        struct slot *slot = make_loop(5);
        uint64_t mark = mark_of(slot);
        make_last(slot, MS);
        cr_expect(not(loop_mark_left(slot, mark)));
        uint64_t count = iterations(slot);
        wait_on(5);
        cr_expect(eq(u64, iterations(slot), count + 1));
}

Test(watchdog_says, another_instance_takes_over)
{
        struct slot *slot = make_loop(5);
        loop_take_over(slot, WAIT_KEY(WAIT_EPOLL, 6));
        cr_expect(zero(ptr, wait_on(5)), "nested now");
        struct wait wait = on_epoll(6);
        wait.sleeps = false;
        wait.cfa = DEEPER;
        cr_expect(eq(ptr, go_through(wait, 0), slot), "and its frame may lie anywhere");
        loop_note_close(6, 6);
        cr_expect(zero(u64, atomic_load(&slot->key)), "its end is noticed as well");
}

Test(watchdog_says, a_candidates_rival_took_over)
{
        struct slot *slot = wait_on(5);
        loop_take_over(slot, WAIT_KEY(WAIT_EPOLL, 6));
        cr_expect(zero(u64, atomic_load(&slot->candidate_key)));
        cr_expect(eq(ptr, wait_on(6), slot));
}

Test(watchdog_says, yields_are_really_within_a_callback_or_not)
{
        struct slot *slot = make_loop(5);
        struct wait within = on_epoll(5);
        within.sleeps = false;
        within.cfa = DEEPER;
        go_through(within, 0);
        loop_confirm_reentrant(slot);
        cr_expect(atomic_load(&slot->reentrant));
        cr_expect(zero(ptr, go_through(within, 0)));
        loop_deny_reentrant(slot);
        cr_expect(not(atomic_load(&slot->reentrant)));
        cr_expect(eq(ptr, go_through(within, 0), slot), "the loop itself has moved there");
}

Test(watchdog_says, that_a_loop_was_left_also_where_the_ring_is_full)
{
        struct slot *slot = make_loop(5);
        struct slot_ended ended;
        for (int i = 0; i < LIMIT_RING; i++) {
                make_last(slot, 200 * MS);
                wait_on(5);
        }
        uint64_t busy_ns = slot->busy_ns, count = iterations(slot);
        make_last(slot, 300 * MS);
        loop_mark_left(slot, mark_of(slot));
        wait_on(5);
        cr_expect(eq(uint, atomic_load(&slot->ring_lost), 1));
        cr_expect(ge(u64, slot->outside_ns, 300 * MS), "the totals need no room in the ring");
        cr_expect(eq(u64, slot->busy_ns, busy_ns));
        cr_expect(eq(u64, iterations(slot), count));
        for (int i = 0; i < LIMIT_RING; i++) {
                cr_assert(loop_take_ended(slot, &ended));
                cr_expect(not(ended.left));
        }
        cr_expect(not(loop_take_ended(slot, &ended)));
}

Test(watchdog_says, nothing_wrong_of_the_ring_where_its_counts_begin_at_0_again)
{
        struct slot *slot = make_loop(5);
        struct slot_ended ended;
        uint64_t begin_ns[LIMIT_RING];
        atomic_store(&slot->ring_head, UINT32_MAX - 3);
        atomic_store(&slot->ring_tail, UINT32_MAX - 3);
        cr_expect(not(loop_take_ended(slot, &ended)));
        for (int i = 0; i < LIMIT_RING + 2; i++) {
                make_last(slot, 200 * MS);
                if (i < LIMIT_RING)
                        begin_ns[i] = MARK_NS(mark_of(slot));
                wait_on(5);
        }
        cr_expect(lt(uint, atomic_load(&slot->ring_head), LIMIT_RING));
        cr_expect(eq(uint, atomic_load(&slot->ring_lost), 2));
        for (int i = 0; i < LIMIT_RING; i++) {
                cr_assert(loop_take_ended(slot, &ended));
                cr_expect(eq(u64, ended.begin_ns, begin_ns[i]), "%d", i);
        }
        cr_expect(not(loop_take_ended(slot, &ended)));
}

/* ---- descriptors that are closed ---- */

Test(close_note, ends_the_loop_and_its_iteration)
{
        struct slot *slot = make_loop(5);
        struct slot_ended ended;
        make_last(slot, 300 * MS);
        uint64_t busy_ns = slot->busy_ns;
        loop_note_close(5, 5);
        cr_expect(zero(u64, atomic_load(&slot->key)));
        cr_expect(eq(u64, atomic_load(&slot->left_mark), mark_of(slot)));
        cr_expect(zero(u64, loop_totals().candidates_dropped));
        cr_expect(eq(ptr, wait_on(9), slot), "the same thread keeps its slot");
        cr_expect(eq(uint, atomic_load(&slot->state), SLOT_CANDIDATE));
        cr_expect(eq(u64, slot->busy_ns, busy_ns));
        cr_expect(ge(u64, slot->outside_ns, 300 * MS));
        cr_assert(loop_take_ended(slot, &ended));
        cr_expect(ended.left);
        cr_expect(eq(ptr, wait_on(9), slot));
        cr_expect(eq(uint, atomic_load(&slot->state), SLOT_LOOP));
        cr_expect(eq(u64, atomic_load(&slot->key), WAIT_KEY(WAIT_EPOLL, 9)));
}

Test(close_note, leaves_the_loop_its_label_for_its_last_record)
{
        char label[32];
        struct slot *slot = make_loop(5);
        loop_note_close(5, 5);
        loop_label(slot, label, sizeof label);
        cr_expect_str_eq(label, "epoll:5");
        wait_on(9);
        loop_label(slot, label, sizeof label);
        cr_expect_str_eq(label, "epoll:9");
}

Test(close_note, tells_since_when_the_loop_was_left)
{
        struct slot *slot = make_loop(5);
        uint64_t before_ns = clock_now_ns();
        loop_note_close(5, 5);
        cr_expect(ge(u64, atomic_load(&slot->left_ns), before_ns));
        cr_expect(le(u64, atomic_load(&slot->left_ns), clock_now_ns()));
}

Test(close_note, lets_the_same_number_be_a_new_instance)
{
        struct slot *slot = make_loop(5);
        loop_note_close(5, 5);
        wait_on(5);
        cr_expect(eq(uint, atomic_load(&slot->state), SLOT_CANDIDATE));
        loop_note_close(5, 5);
        cr_expect(eq(u64, loop_totals().candidates_dropped, 1));
        cr_expect(zero(u64, atomic_load(&slot->candidate_key)));
        make_loop(5);
        loop_note_close(5, 5);
        cr_expect(zero(u64, atomic_load(&slot->key)));
}

Test(close_note, forgets_what_was_found_out_about_the_old_instance)
{
        struct slot *slot = make_loop(5);
        atomic_store(&slot->executor, true);
        loop_confirm_reentrant(slot);
        loop_note_close(5, 5);
        make_loop(6);
        cr_expect(not(atomic_load(&slot->executor)), "its futex waits would be taken for rest");
        cr_expect(not(atomic_load(&slot->reentrant)));
}

Test(close_note, of_a_waiting_loop_leaves_no_iteration_behind)
{
        struct slot *slot = make_loop(5);
        struct wait wait = on_epoll(5);
        loop_enter(&wait);
        loop_note_close(5, 5); /* by another thread */
        cr_expect(zero(u64, atomic_load(&slot->key)));
        cr_expect(ne(u64, atomic_load(&slot->left_mark), mark_of(slot)));
        loop_leave(slot, -1);
}

Test(close_note, of_other_descriptors_changes_nothing)
{
        struct slot *slot = make_loop(5);
        uint64_t mark = mark_of(slot);
        loop_note_close(4, 4);
        loop_note_close(6, 6);
        loop_note_close(69, 69); /* the same bit of the next word */
        loop_note_close(6, UINT32_MAX);
        loop_note_close(0, 4);
        loop_note_close(65535 + 6, 65535 + 6);
        loop_note_close(UINT32_MAX, UINT32_MAX);
        cr_expect(eq(u64, atomic_load(&slot->key), WAIT_KEY(WAIT_EPOLL, 5)));
        cr_expect(ne(u64, atomic_load(&slot->left_mark), mark));
}

Test(close_note, of_a_range_finds_the_instance_in_it)
{
        static const struct {
                int fd;
                unsigned first, last;
        } cases[] = { { 5, 3, UINT32_MAX }, { 63, 0, 63 },       { 64, 64, 64 },     { 200, 3, 200 },
                      { 0, 0, UINT32_MAX }, { 65535, 0, 70000 }, { 1000, 999, 1000 } };
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
                struct slot *slot = make_loop(cases[i].fd);
                loop_note_close(cases[i].first, cases[i].last);
                cr_expect(zero(u64, atomic_load(&slot->key)), "case %zu", i);
        }
}

/* A loop as if of another thread. */
static struct slot *make_other_loop(int fd)
{
        loop_slot_here = NULL;
        return make_loop(fd);
}

static bool has_ended(const struct slot *slot)
{
        return atomic_load(&slot->key) == 0;
}

Test(close_note, of_a_neighbour_is_of_another_instance)
{
        static const int fds[] = { 0, 1, 62, 63, 64, 65, 127, 128, 65471, 65472, 65534, 65535 };
        enum { COUNT = sizeof fds / sizeof *fds };
        struct slot *slots[COUNT];
        for (int i = 0; i < COUNT; i++)
                slots[i] = make_other_loop(fds[i]);
        for (int i = 0; i < COUNT; i++) {
                loop_note_close((unsigned)fds[i], (unsigned)fds[i]);
                for (int j = 0; j < COUNT; j++)
                        cr_expect(eq(int, has_ended(slots[j]), j <= i), "%d after the close of %d", fds[j], fds[i]);
        }
}

Test(close_note, of_a_range_ends_all_in_it_and_none_beside_it)
{
        static const int fds[] = { 63, 64, 100, 127, 128, 191, 192 };
        enum { COUNT = sizeof fds / sizeof *fds };
        struct slot *slots[COUNT];
        for (int i = 0; i < COUNT; i++)
                slots[i] = make_other_loop(fds[i]);
        loop_note_close(191, 64);
        for (int i = 0; i < COUNT; i++)
                cr_expect(not(has_ended(slots[i])), "the wrong way round it is none");
        loop_note_close(64, 191);
        for (int i = 0; i < COUNT; i++)
                cr_expect(eq(int, has_ended(slots[i]), fds[i] >= 64 && fds[i] <= 191), "%d", fds[i]);
}

Test(close_note, of_what_lies_beyond_the_map_is_left_to_the_watchdog)
{
        struct slot *last = make_other_loop(65535), *beyond = make_other_loop(65536), *first = make_other_loop(0);
        loop_note_close(65536, 65536);
        loop_note_close(65536, UINT32_MAX);
        cr_expect(not(has_ended(last)));
        cr_expect(not(has_ended(beyond)));
        cr_expect(not(has_ended(first)), "it is not the map's beginning");
        loop_note_close(65535, UINT32_MAX);
        cr_expect(has_ended(last));
        cr_expect(not(has_ended(first)));
}

Test(close_note, is_needed_once_for_all_threads_of_an_instance)
{
        struct slot *one = make_other_loop(5), *other = make_other_loop(5), *candidate;
        loop_slot_here = NULL;
        candidate = wait_on(5);
        loop_note_close(5, 5);
        cr_expect(has_ended(one));
        cr_expect(has_ended(other));
        cr_expect(zero(u64, atomic_load(&candidate->candidate_key)));
        cr_expect(eq(u64, loop_totals().candidates_dropped, 1));
        loop_note_close(5, 5); /* another file of the same number */
        cr_expect(eq(u64, loop_totals().candidates_dropped, 1));
}

Test(close_note, of_the_watchdog_itself_means_another_table)
{
        struct slot *slot = make_loop(5);
        loop_is_watchdog = true;
        loop_note_close(0, UINT32_MAX);
        loop_is_watchdog = false;
        cr_expect(eq(u64, atomic_load(&slot->key), WAIT_KEY(WAIT_EPOLL, 5)));
}

Test(close_note, of_a_child_of_vfork_is_its_own_affair)
{
        struct slot *slot = make_loop(5);
        pid_t child = vfork();
        if (child == 0) {
                loop_note_close(3, UINT32_MAX);
                _exit(0);
        }
        waitpid(child, NULL, 0);
        cr_expect(eq(u64, atomic_load(&slot->key), WAIT_KEY(WAIT_EPOLL, 5)));
        loop_note_close(5, 5);
        cr_expect(zero(u64, atomic_load(&slot->key)), "but one of ours is noticed afterwards");
}
