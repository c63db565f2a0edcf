/* SPDX-License-Identifier: Apache-2.0
 *
 * calls.h - which system calls are refused here
 *
 * A seccomp filter may kill the process for a call that its program never makes itself. Whoever makes one that an
 * ordinary server does not make asks here first, and does without it where it is refused.
 *
 * Context: call_allowed_sigsafe() everywhere, signal handler included; the rest as each function says
 */
#ifndef LOOPDOG_BASE_CALLS_H
#define LOOPDOG_BASE_CALLS_H

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

/* Name one that must not be made. Any thread, any time. */
void call_refuse(int number);

/* In the constructor: is there a filter already, made by whoever started the program? */
bool calls_load(void);

/* Watchdog, before it makes any other call: try every call of ours in a child where there is a filter. */
void calls_find_out(void);

/* Watchdog, cheap: has it got a filter since then? What can't be tried safely is refused, and said once. */
void calls_look_again(void);

/* Is the calling thread under a filter, and none was ever tried? A thread of the host may have installed one for itself
 * alone, of which the watchdog knows nothing: what libc does not need is better not asked for then. */
bool calls_untried_here(void);

/* How many filters the watchdog is under. A thread with another number of them has one that was never tried. */
unsigned calls_filters(void);

#endif
