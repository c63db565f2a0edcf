/* SPDX-License-Identifier: Apache-2.0
 *
 * loopdog/glib.h - loopdog for a GLib main context, in one line
 *
 *     static struct loopdog_glib watch;
 *     loopdog_glib_attach(&watch, NULL, "main");
 *
 * GLib waits in a function that a program may exchange (g_main_context_set_poll_func): the one that was there is called
 * between loopdog_wait_begin() and loopdog_wait_end(). A main loop that is run from within a callback waits in the same
 * place and is idle meanwhile. Sources have names; a callback is told by its source's:
 *
 *     loopdog_glib_watch_source(source);           // before it is attached
 *     loopdog_glib_watch_id(NULL, g_timeout_add(100, on_timer, NULL));
 *
 * Context: see each function; needs GLib 2.32
 */
#ifndef LOOPDOG_GLIB_H
#define LOOPDOG_GLIB_H

#include <glib.h>
#include <loopdog.h>

/* One attached context. Static or otherwise there until the process ends; the program looks at nothing in it. */
struct loopdog_glib {
        GMainContext *context;     /* NULL: detached */
        GPollFunc poll;            /* what was there before */
        loopdog_loop *watched;     /* its handle */
        struct loopdog_glib *next; /* in the list of those attached */
};

/* The contexts attached in this file. Entries are put in front and never taken out. */
static struct loopdog_glib *loopdog_glib_attached;

/* A poll function is not told whose it is: it is that of the context which this thread owns. */
static inline struct loopdog_glib *loopdog_glib_here(void)
{
        struct loopdog_glib *each = loopdog_glib_attached;
        while (each != NULL && each->next != NULL && (each->context == NULL || !g_main_context_is_owner(each->context)))
                each = each->next;
        return each;
}

/* The poll function of all attached contexts. */
static inline gint loopdog_glib_poll(GPollFD *fds, guint count, gint timeout_ms)
{
        struct loopdog_glib *here = loopdog_glib_here();
        gint result;
        loopdog_wait_begin(here->watched);
        result = here->poll(fds, count, timeout_ms);
        loopdog_wait_end(here->watched);
        return result;
}

/* Watch a context from its next wait on; NULL is the default one. `watch` is used once, or again after
 * loopdog_glib_detach().
 *
 * Context: any thread, while the context is not iterated
 */
static inline void loopdog_glib_attach(struct loopdog_glib *watch, GMainContext *context, const char *name)
{
        struct loopdog_glib *each = loopdog_glib_attached;
        watch->context = context != NULL ? context : g_main_context_default();
        watch->watched = loopdog_loop_open(name, NULL);
        watch->poll = g_main_context_get_poll_func(watch->context);
        while (each != NULL && each != watch)
                each = each->next;
        if (each == NULL) {
                do
                        watch->next = loopdog_glib_attached;
                while (!__sync_bool_compare_and_swap(&loopdog_glib_attached, watch->next, watch));
        }
#ifndef LOOPDOG_DISABLE
        g_main_context_set_poll_func(watch->context, loopdog_glib_poll);
#endif
}

/* Before the last g_main_context_unref().
 *
 * Context: the context's thread
 */
static inline void loopdog_glib_detach(struct loopdog_glib *watch)
{
        g_main_context_set_poll_func(watch->context, watch->poll);
        watch->context = NULL;
        loopdog_loop_close(watch->watched);
        watch->watched = NULL;
}

#ifndef LOOPDOG_DISABLE
/* Functions of a source that tell of its dispatch; one for each kind of source, there until the process ends. */
struct loopdog_glib_funcs {
        GSourceFuncs funcs;              /* first: a source points to it */
        const GSourceFuncs *before;      /* what was there before */
        struct loopdog_glib_funcs *next; /* in the list of them */
};

/* All kinds so far. */
static struct loopdog_glib_funcs *loopdog_glib_kinds;

/* The dispatch function of all watched sources. */
static inline gboolean loopdog_glib_dispatch(GSource *source, GSourceFunc callback, gpointer data)
{
        const struct loopdog_glib_funcs *kind = (const struct loopdog_glib_funcs *)(const void *)source->source_funcs;
        const char *name = g_source_get_name(source);
        gboolean result;
        loopdog_callback_begin(name, (void (*)(void))callback, "source", (long)g_source_get_id(source));
        result = kind->before->dispatch(source, callback, data);
        loopdog_callback_end();
        return result;
}
#endif

/* Tell of a source's callbacks, by the name of the source.
 *
 * Context: before the source is attached, or the context's thread
 */
static inline void loopdog_glib_watch_source(GSource *source)
{
#ifdef LOOPDOG_DISABLE
        (void)source;
#else
        struct loopdog_glib_funcs *kind = loopdog_glib_kinds;
        while (kind != NULL && kind->before != source->source_funcs && &kind->funcs != source->source_funcs)
                kind = kind->next;
        if (kind == NULL) {
                kind = g_new0(struct loopdog_glib_funcs, 1);
                kind->before = source->source_funcs;
                kind->funcs = *source->source_funcs;
                kind->funcs.dispatch = loopdog_glib_dispatch;
                do
                        kind->next = loopdog_glib_kinds;
                while (!__sync_bool_compare_and_swap(&loopdog_glib_kinds, kind->next, kind));
        }
        source->source_funcs = &kind->funcs;
#endif
}

/* The same by the source's number, as g_timeout_add() and others return it.
 *
 * context: NULL is the default one
 * id:      the number; it is returned
 * Context: the context's thread
 */
static inline guint loopdog_glib_watch_id(GMainContext *context, guint id)
{
        GSource *source = g_main_context_find_source_by_id(context, id);
        if (source != NULL)
                loopdog_glib_watch_source(source);
        return id;
}

#endif
