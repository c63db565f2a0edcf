/* SPDX-License-Identifier: Apache-2.0
 *
 * whereabouts.h - is a thread that has not come back still in its loop?
 *
 * Context: watchdog
 */
#ifndef LOOPDOG_EXPLAIN_WHEREABOUTS_H
#define LOOPDOG_EXPLAIN_WHEREABOUTS_H

#include <stdbool.h>
#include <stdint.h>

#include "explain/loopframe.h"
#include "unwind/unwind.h"

enum whereabouts {
        WHERE_CALLBACK,  /* in a callback: the iteration goes on */
        WHERE_REST,      /* an executor's thread that waits for work in a futex */
        WHERE_LEFT,      /* it has left the loop and waits for something else without end */
        WHERE_ELSEWHERE, /* it has left the loop and sleeps in another epoll instance: `epoll_fd` */
};

/* What is known of the loop. */
struct whereabouts_loop {
        struct loopframe_wait wait;
        bool executor;
        bool is_epoll;
        bool waits_for_owner; /* of a lock, who is known: it does not rest */
        int epoll_fd;
};

/* `stack` is NULL where there is none; then only an executor's rest can be told. */
enum whereabouts whereabouts_find(const struct whereabouts_loop *loop, const struct sample *sample,
                                  const struct stack *stack, int *epoll_fd);

#endif
