/* SPDX-License-Identifier: Apache-2.0
 *
 * loopdog/ev.h - loopdog for a libev loop, in one line
 *
 *     static struct loopdog_ev watch;
 *     loopdog_ev_attach(&watch, EV_DEFAULT, "main");
 *
 * libev calls a function right before and one right after it sleeps (ev_set_loop_release_cb), whatever its backend:
 * these are the loop's waits. A program that uses them itself calls loopdog_wait_begin() and loopdog_wait_end() there
 * instead. libev keeps the list of pending watchers to itself (a function given to ev_set_invoke_pending_cb is only
 * told that all of them are about to run), so callbacks get their names by wrapping:
 *
 *     LOOPDOG_EV_IO(on_client)                     // defines on_client_watched, which calls on_client
 *     LOOPDOG_EV_CALLBACK(ev_timer, on_timer)
 *     ev_io_init(&watcher, on_client_watched, fd, EV_READ);
 *
 * Context: see each function; needs libev 4
 */
#ifndef LOOPDOG_EV_H
#define LOOPDOG_EV_H

#include <ev.h>
#include <loopdog.h>

/* One attached loop. Static or otherwise there until the process ends; the program looks at nothing in it. */
struct loopdog_ev {
        struct ev_loop *loop;    /* NULL: detached */
        loopdog_loop *watched;   /* its handle */
        struct loopdog_ev *next; /* in the list of those attached */
};

/* The loops attached in this file. Entries are put in front and never taken out. */
static struct loopdog_ev *loopdog_ev_attached;

/* The handle of an attached loop, or NULL. */
static inline loopdog_loop *loopdog_ev_find(struct ev_loop *loop)
{
        struct loopdog_ev *each = loopdog_ev_attached;
        while (each != NULL && each->loop != loop)
                each = each->next;
        return each != NULL ? each->watched : NULL;
}

/* libev is about to sleep. */
static inline void loopdog_ev_release(struct ev_loop *loop) EV_THROW
{
        loopdog_wait_begin(loopdog_ev_find(loop));
}

/* It has slept. */
static inline void loopdog_ev_acquire(struct ev_loop *loop) EV_THROW
{
        loopdog_wait_end(loopdog_ev_find(loop));
}

/* Watch a loop from its next wait on. `watch` is used once, or again after loopdog_ev_detach().
 *
 * Context: any thread, while the loop does not run
 */
static inline void loopdog_ev_attach(struct loopdog_ev *watch, struct ev_loop *loop, const char *name)
{
        struct loopdog_ev *each = loopdog_ev_attached;
        watch->watched = loopdog_loop_open(name, NULL);
        watch->loop = loop;
#ifndef LOOPDOG_DISABLE
        ev_set_loop_release_cb(loop, loopdog_ev_release, loopdog_ev_acquire);
#endif
        while (each != NULL && each != watch)
                each = each->next;
        if (each != NULL)
                return;
        do
                watch->next = loopdog_ev_attached;
        while (!__sync_bool_compare_and_swap(&loopdog_ev_attached, watch->next, watch));
}

/* Before ev_loop_destroy().
 *
 * Context: the loop's thread
 */
static inline void loopdog_ev_detach(struct loopdog_ev *watch)
{
#ifndef LOOPDOG_DISABLE
        ev_set_loop_release_cb(watch->loop, NULL, NULL);
#endif
        watch->loop = NULL;
        loopdog_loop_close(watch->watched);
        watch->watched = NULL;
}

/* Define NAME_watched, which calls NAME and tells that it runs. `type` is the watcher's. */
#define LOOPDOG_EV_CALLBACK(type, name) LOOPDOG_EV_OBJECT(type, name, NULL, -1)

/* The same for an ev_io, whose descriptor is shown. */
#define LOOPDOG_EV_IO(name) LOOPDOG_EV_OBJECT(ev_io, name, "fd", loopdog_watcher->fd)

/* For an ev_signal, with the number of the signal. */
#define LOOPDOG_EV_SIGNAL(name) LOOPDOG_EV_OBJECT(ev_signal, name, "signal", loopdog_watcher->signum)

/* For an ev_child, with the process that has ended. */
#define LOOPDOG_EV_CHILD(name) LOOPDOG_EV_OBJECT(ev_child, name, "process", loopdog_watcher->rpid)

/* What these have in common: a callback that works on an object with a number. */
#define LOOPDOG_EV_OBJECT(type, name, object, number)                                                                  \
        static void name##_watched(struct ev_loop *loopdog_inner, type *loopdog_watcher, int loopdog_events)           \
        {                                                                                                              \
                loopdog_callback_begin(#name, (void (*)(void))name, object, number);                                   \
                name(loopdog_inner, loopdog_watcher, loopdog_events);                                                  \
                loopdog_callback_end();                                                                                \
        }

#endif
