/* SPDX-License-Identifier: Apache-2.0
 *
 * callback.c - which frame has the loop called?
 *
 * It tells one long callback from many short ones in a single iteration. In a native loop it is the frame within the
 * loop frame, past the loop library's own helpers; under asyncio the first one within the handle that is run and not
 * asyncio's; under uvloop the first of a script within the library.
 *
 * Context: watchdog
 */
#include "explain/callback.h"

#include <string.h>

#include "base/library.h"
#include "script/script.h"
#include "unwind/module.h"

static bool ends_with(const char *text, const char *end)
{
        size_t length = strlen(text), tail = strlen(end);
        return length >= tail && strcmp(text + length - tail, end) == 0;
}

static bool is_of_asyncio(const struct frame *frame)
{
        const struct script_function *function = script_function_get(frame->script);
        return function != NULL && strstr(function->file, "/asyncio/") != NULL;
}

/* asyncio's Handle._run(), or anything of uvloop's: what a callback is called from. */
static bool runs_callbacks(const struct frame *frame)
{
        const struct script_function *function = script_function_get(frame->script);
        if (frame->script != 0)
                return function != NULL && ends_with(function->file, "/asyncio/events.py") &&
                       ends_with(function->name, "_run");
        return frame->module != MODULE_NONE && strncmp(module_get(frame->module)->name, "loop.cpython", 12) == 0;
}

static int find_in_scripts(const struct stack *stack)
{
        unsigned i = stack->count;
        while (i > 0 && !runs_callbacks(&stack->frames[i - 1]))
                i--;
        for (; i > 0; i--)
                if (stack->frames[i - 1].script != 0 && !is_of_asyncio(&stack->frames[i - 1]))
                        return (int)i - 1;
        return -1;
}

/* The loop's own helpers: of the loop library that the wait is in. */
static bool is_of_loop(const struct frame *frame, uint16_t library)
{
        return frame->script == 0 && library != MODULE_NONE && frame->module == library;
}

int callback_find(const struct stack *stack, const struct loopframe_wait *wait)
{
        unsigned index;
        int script = find_in_scripts(stack);
        if (script >= 0 || loopframe_find(stack, wait, &index) != LOOPFRAME_PRESENT)
                return script;
        uint16_t library = stack->frames[index].script == 0 ? stack->frames[index].module : MODULE_NONE;
        if (library != MODULE_NONE && !library_name_is_loop(module_get(library)->name))
                library = MODULE_NONE;
        while (index > 0 && is_of_loop(&stack->frames[index - 1], library))
                index--;
        return (int)index - 1;
}
