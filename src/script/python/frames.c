/* SPDX-License-Identifier: Apache-2.0
 *
 * frames.c - what was copied of a thread's Python frames, understood
 *
 * A list in which one frame makes no sense is thrown away whole: it was copied while it changed, and what is left of
 * it would be a stack that never was. But where an outer frame's long names are gone by now, because the thread has
 * gone on since, the frames within it are told.
 *
 * Context: watchdog
 */
#include "script/python/frames.h"

#include <errno.h>

#include "script/functions.h"
#include "script/python/code.h"

static const char changing[] = "the Python frames were just being changed";

/* What cleans up after __init__ is the interpreter's own, and has no file. */
static bool is_hidden(uint16_t function)
{
        const struct script_function *known = script_function_get(function);
        return known != NULL && known->file[0] == '\0';
}

static void end_activation(struct python_stack *stack, unsigned first, uint64_t anchor)
{
        if (stack->count == first)
                return;
        stack->frames[stack->count - 1].last = true;
        stack->frames[stack->count - 1].anchor = anchor;
}

/* Is this frame the last of its activation, and where does that lie? */
static bool ends_here(const struct python_layout *layout, const struct python_copied *copied, uint64_t cframe,
                      uint64_t *anchor)
{
        switch (layout->frames) {
        case PYTHON_FRAME_OBJECTS:
                *anchor = 0;
                return true;
        case PYTHON_CFRAMES:
                *anchor = cframe;
                return copied->frame[layout->frame_end] == 1;
        case PYTHON_SHIMS:
                *anchor = copied->shim;
                return copied->shim != 0;
        }
        return false;
}

/* 3.11: go from the activation that ends with this frame to the one that has called it. False: the frame does not lead
 * there. A frame that has just been made is in the list before its own link to its caller is set, as compilers order
 * that; the link is then one of an earlier call's. */
static bool leave_activation(const struct python_layout *layout, const struct python_copied *copied,
                             python_stack_word *word, void *context, uint64_t *cframe)
{
        uint64_t outer, caller;
        if (*cframe == 0 || !word(context, *cframe + layout->cframe_previous, &outer) ||
            !word(context, outer + layout->cframe_frame, &caller)) {
                *cframe = 0; /* not to be checked any more */
                return true;
        }
        *cframe = outer;
        return caller == python_word(copied->frame, layout->frame_previous);
}

/* A thread state without frames: does it execute none? The outermost cframe, which is in the thread state, has none. */
static bool is_idle(const struct python_layout *layout, const struct python_run *run, python_stack_word *word,
                    void *context)
{
        uint64_t outer;
        return !run->cut &&
               (run->cframe == 0 || (word(context, run->cframe + layout->cframe_previous, &outer) && outer == 0));
}

/* False: it makes no sense. */
static bool add_run(const struct python_runtime *runtime, const struct python_copy *copy, const struct python_run *run,
                    python_stack_word *word, void *context, struct python_stack *stack)
{
        const struct python_layout *layout = &runtime->layout;
        uint64_t cframe = run->cframe, anchor = 0;
        unsigned first = stack->count; /* of the activation */
        if (run->broken)
                return false;
        if (run->count == 0)
                return !run->shims && is_idle(layout, run, word, context);
        for (unsigned i = run->first; i < run->first + run->count; i++) {
                const struct python_copied *copied = &copy->frames[i];
                struct python_place place;
                int r = python_place_of(runtime, copied, &place);
                if (r == -ESTALE && i > 0) { /* those within it are true all the same */
                        stack->cut = true;
                        break;
                }
                if (r != 0)
                        return false;
                if (!is_hidden(place.function))
                        stack->frames[stack->count++] = (struct python_frame){ .address = copied->address,
                                                                               .function = place.function,
                                                                               .line = place.line };
                if (!ends_here(layout, copied, cframe, &anchor))
                        continue;
                end_activation(stack, first, anchor);
                first = stack->count;
                if (layout->frames == PYTHON_CFRAMES && !leave_activation(layout, copied, word, context, &cframe))
                        return false;
        }
        stack->cut = stack->cut || run->cut;
        if (stack->count != first && !stack->cut) /* the outermost frame of all is that of an activation */
                return false;
        end_activation(stack, first, 0);
        return true;
}

void python_frames(const struct python_runtime *runtime, const struct python_copy *copy, python_stack_word *word,
                   void *context, struct python_stack *stack)
{
        stack->count = 0;
        stack->cut = false;
        stack->lost = NULL;
        for (unsigned i = 0; i < copy->run_count; i++) {
                if (add_run(runtime, copy, &copy->runs[i], word, context, stack))
                        continue;
                stack->count = 0;
                stack->lost = changing;
                return;
        }
        if (stack->count == 0 && copy->count != 0)
                stack->lost = changing;
}
