/* SPDX-License-Identifier: Apache-2.0
 *
 * rules_jump.c - control that leaves a wait or a callback sideways, and waits within signal handlers
 *
 *     rules_jump callback|wait|handler|first
 *
 * "callback": longjmp out of a callback. "wait": siglongjmp out of a handler that interrupted the wait, past the hook;
 * what the thread does from there to its next wait is not asked for, but then all must be as before. "handler": a
 * signal handler that polls, during the loop's wait and during a callback. "first": the very first wait of the process
 * happens inside a handler.
 *
 * Context: one thread
 */
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <string.h>
#include <sys/time.h>

#include "truth.h"
#include "turn.h"

static sigjmp_buf back;
static const char *mode;

static VICTIM_FRAME void on_timer(struct turn *loop)
{
        planted_sleep_ms(300, "on_timer");
}

static VICTIM_FRAME void on_jump(struct turn *loop)
{
        siglongjmp(back, 1);
}

static void on_alarm(int number)
{
        int saved = errno;
        if (!strcmp(mode, "wait"))
                siglongjmp(back, 1);
        poll(NULL, 0, 20);
        errno = saved;
}

static void alarm_soon(void)
{
        struct itimerval when = { .it_value.tv_usec = 20000 };
        VICTIM_CHECK(setitimer(ITIMER_REAL, &when, NULL) == 0);
}

static VICTIM_FRAME void jump_from_callback(struct turn *loop)
{
        for (volatile int i = 0; i < 5; i++)
                if (sigsetjmp(back, 1) == 0) {
                        turn_run(loop, 1, on_jump);
                        VICTIM_CHECK(!"the callback returned");
                }
}

static VICTIM_FRAME void jump_from_wait(struct turn *loop)
{
        for (volatile int i = 0; i < 3; i++)
                if (sigsetjmp(back, 1) == 0) {
                        alarm_soon();
                        turn_wait(loop, 2000, NULL);
                        VICTIM_CHECK(!"the wait returned");
                }
        quiet_busy_ms(50);
}

/* The handler's poll falls into a callback of 60 ms: together they are no stall. */
static VICTIM_FRAME void on_busy(struct turn *loop)
{
        alarm_soon();
        quiet_busy_ms(60);
}

static VICTIM_FRAME void poll_in_handler(struct turn *loop)
{
        for (int i = 0; i < 5; i++) {
                alarm_soon();
                VICTIM_CHECK(turn_wait(loop, 250, NULL) == -1 && errno == EINTR);
                turn_run(loop, 1, on_busy);
        }
}

int main(int argc, char **argv)
{
        struct turn loop;
        mode = argc > 1 ? argv[1] : "callback";
        struct sigaction action = { .sa_handler = on_alarm };
        VICTIM_CHECK(sigaction(SIGALRM, &action, NULL) == 0);
        if (!strcmp(mode, "first")) {
                alarm_soon();
                quiet_sleep_ms(50);
        }
        turn_open(&loop);
        turn_run(&loop, 5, NULL);
        if (!strcmp(mode, "callback"))
                jump_from_callback(&loop);
        else if (!strcmp(mode, "wait"))
                jump_from_wait(&loop);
        else
                poll_in_handler(&loop);
        turn_run(&loop, 5, NULL);
        turn_run(&loop, 1, on_timer);
        turn_run(&loop, 5, NULL);
        return 0;
}
