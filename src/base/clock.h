/* SPDX-License-Identifier: Apache-2.0
 *
 * clock.h - the one clock of all stages
 *
 * clock_now_ns() is CLOCK_MONOTONIC at first. Where cpuid says that the TSC is invariant and the kernel itself trusts
 * it, the watchdog measures its rate and publishes it; from then on the hot path costs one rdtsc and one
 * multiplication. Readers follow one pointer to an immutable set of parameters, so a change can never be seen half
 * done. Only differences of two readings mean anything; clock_realtime_of() turns one into a date.
 *
 * Context: everywhere, async-signal-safe
 */
#ifndef LOOPDOG_BASE_CLOCK_H
#define LOOPDOG_BASE_CLOCK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

struct clock_rate {
        uint64_t scale_q64; /* nanoseconds a tick of the TSC, times 2^64; 0: do not use the TSC */
        uint64_t offset_ns; /* what makes the reading go on from CLOCK_MONOTONIC's */
};

extern const struct clock_rate *_Atomic clock_rate;

uint64_t clock_monotonic_ns(void);

/* Before the first reading: from now on by libc's own function, whatever else has its name. Constructor. */
void clock_find_libcs_own(void);

#if defined(__x86_64__)
static inline uint64_t clock_ticks(void)
{
        uint32_t low, high;
        __asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
        return (uint64_t)high << 32 | low;
}
#else
static inline uint64_t clock_ticks(void)
{
        return 0;
}
#endif

static inline uint64_t clock_now_ns(void)
{
        const struct clock_rate *rate = atomic_load_explicit(&clock_rate, memory_order_acquire);
        if (__builtin_expect(rate->scale_q64 == 0, 0))
                return clock_monotonic_ns();
        /* One multiplication, of which the upper half is the result. */
        return (uint64_t)((unsigned __int128)clock_ticks() * rate->scale_q64 >> 64) + rate->offset_ns;
}

/* May the TSC be used here (cpuid, clocksource, PR_GET_TSC)? Found out once, from /sys; so asked in time before a
 * chroot. */
bool clock_tsc_usable(void);

/* Called by the watchdog when it wakes: calibrates once 100 ms have passed since the first call, and goes back to
 * CLOCK_MONOTONIC for good where the two have drifted apart by more than 2 ms since the last call (a suspended or
 * migrated machine). Returns true where readings before and after this call can't be compared. */
bool clock_tend(void);

/* A thread is about to forbid itself the TSC (PR_SET_TSC): from now on it is CLOCK_MONOTONIC for good, read by a system
 * call. Any thread. */
void clock_leave_tsc(void);

/* The name of what is in use: "tsc" or "clock_gettime". */
const char *clock_name(void);

/* How long the machine has slept since it was started, while CLOCK_MONOTONIC stood still. False: that can't be told
 * now.
 */
bool clock_slept(uint64_t *slept_ns);

/* CLOCK_REALTIME, ns since 1970; now, and at an earlier reading of clock_now_ns(). */
uint64_t clock_realtime_ns(void);
uint64_t clock_realtime_of(uint64_t reading_ns);

void clock_after_fork(void);

#endif
