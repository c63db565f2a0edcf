/* SPDX-License-Identifier: Apache-2.0
 *
 * many_glib.c - several main contexts of GLib in one process
 *
 * Context: two threads
 */
#include <loopdog/glib.h>

#include "many.h"
#include "truth.h"

/* A loop and what it does. */
struct tick {
        GMainLoop *loop;
        struct many *plan;
};

static VICTIM_FRAME gboolean on_timer(gpointer data)
{
        struct tick *tick = data;
        if (!many_tick(tick->plan))
                return G_SOURCE_CONTINUE;
        g_main_loop_quit(tick->loop);
        return G_SOURCE_REMOVE;
}

void many_run(struct many *plan)
{
        GMainContext *context = g_main_context_new();
        struct loopdog_glib *watch = g_new0(struct loopdog_glib, 1); /* stays in the adapter's list */
        struct tick tick = { .loop = g_main_loop_new(context, FALSE), .plan = plan };
        GSource *timer = g_timeout_source_new(MANY_TIMER_MS);
        loopdog_glib_attach(watch, context, plan->name);
        g_source_set_callback(timer, on_timer, &tick, NULL);
        g_source_set_name(timer, "timer");
        loopdog_glib_watch_source(timer);
        g_source_attach(timer, context);
        g_main_loop_run(tick.loop);
        g_source_unref(timer);
        loopdog_glib_detach(watch);
        g_main_loop_unref(tick.loop);
        g_main_context_unref(context);
}

int main(void)
{
        return many_main(1);
}
