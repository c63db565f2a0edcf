/* SPDX-License-Identifier: Apache-2.0
 *
 * memory.c - memory of this process that may not be there
 *
 * process_vm_readv finds, pins and releases the pages of each piece that it reads, some 0.4 us a piece.
 * process_vm_writev does that with the pieces it writes to, and takes those it reads as any system call takes its
 * arguments, 0.05 us a piece, and stops at one that isn't there just as well. So a batch is written by the process to
 * itself, from everywhere into one buffer: 110 pieces took 6 us instead of 38.
 *
 * Context: any, signal handler included; one thread at a time for a batch: the watchdog, or the handler it waits for
 */
#include "base/memory.h"

#include <sys/syscall.h>

#include "base/calls.h"
#include "base/proc.h"
#include "base/raw.h"
#include "base/thread.h"

#define CACHE_LINE 64
#define ADDRESS_END (1ull << 47) /* one address beyond it, and the kernel refuses the whole batch */

static long move_sigsafe(long number, const struct iovec *local, size_t locals, const struct iovec *remote,
                         size_t remotes)
{
        if (!call_allowed_sigsafe(number))
                return PROC_FILTERED;
        /* Not the process: its first thread may have ended, and has no memory any more. */
        bool may_ask = call_allowed_sigsafe(SYS_gettid);
        long tid = may_ask ? raw_syscall_sigsafe(SYS_gettid, 0, 0, 0, 0, 0, 0) : thread_own_id();
        return raw_syscall_sigsafe(number, (uint64_t)tid, (uintptr_t)local, locals, (uintptr_t)remote, remotes, 0);
}

ssize_t memory_read_sigsafe(uint64_t address, void *buffer, size_t length)
{
        struct iovec local = { .iov_base = buffer, .iov_len = length };
        struct iovec remote = { .iov_base = (void *)(uintptr_t)address, .iov_len = length };
        return move_sigsafe(SYS_process_vm_readv, &local, 1, &remote, 1);
}

bool memory_get_sigsafe(uint64_t address, void *buffer, size_t length)
{
        return memory_read_sigsafe(address, buffer, length) == (ssize_t)length;
}

bool memory_put_sigsafe(uint64_t address, const void *bytes, size_t length)
{
        struct iovec local = { .iov_base = (void *)(uintptr_t)bytes, .iov_len = length };
        struct iovec remote = { .iov_base = (void *)(uintptr_t)address, .iov_len = length };
        return move_sigsafe(SYS_process_vm_writev, &local, 1, &remote, 1) == (long)length;
}

/* ---- batches ---- */

void memory_batch_begin_sigsafe(struct memory_batch *batch, void *buffer, size_t capacity)
{
        batch->count = 0;
        batch->buffer = buffer;
        batch->used = 0;
        batch->capacity = capacity;
}

unsigned memory_batch_add_sigsafe(struct memory_batch *batch, uint64_t address, size_t length)
{
        unsigned index = batch->count;
        if (index == MEMORY_BATCH || length > batch->capacity - batch->used)
                return MEMORY_BATCH;
        batch->source[index] = (struct iovec){ .iov_base = (void *)(uintptr_t)address, .iov_len = length };
        batch->at[index] = (uint32_t)batch->used;
        batch->read[index] = false;
        batch->used += length;
        for (size_t i = 0; i < length; i += CACHE_LINE) /* so that the kernel need not wait for one after the other */
                __builtin_prefetch((const void *)(uintptr_t)(address + i)); /* never faults, whatever the address */
        batch->count++;
        return index;
}

/* How many pieces, from this one on, the kernel does not refuse at first sight. */
static unsigned run_of_sigsafe(const struct memory_batch *batch, unsigned first, size_t *length)
{
        unsigned end = first;
        *length = 0;
        for (; end < batch->count; end++) {
                const struct iovec *piece = &batch->source[end];
                if ((uintptr_t)piece->iov_base >= ADDRESS_END - piece->iov_len)
                        break;
                *length += piece->iov_len;
        }
        return end - first;
}

/* Returns the number of bytes: up to the first one that can't be read. */
static uint64_t gather_sigsafe(const struct memory_batch *batch, unsigned first, unsigned count, size_t length)
{
        struct iovec whole = { .iov_base = batch->buffer + batch->at[first], .iov_len = length };
        const struct iovec *pieces = &batch->source[first];
        long n = move_sigsafe(SYS_process_vm_writev, pieces, count, &whole, 1);
        if (n == PROC_FILTERED)
                n = move_sigsafe(SYS_process_vm_readv, &whole, 1, pieces, count);
        return n > 0 ? (uint64_t)n : 0;
}

void memory_batch_read_sigsafe(struct memory_batch *batch)
{
        size_t length;
        unsigned next = 0;
        for (unsigned faults = 0; next < batch->count && faults < MEMORY_BATCH_FAULTS; faults++) {
                unsigned count = run_of_sigsafe(batch, next, &length), end = next + count;
                uint64_t bytes = count != 0 ? gather_sigsafe(batch, next, count, length) : 0;
                for (; next < end && bytes >= batch->source[next].iov_len; next++) {
                        bytes -= batch->source[next].iov_len;
                        batch->read[next] = true;
                }
                next++; /* this one can't be read, or it is the end */
        }
}

const void *memory_batch_piece_sigsafe(const struct memory_batch *batch, unsigned index)
{
        return index < batch->count && batch->read[index] ? batch->buffer + batch->at[index] : NULL;
}
