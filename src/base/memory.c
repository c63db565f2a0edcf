/* SPDX-License-Identifier: Apache-2.0
 *
 * memory.c - reading memory of this process that may not be there
 *
 * Context: any, signal handler included; one thread at a time for a batch
 */
#include "base/memory.h"

#include <sys/syscall.h>

#include "base/calls.h"
#include "base/proc.h"
#include "base/raw.h"

ssize_t memory_read_sigsafe(uint64_t address, void *buffer, size_t length)
{
        struct iovec local = { .iov_base = buffer, .iov_len = length };
        struct iovec remote = { .iov_base = (void *)(uintptr_t)address, .iov_len = length };
        if (!call_allowed_sigsafe(SYS_process_vm_readv))
                return PROC_FILTERED;
        /* Not the process: its first thread may have ended, and has no memory any more. */
        long tid = raw_syscall_sigsafe(SYS_gettid, 0, 0, 0, 0, 0, 0);
        return raw_syscall_sigsafe(SYS_process_vm_readv, (uint64_t)tid, (uintptr_t)&local, 1, (uintptr_t)&remote, 1, 0);
}

bool memory_get_sigsafe(uint64_t address, void *buffer, size_t length)
{
        return memory_read_sigsafe(address, buffer, length) == (ssize_t)length;
}

void memory_batch_clear_sigsafe(struct memory_batch *batch)
{
        batch->count = 0;
}

unsigned memory_batch_add_sigsafe(struct memory_batch *batch, uint64_t address, void *buffer, size_t length)
{
        unsigned index = batch->count;
        if (index == MEMORY_BATCH)
                return MEMORY_BATCH;
        batch->local[index] = (struct iovec){ .iov_base = buffer, .iov_len = length };
        batch->remote[index] = (struct iovec){ .iov_base = (void *)(uintptr_t)address, .iov_len = length };
        batch->read[index] = false;
        batch->count++;
        return index;
}

/* The kernel stops at the first piece that it can't read, and says only how many bytes it got. */
void memory_batch_read_sigsafe(struct memory_batch *batch)
{
        uint64_t pid = (uint64_t)raw_syscall_sigsafe(SYS_getpid, 0, 0, 0, 0, 0, 0);
        unsigned next = 0;
        for (unsigned faults = 0; next < batch->count && faults < MEMORY_BATCH_FAULTS; faults++) {
                unsigned left = batch->count - next;
                long n = raw_syscall_sigsafe(SYS_process_vm_readv, pid, (uintptr_t)&batch->local[next], left,
                                             (uintptr_t)&batch->remote[next], left, 0);
                uint64_t bytes = n > 0 ? (uint64_t)n : 0;
                while (next < batch->count && bytes >= batch->remote[next].iov_len) {
                        bytes -= batch->remote[next].iov_len;
                        batch->read[next++] = true;
                }
                next++; /* this one could not be read */
        }
}
