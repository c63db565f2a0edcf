/* SPDX-License-Identifier: Apache-2.0
 *
 * loop_libuv.c - stalls in each kind of libuv callback
 *
 *     loop_libuv [metrics|kinds]
 *
 * libuv has one backend on Linux, epoll. With "metrics" it measures its idle time, for which it polls with timeout 0
 * first and then again: that must not change what is reported. One timer walks through the plan as in loop_libev.c;
 * with "kinds" it is those that have nothing to do with the poll: async, signal, child, work, closing.
 *
 * Context: one thread
 */
#include <fcntl.h>
#include <signal.h>
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
#define on_async_watched on_async
#define on_signal_watched on_signal
#define on_child_watched on_child
#define after_work_watched after_work
#define on_closed_watched on_closed
#endif

#define KINDS 10 /* the first step of that plan */

static uv_loop_t loop;
static uv_timer_t timer;
static uv_poll_t poll_handle;
static uv_idle_t idle;
static uv_prepare_t prepare;
static uv_check_t check;
static uv_async_t async;
static uv_signal_t signals;
static uv_process_t child;
static uv_work_t work;
static int pipe_fds[2], child_pipe[2];
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

static VICTIM_FRAME void on_async(uv_async_t *handle)
{
        planted_sleep_ms(200, "on_async");
        next_step();
}

static VICTIM_FRAME void on_signal(uv_signal_t *handle, int number)
{
        planted_busy_ms(200, "on_signal");
        next_step();
}

static VICTIM_FRAME void on_child(uv_process_t *handle, int64_t status, int signal)
{
        planted_sleep_ms(200, "on_child");
        next_step();
}

static void in_another_thread(uv_work_t *request)
{
}

static VICTIM_FRAME void after_work(uv_work_t *request, int status)
{
        planted_busy_ms(200, "after_work");
        next_step();
}

static VICTIM_FRAME void on_closed(uv_handle_t *handle)
{
        planted_sleep_ms(200, "on_closed");
        next_step();
}

WATCHED(LOOPDOG_UV_HANDLE(uv_async_t, on_async))
WATCHED(LOOPDOG_UV_SIGNAL(on_signal))
WATCHED(LOOPDOG_UV_EXIT(on_child))
WATCHED(LOOPDOG_UV_REQUEST(uv_work_t, after_work))
WATCHED(LOOPDOG_UV_HANDLE(uv_handle_t, on_closed))

static void start_child(void)
{
        char program[] = "/bin/cat";
        char *arguments[] = { program, NULL };
        uv_stdio_container_t input = { .flags = UV_INHERIT_FD };
        uv_process_options_t options = {
                .file = program, .args = arguments, .exit_cb = on_child_watched, .stdio = &input, .stdio_count = 1
        };
        VICTIM_CHECK(pipe2(child_pipe, O_CLOEXEC) == 0);
        input.data.fd = child_pipe[0];
        VICTIM_CHECK(uv_spawn(&loop, &child, &options) == 0);
}

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
        case KINDS:
                VICTIM_CHECK(uv_async_send(&async) == 0);
                return;
        case KINDS + 1:
                VICTIM_CHECK(kill(getpid(), SIGUSR2) == 0);
                return;
        case KINDS + 2:
                close(child_pipe[1]);
                return;
        case KINDS + 3:
                VICTIM_CHECK(uv_queue_work(&loop, &work, in_another_thread, after_work_watched) == 0);
                return;
        case KINDS + 4:
                uv_close((uv_handle_t *)&async, on_closed_watched);
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
        VICTIM_CHECK(uv_async_init(&loop, &async, on_async_watched) == 0 && uv_signal_init(&loop, &signals) == 0);
        VICTIM_CHECK(uv_signal_start(&signals, on_signal_watched, SIGUSR2) == 0);
        start_child(); /* before the loop runs: that takes its time on a busy machine */
        step = argc > 1 && !strcmp(argv[1], "kinds") ? KINDS : 0;
        uv_timer_start(&timer, on_timer_watched, 50, 0);
#ifdef VICTIM_ATTACHED
        loopdog_uv_attach(&loop, "main");
#endif
        uv_run(&loop, UV_RUN_DEFAULT);
        return 0;
}
