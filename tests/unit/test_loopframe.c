/* SPDX-License-Identifier: Apache-2.0
 *
 * test_loopframe.c - is the loop's own frame still on the stack?
 *
 * Context: unit test; Criterion gives each test a process of its own
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "explain/loopframe.h"
#include "frames.h"

/* The loop's function waits at its middle: a return address there. */
#define RUN FUNCTION(PROGRAM, 7)
#define SITE (RUN + 0x80)
#define MAIN FUNCTION(PROGRAM, 1)
#define START FUNCTION(LIBC, 1)
#define CALLBACK FUNCTION(PROGRAM, 9)
#define SLEEP FUNCTION(LIBC, 5)

/* The loop waited when its caller's stack pointer was here: all frames of a callback run from it are younger. */
static struct loopframe_wait waited_above(unsigned frames)
{
        return (struct loopframe_wait){ .site = SITE, .cfa = CFA_OF(frames) - 0x10 };
}

static void expect(struct stack stack, struct loopframe_wait wait, enum loopframe answer, unsigned index)
{
        unsigned found = 99;
        cr_expect(eq(int, loopframe_find(&stack, &wait, &found), answer));
        cr_expect(eq(uint, found, index));
}

/* ---- the function that waits ---- */

Test(loopframe, is_present_below_a_callback)
{
        expect(STACK(SLEEP, CALLBACK, RUN, MAIN, START), waited_above(2), LOOPFRAME_PRESENT, 2);
        cr_expect(zero(uint, times_resolved), "a search through symbol tables that was not needed");
}

Test(loopframe, is_gone_when_the_function_has_returned)
{
        expect(STACK(SLEEP, CALLBACK, MAIN, START), waited_above(2), LOOPFRAME_GONE, 4);
}

Test(loopframe, is_gone_when_the_same_function_runs_deeper_than_the_wait_was)
{
        /* Called again from elsewhere: another loop of the same kind. */
        expect(STACK(SLEEP, RUN, CALLBACK, MAIN, START), waited_above(3), LOOPFRAME_GONE, 5);
}

Test(loopframe, is_the_frame_that_is_older_than_the_wait_by_a_single_byte)
{
        struct stack stack = STACK(SLEEP, CALLBACK, RUN, MAIN);
        struct loopframe_wait wait = { .site = SITE, .cfa = CFA_OF(2) - 1 };
        expect(stack, wait, LOOPFRAME_PRESENT, 2);
        wait.cfa = CFA_OF(2);
        expect(stack, wait, LOOPFRAME_GONE, 4);
}

Test(loopframe, is_the_innermost_of_a_function_that_calls_itself)
{
        expect(STACK(SLEEP, CALLBACK, RUN, CALLBACK, RUN, MAIN), waited_above(2), LOOPFRAME_PRESENT, 2);
        expect(STACK(SLEEP, CALLBACK, RUN, CALLBACK, RUN, MAIN), waited_above(4), LOOPFRAME_PRESENT, 4);
}

Test(loopframe, is_found_where_the_wait_is_the_last_thing_its_function_does)
{
        /* The call is the function's last instruction: the return address is the next function's first byte. */
        struct loopframe_wait wait = { .site = RUN + 0x100, .cfa = CFA_OF(2) - 0x10 };
        expect(STACK(SLEEP, CALLBACK, RUN, MAIN), wait, LOOPFRAME_PRESENT, 2);
        expect(STACK(SLEEP, CALLBACK, FUNCTION(PROGRAM, 8), MAIN), wait, LOOPFRAME_GONE, 4);
}

Test(loopframe, is_not_found_in_frames_whose_place_is_not_known)
{
        struct stack stack = STACK(SLEEP, CALLBACK, RUN, MAIN);
        stack.frames[2].cfa = 0;
        expect(stack, waited_above(2), LOOPFRAME_GONE, 4);
}

/* ---- loop libraries ---- */

static void use_library(const char *name)
{
        modules_here[LIBRARY].name = name;
}

#define LIBRARY_WAIT FUNCTION(LIBRARY, 3)
#define LIBRARY_RUN FUNCTION(LIBRARY, 4)
#define LIBRARY_TIMERS FUNCTION(LIBRARY, 5)

static struct loopframe_wait waited_in_library(unsigned frames)
{
        return (struct loopframe_wait){ .site = LIBRARY_WAIT + 0x80, .cfa = CFA_OF(frames) - 0x10 };
}

Test(loopframe, is_present_while_another_function_of_the_loop_library_is)
{
        use_library("libuv.so.1");
        expect(STACK(SLEEP, CALLBACK, LIBRARY_TIMERS, LIBRARY_RUN, MAIN, START), waited_in_library(2),
               LOOPFRAME_PRESENT, 3);
}

Test(loopframe, is_the_outermost_frame_in_the_loop_library)
{
        use_library("libev.so.4");
        expect(STACK(SLEEP, CALLBACK, LIBRARY_WAIT, LIBRARY_RUN, MAIN, START), waited_in_library(2), LOOPFRAME_PRESENT,
               3);
        expect(STACK(SLEEP, LIBRARY_WAIT, CALLBACK, LIBRARY_RUN, MAIN, LIBRARY_RUN, START), waited_in_library(1),
               LOOPFRAME_PRESENT, 5);
}

Test(loopframe, is_gone_when_the_loop_library_is)
{
        use_library("libuv.so.1");
        expect(STACK(SLEEP, CALLBACK, MAIN, START), waited_in_library(2), LOOPFRAME_GONE, 4);
        expect(STACK(LIBRARY_TIMERS, CALLBACK, MAIN, START), waited_in_library(2), LOOPFRAME_GONE, 4);
}

Test(loopframe, is_not_any_function_of_a_library_that_is_none)
{
        expect(STACK(SLEEP, CALLBACK, LIBRARY_TIMERS, LIBRARY_RUN, MAIN), waited_in_library(2), LOOPFRAME_GONE, 5);
        expect(STACK(SLEEP, CALLBACK, LIBRARY_WAIT, LIBRARY_RUN, MAIN), waited_in_library(2), LOOPFRAME_PRESENT, 2);
}

Test(loopframe, is_not_the_program_around_a_loop_in_it)
{
        expect(STACK(SLEEP, CALLBACK, FUNCTION(PROGRAM, 3), FUNCTION(PROGRAM, 4), MAIN), waited_above(2),
               LOOPFRAME_GONE, 5);
}

/* ---- names ---- */

Test(loopframe, is_told_by_name_where_the_library_is_linked_into_the_program)
{
        /* node: the timers run beside the function that waits, both below uv_run(). */
        name_function(FUNCTION(PROGRAM, 20), "uv_run");
        name_function(FUNCTION(PROGRAM, 21), "uv__run_timers");
        expect(STACK(SLEEP, CALLBACK, FUNCTION(PROGRAM, 21), FUNCTION(PROGRAM, 20), MAIN, START), waited_above(2),
               LOOPFRAME_PRESENT, 3);
}

Test(loopframe, is_told_by_the_names_of_all_loop_libraries)
{
        static const char *const names[] = { "uv_run",          "ev_run",
                                             "event_base_loop", "event_base_dispatch",
                                             "g_main_loop_run", "aeProcessEvents" };
        for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
                memset(names_here, 0, sizeof names_here);
                name_function(FUNCTION(PROGRAM, 20), names[i]);
                expect(STACK(SLEEP, CALLBACK, FUNCTION(PROGRAM, 20), MAIN), waited_above(2), LOOPFRAME_PRESENT, 2);
        }
        memset(names_here, 0, sizeof names_here);
        name_function(FUNCTION(PROGRAM, 20), "uv_run_once");
        expect(STACK(SLEEP, CALLBACK, FUNCTION(PROGRAM, 20), MAIN), waited_above(2), LOOPFRAME_GONE, 4);
}

Test(loopframe, is_not_told_by_a_name_in_a_younger_frame)
{
        name_function(FUNCTION(PROGRAM, 20), "uv_run");
        expect(STACK(SLEEP, FUNCTION(PROGRAM, 20), CALLBACK, MAIN), waited_above(2), LOOPFRAME_GONE, 4);
        struct loopframe_wait wait = { .site = SITE, .cfa = CFA_OF(1) };
        expect(STACK(SLEEP, FUNCTION(PROGRAM, 20), CALLBACK, MAIN), wait, LOOPFRAME_GONE, 4);
        wait.cfa--;
        expect(STACK(SLEEP, FUNCTION(PROGRAM, 20), CALLBACK, MAIN), wait, LOOPFRAME_PRESENT, 1);
}

/* ---- where nothing can be said ---- */

Test(loopframe, is_unknown_on_a_stack_that_is_not_complete)
{
        struct stack stack = STACK(SLEEP, CALLBACK, MAIN);
        stack.complete = false;
        expect(stack, waited_above(1), LOOPFRAME_UNKNOWN, 3);
        stack = STACK(SLEEP, CALLBACK, RUN, MAIN);
        stack.complete = false;
        expect(stack, waited_above(2), LOOPFRAME_PRESENT, 2);
}

Test(loopframe, is_unknown_where_the_waiting_function_has_no_unwind_information)
{
        struct stack stack = STACK(SLEEP, FUNCTION_NOWHERE(1), MAIN);
        struct loopframe_wait wait = { .site = FUNCTION_NOWHERE(2) + 0x80, .cfa = CFA_OF(1) };
        expect(stack, wait, LOOPFRAME_UNKNOWN, 3);
        no_unwind_information = true;
        expect(STACK(SLEEP, CALLBACK, MAIN), waited_above(1), LOOPFRAME_UNKNOWN, 3);
}

Test(loopframe, does_not_take_all_frames_without_unwind_information_for_its_own)
{
        struct stack stack = STACK(SLEEP, FUNCTION_NOWHERE(1), FUNCTION_NOWHERE(2), MAIN);
        for (int i = 1; i < 3; i++)
                stack.frames[i].function = 0;
        struct loopframe_wait wait = { .site = FUNCTION_NOWHERE(2) + 0x80, .cfa = CFA_OF(0) };
        expect(stack, wait, LOOPFRAME_UNKNOWN, 4);
}

Test(loopframe, is_unknown_under_an_interpreter)
{
        static const char *const interpreters[] = { "python3.11",
                                                    "python3",
                                                    "libpython3.12.so.1.0",
                                                    "select.cpython-311-x86_64-linux-gnu.so",
                                                    "_asyncio.cpython-311-x86_64-linux-gnu.so",
                                                    "loop.cpython-311-x86_64-linux-gnu.so" };
        for (size_t i = 0; i < sizeof interpreters / sizeof *interpreters; i++) {
                use_library(interpreters[i]);
                expect(STACK(SLEEP, CALLBACK, LIBRARY_TIMERS, MAIN), waited_in_library(2), LOOPFRAME_UNKNOWN, 4);
                expect(STACK(SLEEP, CALLBACK, LIBRARY_WAIT, MAIN), waited_in_library(2), LOOPFRAME_PRESENT, 2);
        }
        use_library("pythonic-server");
        expect(STACK(SLEEP, CALLBACK, MAIN), waited_in_library(1), LOOPFRAME_UNKNOWN, 3);
        use_library("micropython");
        expect(STACK(SLEEP, CALLBACK, MAIN), waited_in_library(1), LOOPFRAME_GONE, 3);
}

Test(loopframe, bears_an_empty_stack)
{
        struct stack stack = { .complete = true };
        expect(stack, waited_above(1), LOOPFRAME_GONE, 0);
        stack.complete = false;
        expect(stack, waited_above(1), LOOPFRAME_UNKNOWN, 0);
}
