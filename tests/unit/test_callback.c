/* SPDX-License-Identifier: Apache-2.0
 *
 * test_callback.c - which frame has the loop called?
 *
 * Context: unit test
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "explain/callback.h"
#include "frames.h"
#include "script/functions.h"

#define RUN FUNCTION(PROGRAM, 7)
#define MAIN FUNCTION(PROGRAM, 1)
#define CALLBACK FUNCTION(PROGRAM, 9)
#define SLEEP FUNCTION(LIBC, 5)
#define EV_RUN FUNCTION(LIBRARY, 1)
#define EV_INVOKE FUNCTION(LIBRARY, 2)

static int find(struct stack stack, uint64_t site, unsigned above)
{
        struct loopframe_wait wait = { .site = site + 0x80, .cfa = CFA_OF(above) - 0x10 };
        return callback_find(&stack, &wait);
}

/* A frame of a script's function, put in at `index`. */
static struct stack with_script(struct stack stack, unsigned index, const char *name, const char *file)
{
        stack.frames[index] = (struct frame){ .script = script_function(name, file, 1), .module = MODULE_NONE };
        return stack;
}

Test(callback, is_the_frame_within_the_function_that_waits)
{
        cr_expect(eq(int, find(STACK(SLEEP, CALLBACK, RUN, MAIN), RUN, 2), 1));
        cr_expect(eq(int, find(STACK(CALLBACK, RUN, MAIN), RUN, 1), 0));
}

Test(callback, is_past_the_loop_librarys_own_helpers)
{
        modules_here[LIBRARY].name = "libev.so.4.0.0";
        cr_expect(eq(int, find(STACK(SLEEP, CALLBACK, EV_INVOKE, EV_RUN, MAIN), EV_RUN, 3), 1));
        cr_expect(eq(int, find(STACK(EV_INVOKE, EV_RUN, MAIN), EV_RUN, 1), -1), "the library itself");
}

Test(callback, is_not_known_where_the_loop_is_not_on_the_stack)
{
        cr_expect(eq(int, find(STACK(SLEEP, CALLBACK, MAIN), RUN, 2), -1));
        cr_expect(eq(int, find((struct stack){ .count = 0 }, RUN, 2), -1));
}

Test(callback, is_what_asyncios_handle_runs)
{
        struct stack stack = STACK(SLEEP, MAIN, MAIN, MAIN, MAIN, MAIN);
        stack = with_script(stack, 1, "handler", "/srv/app.py");
        stack = with_script(stack, 2, "middleware", "/srv/web.py");
        stack = with_script(stack, 3, "Handle._run", "/usr/lib/python3.11/asyncio/events.py");
        stack = with_script(stack, 4, "BaseEventLoop._run_once", "/usr/lib/python3.11/asyncio/base_events.py");
        cr_expect(eq(int, find(stack, RUN, 5), 2));
        stack = with_script(stack, 2, "wait_for", "/usr/lib/python3.11/asyncio/tasks.py");
        cr_expect(eq(int, find(stack, RUN, 5), 1), "asyncio's own coroutines are no callbacks");
}

Test(callback, is_the_first_script_within_uvloop)
{
        modules_here[LIBRARY].name = "loop.cpython-311-x86_64-linux-gnu.so";
        struct stack stack = STACK(SLEEP, MAIN, EV_INVOKE, EV_RUN, MAIN);
        stack = with_script(stack, 1, "handler", "/srv/app.py");
        cr_expect(eq(int, find(stack, EV_RUN, 3), 1));
}
