/* SPDX-License-Identifier: Apache-2.0
 *
 * test_loop.c - what is a loop and what is its own wait, told as the hooks tell it
 *
 * The waits are struct values and no thread sleeps: an iteration is made long by moving its begin into the past. Sockets
 * are real where the rules ask the kernel about them.
 *
 * Context: unit test; Criterion gives each test a process of its own
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/raw.h"
#include "listed_library.h"
#include "loop/loop.h"

#define MS 1000000ull
#define THRESHOLD_NS (100 * MS)

/* Stack pointers: larger is older. */
#define OUTER 0x7f0000002000
#define LOOP_CFA 0x7f0000001000
#define DEEPER 0x7f0000000800

#define SITE 0x401234
#define OTHER_SITE 0x405678

static unsigned starts, wakes;

static void start(void)
{
        starts++;
        atomic_store(&loop_attention, LOOP_WATCHED);
        errno = EPERM;
}

static void wake(void)
{
        wakes++;
        errno = EPERM;
}

static const struct loop_calls calls = { .start = start, .wake = wake };

static void begin(void)
{
        loop_setup(&calls, THRESHOLD_NS, false);
}
TestSuite(loop, .init = begin);
TestSuite(poll, .init = begin);
TestSuite(close_note, .init = begin);
TestSuite(watchdog_says, .init = begin);
TestSuite(threads, .init = begin);
TestSuite(system_calls, .init = begin);

static struct wait on_epoll(int fd)
{
        return (struct wait){
                .key = WAIT_KEY(WAIT_EPOLL, (uint32_t)fd), .site = SITE, .cfa = LOOP_CFA, .sleeps = true
        };
}

/* What a hook does around the function behind it. */
static struct slot *go_through(struct wait wait, int result)
{
        struct slot *own = loop_enter(&wait);
        loop_leave(own, result);
        return own;
}

static struct slot *wait_on(int fd)
{
        return go_through(on_epoll(fd), 1);
}

/* A thread whose loop is instance `fd`, and which is in an iteration. */
static struct slot *make_loop(int fd)
{
        wait_on(fd);
        struct slot *slot = wait_on(fd);
        cr_assert(not(zero(ptr, slot)));
        cr_assert(eq(uint, atomic_load(&slot->state), SLOT_LOOP));
        return slot;
}

static uint64_t mark_of(const struct slot *slot)
{
        return atomic_load(&slot->mark);
}

static bool is_busy(const struct slot *slot)
{
        return MARK_BUSY(mark_of(slot));
}

/* As if the present iteration had begun this long ago. */
static void make_last(struct slot *slot, uint64_t duration_ns)
{
        cr_assert(is_busy(slot));
        atomic_store(&slot->mark, MARK(clock_now_ns() - duration_ns, 1));
}

static uint64_t iterations(const struct slot *slot)
{
        uint64_t count = 0;
        for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++)
                count += atomic_load(&slot->histogram[i]);
        return count;
}

/* ---- becoming a loop ---- */

Test(loop, knows_nothing_before_it_was_set_up, .init = NULL)
{
        struct wait wait = on_epoll(5);
        cr_expect(zero(ptr, loop_enter(&wait)));
        cr_expect(eq(uint, slots_used(), 0));
}

Test(loop, is_never_found_while_the_detector_is_off, .init = NULL)
{
        loop_setup(&calls, 0, true);
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
        cr_expect(ge(u64, loop_totals().unwatched, 1));
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
        cr_expect(ge(uint, atomic_load(&slot->histogram[histogram_bucket(30 * MS)]) +
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
        struct wait look = on_epoll(5);
        look.sleeps = false;
        go_through(look, 0);
        uint64_t count = iterations(slot), busy_ns = slot->busy_ns;
        atomic_store(&slot->mark, MARK(clock_now_ns(), 1)); /* the real wait follows at once */
        struct wait real = on_epoll(5);
        /* A process taken off the CPU right here would be busy for longer than the microsecond that is forgiven. */
        for (int i = 0; i < 100 && iterations(slot) == count; i++) {
                go_through(real, 0);
                count = iterations(slot);
                busy_ns = slot->busy_ns;
                go_through(look, 0);
                count = iterations(slot);
                busy_ns = slot->busy_ns;
                atomic_store(&slot->mark, MARK(clock_now_ns(), 1));
                loop_enter(&real);
                if (iterations(slot) == count)
                        break;
                loop_leave(slot, 0);
        }
        cr_expect(eq(u64, iterations(slot), count));
        cr_expect(eq(u64, slot->busy_ns, busy_ns));
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
                { .key = WAIT_KEY(WAIT_POLL, SITE), .site = SITE, .cfa = DEEPER, .sleeps = true, .polled = &polled,
                  .polled_count = 1 },
                { .key = WAIT_KEY(WAIT_SELECT, SITE), .site = SITE, .cfa = OUTER, .sleeps = true, .selected = { &set },
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
        } cases[] = { { 5, 3, UINT32_MAX }, { 63, 0, 63 },        { 64, 64, 64 },     { 200, 3, 200 },
                      { 0, 0, UINT32_MAX }, { 65535, 0, 70000 },  { 1000, 999, 1000 } };
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
                struct slot *slot = make_loop(cases[i].fd);
                loop_note_close(cases[i].first, cases[i].last);
                cr_expect(zero(u64, atomic_load(&slot->key)), "case %zu", i);
        }
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

/* ---- poll and select ---- */

static int listening_socket(void)
{
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        cr_assert(ge(int, fd, 0));
        cr_assert(zero(int, listen(fd, 5)));
        return fd;
}

static void two_sockets(int fds[2])
{
        cr_assert(zero(int, socketpair(AF_UNIX, SOCK_STREAM, 0, fds)));
}

/* A wait at `site` for up to eight descriptors. The array is used again by the next call. */
static struct wait polling(uint64_t site, unsigned count, const int *fds)
{
        static struct pollfd polled[8];
        for (unsigned i = 0; i < count; i++)
                polled[i] = (struct pollfd){ .fd = fds[i], .events = POLLIN };
        return (struct wait){ .key = WAIT_KEY(WAIT_POLL, site),
                              .site = site,
                              .cfa = LOOP_CFA,
                              .sleeps = true,
                              .polled = polled,
                              .polled_count = count };
}

static struct slot *poll_at(uint64_t site, unsigned count, const int *fds)
{
        struct wait wait = polling(site, count, fds);
        struct slot *own = loop_enter_slow(&wait);
        loop_leave(own, 1);
        return own;
}

static struct slot *make_poll_loop(unsigned count, const int *fds)
{
        cr_assert(zero(ptr, poll_at(SITE, count, fds)));
        cr_assert(zero(ptr, poll_at(SITE, count, fds)));
        struct slot *slot = poll_at(SITE, count, fds);
        cr_assert(not(zero(ptr, slot)), "no loop after three waits");
        return slot;
}

Test(poll, is_a_loop_at_the_third_wait_for_a_listening_socket)
{
        int listener = listening_socket();
        struct slot *slot = make_poll_loop(1, &listener);
        cr_expect(eq(uint, atomic_load(&slot->state), SLOT_LOOP));
        cr_expect(eq(u64, atomic_load(&slot->key), WAIT_KEY(WAIT_POLL, SITE)));
        cr_expect(eq(u64, atomic_load(&slot->site), SITE));
        cr_expect(eq(u64, loop_totals().loops, 1));
        cr_expect(eq(uint, starts, 1));
        cr_expect(eq(ptr, poll_at(SITE, 1, &listener), slot));
}

Test(poll, is_a_loop_at_the_third_wait_for_two_sockets)
{
        int fds[2];
        two_sockets(fds);
        make_poll_loop(2, fds);
}

Test(poll, is_no_loop_with_one_socket_or_none)
{
        int fds[2], pipes[2], many[3];
        two_sockets(fds);
        cr_assert(zero(int, pipe(pipes)));
        memcpy(many, (int[]){ pipes[0], fds[0], pipes[1] }, sizeof many);
        for (int i = 0; i < 50; i++) {
                cr_expect(zero(ptr, poll_at(SITE, 3, many)), "curl, apt-get");
                cr_expect(zero(ptr, poll_at(OTHER_SITE, 2, pipes)), "make, bash");
        }
        cr_expect(eq(uint, slots_used(), 0));
        cr_expect(eq(uint, starts, 0));
}

Test(poll, is_no_loop_at_two_sites)
{
        int listener = listening_socket();
        for (uint64_t i = 0; i < 50; i++)
                cr_expect(zero(ptr, poll_at(SITE + 16 * i, 1, &listener)));
        cr_expect(eq(uint, slots_used(), 0));
}

Test(poll, is_no_loop_when_nothing_is_waited_for_twice)
{
        for (int i = 0; i < 20; i++) {
                int listener = listening_socket();
                cr_expect(zero(ptr, poll_at(SITE, 1, &listener)));
        }
        cr_expect(eq(uint, slots_used(), 0));
}

Test(poll, is_looked_at_again_at_the_sixth_and_the_twelfth_wait)
{
        int fds[2], pipes[2];
        two_sockets(fds);
        cr_assert(zero(int, pipe(pipes)));
        int alone[] = { pipes[0] }, with[] = { pipes[0], fds[0], fds[1] };
        for (int wait = 1; wait <= 3; wait++)
                cr_expect(zero(ptr, poll_at(SITE, 1, alone)));
        for (int wait = 4; wait <= 5; wait++)
                cr_expect(zero(ptr, poll_at(SITE, 3, with)), "not asked at wait %d", wait);
        cr_expect(not(zero(ptr, poll_at(SITE, 3, with))));
}

Test(poll, is_a_loop_even_where_its_callbacks_poll_elsewhere)
{
        /* A server whose database client polls for its answer in each turn: just what is to be found. */
        int fds[2], other[2];
        two_sockets(fds);
        two_sockets(other);
        struct slot *slot = NULL;
        for (int i = 0; i < 6 && slot == NULL; i++) {
                slot = poll_at(SITE, 2, fds);
                cr_expect(zero(ptr, poll_at(OTHER_SITE, 1, other)));
        }
        cr_expect(not(zero(ptr, slot)), "never found");
}

Test(poll, ignores_negative_descriptors)
{
        int listener = listening_socket();
        int fds[] = { -1, -7, listener };
        struct slot *slot = make_poll_loop(3, fds);
        cr_expect(eq(uint, atomic_load(&slot->own_set_count), 1));
        cr_expect(eq(int, slot->own_set[0], listener));
}

Test(poll, goes_on_while_its_set_changes_by_and_by)
{
        int a[2], b[2];
        two_sockets(a);
        two_sockets(b);
        struct slot *slot = make_poll_loop(2, a);
        int mixed[] = { b[0], a[1] };
        cr_expect(eq(ptr, poll_at(SITE, 2, mixed), slot));
        cr_expect(eq(ptr, poll_at(SITE, 2, b), slot), "shares b[0] with the last");
        cr_expect(zero(ptr, poll_at(SITE, 2, a)), "nothing in common with the last");
        cr_expect(zero(ptr, poll_at(OTHER_SITE, 2, b)), "another call site is nested");
        cr_expect(eq(ptr, poll_at(SITE, 2, b), slot), "a nested wait changes nothing");
}

Test(poll, finds_a_shared_descriptor_behind_many_others)
{
        int fds[2];
        two_sockets(fds);
        struct slot *slot = make_poll_loop(2, fds);
        struct pollfd polled[LIMIT_OWN_SCAN + 1];
        for (int i = 0; i < LIMIT_OWN_SCAN + 1; i++)
                polled[i] = (struct pollfd){ .fd = 5000 + i };
        struct wait wait = polling(SITE, 2, fds);
        wait.polled = polled;
        wait.polled_count = LIMIT_OWN_SCAN + 1;
        polled[LIMIT_OWN_SCAN].fd = fds[0];
        cr_expect(zero(ptr, loop_enter_slow(&wait)), "the search is bounded");
        polled[LIMIT_OWN_SCAN - 1].fd = fds[0];
        cr_expect(eq(ptr, loop_enter_slow(&wait), slot));
        cr_expect(eq(uint, atomic_load(&slot->own_set_count), LIMIT_OWN_SET));
        loop_leave(slot, 0);
}

Test(poll, counts_its_re_entrant_waits_as_yields)
{
        int fds[2];
        two_sockets(fds);
        struct slot *slot = make_poll_loop(2, fds);
        struct wait wait = polling(SITE, 2, fds);
        wait.sleeps = false;
        wait.cfa = DEEPER;
        cr_expect(zero(ptr, loop_enter_slow(&wait)));
        cr_expect(eq(uint, atomic_load(&slot->yields), 1));
}

Test(poll, is_a_loop_by_select_as_well)
{
        int fds[2];
        two_sockets(fds);
        fd_set reading, writing;
        FD_ZERO(&reading);
        FD_ZERO(&writing);
        FD_SET(fds[0], &reading);
        FD_SET(fds[1], &writing);
        struct wait wait = { .key = WAIT_KEY(WAIT_SELECT, SITE),
                             .site = SITE,
                             .cfa = LOOP_CFA,
                             .sleeps = true,
                             .selected = { &reading, &writing },
                             .selected_count = 1 + (fds[0] > fds[1] ? fds[0] : fds[1]) };
        cr_expect(zero(ptr, loop_enter_slow(&wait)));
        cr_expect(zero(ptr, loop_enter_slow(&wait)));
        struct slot *slot = loop_enter_slow(&wait);
        cr_assert(not(zero(ptr, slot)));
        loop_leave(slot, 1);
        char label[32];
        loop_label(slot, label, sizeof label);
        cr_expect_str_eq(label, "select");
        cr_expect(eq(uint, atomic_load(&slot->own_set_count), 2));
        wait.selected_count = fds[0] < fds[1] ? fds[0] : fds[1]; /* neither is in the set any more */
        cr_expect(zero(ptr, loop_enter_slow(&wait)));
}

Test(poll, bears_empty_and_senseless_sets)
{
        fd_set set;
        memset(&set, 0xff, sizeof set);
        struct wait waits[] = {
                { .key = WAIT_KEY(WAIT_POLL, SITE), .site = SITE, .sleeps = true },
                { .key = WAIT_KEY(WAIT_POLL, SITE), .site = SITE, .sleeps = true, .polled_count = 5 },
                { .key = WAIT_KEY(WAIT_SELECT, SITE), .site = SITE, .sleeps = true, .selected_count = -1,
                  .selected = { &set } },
                { .key = WAIT_KEY(WAIT_SELECT, SITE), .site = SITE, .sleeps = true, .selected_count = 5 },
                { .key = WAIT_KEY(WAIT_SELECT, SITE), .site = SITE, .sleeps = true, .selected_count = INT32_MAX,
                  .selected = { &set, &set } },
        };
        for (int i = 0; i < 60; i++)
                loop_leave(loop_enter_slow(&waits[i % 5]), 0);
        for (int i = 0; i < 60; i++)
                loop_leave(loop_enter_slow(&waits[i / 12]), 0);
}

Test(poll, is_found_after_a_single_wait_on_an_epoll_instance)
{
        int listener = listening_socket();
        wait_on(5);
        struct slot *slot = NULL;
        for (int i = 0; i < 5 && slot == NULL; i++)
                slot = poll_at(SITE, 1, &listener);
        cr_assert(not(zero(ptr, slot)), "never found");
        cr_expect(eq(uint, atomic_load(&slot->state), SLOT_LOOP));
        cr_expect(eq(u64, loop_totals().candidates_dropped, 1));
}

Test(poll, is_found_after_the_own_instance_was_closed)
{
        int listener = listening_socket();
        make_loop(5);
        loop_note_close(5, 5);
        struct slot *slot = NULL;
        for (int i = 0; i < 5 && slot == NULL; i++)
                slot = poll_at(SITE, 1, &listener);
        cr_assert(not(zero(ptr, slot)), "never found");
        cr_expect(eq(u64, atomic_load(&slot->key), WAIT_KEY(WAIT_POLL, SITE)));
}

/* ---- serial servers ---- */

Test(poll, is_a_serial_server_with_listening_sockets_only)
{
        int fds[] = { listening_socket(), listening_socket() };
        struct slot *slot = make_poll_loop(2, fds);
        struct slot_ended ended;
        cr_expect(atomic_load(&slot->serial));
        make_last(slot, 300 * MS);
        poll_at(SITE, 2, fds);
        cr_assert(loop_take_ended(slot, &ended));
        cr_expect(ended.serial);
}

Test(poll, is_no_serial_server_once_it_has_clients)
{
        int pair[2];
        two_sockets(pair);
        int fds[] = { listening_socket(), pair[0] };
        struct slot *slot = make_poll_loop(1, fds);
        struct slot_ended ended;
        cr_expect(atomic_load(&slot->serial));
        poll_at(SITE, 2, fds);
        make_last(slot, 300 * MS);
        poll_at(SITE, 2, fds);
        cr_assert(loop_take_ended(slot, &ended));
        cr_expect(not(ended.serial));
        cr_expect(not(atomic_load(&slot->serial)));
}

Test(poll, is_no_serial_server_where_all_loops_are_wanted, .init = NULL)
{
        loop_setup(&calls, THRESHOLD_NS, true);
        int listener = listening_socket();
        cr_expect(not(atomic_load(&make_poll_loop(1, &listener)->serial)));
}

/* ---- loop libraries ---- */

Test(poll, is_a_candidate_at_once_in_a_loop_library)
{
        int pipes[2];
        cr_assert(zero(int, pipe(pipes)));
        uint64_t site = listed_library_address("libev.so.4");
        struct slot *slot = poll_at(site, 1, pipes);
        cr_assert(not(zero(ptr, slot)));
        cr_expect(eq(uint, atomic_load(&slot->state), SLOT_CANDIDATE));
        cr_expect(slot->listed);
        cr_expect(eq(ptr, poll_at(site, 1, pipes), slot));
        cr_expect(eq(uint, atomic_load(&slot->state), SLOT_LOOP));
        cr_expect(eq(u64, loop_totals().loops, 1));
}

Test(poll, is_never_a_serial_server_in_a_loop_library)
{
        int listener = listening_socket();
        uint64_t site = listed_library_address("libevent-2.1.so.7");
        poll_at(site, 1, &listener);
        cr_expect(not(atomic_load(&poll_at(site, 1, &listener)->serial)));
}

Test(poll, waits_for_a_set_in_a_loop_library)
{
        uint64_t site = listed_library_address("libev.so.4");
        cr_expect(zero(ptr, poll_at(site, 0, NULL)), "a bare sleep");
        cr_expect(eq(uint, slots_used(), 0));
}

Test(poll, goes_on_in_a_loop_library_when_there_are_only_timers_to_wait_for)
{
        int pipes[2], others[2];
        cr_assert(zero(int, pipe(pipes)));
        cr_assert(zero(int, pipe(others)));
        uint64_t site = listed_library_address("libev.so.4");
        poll_at(site, 1, pipes);
        struct slot *slot = poll_at(site, 1, pipes);
        cr_expect(eq(ptr, poll_at(site, 0, NULL), slot), "ev_timer only: a stall without end would be seen");
        cr_expect(eq(ptr, poll_at(site, 2, others), slot), "after a reload");
        struct wait nested = polling(site, 2, pipes);
        nested.cfa = DEEPER;
        cr_expect(zero(ptr, loop_enter_slow(&nested)), "another loop of the library, in a callback");
}

Test(poll, of_a_loop_library_follows_a_closed_instance)
{
        int pipes[2];
        cr_assert(zero(int, pipe(pipes)));
        struct slot *slot = make_loop(5);
        loop_note_close(5, 5);
        uint64_t site = listed_library_address("libglib-2.0.so.0");
        cr_expect(eq(ptr, poll_at(site, 1, pipes), slot));
        cr_expect(eq(uint, atomic_load(&slot->state), SLOT_CANDIDATE));
        cr_expect(eq(ptr, poll_at(site, 1, pipes), slot));
        cr_expect(eq(uint, atomic_load(&slot->state), SLOT_LOOP));
}

Test(poll, of_a_loop_library_may_be_a_rival)
{
        int pipes[2];
        cr_assert(zero(int, pipe(pipes)));
        uint64_t site = listed_library_address("libglib-2.0.so.0");
        struct slot *slot = wait_on(5);
        cr_expect(zero(ptr, poll_at(site, 1, pipes)));
        cr_expect(eq(ptr, poll_at(site, 1, pipes), slot));
        cr_expect(eq(u64, atomic_load(&slot->key), WAIT_KEY(WAIT_POLL, site)));
        cr_expect(slot->listed);
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
        cr_expect(eq(uint, starts, 3), "a fork in a callback: at its next wait, nested or not");
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

Test(poll, leaves_errno_alone)
{
        int pipes[2];
        cr_assert(zero(int, pipe(pipes)));
        errno = EXDEV;
        for (int i = 0; i < 12; i++)
                poll_at(SITE, 2, pipes); /* ENOTSOCK within */
        cr_expect(eq(int, errno, EXDEV));
        int fds[] = { listening_socket(), 7777 }; /* EBADF within */
        errno = EXDEV;
        for (int i = 0; i < 12; i++) {
                struct slot *slot = poll_at(SITE, 2, fds);
                if (slot != NULL)
                        make_last(slot, 300 * MS);
        }
        cr_expect(eq(int, errno, EXDEV));
        cr_expect(eq(u64, loop_totals().loops, 1));
}

/* ---- threads ---- */

static pthread_barrier_t meeting;

static void *loop_on(void *fd)
{
        struct slot *slot = make_loop((int)(intptr_t)fd);
        pthread_barrier_wait(&meeting); /* all wait */
        pthread_barrier_wait(&meeting); /* the test has looked */
        return slot;
}

Test(threads, that_wait_on_one_instance_are_an_executor)
{
        pthread_t threads[3];
        pthread_barrier_init(&meeting, NULL, 4);
        static const int fds[] = { 5, 5, 6 };
        for (int i = 0; i < 3; i++)
                pthread_create(&threads[i], NULL, loop_on, (void *)(intptr_t)fds[i]);
        pthread_barrier_wait(&meeting);
        cr_assert(eq(uint, slots_used(), 3));
        for (uint32_t i = 0; i < 3; i++) {
                bool shared = atomic_load(&slot_at(i)->key) == WAIT_KEY(WAIT_EPOLL, 5);
                cr_expect(eq(int, atomic_load(&slot_at(i)->executor), shared));
        }
        loop_note_close(5, 5);
        for (uint32_t i = 0; i < 3; i++)
                cr_expect(ne(u64, atomic_load(&slot_at(i)->key), WAIT_KEY(WAIT_EPOLL, 5)), "closed for both");
        pthread_barrier_wait(&meeting);
        for (int i = 0; i < 3; i++)
                pthread_join(threads[i], NULL);
}

static void *wait_once(void *unused)
{
        return wait_on(5);
}

Test(threads, that_are_gone_make_no_executor)
{
        pthread_t thread;
        void *theirs;
        pthread_create(&thread, NULL, wait_once, NULL);
        pthread_join(thread, &theirs);
        cr_expect(eq(uint, atomic_load(&((struct slot *)theirs)->state), SLOT_RELEASED));
        struct slot *mine = wait_on(5);
        cr_expect(not(atomic_load(&mine->executor)));
}

Test(threads, that_have_only_waited_once_make_one)
{
        pthread_t thread;
        pthread_barrier_init(&meeting, NULL, 2);
        pthread_create(&thread, NULL, loop_on, (void *)5);
        pthread_barrier_wait(&meeting);
        struct slot *mine = wait_on(5);
        cr_expect(atomic_load(&mine->executor));
        cr_expect(atomic_load(&slot_at(0)->executor));
        pthread_barrier_wait(&meeting);
        pthread_join(thread, NULL);
}

Test(threads, release_their_slot_when_they_end)
{
        pthread_t thread;
        void *slot;
        pthread_barrier_init(&meeting, NULL, 1);
        pthread_create(&thread, NULL, loop_on, (void *)5);
        pthread_join(thread, &slot);
        cr_expect(eq(uint, atomic_load(&((struct slot *)slot)->state), SLOT_RELEASED));
}

static pthread_key_t late_key;

static void wait_late(void *unused)
{
        make_loop(8);
}

static void *end_late(void *unused)
{
        struct slot *slot = make_loop(5);
        pthread_key_create(&late_key, wait_late); /* younger than ours: runs after it */
        pthread_setspecific(late_key, slot);
        return slot;
}

Test(threads, may_wait_in_a_destructor_and_release_that_slot_too)
{
        pthread_t thread;
        pthread_create(&thread, NULL, end_late, NULL);
        pthread_join(thread, NULL);
        cr_assert(eq(uint, slots_used(), 2));
        cr_expect(eq(uint, atomic_load(&slot_at(0)->state), SLOT_RELEASED));
        cr_expect(eq(uint, atomic_load(&slot_at(1)->state), SLOT_RELEASED));
}

#define ROUNDS 20000

static void *run_loop(void *fd)
{
        struct slot *slot = make_loop((int)(intptr_t)fd);
        for (int i = 0; i < ROUNDS; i++) {
                if (i % 100 == 0)
                        make_last(slot, 200 * MS);
                wait_on((int)(intptr_t)fd);
        }
        pthread_barrier_wait(&meeting);
        pthread_barrier_wait(&meeting);
        return NULL;
}

Test(threads, and_the_watchdog_never_see_half_an_iteration)
{
        pthread_t threads[2];
        uint64_t taken = 0, last_ns[2] = { 0 };
        struct slot_ended ended;
        pthread_barrier_init(&meeting, NULL, 3);
        for (int i = 0; i < 2; i++)
                pthread_create(&threads[i], NULL, run_loop, (void *)(intptr_t)(5 + i));
        bool whole = true;
        while (slots_used() < 2)
                sched_yield();
        for (int quiet = 0; quiet < 2000; quiet++) {
                for (uint32_t i = 0; i < 2; i++) {
                        while (loop_take_ended(slot_at(i), &ended)) {
                                uint64_t length_ns = ended.end_ns - ended.begin_ns;
                                whole &= length_ns >= 200 * MS && length_ns < 3600 * 1000 * MS;
                                whole &= ended.end_ns >= last_ns[i];
                                last_ns[i] = ended.end_ns;
                                taken++;
                                quiet = 0;
                        }
                }
                sched_yield();
        }
        pthread_barrier_wait(&meeting);
        for (uint32_t i = 0; i < 2; i++)
                while (loop_take_ended(slot_at(i), &ended))
                        taken++;
        cr_expect(whole);
        uint64_t lost = atomic_load(&slot_at(0)->ring_lost) + atomic_load(&slot_at(1)->ring_lost);
        cr_expect(eq(u64, taken + lost, 2 * ROUNDS / 100));
        for (uint32_t i = 0; i < 2; i++)
                cr_expect(eq(u64, iterations(slot_at(i)), ROUNDS + 1));
        pthread_barrier_wait(&meeting);
        for (int i = 0; i < 2; i++)
                pthread_join(threads[i], NULL);
}

/* ---- fork ---- */

Test(loop, is_unknown_in_a_child)
{
        int listener = listening_socket();
        struct slot *slot = make_loop(5);
        poll_at(SITE, 1, &listener);
        pid_t child = fork();
        if (child == 0) {
                loop_after_fork();
                int wrong = loop_slot_here != NULL || slots_used() != 0 || loop_totals().loops != 0 ||
                            atomic_load(&loop_attention) != LOOP_STOPPED;
                starts = 0;
                wrong |= wait_on(5) != slot_at(0) || starts != 1 || atomic_load(&slot_at(0)->tid) != getpid();
                wrong |= wait_on(5) != slot_at(0) || loop_totals().loops != 1;
                loop_note_close(5, 5);
                wrong |= atomic_load(&slot_at(0)->key) != 0;
                _exit(wrong);
        }
        int status;
        waitpid(child, &status, 0);
        cr_expect(zero(int, status));
        cr_expect(eq(u64, atomic_load(&slot->key), WAIT_KEY(WAIT_EPOLL, 5)), "the parent's is untouched");
}

/* ---- no system call ---- */

/* From here on this process dies of every system call but its end (and, where `clock` says so, clock_gettime). */
static void forbid_system_calls(bool clock)
{
        struct sock_filter filter[] = {
                BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
                BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_exit_group, 2, 0),
                BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, clock ? SYS_clock_gettime : SYS_exit_group, 1, 0),
                BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
                BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        };
        struct sock_fprog program = { .len = sizeof filter / sizeof *filter, .filter = filter };
        if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
                _exit(77);
}

static int in_a_child_without_system_calls(void (*work)(void), bool clock)
{
        pid_t child = fork();
        if (child == 0) {
                forbid_system_calls(clock);
                work();
                raw_syscall_sigsafe(SYS_exit_group, 0, 0, 0, 0, 0, 0);
        }
        int status;
        waitpid(child, &status, 0);
        return status;
}

static void ask_for_pid(void)
{
        raw_syscall_sigsafe(SYS_getpid, 0, 0, 0, 0, 0, 0);
}

static void read_clock(void)
{
        clock_monotonic_ns();
}

/* Some clock sources (those of a few virtual machines) can't be read without the kernel: nothing that we could help. */
static bool clock_needs_the_kernel(void)
{
        return in_a_child_without_system_calls(read_clock, false) != 0;
}

static void wait_a_thousand_times(void)
{
        struct wait wait = on_epoll(5);
        for (int i = 0; i < 1000; i++) {
                struct slot *own = loop_enter(&wait);
                if (own == NULL)
                        __builtin_trap();
                wait.sleeps = i & 1;
                loop_leave(own, i % 3);
        }
}

static void wait_in_other_ways(void)
{
        struct wait nested = on_epoll(6), within = on_epoll(5);
        within.sleeps = false;
        within.cfa = DEEPER;
        struct pollfd polled[2] = { { .fd = 0 }, { .fd = 1 } };
        struct wait polls = { .key = WAIT_KEY(WAIT_POLL, SITE), .polled = polled, .polled_count = 2, .sleeps = true };
        for (int i = 0; i < 1000; i++) {
                loop_leave(loop_enter(&nested), 0);
                loop_leave(loop_enter(&within), 0);
                loop_leave(loop_enter_slow(&polls), 0);
        }
        for (int i = 0; i < LIMIT_RING * 2; i++) {
                make_last(loop_slot_here, 300 * MS);
                wait_on(5);
        }
}

Test(system_calls, are_noticed_here)
{
        int status = in_a_child_without_system_calls(ask_for_pid, false);
        if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
                cr_skip_test("no seccomp filters here");
        cr_expect(eq(int, status & 0x7f, SIGSYS), "the filter lets system calls through");
}

Test(system_calls, are_none_in_own_waits)
{
        make_loop(5);
        int status = in_a_child_without_system_calls(wait_a_thousand_times, clock_needs_the_kernel());
        if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
                cr_skip_test("no seccomp filters here");
        cr_expect(zero(int, status));
}

Test(system_calls, are_none_in_nested_waits_and_long_iterations)
{
        make_loop(5);
        int status = in_a_child_without_system_calls(wait_in_other_ways, clock_needs_the_kernel());
        if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
                cr_skip_test("no seccomp filters here");
        cr_expect(zero(int, status));
}
