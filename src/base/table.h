/* SPDX-License-Identifier: Apache-2.0
 *
 * table.h - tables of a fixed size whose rows are there when they are needed
 *
 * A program may lock its memory (mlockall), and then pays for every byte that is mapped, used or not; its limits
 * (RLIMIT_MEMLOCK, RLIMIT_AS) count ours too. So of a large table only a pointer for so many rows stands in the
 * library; the rows are mapped when one of them is first needed, all zero, and stay where they are from then on.
 *
 * Whoever reaches a row first publishes it; a reader that finds the pointer finds the zeroed memory. What is in it is
 * the readers' and writers' own matter.
 *
 * Context: table_row() everywhere, signal handler included; the rest everywhere but there, may call mmap(). errno is
 *          left alone.
 */
#ifndef LOOPDOG_BASE_TABLE_H
#define LOOPDOG_BASE_TABLE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/limits.h"

#define TABLE_ROWS 32 /* of a table with a row for each loop that are mapped together */
#define TABLE_CHUNKS (LIMIT_SLOTS / TABLE_ROWS)

struct table {
        size_t row_bytes;
        uint32_t rows_each;                 /* in one chunk */
        void *_Atomic chunks[TABLE_CHUNKS]; /* the first may be a static one, there from the beginning */
};

/* NULL: it was not reached. */
static inline void *table_row(const struct table *table, uint32_t index)
{
        char *chunk = atomic_load_explicit(&table->chunks[index / table->rows_each], memory_order_acquire);
        return chunk != NULL ? chunk + index % table->rows_each * table->row_bytes : NULL;
}

/* The same, mapped where it is not there yet. NULL: there is no memory, which is said once. */
void *table_reach(struct table *table, uint32_t index);

/* Reach the first `count` rows. Returns how many of them are there. */
uint32_t table_reach_all(struct table *table, uint32_t count);

/* Forget what is in the first `count` rows, as far as they are there. */
void table_clear(struct table *table, uint32_t count);

/* Zeroed memory that is never given back. NULL: there is none, which is said once. */
void *table_map(size_t bytes);

#endif
