/* SPDX-License-Identifier: Apache-2.0
 *
 * loop_glib.c - stalls in each kind of GLib source
 *
 *     loop_glib [kinds]
 *
 * GLib's main loop has one backend, poll. Sources of the idle priority run after a poll that does not sleep. One timer
 * walks through the plan as in loop_libev.c; with "kinds" it is a signal, a child, and a source of the program's own.
 *
 * Context: one thread
 */
#include <glib-unix.h>
#include <glib.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "child.h"
#include "truth.h"

#ifdef VICTIM_ATTACHED
#include <loopdog/glib.h>
static struct loopdog_glib watch;
#define WATCHED(id) loopdog_glib_watch_id(NULL, id)
#else
#define WATCHED(id) (id)
#endif

#define KINDS 10 /* the first step of that plan */

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

static VICTIM_FRAME gboolean on_signal(gpointer data)
{
        planted_sleep_ms(200, "on_signal");
        next_step();
        return G_SOURCE_REMOVE;
}

static VICTIM_FRAME void on_child(GPid pid, gint status, gpointer data)
{
        planted_busy_ms(200, "on_child");
        next_step();
}

static VICTIM_FRAME gboolean on_own(gpointer data)
{
        planted_sleep_ms(200, "on_own");
        next_step();
        return G_SOURCE_REMOVE;
}

static gboolean own_prepare(GSource *source, gint *timeout_ms)
{
        *timeout_ms = 0;
        return TRUE;
}

static gboolean own_dispatch(GSource *source, GSourceFunc callback, gpointer data)
{
        return callback(data);
}

static void start_own(void)
{
        static GSourceFuncs funcs = { .prepare = own_prepare, .dispatch = own_dispatch };
        GSource *source = g_source_new(&funcs, sizeof *source);
        g_source_set_name(source, "own");
        g_source_set_callback(source, on_own, NULL, NULL);
#ifdef VICTIM_ATTACHED
        loopdog_glib_watch_source(source);
#endif
        g_source_attach(source, NULL);
        g_source_unref(source);
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
        case KINDS:
                WATCHED(g_unix_signal_add(SIGUSR2, on_signal, NULL));
                VICTIM_CHECK(kill(getpid(), SIGUSR2) == 0);
                return G_SOURCE_REMOVE;
        case KINDS + 1:
                child_end();
                return G_SOURCE_REMOVE;
        case KINDS + 2:
                start_own();
                return G_SOURCE_REMOVE;
        default:
                g_main_loop_quit(loop);
                return G_SOURCE_REMOVE;
        }
        next_step();
        return G_SOURCE_REMOVE;
}

int main(int argc, char **argv)
{
        VICTIM_CHECK(pipe(pipe_fds) == 0);
        step = argc > 1 && !strcmp(argv[1], "kinds") ? KINDS : 0;
        loop = g_main_loop_new(NULL, FALSE);
#ifdef VICTIM_ATTACHED
        loopdog_glib_attach(&watch, NULL, "main");
#endif
        WATCHED(g_unix_fd_add(pipe_fds[0], G_IO_IN, on_io, NULL));
        WATCHED(g_child_watch_add(child_start(), on_child, NULL));
        WATCHED(g_timeout_add(50, on_timer, NULL));
        g_main_loop_run(loop);
        g_main_loop_unref(loop);
        return 0;
}
