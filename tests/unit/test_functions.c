/* SPDX-License-Identifier: Apache-2.0
 *
 * test_functions.c - the table of scripts' functions: numbers, what is full, what was emptied
 *
 * Context: unit test
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "script/functions.h"

static uint16_t number_of_nth(unsigned n)
{
        char name[32];
        snprintf(name, sizeof name, "function_%u", n);
        return script_function(name, "app.py", n);
}

/* Fill it; returns how many found room. */
static unsigned fill(void)
{
        unsigned n = 0;
        while (n < 100000 && number_of_nth(n) != 0)
                n++;
        return n;
}

Test(functions, are_given_one_number_each)
{
        uint16_t first = script_function("f", "a.py", 1);
        cr_expect_neq(first, 0);
        cr_expect_eq(script_function("f", "a.py", 1), first);
        cr_expect_neq(script_function("g", "a.py", 1), first);
        cr_expect_neq(script_function("f", "b.py", 1), first);
        cr_expect_neq(script_function("f", "a.py", 2), first);
        cr_expect_eq(script_function("f", "a.py", 1), first);
}

Test(functions, keep_copies_of_their_strings)
{
        char name[] = "Server.handle", file[] = "/srv/app.py";
        uint16_t number = script_function(name, file, 8);
        memset(name, 'x', sizeof name - 1);
        memset(file, 'x', sizeof file - 1);
        const struct script_function *function = script_function_get(number);
        cr_assert(function != NULL);
        cr_expect_str_eq(function->name, "Server.handle");
        cr_expect_str_eq(function->file, "/srv/app.py");
        cr_expect_eq(function->first_line, 8);
}

Test(functions, that_were_never_given_are_none)
{
        uint16_t number = script_function("f", "a.py", 1);
        cr_expect(script_function_get(0) == NULL);
        cr_expect(script_function_get((uint16_t)(number + 1)) == NULL);
        for (unsigned other = 0; other <= UINT16_MAX; other++)
                cr_expect((script_function_get((uint16_t)other) != NULL) == (other == number));
}

Test(functions, of_a_full_table_are_all_right_and_further_ones_have_no_number)
{
        unsigned count = fill();
        cr_expect(count > 1000 && count < 5000, "%u", count);
        cr_expect_eq(number_of_nth(count + 1), 0);
        for (unsigned n = 0; n < count; n++) {
                const struct script_function *function = script_function_get(number_of_nth(n));
                cr_assert(function != NULL);
                cr_assert_eq(function->first_line, n);
        }
}

Test(functions, are_nearly_full_before_they_are_full)
{
        unsigned n = 0;
        while (!script_functions_nearly_full())
                cr_assert_neq(number_of_nth(n++), 0);
        cr_expect_neq(number_of_nth(n), 0);
}

Test(functions, with_long_names_fill_the_bytes_instead)
{
        char name[2048], file[2048];
        unsigned n = 0;
        memset(name, 'n', sizeof name);
        memset(file, 'f', sizeof file);
        name[sizeof name - 1] = file[sizeof file - 1] = '\0';
        for (;; n++) {
                snprintf(name, 16, "%u", n);
                name[strlen(name)] = 'n';
                if (script_function(name, file, n) == 0)
                        break;
                cr_assert_lt(n, 1000, "names without end");
        }
        cr_expect_gt(n, 100);
        cr_expect(script_functions_nearly_full());
        cr_expect_eq(script_function(name, file, n), 0, "still none");
}

Test(functions, of_before_a_clearing_are_void)
{
        unsigned generation = script_functions_generation();
        uint16_t before = script_function("f", "a.py", 1);
        script_functions_clear();
        cr_expect(script_functions_generation() != generation);
        cr_expect(script_function_get(before) == NULL);
        uint16_t after = script_function("g", "a.py", 1);
        cr_expect_neq(after, before);
        cr_expect(script_function_get(before) == NULL);
        cr_expect(script_function_get(after) != NULL);
        cr_expect(!script_functions_nearly_full());
}

Test(functions, can_be_cleared_and_filled_again_and_again)
{
        unsigned room = fill();
        for (unsigned round = 0; round < 40; round++) {
                script_functions_clear();
                cr_assert_eq(fill(), room, "round %u", round);
                cr_assert_eq(script_function_get(number_of_nth(room - 1))->first_line, room - 1);
        }
}

/* 0xf000 is what script.c puts for a function without a number. */
Test(functions, never_get_the_number_of_the_unknown_one)
{
        for (unsigned round = 0; round < 17; round++) {
                cr_expect(script_function_get(0xf000) == NULL);
                uint16_t number = script_function("f", "a.py", 1);
                cr_expect_neq(number, 0xf000);
                script_functions_clear();
        }
}
