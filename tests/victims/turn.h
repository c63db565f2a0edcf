/* SPDX-License-Identifier: Apache-2.0
 *
 * turn.h - a small event loop for the victims that test one rule each
 *
 * One epoll instance with one timer. turn_wait() is the only caller of epoll_wait, so it is what loopdog must take for
 * the loop frame, and the callback runs above it.
 *
 * Context: one thread a loop
 */
#ifndef LOOPDOG_TESTS_TURN_H
#define LOOPDOG_TESTS_TURN_H

#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

struct turn {
        int epoll; /* the loop */
        int timer; /* a timerfd in it */
};

typedef void turn_callback(struct turn *loop);

void turn_open(struct turn *loop);
void turn_close(struct turn *loop);

/* Make the timer fire once, `delay_ms` from now. */
void turn_arm(struct turn *loop, unsigned delay_ms);

/* Wait once, at most `timeout_ms`, and run `callback` where the timer fired. Returns the number of events; -1 as
 * epoll_wait with errno. */
int turn_wait(struct turn *loop, int timeout_ms, turn_callback *callback);

/* `count` turns of 20 ms each in which the timer fires and nothing (or `callback`) happens. */
void turn_run(struct turn *loop, unsigned count, turn_callback *callback);

/* Turn until this child of ours has ended, which must be well. */
void turn_until_ended(struct turn *loop, pid_t child);

#ifdef __cplusplus
}
#endif

#endif
