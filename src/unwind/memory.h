/* SPDX-License-Identifier: Apache-2.0
 *
 * memory.h - what the unwinder reads of this process's memory
 *
 * Three kinds: the stack comes from the sample's copy, because the thread may have run on; the constant parts of ELF
 * objects (.eh_frame, code) are kept in a cache, because unwinding one stack of node reads them thousands of times; the
 * rest is read anew each time, because it changes. Nothing is read through a pointer: the host may unmap it any time.
 *
 * Context: watchdog
 */
#ifndef LOOPDOG_UNWIND_MEMORY_H
#define LOOPDOG_UNWIND_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "capture/sample.h"
#include "unwind/elf.h"

/* Serve the stack from this sample's copy from now on, NULL: from none; and begin a new account of reads. */
void memory_use(const struct sample *sample);

/* The word at any address. False where it can't be read, is beyond the end of a truncated copy of the stack (it would
 * be of another time), or too much was read for one stack. */
bool memory_word(uint64_t address, uint64_t *value);

/* Is [address, address + length) in the copy? */
bool memory_in_copy(uint64_t address, size_t length);

/* Bytes of anything that does not change while its object is loaded. */
bool memory_constant(uint64_t address, void *buffer, size_t length);

/* Machine code: the same in an ELF object, read anew elsewhere (a JIT writes its own). */
bool memory_code(uint64_t address, void *buffer, size_t length);

/* memory_constant() as a reader: offsets are addresses. Long reads bypass the cache. */
extern const struct elf_reader memory_reader;

/* Was a word refused because the copy of the stack ends before it? */
bool memory_was_cut(void);

/* Begin a new account of reads: another attempt at the same stack. */
void memory_new_account(void);

/* Forget the cache: objects were unloaded. */
void memory_flush(void);

#endif
