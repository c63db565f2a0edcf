/* SPDX-License-Identifier: Apache-2.0
 *
 * many_libuv.c - several loops of libuv in one process
 *
 * Context: two threads
 */
#include <loopdog/uv.h>

#include "many.h"
#include "truth.h"

static VICTIM_FRAME void on_timer(uv_timer_t *timer)
{
        if (many_tick(timer->data))
                uv_close((uv_handle_t *)timer, NULL);
}
LOOPDOG_UV_HANDLE(uv_timer_t, on_timer)

void many_run(struct many *plan)
{
        uv_loop_t loop;
        uv_timer_t timer;
        VICTIM_CHECK(uv_loop_init(&loop) == 0 && uv_timer_init(&loop, &timer) == 0);
        loopdog_loop *watched = loopdog_uv_attach(&loop, plan->name);
        timer.data = plan;
        VICTIM_CHECK(uv_timer_start(&timer, on_timer_watched, MANY_TIMER_MS, MANY_TIMER_MS) == 0);
        uv_run(&loop, UV_RUN_DEFAULT);
        loopdog_loop_close(watched);
        VICTIM_CHECK(uv_loop_close(&loop) == 0);
}

int main(void)
{
        return many_main(0);
}
