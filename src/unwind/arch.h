/* SPDX-License-Identifier: Apache-2.0
 *
 * arch.h - what unwinding needs to know about the machine beyond its unwind information
 *
 * Calls, prologues, frame pointers and the kernel's signal frame, recognised by their bytes. One arch_*.c for each
 * machine.
 *
 * Context: watchdog
 */
#ifndef LOOPDOG_UNWIND_ARCH_H
#define LOOPDOG_UNWIND_ARCH_H

#include <stdbool.h>
#include <stdint.h>

#include "capture/sample.h"

/* libunwind for other address spaces: the file to open, and how its functions are called there. */
#if defined(__x86_64__)
#define ARCH_UNWIND_LIBRARY "libunwind-x86_64.so.8"
#define ARCH_UNWIND_NAME(name) "_Ux86_64_" name
#else
#error "unwind/arch.h: this architecture is not known"
#endif

/* The registers of one frame, as far as they are known: DWARF's numbers, which are libunwind's too. */
struct registers {
        uint64_t value[SAMPLE_REGISTERS];
        uint32_t known; /* bit n: value[n] is valid */
};

static inline bool register_known(const struct registers *registers, unsigned number)
{
        return registers->known >> number & 1;
}

static inline void register_set(struct registers *registers, unsigned number, uint64_t value)
{
        registers->value[number] = value;
        registers->known |= 1u << number;
}

/* Go to the caller by the frame pointer, which must be sane: in the copy of the stack, and not below the stack
 * pointer. Afterwards only SP, PC and the frame pointer are known. False: nothing changed. */
bool arch_step_by_frame_pointer(struct registers *registers);

/* Go to the caller of a function whose return address is at `slot`, nothing else having been saved yet. */
bool arch_step_by_slot(struct registers *registers, uint64_t slot);

/* Where the innermost function has not set up its frame yet or has just removed it, which its next instruction tells:
 * the place of its return address. */
bool arch_return_slot(const struct registers *registers, uint64_t *slot);

/* Is PC, a return address, what CPython's `-X perf` puts around each call of its evaluation function? It has no unwind
 * information and keeps no frame pointer, but its few bytes tell the place of its own return address. */
bool arch_trampoline_slot(const struct registers *registers, uint64_t *slot);

/* Is PC the code by which a signal handler returns to the kernel? Go to what it interrupted: all registers known. */
bool arch_step_by_signal_frame(struct registers *registers);

/* What stands before a return address. ARCH_CALL: a call of *target; ARCH_INDIRECT_CALL: of something not known. */
enum arch_call { ARCH_NO_CALL, ARCH_CALL, ARCH_INDIRECT_CALL };
enum arch_call arch_call_before(uint64_t return_address, uint64_t *target);

/* Where a call of `target` really leads: through a PLT stub or a jump, else `target` itself. */
uint64_t arch_follow_stub(uint64_t target);

/* Is there a jump into [target, target_end) in the code [start, end)? Then that may have been entered without a call of
 * its own: by a tail call, or because it is the part of the same function that the compiler moved out of the way. */
bool arch_jumps_into(uint64_t start, uint64_t end, uint64_t target, uint64_t target_end);

#endif
