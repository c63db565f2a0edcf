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
        CAUSE_LOCK,
        CAUSE_GIL,
        CAUSE_PAGE_FAULT,
        CAUSE_STARVED,
        CAUSE_SUSPENDED,
};

/* All that the decision rests on. */
struct cause_evidence {
        uint64_t threshold_ns;
        uint64_t duration_ns;
        uint64_t cpu_ns; /* over the stall; valid with `cpu_known` */
        bool cpu_known;
        bool delay_known;
        uint64_t delay_ns;     /* the thread was ready to run but had no CPU; valid with `delay_known` */
        uint64_t throttled_ns; /* its cgroup had used up its quota; 0: not, or not known */
        uint64_t steal_ns;     /* the hypervisor took it from a CPU, on average; the same */
        uint64_t stopped_ns;   /* its process was stopped, or the samples saw the thread so */
        uint64_t starved_ns;   /* the watchdog wanted to run meanwhile and had no CPU */
        bool suspended;        /* without the time that it was stopped it was no stall */
        uint32_t samples;
        uint32_t running;    /* samples on the CPU or runnable, outside of system calls */
        uint32_t blocked;    /* samples asleep in a system call */
        uint32_t locked;     /* of those: in a wait for a lock, or for whoever holds one */
        uint32_t locked_out; /* of those: in a wait for the interpreter's global lock */
        bool deadlock;       /* it waits for threads that wait for each other, perhaps for itself */
        uint32_t faulting;   /* samples asleep outside of system calls */
        uint32_t unclear;    /* samples that waited for a disk, in a system call or not: that could not be read */
        uint32_t stopped;
        bool crowded; /* it was looked at, but too many others stalled for its samples to be kept */
        int call;     /* the system call of most blocked samples, -1 */
};

struct cause_verdict {
        enum cause cause;
        int call;           /* CAUSE_BLOCKED and CAUSE_LOCK: its number, -1 unknown */
        const char *reason; /* CAUSE_UNKNOWN: why, in words; CAUSE_SUSPENDED: by what, NULL: a signal or a debugger */
        uint32_t cpu_percent;
        bool cpu_known;
};

/* A pure function of the evidence. Unknown is allowed, wrong is not. */
struct cause_verdict cause_decide(const struct cause_evidence *evidence);

/* The name of a system call of this architecture, or NULL. */
const char *syscall_name(int number);

#endif
