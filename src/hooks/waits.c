/* SPDX-License-Identifier: Apache-2.0
 *
 * waits.c - the hooks of the waiting functions
 *
 * Each tells the loop stage that it begins and ends and does nothing else: return value, errno and cancellation are
 * those of the function behind it. A thread cancelled or thrown out of its wait leaves its slot idle, which is
 * what it is until it waits again or ends.
 *
 * Context: app thread
 */
#include <errno.h>
#include <stdint.h>

#include "hooks/hooks.h"
#include "loop/loop.h"

/* These are macros because they must be evaluated in the frame of the hook itself. */
#define CALL_SITE ((uint64_t)(uintptr_t)__builtin_return_address(0))
#define CALLER_CFA ((uint64_t)(uintptr_t)__builtin_dwarf_cfa())

/* What poll() and ppoll() become under _FORTIFY_SOURCE; libc declares them only there. */
int __poll_chk(struct pollfd *fds, nfds_t count, int timeout, size_t bytes);
int __ppoll_chk(struct pollfd *fds, nfds_t count, const struct timespec *timeout, const sigset_t *mask, size_t bytes);

/* This libc lacks the function; a program that calls it all the same expects the kernel's word for that. */
static int missing(void)
{
        errno = ENOSYS;
        return -1;
}

static bool timespec_sleeps(const struct timespec *timeout)
{
        if (timeout != NULL && !hooks_is_plausible(timeout))
                return false;
        return timeout == NULL || timeout->tv_sec != 0 || timeout->tv_nsec != 0;
}

static bool timeval_sleeps(const struct timeval *timeout)
{
        if (timeout != NULL && !hooks_is_plausible(timeout))
                return false;
        return timeout == NULL || timeout->tv_sec != 0 || timeout->tv_usec != 0;
}

/* Out of line, so that the hot path of epoll keeps its registers. */
static __attribute__((noinline)) struct slot *enter_slowly(uint64_t key, uint64_t site, uint64_t cfa, bool sleeps)
{
        struct wait wait = { .key = key, .site = site, .cfa = cfa, .sleeps = sleeps };
        return loop_enter_slow(&wait);
}

__attribute__((always_inline)) static inline struct slot *enter_epoll(int epfd, uint64_t site, uint64_t cfa,
                                                                      bool sleeps)
{
        uint64_t key = WAIT_KEY(WAIT_EPOLL, (uint32_t)epfd);
        struct slot *own = loop_enter_epoll(key, cfa, sleeps);
        return __builtin_expect(own != NULL, 1) ? own : enter_slowly(key, site, cfa, sleeps);
}

static __attribute__((noinline)) struct slot *enter_poll_slowly(uint64_t site, uint64_t cfa, bool sleeps,
                                                                const struct pollfd *fds, nfds_t count)
{
        struct wait wait = { .key = WAIT_KEY(WAIT_POLL, site),
                             .site = site,
                             .cfa = cfa,
                             .sleeps = sleeps,
                             .polled = fds,
                             .polled_count = count };
        return loop_enter_slow(&wait);
}

__attribute__((always_inline)) static inline struct slot *enter_poll(uint64_t site, uint64_t cfa, bool sleeps,
                                                                     const struct pollfd *fds, nfds_t count)
{
        const struct pollfd *set = hooks_is_plausible(fds) ? fds : NULL;
        struct slot *own = set != NULL ? loop_enter_poll(WAIT_KEY(WAIT_POLL, site), cfa, sleeps, set, count) : NULL;
        return __builtin_expect(own != NULL, 1) ? own : enter_poll_slowly(site, cfa, sleeps, set, count);
}

static __attribute__((noinline)) struct slot *enter_select_slowly(uint64_t site, uint64_t cfa, bool sleeps,
                                                                  const fd_set *read, const fd_set *write, int count)
{
        struct wait wait = { .key = WAIT_KEY(WAIT_SELECT, site),
                             .site = site,
                             .cfa = cfa,
                             .sleeps = sleeps,
                             .selected = { read, write },
                             .selected_count = count };
        return loop_enter_slow(&wait);
}

__attribute__((always_inline)) static inline struct slot *
enter_select(uint64_t site, uint64_t cfa, bool sleeps, const fd_set *read, const fd_set *write, int count)
{
        read = hooks_is_plausible(read) ? read : NULL;
        write = hooks_is_plausible(write) ? write : NULL;
        struct slot *own = loop_enter_select(WAIT_KEY(WAIT_SELECT, site), cfa, sleeps, read, write, count);
        return __builtin_expect(own != NULL, 1) ? own : enter_select_slowly(site, cfa, sleeps, read, write, count);
}

static inline void note_sets(struct slot *own, int result, int count, const fd_set *read, const fd_set *write,
                             const fd_set *except)
{
        if (own == NULL)
                return;
        loop_note_set(own, result, read, (uint64_t)count);
        own->returned_more[0] = write;
        own->returned_more[1] = except;
}

EXPORTED int epoll_wait(int epfd, struct epoll_event *events, int count, int timeout)
{
        struct slot *own = enter_epoll(epfd, CALL_SITE, CALLER_CFA, timeout != 0);
        int result = REAL(epoll_wait)(epfd, events, count, timeout);
        loop_note_events(own, result, events);
        loop_leave(own, result);
        return result;
}

EXPORTED int epoll_pwait(int epfd, struct epoll_event *events, int count, int timeout, const sigset_t *mask)
{
        struct slot *own = enter_epoll(epfd, CALL_SITE, CALLER_CFA, timeout != 0);
        int result = REAL(epoll_pwait)(epfd, events, count, timeout, mask);
        loop_note_events(own, result, events);
        loop_leave(own, result);
        return result;
}

EXPORTED int epoll_pwait2(int epfd, struct epoll_event *events, int count, const struct timespec *timeout,
                          const sigset_t *mask)
{
        if (REAL(epoll_pwait2) == NULL)
                return missing();
        struct slot *own = enter_epoll(epfd, CALL_SITE, CALLER_CFA, timespec_sleeps(timeout));
        int result = REAL(epoll_pwait2)(epfd, events, count, timeout, mask);
        loop_note_events(own, result, events);
        loop_leave(own, result);
        return result;
}

EXPORTED int poll(struct pollfd *fds, nfds_t count, int timeout)
{
        struct slot *own = enter_poll(CALL_SITE, CALLER_CFA, timeout != 0, fds, count);
        int result = REAL(poll)(fds, count, timeout);
        loop_note_set(own, result, fds, count);
        loop_leave(own, result);
        return result;
}

EXPORTED int ppoll(struct pollfd *fds, nfds_t count, const struct timespec *timeout, const sigset_t *mask)
{
        struct slot *own = enter_poll(CALL_SITE, CALLER_CFA, timespec_sleeps(timeout), fds, count);
        int result = REAL(ppoll)(fds, count, timeout, mask);
        loop_note_set(own, result, fds, count);
        loop_leave(own, result);
        return result;
}

EXPORTED int __poll_chk(struct pollfd *fds, nfds_t count, int timeout, size_t bytes)
{
        /* A set that is larger than its array is for the function behind to abort on. */
        bool fits = bytes / sizeof *fds >= count;
        struct slot *own = fits ? enter_poll(CALL_SITE, CALLER_CFA, timeout != 0, fds, count) : NULL;
        int result = REAL(__poll_chk)(fds, count, timeout, bytes);
        loop_note_set(own, result, fds, count);
        loop_leave(own, result);
        return result;
}

EXPORTED int __ppoll_chk(struct pollfd *fds, nfds_t count, const struct timespec *timeout, const sigset_t *mask,
                         size_t bytes)
{
        bool fits = bytes / sizeof *fds >= count;
        struct slot *own = fits ? enter_poll(CALL_SITE, CALLER_CFA, timespec_sleeps(timeout), fds, count) : NULL;
        int result = REAL(__ppoll_chk)(fds, count, timeout, mask, bytes);
        loop_note_set(own, result, fds, count);
        loop_leave(own, result);
        return result;
}

EXPORTED int select(int count, fd_set *read, fd_set *write, fd_set *except, struct timeval *timeout)
{
        struct slot *own = enter_select(CALL_SITE, CALLER_CFA, timeval_sleeps(timeout), read, write, count);
        int result = REAL(select)(count, read, write, except, timeout);
        note_sets(own, result, count, read, write, except);
        loop_leave(own, result);
        return result;
}

EXPORTED int pselect(int count, fd_set *read, fd_set *write, fd_set *except, const struct timespec *timeout,
                     const sigset_t *mask)
{
        struct slot *own = enter_select(CALL_SITE, CALLER_CFA, timespec_sleeps(timeout), read, write, count);
        int result = REAL(pselect)(count, read, write, except, timeout, mask);
        note_sets(own, result, count, read, write, except);
        loop_leave(own, result);
        return result;
}
