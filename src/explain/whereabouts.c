/* SPDX-License-Identifier: Apache-2.0
 *
 * whereabouts.c - is a thread that has not come back still in its loop?
 *
 * A thread may finish its loop and go on to wait for something else for hours: for a signal, another thread, another
 * loop. None of that is a stall. It is told by the system call the thread sleeps in, which must be one that
 * waits without end, and by the loop frame being gone from its stack. Where the stack does not say, the stall stands.
 *
 * Context: watchdog
 */
#include "explain/whereabouts.h"

#include <linux/futex.h>
#include <sys/syscall.h>

/* A futex wait on the value 2 is a thread queueing for a contended mutex (glibc, Rust): that has an owner, and is a
 * stall. Condition variables, semaphores and parked workers wait on other values or by bit set. */
#define CONTENDED_MUTEX 2

static bool is_futex_wait(const struct sample *sample)
{
        uint64_t operation = sample->arguments[1] & FUTEX_CMD_MASK;
        return sample->syscall == SYS_futex && (operation == FUTEX_WAIT || operation == FUTEX_WAIT_BITSET);
}

static bool waits_for_mutex(const struct sample *sample)
{
        bool plain = (sample->arguments[1] & FUTEX_CMD_MASK) == FUTEX_WAIT;
        return plain && (uint32_t)sample->arguments[2] == CONTENDED_MUTEX;
}

/* A wait without end for something that is no event of a loop. */
static bool waits_for_ever(const struct sample *sample)
{
        switch (sample->syscall) {
        case SYS_futex:
                return is_futex_wait(sample) && sample->arguments[3] == 0 && !waits_for_mutex(sample);
        case SYS_rt_sigtimedwait:
                return sample->arguments[2] == 0;
        case SYS_pause:
        case SYS_rt_sigsuspend:
        case SYS_accept:
        case SYS_accept4:
        case SYS_wait4:
        case SYS_waitid:
                return true;
        default:
                return false;
        }
}

static bool waits_in_epoll(const struct sample *sample)
{
        return sample->syscall == SYS_epoll_wait || sample->syscall == SYS_epoll_pwait ||
               sample->syscall == SYS_epoll_pwait2;
}

/* Only without a time limit: with one it may as well be a synchronous client's in a callback. */
static bool polls_for_ever(const struct sample *sample)
{
        switch (sample->syscall) {
        case SYS_poll:
                return (int32_t)sample->arguments[2] < 0;
        case SYS_ppoll:
                return sample->arguments[2] == 0;
        case SYS_select:
        case SYS_pselect6:
                return sample->arguments[4] == 0;
        default:
                return false;
        }
}

enum whereabouts whereabouts_find(const struct whereabouts_loop *loop, const struct sample *sample,
                                  const struct stack *stack, int *epoll_fd)
{
        unsigned index;
        if (!sample->syscall_known || sample->syscall < 0)
                return WHERE_CALLBACK;
        if (loop->waits_for_owner)
                return WHERE_CALLBACK;
        if (loop->executor && is_futex_wait(sample) && !waits_for_mutex(sample))
                return WHERE_REST;
        bool epoll = waits_in_epoll(sample);
        bool for_ever = waits_for_ever(sample);
        if (!epoll && !for_ever && !(polls_for_ever(sample) && !loop->is_epoll))
                return WHERE_CALLBACK;
        if (stack == NULL || loopframe_find(stack, &loop->wait, &index) != LOOPFRAME_GONE)
                return WHERE_CALLBACK;
        if (!epoll)
                return WHERE_LEFT;
        *epoll_fd = (int)sample->arguments[0];
        return WHERE_ELSEWHERE;
}
