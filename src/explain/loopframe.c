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
static const char *const interpreters[] = { "python", "libpython", "select.cpython", "_asyncio" };

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

enum loopframe loopframe_find(const struct stack *stack, const struct loopframe_wait *wait, unsigned *index)
{
        uint16_t module = module_find(wait->site);
        const char *module_name = module != MODULE_NONE ? module_get(module)->name : "";
        bool library = library_name_is_loop(module_name);
        uint64_t function = unwind_function_at(wait->site - 1); /* a return address */
        *index = stack->count;
        for (unsigned i = 0; i < stack->count; i++) {
                const struct frame *frame = &stack->frames[i];
                if (frame->cfa <= wait->cfa)
                        continue; /* younger than the wait */
                bool same_function = function != 0 && frame->function == function;
                /* In a library the outermost one: ev_run() rather than its helpers. */
                if (same_function || (library && frame->module == module) || is_run_function(frame)) {
                        *index = i;
                        if (!library)
                                return LOOPFRAME_PRESENT;
                }
        }
        if (*index < stack->count)
                return LOOPFRAME_PRESENT;
        if (!stack->complete || function == 0 || BEGINS_WITH_ONE_OF(module_name, interpreters))
                return LOOPFRAME_UNKNOWN;
        return LOOPFRAME_GONE;
}
