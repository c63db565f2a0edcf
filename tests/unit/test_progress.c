/* SPDX-License-Identifier: Apache-2.0
 *
 * test_progress.c - tools/progress: how far a read has come, in words
 *
 * Context: unit test
 */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "progress.h"

static void expect(uint64_t done, uint64_t total, unsigned columns, const char *wanted)
{
        char *text = progress_text(done, total, columns);
        cr_expect_str_eq(text, wanted);
        free(text);
}

Test(progress, fits_the_terminal)
{
        expect(500, 1000, 80, "reading: 50 % of 1.0 kB [====================                    ]");
        expect(500, 1000, 40, "reading: 50 % of 1.0 kB [======       ]");
        expect(500, 1000, 30, "reading: 50 % of 1.0 kB");
        expect(500, 1000, 0, "reading: 50 % of 1.0 kB");
}

Test(progress, ends_at_a_hundred)
{
        expect(0, UINT64_C(2700000000000), 0, "reading: 0 % of 2.7 TB");
        expect(UINT64_C(12345678), UINT64_C(12345678), 0, "reading: 100 % of 12 MB");
        expect(5000, 1000, 0, "reading: 100 % of 1.0 kB");
}

Test(progress, says_what_was_read_where_the_end_is_not_known)
{
        expect(999, 0, 80, "reading: 999 B");
        expect(1500000, 0, 80, "reading: 1.5 MB");
}
