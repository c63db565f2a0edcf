/* SPDX-License-Identifier: Apache-2.0
 *
 * loop_glib.c - stalls in each kind of GLib source
 *
 * GLib's main loop has one backend, poll. Sources of the idle priority run after a poll that does not sleep. One timer
 * walks through the plan as in loop_libev.c.
 *
 * Context: one thread
 */
#include <glib-unix.h>
#include <glib.h>
#include <unistd.h>

#include "truth.h"

#ifdef VICTIM_ATTACHED
#include <loopdog/glib.h>
static struct loopdog_glib watch;
#define WATCHED(id) loopdog_glib_watch_id(NULL, id)
#else
#define WATCHED(id) (id)
#endif

static GMainLoop *loop;
static int pipe_fds[2];
static int step;

static gboolean on_timer(gpointer data);

static void next_step(void)
{
        step++;
        WATCHED(g_timeout_add(60, on_timer, NULL));
}

static VICTIM_FRAME gboolean on_io(gint fd, GIOCondition condition, gpointer data)
{
        char byte;
        VICTIM_CHECK(read(fd, &byte, 1) == 1);
        if (byte == 's')
                planted_sleep_ms(200, "on_io");
        else
                planted_busy_ms(200, "on_io");
        next_step();
        return G_SOURCE_CONTINUE;
}

static VICTIM_FRAME gboolean on_idle(gpointer data)
{
        planted_busy_ms(200, "on_idle");
        next_step();
        return G_SOURCE_REMOVE;
}

static VICTIM_FRAME gboolean on_timer(gpointer data)
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
                return G_SOURCE_REMOVE;
        case 3:
                VICTIM_CHECK(write(pipe_fds[1], "b", 1) == 1);
                return G_SOURCE_REMOVE;
        case 4:
                WATCHED(g_idle_add(on_idle, NULL));
                return G_SOURCE_REMOVE;
        default:
                g_main_loop_quit(loop);
                return G_SOURCE_REMOVE;
        }
        next_step();
        return G_SOURCE_REMOVE;
}

int main(void)
{
        VICTIM_CHECK(pipe(pipe_fds) == 0);
        loop = g_main_loop_new(NULL, FALSE);
#ifdef VICTIM_ATTACHED
        loopdog_glib_attach(&watch, NULL, "main");
#endif
        WATCHED(g_unix_fd_add(pipe_fds[0], G_IO_IN, on_io, NULL));
        WATCHED(g_timeout_add(50, on_timer, NULL));
        g_main_loop_run(loop);
        g_main_loop_unref(loop);
        return 0;
}
