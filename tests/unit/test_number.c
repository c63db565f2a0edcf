/* SPDX-License-Identifier: Apache-2.0
 *
 * test_number.c - numbers in what the kernel writes
 *
 * Context: unit test
 */
#include "base/number.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

static void expect(const char *text, unsigned base, uint64_t wanted, const char *rest)
{
        const char *at = text;
        uint64_t value = 77;
        cr_expect(number_take(&at, base, &value), "%s", text);
        cr_expect(eq(u64, value, wanted), "%s", text);
        cr_expect_str_eq(at, rest, "%s", text);
}

Test(number, is_taken_with_the_blanks_before_it)
{
        expect("0", 10, 0, "");
        expect(" \t42 17", 10, 42, " 17");
        expect("18446744073709551615\n", 10, UINT64_MAX, "\n");
        expect("7f00-8000", 16, 0x7f00, "-8000");
        expect("0x7ffdead", 16, 0x7ffdead, "");
        expect("12ab", 10, 12, "ab");
}

Test(number, is_not_made_of_anything_else)
{
        static const char *const texts[] = { "", " ", "-1", "x", "\n5", "+5", "A" };
        for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
                const char *at = texts[i];
                uint64_t value;
                cr_expect(not(number_take(&at, 10, &value)), "'%s'", texts[i]);
        }
        const char *at = "0x";
        uint64_t value;
        cr_expect(not(number_take(&at, 16, &value)), "no digit follows");
}
