/* SPDX-License-Identifier: Apache-2.0
 *
 * many_libevent.c - several bases of libevent in one process
 *
 * Context: two threads
 */
#include <loopdog/event.h>

#include "many.h"
#include "truth.h"

/* A base and what it does. */
struct tick {
        struct event_base *base;
        struct many *plan;
};

static VICTIM_FRAME void on_timer(evutil_socket_t fd, short what, void *argument)
{
        struct tick *tick = argument;
        if (many_tick(tick->plan))
                event_base_loopbreak(tick->base);
}
LOOPDOG_EVENT_CALLBACK(on_timer)

void many_run(struct many *plan)
{
        struct timeval delay = { .tv_usec = MANY_TIMER_MS * 1000 };
        struct tick tick = { .base = event_base_new(), .plan = plan };
        struct event *timer = event_new(tick.base, -1, EV_PERSIST, on_timer_watched, &tick);
        loopdog_loop *watched = loopdog_event_attach(tick.base, plan->name);
        VICTIM_CHECK(timer && event_add(timer, &delay) == 0);
        event_base_dispatch(tick.base);
        loopdog_loop_close(watched);
        event_free(timer);
        event_base_free(tick.base);
}

int main(void)
{
        return many_main(0);
}
