/* SPDX-License-Identifier: Apache-2.0
 *
 * test_shares.c - the parts of a stall
 *
 * Context: unit test
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdio.h>

#include "base/limits.h"
#include "record/shares.h"

#define OWN "/srv/server"
#define STACKS 12

static struct record_frame frames[STACKS][8];
static struct record_stack stacks[STACKS];
static int callbacks[STACKS];
static struct record_share shares[SHARES];
static size_t count;

/* Functions of the program, innermost first; one that begins with '_' is libc's. `callback` is an index. */
static void add(uint32_t samples, int callback, const char *const *functions)
{
        size_t length = 0;
        for (; functions[length] != NULL; length++) {
                bool libc = functions[length][0] == '_';
                frames[count][length] =
                        (struct record_frame){ .function = functions[length],
                                               .module = libc ? "/lib/x86_64-linux-gnu/libc.so.6" : OWN };
        }
        stacks[count] = (struct record_stack){ .count = samples, .frames = frames[count], .frames_count = length };
        callbacks[count++] = callback;
}
#define ADD(samples, callback, ...) add(samples, callback, (const char *const[]){ __VA_ARGS__, NULL })

static size_t find(void)
{
        return shares_find(stacks, callbacks, count, NULL, shares);
}

static void expect(size_t index, const char *function, uint32_t samples, uint32_t percent)
{
        cr_expect_str_eq(shares[index].frame.function, function);
        cr_expect(eq(uint, shares[index].samples, samples));
        cr_expect(eq(uint, shares[index].percent, percent));
}

Test(shares, has_none_of_no_stacks)
{
        cr_expect(zero(sz, find()));
        ADD(3, -1, "_read");
        stacks[0].frames_count = 0;
        cr_expect(zero(sz, find()));
}

Test(shares, is_the_culprit_where_all_samples_went_the_same_way)
{
        ADD(9, 2, "_read", "load", "on_request", "main");
        ADD(1, 1, "load", "on_request", "main");
        cr_assert(eq(sz, find(), 1));
        expect(0, "load", 10, 100);
}

Test(shares, are_the_callbacks_where_the_loop_ran_several)
{
        ADD(3, 1, "work", "handle_b", "run", "main");
        ADD(6, 1, "work", "handle_a", "run", "main");
        ADD(1, 2, "_memcpy", "copy", "handle_a", "run", "main");
        cr_assert(eq(sz, find(), 2));
        expect(0, "handle_a", 7, 70);
        expect(1, "handle_b", 3, 30);
}

Test(shares, are_the_functions_in_which_samples_of_one_callback_part)
{
        ADD(2, 3, "a", "all", "again", "callback", "main");
        ADD(1, 3, "b", "all", "again", "callback", "main");
        ADD(1, 2, "all", "again", "callback", "main");
        cr_assert(eq(sz, find(), 3));
        expect(0, "a", 2, 50);
        expect(1, "b", 1, 25);
        expect(2, "all", 1, 25);
}

Test(shares, keeps_the_largest_where_there_are_many)
{
        static char names[STACKS][8];
        for (unsigned i = 0; i < STACKS; i++) {
                snprintf(names[i], sizeof names[i], "f%u", i);
                ADD(i + 1, 1, names[i], "callback", "main");
        }
        cr_assert(eq(sz, find(), SHARES));
        expect(0, "f11", 12, 15);
        expect(SHARES - 1, "f4", 5, 6);
}

Test(shares, uses_the_culprit_where_the_callback_is_not_known)
{
        ADD(1, -1, "_read", "load", "main");
        ADD(1, 99, "_read", "store", "main");
        cr_assert(eq(sz, find(), 2));
        expect(0, "load", 1, 50);
        expect(1, "store", 1, 50);
}
