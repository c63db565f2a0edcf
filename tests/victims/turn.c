/* SPDX-License-Identifier: Apache-2.0
 *
 * turn.c - a small event loop for the victims that test one rule each
 *
 * Context: one thread a loop
 */
#include "turn.h"

#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "truth.h"

void turn_open(struct turn *loop)
{
        loop->epoll = epoll_create1(EPOLL_CLOEXEC);
        loop->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
        VICTIM_CHECK(loop->epoll >= 0 && loop->timer >= 0);
        struct epoll_event event = { .events = EPOLLIN, .data.fd = loop->timer };
        VICTIM_CHECK(epoll_ctl(loop->epoll, EPOLL_CTL_ADD, loop->timer, &event) == 0);
}

void turn_close(struct turn *loop)
{
        close(loop->timer);
        close(loop->epoll);
}

void turn_arm(struct turn *loop, unsigned delay_ms)
{
        struct itimerspec when = { .it_value = { .tv_sec = delay_ms / 1000, .tv_nsec = delay_ms % 1000 * 1000000L } };
        VICTIM_CHECK(timerfd_settime(loop->timer, 0, &when, NULL) == 0);
}

VICTIM_FRAME int turn_wait(struct turn *loop, int timeout_ms, turn_callback *callback)
{
        struct epoll_event events[8];
        int count = epoll_wait(loop->epoll, events, 8, timeout_ms);
        for (int i = 0; i < count; i++) {
                uint64_t expirations;
                if (events[i].data.fd == loop->timer && read(loop->timer, &expirations, 8) == 8 && callback)
                        callback(loop);
        }
        return count;
}

VICTIM_FRAME void turn_run(struct turn *loop, unsigned count, turn_callback *callback)
{
        for (unsigned i = 0; i < count; i++) {
                turn_arm(loop, 20);
                VICTIM_CHECK(turn_wait(loop, 1000, callback) == 1);
        }
}

void turn_until_ended(struct turn *loop, pid_t child)
{
        int status;
        pid_t ended;
        while ((ended = waitpid(child, &status, WNOHANG)) == 0)
                turn_run(loop, 1, NULL);
        VICTIM_CHECK(ended == child && WIFEXITED(status) && WEXITSTATUS(status) == 0);
}
