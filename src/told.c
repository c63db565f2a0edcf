/* SPDX-License-Identifier: Apache-2.0
 *
 * told.c - the program's own handler is told of each stall
 *
 * Stands beside agent.c because it turns a record, the end of the path, into what loopdog.h promises its beginning. No
 * capture is under way then, so the handler keeps nobody waiting but the watchdog.
 *
 * Context: watchdog, but told_set_handler() on any thread
 */
#include "told.h"

#include <stdatomic.h>

/* A pair that must be seen whole: the one that is not in use is filled, then the number of it published. */
static struct {
        struct {
                loopdog_handler *handler;
                void *context;
        } pairs[2];
        _Atomic unsigned current;
        atomic_flag changing;
} told = { .changing = ATOMIC_FLAG_INIT };

void told_set_handler(loopdog_handler *handler, void *context)
{
        while (atomic_flag_test_and_set_explicit(&told.changing, memory_order_acquire))
                ; /* another thread is within the next four lines */
        unsigned next = (atomic_load(&told.current) + 1) % 2;
        told.pairs[next].handler = handler;
        told.pairs[next].context = context;
        atomic_store(&told.current, next);
        atomic_flag_clear_explicit(&told.changing, memory_order_release);
}

void told_stall(const struct record_stall *stall)
{
        unsigned current = atomic_load(&told.current);
        loopdog_handler *handler = told.pairs[current].handler;
        if (handler == NULL || record_was_no_stall(stall))
                return;
        const struct record_frame *culprit = stall->culprit;
        const struct record_callback *callback = stall->callback;
        struct loopdog_stall shown = {
                .size = sizeof shown,
                .id = stall->id,
                .begin_ns = stall->begin_ns,
                .duration_ns = stall->duration_ns,
                .threshold_ns = stall->threshold_ns,
                .tid = stall->tid,
                .startup = stall->phase != NULL,
                .loop = stall->loop,
                .cause = record_cause_name(stall->cause),
                .function = culprit != NULL ? culprit->function : NULL,
                .file = culprit != NULL ? culprit->file : NULL,
                .line = culprit != NULL ? culprit->line : 0,
                .callbacks = stall->callbacks,
                .callback = callback != NULL && callback->name[0] != '\0' ? callback->name
                            : callback != NULL                            ? callback->function
                                                                          : NULL,
                .object = callback != NULL && callback->object[0] != '\0' ? callback->object : NULL,
                .callback_ns = callback != NULL ? callback->duration_ns : 0,
        };
        handler(&shown, told.pairs[current].context);
}
