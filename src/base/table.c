/* SPDX-License-Identifier: Apache-2.0
 *
 * table.c - tables of a fixed size whose rows are there when they are needed
 *
 * By plain system calls: mmap() may be the program's own (tcmalloc's, a profiler's), and sets errno.
 *
 * Context: everywhere but the signal handler
 */
#include "base/table.h"

#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "base/calls.h"
#include "base/notice.h"
#include "base/raw.h"

void *table_map(size_t bytes)
{
        if (!call_allowed_sigsafe(SYS_mmap)) { /* by a filter that came later; without it no thread begins */
                notice("a seccomp filter forbids mmap: some stalls have no stacks, or some loops are not watched");
                return NULL;
        }
        long address = raw_syscall_sigsafe(SYS_mmap, 0, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
                                           (uint64_t)-1, 0);
        if (address > 0 || address < -4095)
                return (void *)address; /* NOLINT(performance-no-int-to-ptr) */
        notice("no memory for a table (RLIMIT_AS, or RLIMIT_MEMLOCK with mlockall): some stalls have no stacks, or "
               "some loops are not watched");
        return NULL;
}

void *table_reach(struct table *table, uint32_t index)
{
        void *_Atomic *place = &table->chunks[index / table->rows_each];
        size_t bytes = table->row_bytes * table->rows_each;
        if (atomic_load_explicit(place, memory_order_acquire) == NULL) {
                void *none = NULL;
                void *chunk = table_map(bytes);
                if (chunk != NULL && !atomic_compare_exchange_strong(place, &none, chunk)) /* another thread's */
                        raw_syscall_sigsafe(SYS_munmap, (uintptr_t)chunk, bytes, 0, 0, 0, 0);
        }
        return table_row(table, index);
}

uint32_t table_reach_all(struct table *table, uint32_t count)
{
        for (uint32_t i = 0; i < count; i += table->rows_each)
                if (table_reach(table, i) == NULL)
                        return i;
        return count;
}

void table_clear(struct table *table, uint32_t count)
{
        for (uint32_t i = 0; i < count; i++)
                if (table_row(table, i) != NULL)
                        memset(table_row(table, i), 0, table->row_bytes);
}
