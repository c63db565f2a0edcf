/* SPDX-License-Identifier: Apache-2.0
 *
 * rules_takeover.c - another epoll instance takes over the thread
 *
 *     rules_takeover close|same-number|dup2|dup3|raw-close|left|failed
 *
 * The first instance is closed (by close(), by a dup2() onto it, by the raw system call) or its loop function returns
 * and leaves it open. From then on waits on the second one are idle time: without the rule they would be nested waits,
 * and 300 ms of sleep in them a stall. "failed": calls of dup2() and dup3() onto it that fail close nothing, and
 * the stall in which they are made is one.
 *
 * Context: one thread
 */
#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "truth.h"
#include "turn.h"

static VICTIM_FRAME void on_timer(struct turn *loop)
{
        planted_sleep_ms(300, "on_timer");
}

static VICTIM_FRAME void on_failed(struct turn *loop)
{
        struct truth begin = truth_begin();
        quiet_sleep_ms(200);
        VICTIM_CHECK(dup2(-1, loop->epoll) == -1 && dup2(999, loop->epoll) == -1);
        VICTIM_CHECK(dup3(999, loop->epoll, O_CLOEXEC) == -1 && dup3(0, loop->epoll, O_APPEND) == -1);
        VICTIM_CHECK(dup3(loop->epoll, loop->epoll, 0) == -1);
        quiet_sleep_ms(100);
        truth_end(begin, "blocked", "quiet_sleep_ms", "on_failed");
}

/* Loop functions of their own: in "left" the first one's frame is gone while the second waits. */
static VICTIM_FRAME void first_loop(struct turn *loop)
{
        turn_run(loop, 5, NULL);
        turn_arm(loop, 20);
        turn_wait(loop, 1000, on_timer);
        turn_run(loop, 5, NULL);
}

static VICTIM_FRAME int second_wait(struct turn *loop, turn_callback *callback)
{
        struct epoll_event events[8];
        int count = epoll_wait(loop->epoll, events, 8, 2000);
        uint64_t expirations;
        VICTIM_CHECK(count == 1 && read(loop->timer, &expirations, 8) == 8);
        if (callback)
                callback(loop);
        return count;
}

static VICTIM_FRAME void second_loop(struct turn *loop)
{
        for (int i = 0; i < 4; i++) {
                turn_arm(loop, 300);
                second_wait(loop, NULL);
        }
        turn_arm(loop, 20);
        second_wait(loop, on_timer);
        turn_arm(loop, 300);
        second_wait(loop, NULL);
}

static void replace(struct turn *first, struct turn *second, const char *mode)
{
        if (!strcmp(mode, "same-number")) {
                close(first->epoll);
                turn_open(second);
                VICTIM_CHECK(second->epoll == first->epoll);
                return;
        }
        turn_open(second);
        if (!strcmp(mode, "close"))
                VICTIM_CHECK(close(first->epoll) == 0);
        else if (!strcmp(mode, "dup2"))
                VICTIM_CHECK(dup2(0, first->epoll) == first->epoll);
        else if (!strcmp(mode, "dup3"))
                VICTIM_CHECK(dup3(0, first->epoll, O_CLOEXEC) == first->epoll);
        else if (!strcmp(mode, "raw-close"))
                VICTIM_CHECK(syscall(SYS_close, first->epoll) == 0);
        else
                VICTIM_CHECK(!strcmp(mode, "left"));
}

int main(int argc, char **argv)
{
        struct turn first, second;
        turn_open(&first);
        if (argc > 1 && !strcmp(argv[1], "failed")) {
                turn_run(&first, 5, NULL);
                turn_run(&first, 1, on_failed);
                turn_run(&first, 5, NULL);
                return 0;
        }
        first_loop(&first);
        replace(&first, &second, argc > 1 ? argv[1] : "close");
        second_loop(&second);
        return 0;
}
