/* SPDX-License-Identifier: Apache-2.0
 *
 * calls.h - which system calls of this stage are refused here
 *
 * A seccomp filter may kill the process for a call that its program never makes itself. capture_refuse() names such
 * calls; whoever makes one of capture_calls[] asks here first.
 *
 * Context: everywhere, signal handler included
 */
#ifndef LOOPDOG_CAPTURE_CALLS_H
#define LOOPDOG_CAPTURE_CALLS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define CALLS_KNOWN 512

extern _Atomic uint64_t calls_refused[CALLS_KNOWN / 64];

static inline bool call_allowed_sigsafe(long number)
{
        uint64_t word = atomic_load_explicit(&calls_refused[(number % CALLS_KNOWN) / 64], memory_order_relaxed);
        return (word >> (number % 64) & 1) == 0;
}

#endif
