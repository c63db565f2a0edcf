/* SPDX-License-Identifier: Apache-2.0
 *
 * many_libev.c - several loops of libev in one process
 *
 * Context: two threads
 */
#include <loopdog/ev.h>
#include <stdlib.h>

#include "many.h"
#include "truth.h"

static VICTIM_FRAME void on_timer(EV_P_ ev_timer *timer, int events)
{
        if (many_tick(timer->data))
                ev_break(EV_A_ EVBREAK_ALL);
}
LOOPDOG_EV_CALLBACK(ev_timer, on_timer)

void many_run(struct many *plan)
{
        struct ev_loop *loop = ev_loop_new(EVFLAG_NOENV);
        struct loopdog_ev *watch = calloc(1, sizeof *watch); /* stays in the adapter's list */
        ev_timer timer;
        VICTIM_CHECK(loop && watch);
        loopdog_ev_attach(watch, loop, plan->name);
        ev_timer_init(&timer, on_timer_watched, MANY_TIMER_MS / 1000., MANY_TIMER_MS / 1000.);
        timer.data = plan;
        ev_timer_start(loop, &timer);
        ev_run(loop, 0);
        loopdog_ev_detach(watch);
        ev_loop_destroy(loop);
}

int main(void)
{
        return many_main(1);
}
