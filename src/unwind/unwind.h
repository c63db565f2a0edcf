/* SPDX-License-Identifier: Apache-2.0
 *
 * unwind.h - a sample into native frames
 *
 * Context: watchdog, except unwind_load()
 */
#ifndef LOOPDOG_UNWIND_UNWIND_H
#define LOOPDOG_UNWIND_UNWIND_H

#include "capture/sample.h"
#include "unwind/stack.h"

/* Open libunwind with RTLD_LOCAL and make the address space. Allocates and takes the loader's lock; may be called from
 * a thread of the host just before it gives up its rights, so that it is already loaded when the watchdog needs it.
 * Idempotent. Returns 0, or -errno; *why then says what is missing, in words and with the remedy (a static string). */
int unwind_load(const char **why);

/* Is a loaded libunwind ready? */
bool unwind_ready(void);

/* Unwind `sample` (sample->loss == CAPTURE_OK) into `stack`. Reads the memory of the process only through
 * process_vm_readv or the sample's copy, so it survives objects that vanish. Allocates nothing of the host's. Where an
 * instruction pointer lies in no ELF object or a step fails it takes one frame-pointer step and goes on; where only SP
 * and PC are known and a frame needs the frame pointer, it searches the copy for it (facts/capture.md "SPO unwinding")
 * and accepts only a walk that reaches the end of the stack.
 * Returns 0 with at least one frame, or -errno. */
int unwind_sample(const struct sample *sample, struct stack *stack);

/* Start of the function at `address` by its FDE, or 0. */
uint64_t unwind_function_at(uint64_t address);

/* Forget what was cached of code that may be unloaded. Called when modules_changed() says so. */
void unwind_flush(void);

/* In the child after fork: forget the state that the parent's watchdog may have left half-written. */
void unwind_after_fork(void);

#endif
