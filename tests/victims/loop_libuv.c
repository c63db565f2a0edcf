/* SPDX-License-Identifier: Apache-2.0
 *
 * loop_libuv.c - stalls in each kind of libuv callback
 *
 *     loop_libuv [metrics]
 *
 * libuv has one backend on Linux, epoll. With "metrics" it measures its idle time, for which it polls with timeout 0
 * first and then again: that must not change what is reported. One timer walks through the plan as in loop_libev.c.
 *
 * Context: one thread
 */
#include <string.h>
#include <unistd.h>
#include <uv.h>

#include "truth.h"

#ifdef VICTIM_ATTACHED
#include <loopdog/uv.h>
#define WATCHED(define) define
#else
#define WATCHED(define)
#define on_timer_watched on_timer
#define on_idle_watched on_idle
#define on_prepare_watched on_prepare
#define on_check_watched on_check
#define on_pipe_watched on_pipe
#endif

static uv_loop_t loop;
static uv_timer_t timer;
static uv_poll_t poll_handle;
static uv_idle_t idle;
static uv_prepare_t prepare;
static uv_check_t check;
static int pipe_fds[2];
static int step;

static void on_timer(uv_timer_t *handle);
WATCHED(LOOPDOG_UV_HANDLE(uv_timer_t, on_timer))

static void next_step(void)
{
        step++;
        uv_update_time(&loop);
        uv_timer_start(&timer, on_timer_watched, 60, 0);
}

static VICTIM_FRAME void on_poll(uv_poll_t *handle, int status, int events)
{
        char byte;
        VICTIM_CHECK(read(pipe_fds[0], &byte, 1) == 1);
        if (byte == 's')
                planted_sleep_ms(200, "on_poll");
        else
                planted_busy_ms(200, "on_poll");
        next_step();
}

static VICTIM_FRAME void on_idle(uv_idle_t *handle)
{
        uv_idle_stop(handle);
        planted_busy_ms(200, "on_idle");
        next_step();
}

static VICTIM_FRAME void on_prepare(uv_prepare_t *handle)
{
        uv_prepare_stop(handle);
        planted_sleep_ms(200, "on_prepare");
        next_step();
}

static VICTIM_FRAME void on_check(uv_check_t *handle)
{
        uv_check_stop(handle);
        planted_busy_ms(200, "on_check");
        next_step();
}

WATCHED(LOOPDOG_UV_HANDLE(uv_idle_t, on_idle))
WATCHED(LOOPDOG_UV_HANDLE(uv_prepare_t, on_prepare))
WATCHED(LOOPDOG_UV_HANDLE(uv_check_t, on_check))

static VICTIM_FRAME void on_timer(uv_timer_t *handle)
{
        switch (step) {
        case 0:
                planted_sleep_ms(200, "on_timer");
                break;
        case 1:
                planted_busy_ms(200, "on_timer");
                break;
        case 2:
                VICTIM_CHECK(write(pipe_fds[1], "s", 1) == 1);
                return;
        case 3:
                VICTIM_CHECK(write(pipe_fds[1], "b", 1) == 1);
                return;
        case 4:
                uv_idle_start(&idle, on_idle_watched);
                return;
        case 5:
                uv_prepare_start(&prepare, on_prepare_watched);
                return;
        case 6:
                uv_check_start(&check, on_check_watched);
                uv_timer_start(&timer, on_timer_watched, 1000, 0);
                step = 60; /* the check watcher runs after the next poll, which the pipe ends */
                VICTIM_CHECK(write(pipe_fds[1], "-", 1) == 1);
                return;
        default:
                uv_stop(&loop);
                return;
        }
        next_step();
}

/* In the step for the check watcher the pipe only wakes the loop. */
static VICTIM_FRAME void on_pipe(uv_poll_t *handle, int status, int events)
{
        char byte;
        if (step == 60) {
                VICTIM_CHECK(read(pipe_fds[0], &byte, 1) == 1);
                return;
        }
        on_poll(handle, status, events);
}

WATCHED(LOOPDOG_UV_POLL(on_pipe))

int main(int argc, char **argv)
{
        VICTIM_CHECK(uv_loop_init(&loop) == 0 && pipe(pipe_fds) == 0);
        if (argc > 1 && !strcmp(argv[1], "metrics"))
                VICTIM_CHECK(uv_loop_configure(&loop, UV_METRICS_IDLE_TIME) == 0);
        uv_timer_init(&loop, &timer);
        uv_idle_init(&loop, &idle);
        uv_prepare_init(&loop, &prepare);
        uv_check_init(&loop, &check);
        VICTIM_CHECK(uv_poll_init(&loop, &poll_handle, pipe_fds[0]) == 0);
        VICTIM_CHECK(uv_poll_start(&poll_handle, UV_READABLE, on_pipe_watched) == 0);
        uv_timer_start(&timer, on_timer_watched, 50, 0);
#ifdef VICTIM_ATTACHED
        loopdog_uv_attach(&loop, "main");
#endif
        uv_run(&loop, UV_RUN_DEFAULT);
        return 0;
}
