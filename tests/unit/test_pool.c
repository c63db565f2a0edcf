/* SPDX-License-Identifier: Apache-2.0
 *
 * test_pool.c - tools/read: lines parsed by several threads come back in their order
 *
 * Context: unit test; under TSan, too
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "read/pool.h"

#define LINES 5000 /* several batches of 512 */
#define COMMON                                                                                                         \
        "\"v\":1,\"time\":\"2026-11-22T20:15:03.620700Z\",\"host\":\"web1\",\"pid\":42,\"run\":\"b1946ac92492d234\","  \
        "\"program\":\"uvicorn\""
#define STALL                                                                                                          \
        "{\"type\":\"stall\"," COMMON ",\"id\":%zu,\"duration_ns\":5,\"signature\":\"1\",\"stacks\":[{\"count\":1,"    \
        "\"frames\":[{\"lang\":\"python\",\"function\":\"f%zu\"}]}]}"

struct seen {
        size_t count;
        size_t bad, blank, brief;
};

/* What stands in line `number`. To be freed. */
static char *make_line(size_t number)
{
        if (number % 100 == 7)
                return alloc_string("no record");
        if (number % 100 == 8)
                return alloc_string("  ");
        return alloc_format(STALL, number, number);
}

static void take(void *context, struct taken *taken)
{
        struct seen *seen = context;
        size_t number = ++seen->count;
        char *line = make_line(number);
        cr_assert_eq(taken->number, number);
        cr_assert_str_eq(taken->line, line);
        cr_assert_eq(taken->length, strlen(line));
        seen->bad += taken->status == -EBADMSG;
        seen->blank += taken->status == PARSE_BLANK;
        if (taken->status == 0) {
                cr_assert_eq(taken->parsed.record.stall.id, number);
                cr_assert_eq(taken->parsed.record.stall.stacks_count, taken->brief ? 0u : 1u);
                seen->brief += taken->brief;
                parsed_free(&taken->parsed);
        }
        free(taken->why);
        free(line);
}

static void add_all(struct pool *pool, size_t from, size_t to)
{
        for (size_t number = from; number <= to; number++) {
                char *line = make_line(number);
                pool_add(pool, line, strlen(line), number, true);
                free(line);
        }
}

static void check(unsigned threads, bool briefly)
{
        struct seen seen = { 0 };
        struct pool *pool = pool_with(threads, briefly, take, &seen);
        cr_assert(pool);
        add_all(pool, 1, LINES);
        pool_flush(pool);
        cr_expect_eq(seen.count, (size_t)LINES);
        cr_expect_eq(seen.bad, (size_t)LINES / 100);
        cr_expect_eq(seen.blank, (size_t)LINES / 100);
        cr_expect_eq(seen.brief, briefly ? (size_t)LINES - 2 * LINES / 100 : 0);
        pool_free(pool);
}

Test(pool, gives_lines_back_in_their_order)
{
        check(1, false);
        check(2, true);
        check(5, true);
}

Test(pool, serves_one_file_after_the_other)
{
        struct seen seen = { 0 };
        struct pool *pool = pool_with(3, true, take, &seen);
        pool_flush(pool);
        for (size_t from = 1; from < 2000; from += 300) {
                add_all(pool, from, from + 299);
                pool_flush(pool);
                cr_expect_eq(seen.count, from + 299);
        }
        pool_free(pool);
}

static void measure(void *context, struct taken *taken)
{
        size_t *lengths = context;
        cr_assert_eq(strlen(taken->line), taken->length);
        *lengths += taken->length;
        free(taken->why);
}

Test(pool, takes_lines_longer_than_a_batch)
{
        size_t length = 600 * 1024, lengths = 0;
        struct pool *pool = pool_with(2, true, measure, &lengths);
        char *line = alloc_zeroed(length + 1, 1);
        memset(line, 'x', length);
        for (int i = 0; i < 10; i++)
                pool_add(pool, line, length, 1, true);
        pool_flush(pool);
        cr_expect_eq(lengths, 10 * length);
        pool_free(pool);
        pool_free(NULL);
        free(line);
}
