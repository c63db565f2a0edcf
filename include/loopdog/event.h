/* SPDX-License-Identifier: Apache-2.0
 *
 * loopdog/event.h - loopdog for a libevent loop, in one line
 *
 *     loopdog_loop *watched = loopdog_event_attach(base, "main");
 *
 * libevent 2.1 offers no place around its wait. So the wait is found by the hooks in libloopdog, which the program is
 * linked with, whatever the backend, and the loop only gets its name here. Callbacks get theirs by wrapping:
 *
 *     LOOPDOG_EVENT_CALLBACK(on_client)            // defines on_client_watched, which calls on_client
 *     event_new(base, fd, EV_READ | EV_PERSIST, on_client_watched, client);
 *
 * Context: see each function; needs libevent 2
 */
#ifndef LOOPDOG_EVENT_H
#define LOOPDOG_EVENT_H

#include <event2/event.h>
#include <loopdog.h>

/* Name the loop that this thread is about to run. A thread's loops after the first are part of its callbacks.
 *
 * name:    shown in records; copied
 * base:    for the day when libevent offers a place around its wait
 * Returns: for loopdog_loop_close(), when the loop is over, and the other functions of loopdog.h
 * Context: the thread that runs the loop
 */
static inline loopdog_loop *loopdog_event_attach(struct event_base *base, const char *name)
{
        struct loopdog_loop_options options = { sizeof(struct loopdog_loop_options), 0, LOOPDOG_LOOP_HOOKED, 0 };
        (void)base;
        return loopdog_loop_open(name, &options);
}

/* Define NAME_watched, which calls NAME and tells that it runs, and for what descriptor or signal. */
#define LOOPDOG_EVENT_CALLBACK(name)                                                                                   \
        static void name##_watched(evutil_socket_t loopdog_fd, short loopdog_what, void *loopdog_argument)             \
        {                                                                                                              \
                const char *loopdog_object = loopdog_what & EV_SIGNAL ? "signal" : "fd";                               \
                loopdog_callback_begin(#name, (void (*)(void))name, loopdog_fd >= 0 ? loopdog_object : NULL,           \
                                       loopdog_fd);                                                                    \
                name(loopdog_fd, loopdog_what, loopdog_argument);                                                      \
                loopdog_callback_end();                                                                                \
        }

#endif
