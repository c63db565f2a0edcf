/* SPDX-License-Identifier: Apache-2.0
 *
 * loopdog/uv.h - loopdog for a libuv loop, in one line
 *
 *     loopdog_loop *watched = loopdog_uv_attach(uv_default_loop(), "main");
 *
 * libuv runs I/O callbacks within its poll, before its check handles: no handle can tell where the wait ends. So the
 * wait is found by the hooks in libloopdog, which the program is linked with, and the loop only gets its name here.
 * Callbacks get theirs by wrapping:
 *
 *     LOOPDOG_UV_HANDLE(uv_timer_t, on_timer)      // defines on_timer_watched, which calls on_timer
 *     LOOPDOG_UV_READ(on_read)
 *     uv_timer_start(&timer, on_timer_watched, 100, 0);
 *
 * Context: see each function; needs libuv 1
 */
#ifndef LOOPDOG_UV_H
#define LOOPDOG_UV_H

#include <loopdog.h>
#include <uv.h>

/* Name the loop that this thread is about to run. A thread's loops after the first are part of its callbacks.
 *
 * name:    shown in records; copied
 * loop:    for the day when libuv offers a place around its wait
 * Returns: for loopdog_loop_close(), when the loop is over, and the other functions of loopdog.h
 * Context: the thread that runs the loop
 */
static inline loopdog_loop *loopdog_uv_attach(uv_loop_t *loop, const char *name)
{
        struct loopdog_loop_options options = { sizeof(struct loopdog_loop_options), 0, LOOPDOG_LOOP_HOOKED, 0 };
        (void)loop;
        return loopdog_loop_open(name, &options);
}

/* The descriptor of a handle, or -1. */
static inline long loopdog_uv_descriptor(const uv_handle_t *handle)
{
        uv_os_fd_t fd = -1;
        return uv_fileno(handle, &fd) == 0 ? (long)fd : -1;
}

/* Define NAME_watched, which calls NAME and tells that it runs: timers, idle, prepare, check, async, close; and
 * uv_fs_cb, whose `type` is uv_fs_t. */
#define LOOPDOG_UV_HANDLE(type, name)                                                                                  \
        static void name##_watched(type *loopdog_handle)                                                               \
        {                                                                                                              \
                loopdog_callback_begin(#name, (void (*)(void))name, NULL, -1);                                         \
                name(loopdog_handle);                                                                                  \
                loopdog_callback_end();                                                                                \
        }

/* The same for uv_poll_cb, with the descriptor. */
#define LOOPDOG_UV_POLL(name)                                                                                          \
        static void name##_watched(uv_poll_t *loopdog_handle, int loopdog_status, int loopdog_events)                  \
        {                                                                                                              \
                loopdog_callback_begin(#name, (void (*)(void))name, "fd",                                              \
                                       loopdog_uv_descriptor((const uv_handle_t *)loopdog_handle));                    \
                name(loopdog_handle, loopdog_status, loopdog_events);                                                  \
                loopdog_callback_end();                                                                                \
        }

/* The same for uv_read_cb, with the descriptor. */
#define LOOPDOG_UV_READ(name)                                                                                          \
        static void name##_watched(uv_stream_t *loopdog_stream, ssize_t loopdog_length,                                \
                                   const uv_buf_t *loopdog_buffer)                                                     \
        {                                                                                                              \
                loopdog_callback_begin(#name, (void (*)(void))name, "fd",                                              \
                                       loopdog_uv_descriptor((const uv_handle_t *)loopdog_stream));                    \
                name(loopdog_stream, loopdog_length, loopdog_buffer);                                                  \
                loopdog_callback_end();                                                                                \
        }

/* The same for uv_connection_cb, with the descriptor. */
#define LOOPDOG_UV_CONNECTION(name)                                                                                    \
        static void name##_watched(uv_stream_t *loopdog_server, int loopdog_status)                                    \
        {                                                                                                              \
                loopdog_callback_begin(#name, (void (*)(void))name, "fd",                                              \
                                       loopdog_uv_descriptor((const uv_handle_t *)loopdog_server));                    \
                name(loopdog_server, loopdog_status);                                                                  \
                loopdog_callback_end();                                                                                \
        }

/* The same for the callbacks of requests: uv_write_t, uv_connect_t, uv_shutdown_t, uv_udp_send_t; and uv_work_t, whose
 * work itself is done in another thread. */
#define LOOPDOG_UV_REQUEST(type, name)                                                                                 \
        static void name##_watched(type *loopdog_request, int loopdog_status)                                          \
        {                                                                                                              \
                loopdog_callback_begin(#name, (void (*)(void))name, NULL, -1);                                         \
                name(loopdog_request, loopdog_status);                                                                 \
                loopdog_callback_end();                                                                                \
        }

/* The same for uv_exit_cb, with the process that has ended. */
#define LOOPDOG_UV_EXIT(name)                                                                                          \
        static void name##_watched(uv_process_t *loopdog_handle, int64_t loopdog_status, int loopdog_signal)           \
        {                                                                                                              \
                loopdog_callback_begin(#name, (void (*)(void))name, "process", (long)loopdog_handle->pid);             \
                name(loopdog_handle, loopdog_status, loopdog_signal);                                                  \
                loopdog_callback_end();                                                                                \
        }

/* The same for uv_signal_cb, with the number of the signal. */
#define LOOPDOG_UV_SIGNAL(name)                                                                                        \
        static void name##_watched(uv_signal_t *loopdog_handle, int loopdog_number)                                    \
        {                                                                                                              \
                loopdog_callback_begin(#name, (void (*)(void))name, "signal", loopdog_number);                         \
                name(loopdog_handle, loopdog_number);                                                                  \
                loopdog_callback_end();                                                                                \
        }

#endif
