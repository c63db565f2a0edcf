/* SPDX-License-Identifier: Apache-2.0
 *
 * polls.c - calls that wait for events of descriptors
 *
 * Context: tests; any thread
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "calls.h"

static void make_epoll(struct scene *scene)
{
        struct epoll_event event = { .events = EPOLLIN, .data.u64 = 4711 };
        scene_pipe(scene);
        scene->id = epoll_create1(EPOLL_CLOEXEC);
        NEED(epoll_ctl(scene->id, EPOLL_CTL_ADD, scene->fds[0], &event) == 0);
}

static void send_byte(struct scene *scene)
{
        scene_try(write(scene->fds[1], "x", 1) == 1);
}

static void make_pair(struct scene *scene)
{
        NEED(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, scene->fds) == 0);
}

/* Not by closing: a child of another row may hold it open. */
static void hang_up(struct scene *scene)
{
        shutdown(scene->fds[1], SHUT_RDWR);
}

/* ---- poll ---- */

static long saw_poll(struct scene *scene, long result, const struct pollfd *poll)
{
        int error = errno;
        scene_saw(scene, "revents %x, events %x", (unsigned)poll->revents, (unsigned)poll->events);
        errno = error;
        return result;
}

/* As poll leaves it alone where it fails: a value that it never stores. */
static struct pollfd entry(const struct scene *scene)
{
        return (struct pollfd){ .fd = scene->fds[0], .events = POLLIN, .revents = 0x4000 };
}

static long do_poll(struct scene *scene)
{
        struct pollfd fd = entry(scene);
        return saw_poll(scene, poll(&fd, 1, (int)calls_ms()), &fd);
}

static long do_poll_without_limit(struct scene *scene)
{
        struct pollfd fd = entry(scene);
        return saw_poll(scene, poll(&fd, 1, -1), &fd);
}

static long do_poll_of_nothing(struct scene *scene)
{
        return poll(NULL, 0, (int)calls_ms());
}

static long do_ppoll(struct scene *scene)
{
        struct pollfd fd = entry(scene);
        return saw_poll(scene, ppoll(&fd, 1, calls_limit(), NULL), &fd);
}

static long do_raw_ppoll(struct scene *scene)
{
        struct pollfd fd = entry(scene);
        struct timespec left = *calls_limit();
        long result = RAW(SYS_ppoll, &fd, 1, &left, 0, 8, 0);
        int error = errno;
        scene_saw_left(scene, "left", left.tv_sec, left.tv_nsec);
        errno = error;
        return saw_poll(scene, result, &fd);
}

static long do_ppoll_with_constant_limit(struct scene *scene)
{
        return RAW(SYS_ppoll, NULL, 0, calls_limit(), 0, 8, 0);
}

/* ---- select ---- */

static long saw_set(struct scene *scene, long result, const fd_set *set)
{
        int error = errno;
        scene_saw(scene, "%s", FD_ISSET(scene->fds[0], set) ? "in the set" : "not in the set");
        errno = error;
        return result;
}

static fd_set set_of(const struct scene *scene)
{
        fd_set set;
        FD_ZERO(&set);
        FD_SET(scene->fds[0], &set);
        return set;
}

static long saw_left(struct scene *scene, long result, const struct timeval *left)
{
        int error = errno;
        scene_saw_left(scene, "left", left->tv_sec, left->tv_usec * 1000);
        errno = error;
        return result;
}

static long do_select(struct scene *scene)
{
        struct timeval left = *calls_limit_val();
        fd_set set = set_of(scene);
        long result = saw_set(scene, select(scene->fds[0] + 1, &set, NULL, NULL, &left), &set);
        return saw_left(scene, result, &left);
}

static long do_select_without_limit(struct scene *scene)
{
        fd_set set = set_of(scene);
        return saw_set(scene, select(scene->fds[0] + 1, &set, NULL, NULL, NULL), &set);
}

static long do_raw_select(struct scene *scene)
{
        struct timeval left = *calls_limit_val();
        return saw_left(scene, RAW(SYS_select, 0, 0, 0, 0, &left, 0), &left);
}

static long do_raw_select_with_constant_limit(struct scene *scene)
{
        return RAW(SYS_select, 0, 0, 0, 0, calls_limit_val(), 0);
}

static long do_pselect(struct scene *scene)
{
        fd_set set = set_of(scene);
        return saw_set(scene, pselect(scene->fds[0] + 1, &set, NULL, NULL, calls_limit(), NULL), &set);
}

static long do_pselect_without_limit(struct scene *scene)
{
        fd_set set = set_of(scene);
        return saw_set(scene, pselect(scene->fds[0] + 1, &set, NULL, NULL, NULL, NULL), &set);
}

/* ---- epoll ---- */

static long saw_event(struct scene *scene, long result, const struct epoll_event *event)
{
        int error = errno;
        scene_saw(scene, "events %x of %llu", event->events, (unsigned long long)event->data.u64);
        errno = error;
        return result;
}

static long do_epoll_wait(struct scene *scene)
{
        struct epoll_event event = { 0 };
        return saw_event(scene, epoll_wait(scene->id, &event, 1, (int)calls_ms()), &event);
}

static long do_epoll_wait_without_limit(struct scene *scene)
{
        struct epoll_event event = { 0 };
        return saw_event(scene, epoll_wait(scene->id, &event, 1, -1), &event);
}

static long do_epoll_pwait(struct scene *scene)
{
        struct epoll_event event = { 0 };
        sigset_t set;
        sigemptyset(&set);
        return saw_event(scene, epoll_pwait(scene->id, &event, 1, (int)calls_ms(), &set), &event);
}

static long do_epoll_pwait2(struct scene *scene)
{
        struct epoll_event event = { 0 };
        return saw_event(scene, epoll_pwait2(scene->id, &event, 1, calls_limit(), NULL), &event);
}

static long do_epoll_pwait2_without_limit(struct scene *scene)
{
        struct epoll_event event = { 0 };
        return saw_event(scene, epoll_pwait2(scene->id, &event, 1, NULL, NULL), &event);
}

const struct call calls_polls[] = {
        { "poll", scene_pipe, do_poll, NULL, 0, 0, SYS_poll, MENDED },
        { "poll without limit, data", scene_pipe, do_poll_without_limit, send_byte, 1, 0, SYS_poll, MENDED },
        { "poll without limit, hang-up", make_pair, do_poll_without_limit, hang_up, 1, 0, SYS_poll, MENDED },
        { "poll of nothing", NULL, do_poll_of_nothing, NULL, 0, 0, SYS_poll, MENDED },
        { "ppoll", scene_pipe, do_ppoll, NULL, 0, 0, SYS_ppoll, MENDED },
        { "ppoll, raw", scene_pipe, do_raw_ppoll, NULL, 0, 0, SYS_ppoll, MENDED },
        { "ppoll, constant limit", NULL, do_ppoll_with_constant_limit, NULL, 0, 0, SYS_ppoll, MENDED },
        { "select", scene_pipe, do_select, NULL, 0, 0, SYS_pselect6, MENDED },
        { "select without limit, data", scene_pipe, do_select_without_limit, send_byte, 1, 0, SYS_pselect6, MENDED },
        { "select, raw", NULL, do_raw_select, NULL, 0, 0, SYS_select, MENDED },
        { "select, constant limit", NULL, do_raw_select_with_constant_limit, NULL, 0, 0, SYS_select, MENDED },
        { "pselect", scene_pipe, do_pselect, NULL, 0, 0, SYS_pselect6, MENDED },
        { "pselect without limit, data", scene_pipe, do_pselect_without_limit, send_byte, 1, 0, SYS_pselect6, MENDED },
        { "epoll_wait", make_epoll, do_epoll_wait, NULL, 0, 0, SYS_epoll_wait, MENDED },
        { "epoll_wait without limit, data", make_epoll, do_epoll_wait_without_limit, send_byte, 1, 0, SYS_epoll_wait,
          MENDED },
        { "epoll_pwait", make_epoll, do_epoll_pwait, NULL, 0, 0, SYS_epoll_pwait, MENDED },
        { "epoll_pwait2", make_epoll, do_epoll_pwait2, NULL, 0, 0, SYS_epoll_pwait2, MENDED },
        { "epoll_pwait2 without limit, data", make_epoll, do_epoll_pwait2_without_limit, send_byte, 1, 0,
          SYS_epoll_pwait2, MENDED },
        { 0 },
};
