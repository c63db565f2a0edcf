/* SPDX-License-Identifier: Apache-2.0
 *
 * test_whereabouts.c - is a thread that has not come back still in its loop?
 *
 * Context: unit test; Criterion gives each test a process of its own
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <linux/futex.h>
#include <sys/syscall.h>

#include "explain/whereabouts.h"
#include "frames.h"

#define RUN FUNCTION(PROGRAM, 7)
#define MAIN FUNCTION(PROGRAM, 1)
#define CALLBACK FUNCTION(PROGRAM, 9)
#define SLEEP FUNCTION(LIBC, 5)

#define SOME_ADDRESS 0x7fff12345678ull

/* The loop waited two frames below main(). */
static const struct whereabouts_loop loop = {
        .wait = { .site = RUN + 0x80, .cfa = CFA_OF(2) - 0x10 },
        .is_epoll = true,
        .epoll_fd = 5,
};

static struct sample in_call(int number, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e)
{
        return (struct sample){
                .state = 'S', .syscall = number, .syscall_known = true, .arguments = { a, b, c, d, e }
        };
}

static enum whereabouts find(const struct whereabouts_loop *where, struct sample sample, struct stack stack)
{
        int epoll_fd = -1;
        enum whereabouts answer = whereabouts_find(where, &sample, &stack, &epoll_fd);
        cr_expect(eq(int, epoll_fd, answer == WHERE_ELSEWHERE ? (int)sample.arguments[0] : -1));
        return answer;
}

/* The thread sleeps in a callback of the loop, or after it. */
static enum whereabouts in_callback(struct sample sample)
{
        return find(&loop, sample, STACK(SLEEP, CALLBACK, RUN, MAIN));
}

static enum whereabouts after_loop(struct sample sample)
{
        return find(&loop, sample, STACK(SLEEP, CALLBACK, MAIN));
}

static struct sample futex(uint64_t operation, uint64_t value, uint64_t timeout)
{
        return in_call(SYS_futex, SOME_ADDRESS, operation, value, timeout, 0);
}

/* ---- on the CPU ---- */

Test(whereabouts, of_a_running_thread_are_a_callback)
{
        struct sample sample = { .state = 'R', .syscall = -1, .syscall_known = true };
        cr_expect(eq(int, after_loop(sample), WHERE_CALLBACK));
        sample.syscall_known = false;
        sample.syscall = SYS_pause; /* left over */
        cr_expect(eq(int, after_loop(sample), WHERE_CALLBACK));
}

/* ---- waits without end ---- */

Test(whereabouts, are_left_in_a_wait_without_end_after_the_loop)
{
        cr_expect(eq(int, after_loop(futex(FUTEX_WAIT, 0, 0)), WHERE_LEFT));
        cr_expect(eq(int, after_loop(futex(FUTEX_WAIT_PRIVATE, 0, 0)), WHERE_LEFT));
        cr_expect(eq(int, after_loop(futex(FUTEX_WAIT_BITSET_PRIVATE | FUTEX_CLOCK_REALTIME, 0, 0)), WHERE_LEFT));
        cr_expect(eq(int, after_loop(in_call(SYS_rt_sigtimedwait, SOME_ADDRESS, 0, 0, 8, 0)), WHERE_LEFT));
        cr_expect(eq(int, after_loop(in_call(SYS_rt_sigsuspend, SOME_ADDRESS, 8, 0, 0, 0)), WHERE_LEFT));
        cr_expect(eq(int, after_loop(in_call(SYS_pause, 0, 0, 0, 0, 0)), WHERE_LEFT));
        cr_expect(eq(int, after_loop(in_call(SYS_accept, 3, 0, 0, 0, 0)), WHERE_LEFT));
        cr_expect(eq(int, after_loop(in_call(SYS_accept4, 3, 0, 0, 0, 0)), WHERE_LEFT));
        cr_expect(eq(int, after_loop(in_call(SYS_wait4, -1ull, 0, 0, 0, 0)), WHERE_LEFT));
}

Test(whereabouts, are_a_callback_in_the_same_waits_within_the_loop)
{
        cr_expect(eq(int, in_callback(futex(FUTEX_WAIT_PRIVATE, 0, 0)), WHERE_CALLBACK));
        cr_expect(eq(int, in_callback(futex(FUTEX_WAIT_BITSET_PRIVATE, 0, 0)), WHERE_CALLBACK));
        cr_expect(eq(int, in_callback(in_call(SYS_rt_sigtimedwait, SOME_ADDRESS, 0, 0, 8, 0)), WHERE_CALLBACK));
        cr_expect(eq(int, in_callback(in_call(SYS_pause, 0, 0, 0, 0, 0)), WHERE_CALLBACK));
        cr_expect(eq(int, in_callback(in_call(SYS_accept, 3, 0, 0, 0, 0)), WHERE_CALLBACK));
        cr_expect(eq(int, in_callback(in_call(SYS_wait4, 77, 0, 0, 0, 0)), WHERE_CALLBACK));
}

Test(whereabouts, are_a_callback_in_waits_that_end)
{
        cr_expect(eq(int, after_loop(futex(FUTEX_WAIT_PRIVATE, 0, SOME_ADDRESS)), WHERE_CALLBACK));
        cr_expect(eq(int, after_loop(in_call(SYS_rt_sigtimedwait, 1, 0, SOME_ADDRESS, 8, 0)), WHERE_CALLBACK));
        cr_expect(eq(int, after_loop(in_call(SYS_clock_nanosleep, 0, 0, 1, 0, 0)), WHERE_CALLBACK));
        cr_expect(eq(int, after_loop(in_call(SYS_read, 3, SOME_ADDRESS, 100, 0, 0)), WHERE_CALLBACK));
        cr_expect(eq(int, after_loop(in_call(SYS_connect, 3, SOME_ADDRESS, 16, 0, 0)), WHERE_CALLBACK));
}

Test(whereabouts, are_a_callback_in_the_queue_for_a_mutex_even_after_the_loop)
{
        cr_expect(eq(int, after_loop(futex(FUTEX_WAIT_PRIVATE, 2, 0)), WHERE_CALLBACK));
        cr_expect(eq(int, after_loop(futex(FUTEX_WAIT, 2, 0)), WHERE_CALLBACK));
        cr_expect(eq(int, after_loop(futex(FUTEX_WAIT_PRIVATE, 0xffffffff00000002ull, 0)), WHERE_CALLBACK),
                  "the value has 32 bits");
        cr_expect(eq(int, after_loop(futex(FUTEX_LOCK_PI_PRIVATE, 0, 0)), WHERE_CALLBACK));
        cr_expect(eq(int, after_loop(futex(FUTEX_WAIT_BITSET_PRIVATE, 2, 0)), WHERE_LEFT), "a condition variable's");
}

Test(whereabouts, are_a_callback_where_the_stack_does_not_say)
{
        struct sample sample = futex(FUTEX_WAIT_PRIVATE, 0, 0);
        int epoll_fd = -1;
        cr_expect(eq(int, whereabouts_find(&loop, &sample, NULL, &epoll_fd), WHERE_CALLBACK));
        struct stack stack = STACK(SLEEP, CALLBACK, MAIN);
        stack.complete = false;
        cr_expect(eq(int, find(&loop, sample, stack), WHERE_CALLBACK));
}

/* ---- another loop ---- */

Test(whereabouts, are_elsewhere_in_another_instance_after_the_loop)
{
        cr_expect(eq(int, after_loop(in_call(SYS_epoll_wait, 9, SOME_ADDRESS, 10, -1ull, 0)), WHERE_ELSEWHERE));
        cr_expect(eq(int, after_loop(in_call(SYS_epoll_pwait, 9, SOME_ADDRESS, 10, 1000, 0)), WHERE_ELSEWHERE));
        cr_expect(eq(int, after_loop(in_call(SYS_epoll_pwait2, 9, SOME_ADDRESS, 10, 0, 0)), WHERE_ELSEWHERE));
        cr_expect(eq(int, after_loop(in_call(SYS_epoll_wait, 0, SOME_ADDRESS, 10, -1ull, 0)), WHERE_ELSEWHERE));
}

Test(whereabouts, are_a_callback_in_another_instance_within_the_loop)
{
        cr_expect(eq(int, in_callback(in_call(SYS_epoll_wait, 9, SOME_ADDRESS, 10, -1ull, 0)), WHERE_CALLBACK));
        struct sample sample = in_call(SYS_epoll_wait, 9, SOME_ADDRESS, 10, -1ull, 0);
        int epoll_fd = -1;
        cr_expect(eq(int, whereabouts_find(&loop, &sample, NULL, &epoll_fd), WHERE_CALLBACK));
        cr_expect(eq(int, epoll_fd, -1));
}

/* ---- poll and select ---- */

Test(whereabouts, of_an_epoll_loop_are_a_callback_in_poll)
{
        cr_expect(eq(int, after_loop(in_call(SYS_poll, SOME_ADDRESS, 1, -1ull, 0, 0)), WHERE_CALLBACK));
        cr_expect(eq(int, after_loop(in_call(SYS_select, 5, SOME_ADDRESS, 0, 0, 0)), WHERE_CALLBACK));
}

Test(whereabouts, of_a_poll_loop_are_left_in_a_poll_without_end_elsewhere)
{
        struct whereabouts_loop polls = loop;
        polls.is_epoll = false;
        struct stack stack = STACK(SLEEP, CALLBACK, MAIN);
        struct {
                struct sample sample;
                enum whereabouts answer;
        } cases[] = {
                { in_call(SYS_poll, SOME_ADDRESS, 1, -1ull, 0, 0), WHERE_LEFT },
                { in_call(SYS_poll, SOME_ADDRESS, 1, 0xffffffff, 0, 0), WHERE_LEFT }, /* -1 in 32 bits */
                { in_call(SYS_poll, SOME_ADDRESS, 1, 1000, 0, 0), WHERE_CALLBACK },
                { in_call(SYS_poll, SOME_ADDRESS, 1, 0, 0, 0), WHERE_CALLBACK },
                { in_call(SYS_clock_nanosleep, 0, 0, 1, 0, 0), WHERE_CALLBACK },
                { in_call(SYS_ppoll, SOME_ADDRESS, 1, 0, 0, 8), WHERE_LEFT },
                { in_call(SYS_ppoll, SOME_ADDRESS, 1, SOME_ADDRESS, 0, 8), WHERE_CALLBACK },
                { in_call(SYS_select, 5, SOME_ADDRESS, 0, 0, 0), WHERE_LEFT },
                { in_call(SYS_select, 5, SOME_ADDRESS, 0, 0, SOME_ADDRESS), WHERE_CALLBACK },
                { in_call(SYS_pselect6, 5, SOME_ADDRESS, 0, 0, 0), WHERE_LEFT },
                { in_call(SYS_pselect6, 5, SOME_ADDRESS, 0, 0, SOME_ADDRESS), WHERE_CALLBACK },
        };
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
                cr_expect(eq(int, find(&polls, cases[i].sample, stack), cases[i].answer), "case %zu", i);
                cr_expect(eq(int, find(&polls, cases[i].sample, STACK(SLEEP, CALLBACK, RUN, MAIN)), WHERE_CALLBACK));
        }
}

/* ---- executors ---- */

static struct whereabouts_loop an_executor(void)
{
        struct whereabouts_loop executor = loop;
        executor.executor = true;
        return executor;
}

Test(whereabouts, of_an_executors_thread_are_no_rest_where_the_owner_of_a_lock_is_known)
{
        struct whereabouts_loop executor = an_executor();
        struct stack within = STACK(SLEEP, CALLBACK, RUN, MAIN);
        executor.waits_for_owner = true; /* an rwlock, say, which by its word looks like any other futex */
        cr_expect(eq(int, find(&executor, futex(FUTEX_WAIT_BITSET_PRIVATE, 3, 0), within), WHERE_CALLBACK));
}

Test(whereabouts, of_an_executors_thread_are_rest_in_any_futex_wait_without_an_owner)
{
        struct whereabouts_loop executor = an_executor();
        struct stack within = STACK(SLEEP, CALLBACK, RUN, MAIN);
        int epoll_fd = -1;
        cr_expect(eq(int, find(&executor, futex(FUTEX_WAIT_PRIVATE, 0, 0), within), WHERE_REST));
        cr_expect(eq(int, find(&executor, futex(FUTEX_WAIT_PRIVATE, 0, SOME_ADDRESS), within), WHERE_REST), "timed");
        cr_expect(eq(int, find(&executor, futex(FUTEX_WAIT_BITSET_PRIVATE, 2, 0), within), WHERE_REST));
        struct sample sample = futex(FUTEX_WAIT_PRIVATE, 0, 0);
        cr_expect(eq(int, whereabouts_find(&executor, &sample, NULL, &epoll_fd), WHERE_REST), "without a stack");
}

Test(whereabouts, of_an_executors_thread_are_a_callback_in_the_queue_for_a_mutex)
{
        struct whereabouts_loop executor = an_executor();
        struct stack within = STACK(SLEEP, CALLBACK, RUN, MAIN);
        cr_expect(eq(int, find(&executor, futex(FUTEX_WAIT_PRIVATE, 2, 0), within), WHERE_CALLBACK));
        cr_expect(eq(int, find(&executor, futex(FUTEX_LOCK_PI_PRIVATE, 0, 0), within), WHERE_CALLBACK));
        cr_expect(eq(int, find(&executor, futex(FUTEX_WAKE_PRIVATE, 1, 0), within), WHERE_CALLBACK));
}

Test(whereabouts, of_an_executors_thread_are_as_any_others_in_other_calls)
{
        struct whereabouts_loop executor = an_executor();
        cr_expect(eq(int,
                     find(&executor, in_call(SYS_clock_nanosleep, 0, 0, 1, 0, 0), STACK(SLEEP, CALLBACK, RUN, MAIN)),
                     WHERE_CALLBACK));
        cr_expect(
                eq(int, find(&executor, in_call(SYS_pause, 0, 0, 0, 0, 0), STACK(SLEEP, CALLBACK, MAIN)), WHERE_LEFT));
}
