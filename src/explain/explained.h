/* SPDX-License-Identifier: Apache-2.0
 *
 * explained.h - a stall with all that was found out about it: what the record stage writes
 *
 * Context: watchdog
 */
#ifndef LOOPDOG_EXPLAIN_EXPLAINED_H
#define LOOPDOG_EXPLAIN_EXPLAINED_H

#include "base/work.h"
#include "explain/cause.h"
#include "explain/evidence.h"
#include "explain/fault.h"
#include "explain/profile.h"
#include "explain/served.h"

struct explained {
        const char *state; /* of a dump: what the loop is at; NULL: a stall */
        bool busy;         /* of a dump: it is within a callback */
        bool ended;        /* false: a stall-begin */
        uint64_t id;
        uint64_t begin_ns; /* clock_now_ns() */
        uint64_t duration_ns;
        int32_t tid;
        const char *loop; /* its label */
        uint64_t threshold_ns;
        uint64_t late_ns;
        uint32_t yields;
        bool startup;
        bool suspended;      /* it was stopped, and without that it would have been no stall */
        bool slept;          /* by a sleep of the machine */
        const char *end;     /* how it ended where not by the next wait; NULL */
        uint64_t stopped_ns; /* of it the thread was stopped */
        uint64_t starved_ns; /* of it the watchdog had no CPU */
        uint64_t cpu_ns;     /* over the stall; valid with `cpu_known` */
        bool cpu_known;
        struct sample_usage usage; /* `delay_ns` over the stall, the rest between its first and last sample */
        struct machine_change machine;
        uint64_t others_cpu_ns;        /* CPU time of the process's other threads, from the first sample on */
        const struct profile *profile; /* NULL: there is none */
        uint32_t crowded;              /* samples that were taken but not kept: LIMIT_STALLS were open, or no memory */
        const struct work *work;       /* what the program said of it; NULL: nothing */
        struct cause_verdict verdict;
        const struct evidence *evidence;   /* of the verdict's system call; NULL: nothing is known */
        const struct fault_memory *memory; /* of CAUSE_PAGE_FAULT: what it waited for; else NULL */
        const struct served *served;       /* NULL: there is none */
};

/* Fill in what was counted: `cpu_ns`, `usage` and `machine`. */
void explained_measure(struct explained *explained);

/* Then why it stalled: `verdict`. */
void explained_decide(struct explained *explained);

#endif
