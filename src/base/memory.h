/* SPDX-License-Identifier: Apache-2.0
 *
 * memory.h - memory of this process that may not be there
 *
 * Context: any, signal handler included; one thread at a time for a batch
 */
#ifndef LOOPDOG_BASE_MEMORY_H
#define LOOPDOG_BASE_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

/* Copy `length` bytes at `address` of this process without ever faulting (process_vm_readv on oneself). Bytes copied,
 * which may be fewer, or -errno. async-signal-safe. */
ssize_t memory_read_sigsafe(uint64_t address, void *buffer, size_t length);

/* The same, whole or not at all: was all of it there? */
bool memory_get_sigsafe(uint64_t address, void *buffer, size_t length);

/* Write to memory that may not be there, or be read-only. Was all of it written? */
bool memory_put_sigsafe(uint64_t address, const void *bytes, size_t length);

/* Many pieces of this process's memory by few system calls, at some 0.05 us a piece: begun with the buffer that they go
 * into, one behind the other; filled by memory_batch_add(); read once. A piece that can't be read whole does not keep
 * the others from being read. */
#define MEMORY_BATCH 480
struct memory_batch {
        unsigned count;
        uint8_t *buffer;
        size_t used, capacity;
        struct iovec source[MEMORY_BATCH];
        uint32_t at[MEMORY_BATCH]; /* in the buffer */
        bool read[MEMORY_BATCH];
};

void memory_batch_begin_sigsafe(struct memory_batch *batch, void *buffer, size_t capacity);

/* Returns the index of the piece, or MEMORY_BATCH where there is no room. */
unsigned memory_batch_add_sigsafe(struct memory_batch *batch, uint64_t address, size_t length);

/* Gives up after MEMORY_BATCH_FAULTS pieces that can't be read: what is asked for makes no sense then. */
#define MEMORY_BATCH_FAULTS 16
void memory_batch_read_sigsafe(struct memory_batch *batch);

/* In the buffer, NULL: it could not be read, or had no room. */
const void *memory_batch_piece_sigsafe(const struct memory_batch *batch, unsigned index);

#endif
