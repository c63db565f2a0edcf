/* SPDX-License-Identifier: Apache-2.0
 *
 * test_table.c - rows are mapped when they are needed, once, and there is an answer where they can't be
 *
 * Context: unit tests; each runs in a process of its own
 */
#include "base/table.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "base/notice.h"

#define ROWS_EACH 32

struct row {
        uint64_t number;
        char bytes[1000];
};

Test(table, has_only_the_rows_that_were_reached)
{
        static struct row first[ROWS_EACH];
        static struct table table = { sizeof(struct row), ROWS_EACH, { first } };
        cr_expect(eq(ptr, table_row(&table, 0), first));
        cr_expect(eq(ptr, table_row(&table, ROWS_EACH - 1), &first[ROWS_EACH - 1]));
        cr_expect(zero(ptr, table_row(&table, ROWS_EACH)));
        struct row *row = table_reach(&table, 100);
        cr_assert(not(zero(ptr, row)));
        cr_expect(eq(ptr, table_row(&table, 100), row));
        cr_expect(eq(ptr, table_reach(&table, 101), row + 1), "they lie side by side");
        cr_expect(zero(ptr, table_row(&table, ROWS_EACH)), "what lies between was not asked for");
        cr_expect(zero(ptr, table_row(&table, LIMIT_SLOTS - 1)));
}

Test(table, rows_are_zeroed_do_not_overlap_and_stay)
{
        static struct table table = { sizeof(struct row), ROWS_EACH, { NULL } };
        cr_assert(eq(uint, table_reach_all(&table, LIMIT_SLOTS), LIMIT_SLOTS));
        for (uint32_t i = 0; i < LIMIT_SLOTS; i++) {
                struct row *row = table_row(&table, i), none = { 0 };
                cr_assert(zero(int, memcmp(row, &none, sizeof none)), "row %u", i);
                memset(row, (int)i | 1, sizeof *row);
                row->number = i;
        }
        cr_assert(eq(uint, table_reach_all(&table, LIMIT_SLOTS), LIMIT_SLOTS));
        for (uint32_t i = 0; i < LIMIT_SLOTS; i++)
                cr_assert(eq(u64, ((struct row *)table_row(&table, i))->number, i));
}

#define THREADS 4
#define ROUNDS (8 * TABLE_CHUNKS)
static struct table shared[ROUNDS / TABLE_CHUNKS];
static pthread_barrier_t together;

static void *reach_each(void *rows)
{
        for (int i = 0; i < ROUNDS; i++) {
                pthread_barrier_wait(&together);
                ((void **)rows)[i] = table_reach(&shared[i / TABLE_CHUNKS], (uint32_t)(i % TABLE_CHUNKS) * ROWS_EACH);
        }
        return NULL;
}

Test(table, threads_that_reach_the_same_row_get_the_same)
{
        static void *rows[THREADS][ROUNDS];
        pthread_t threads[THREADS];
        pthread_barrier_init(&together, NULL, THREADS);
        for (int i = 0; i < ROUNDS / TABLE_CHUNKS; i++)
                shared[i] = (struct table){ sizeof(struct row), ROWS_EACH, { NULL } };
        for (int i = 0; i < THREADS; i++)
                cr_assert(zero(int, pthread_create(&threads[i], NULL, reach_each, rows[i])));
        for (int i = 0; i < THREADS; i++)
                pthread_join(threads[i], NULL);
        for (int i = 1; i < THREADS; i++)
                cr_expect(zero(int, memcmp(rows[0], rows[i], sizeof rows[0])));
}

/* More than there are addresses. */
Test(table, says_once_that_there_is_no_memory_and_keeps_errno)
{
        static char first[1];
        static struct table table = { (size_t)1 << 56, ROWS_EACH, { first } };
        size_t notices = notice_count();
        errno = 77;
        cr_expect(zero(ptr, table_reach(&table, 40)));
        cr_expect(zero(ptr, table_reach(&table, 80)));
        cr_expect(eq(uint, table_reach_all(&table, 50), ROWS_EACH));
        cr_expect(eq(int, errno, 77));
        cr_expect(eq(sz, notice_count(), notices + 1));
        table.row_bytes = 1;
        cr_expect(not(zero(ptr, table_reach(&table, 40))), "it is tried again");
}
