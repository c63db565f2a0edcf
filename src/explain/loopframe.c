/* SPDX-License-Identifier: Apache-2.0
 *
 * loopframe.c - is the loop's own frame still on the stack?
 *
 * The loop frame is the activation that waits again and again. It is older than its wait (its frame lies above the
 * wait's in the stack) and is told by one of three marks: it is the function that made the wait; it lies in the same
 * loop library as that function; or it bears the name of a loop library's run function, for libraries linked into
 * the program (libuv in node). A callback run from a sibling of the waiting function (libuv's timers) has
 * only the last two.
 *
 * Context: watchdog
 */
#include "explain/loopframe.h"

#include <string.h>

#include "base/library.h"
#include "unwind/module.h"
#include "unwind/symbol.h"
#include "unwind/unwind.h"

static const char *const run_functions[] = {
        "uv_run", "ev_run", "event_base_loop", "event_base_dispatch", "g_main_loop_run", "aeProcessEvents",
};

/* There the loop's frame is a Python function, and the native function that waits is gone whenever a callback runs. */
static const char *const interpreters[] = {
        "python", "libpython", "select.cpython", "_asyncio", "loop.cpython", /* the last is uvloop's */
};

static bool begins_with_one_of(const char *name, const char *const *prefixes, size_t count)
{
        for (size_t i = 0; i < count; i++)
                if (strncmp(name, prefixes[i], strlen(prefixes[i])) == 0)
                        return true;
        return false;
}

#define BEGINS_WITH_ONE_OF(name, array) begins_with_one_of((name), (array), sizeof(array) / sizeof *(array))

static bool is_run_function(const struct frame *frame)
{
        const char *name = symbol_name(frame);
        if (name == NULL)
                return false;
        for (size_t i = 0; i < sizeof run_functions / sizeof *run_functions; i++)
                if (strcmp(name, run_functions[i]) == 0)
                        return true;
        return false;
}

/* By function and module, which are known of every frame. */
static bool find_by_place(const struct stack *stack, const struct loopframe_wait *wait, uint64_t function,
                          uint16_t library, unsigned *index)
{
        bool found = false;
        for (unsigned i = 0; i < stack->count; i++) {
                const struct frame *frame = &stack->frames[i];
                bool same_function = function != 0 && frame->function == function;
                bool same_library = library != MODULE_NONE && frame->module == library;
                if (frame->cfa <= wait->cfa) /* younger than the wait */
                        continue;
                if (!same_function && !same_library)
                        continue;
                *index = i;
                found = true;
                if (library == MODULE_NONE)
                        break; /* else the outermost: ev_run() rather than its helpers */
        }
        return found;
}

/* By name. That costs a search through symbol tables, so it is done only where nothing else has found the frame. */
static bool find_by_name(const struct stack *stack, const struct loopframe_wait *wait, unsigned *index)
{
        symbols_resolve(stack);
        for (unsigned i = 0; i < stack->count; i++) {
                if (stack->frames[i].cfa <= wait->cfa || !is_run_function(&stack->frames[i]))
                        continue;
                *index = i;
                return true;
        }
        return false;
}

enum loopframe loopframe_find(const struct stack *stack, const struct loopframe_wait *wait, unsigned *index)
{
        uint16_t module = module_find(wait->site);
        const char *module_name = module != MODULE_NONE ? module_get(module)->name : "";
        uint16_t library = library_name_is_loop(module_name) ? module : MODULE_NONE;
        uint64_t function = unwind_function_at(wait->site - 1); /* a return address */
        *index = stack->count;
        if (find_by_place(stack, wait, function, library, index) || find_by_name(stack, wait, index))
                return LOOPFRAME_PRESENT;
        if (!stack->complete || function == 0 || BEGINS_WITH_ONE_OF(module_name, interpreters))
                return LOOPFRAME_UNKNOWN;
        return LOOPFRAME_GONE;
}
