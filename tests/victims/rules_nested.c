/* SPDX-License-Identifier: Apache-2.0
 *
 * rules_nested.c - a wait in a callback on something else than the loop's own instance is busy time
 *
 *     rules_nested epoll|poll|select|pselect|zero|short
 *
 * Each stalls twice. "zero" polls another descriptor with timeout 0 again and again; "short" sleeps in a nested poll of
 * 30 ms ten times: each is shorter than the threshold, together they are one stall.
 *
 * Context: one thread
 */
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <unistd.h>

#include "truth.h"
#include "turn.h"

static int silent[2]; /* a pipe into which nobody writes */
static const char *mode;

static void nested_epoll(void)
{
        int other = epoll_create1(0);
        struct epoll_event event = { .events = EPOLLIN };
        VICTIM_CHECK(epoll_ctl(other, EPOLL_CTL_ADD, silent[0], &event) == 0);
        VICTIM_CHECK(epoll_wait(other, &event, 1, 300) == 0);
        close(other);
}

static void nested_poll(int timeout_ms)
{
        struct pollfd set = { .fd = silent[0], .events = POLLIN };
        VICTIM_CHECK(poll(&set, 1, timeout_ms) == 0);
}

static void nested_select(int p)
{
        fd_set set;
        FD_ZERO(&set);
        FD_SET(silent[0], &set);
        struct timeval timeout = { .tv_usec = 300000 };
        struct timespec same = { .tv_nsec = 300000000 };
        VICTIM_CHECK((p ? pselect(silent[0] + 1, &set, NULL, NULL, &same, NULL)
                        : select(silent[0] + 1, &set, NULL, NULL, &timeout)) == 0);
}

static VICTIM_FRAME void planted_nested(void)
{
        struct truth begin = truth_begin();
        const char *cause = "blocked";
        if (!strcmp(mode, "epoll")) {
                nested_epoll();
        } else if (!strcmp(mode, "poll")) {
                nested_poll(300);
        } else if (!strcmp(mode, "select") || !strcmp(mode, "pselect")) {
                nested_select(mode[0] == 'p');
        } else if (!strcmp(mode, "short")) {
                for (int i = 0; i < 10; i++)
                        nested_poll(30);
        } else {
                cause = "cpu";
                while (truth_now_ns() - begin.begin_ns < 300000000)
                        nested_poll(0);
        }
        truth_end(begin, cause, "", "on_timer");
}

static VICTIM_FRAME void on_timer(struct turn *loop)
{
        planted_nested();
}

int main(int argc, char **argv)
{
        struct turn loop;
        mode = argc > 1 ? argv[1] : "epoll";
        VICTIM_CHECK(pipe(silent) == 0);
        turn_open(&loop);
        turn_run(&loop, 5, NULL);
        for (int i = 0; i < 2; i++) {
                turn_arm(&loop, 300); /* idle for longer than the threshold: no stall */
                turn_wait(&loop, 1000, on_timer);
        }
        turn_run(&loop, 5, NULL);
        return 0;
}
