/* SPDX-License-Identifier: Apache-2.0
 *
 * cause.h - why a loop stalled
 *
 * Context: watchdog
 */
#ifndef LOOPDOG_EXPLAIN_CAUSE_H
#define LOOPDOG_EXPLAIN_CAUSE_H

#include <stdbool.h>
#include <stdint.h>

enum cause {
        CAUSE_UNKNOWN,
        CAUSE_CPU,
        CAUSE_BLOCKED,
        CAUSE_GIL,
};

/* All that the decision rests on. */
struct cause_evidence {
        uint64_t threshold_ns;
        uint64_t duration_ns;
        uint64_t cpu_ns; /* over the stall; valid with `cpu_known` */
        bool cpu_known;
        uint32_t samples;
        uint32_t running;    /* samples on the CPU or runnable, outside of system calls */
        uint32_t blocked;    /* samples asleep in a system call */
        uint32_t locked_out; /* of those: in a wait for the interpreter's global lock */
        uint32_t faulting;
        uint32_t stopped;
        bool crowded;      /* it was looked at, but too many others stalled for its samples to be kept */
        int call;          /* the system call of most blocked samples, -1 */
};

struct cause_verdict {
        enum cause cause;
        int call;           /* CAUSE_BLOCKED: its number, -1 unknown */
        const char *reason; /* CAUSE_UNKNOWN: why, in words */
        uint32_t cpu_percent;
        bool cpu_known;
};

/* A pure function of the evidence. Unknown is allowed, wrong is not. */
struct cause_verdict cause_decide(const struct cause_evidence *evidence);

/* The name of a system call of this architecture, or NULL. */
const char *syscall_name(int number);

#endif
