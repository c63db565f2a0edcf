/* SPDX-License-Identifier: Apache-2.0
 *
 * analysis.h - what the records of many processes add up to
 *
 * A stall counts once, however often it was read and whether it has ended or not. Nothing is kept of a single stall but
 * its number in its process: what is kept are the distinct stacks, each with the line of one stall as an example, and
 * how often and how long each of them stopped which loop. So a file of any length is read in bounded memory.
 *
 * Context: reader
 */
#ifndef LOOPDOG_ANALYSE_ANALYSIS_H
#define LOOPDOG_ANALYSE_ANALYSIS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "analyse/idset.h"
#include "analyse/spread.h"
#include "map.h"
#include "record/record.h"

/* The line of a record, kept. */
struct kept {
        char *line;
        size_t length;
};

struct analysed_loss {
        char *reason;
        uint64_t count;
};

/* A process, by its `run`. */
struct analysed_process {
        char *run;
        char *host;
        char *program;
        char *executable;    /* NULL: its process line was not seen */
        char *agent_version; /* likewise */
        int32_t pid;
        uint64_t threshold_ns; /* 0: not known */
        uint64_t first_ns;     /* CLOCK_REALTIME of its earliest and latest line */
        uint64_t last_ns;
        bool exited;             /* its exit line was seen, and nothing later */
        uint64_t exit_ns;        /* when its latest exit line was written; */
        struct kept exit_line;   /* that line */
        struct record_exit exit; /* and, once finished, its numbers */
        uint64_t stalls;         /* seen, before any filter */
        uint64_t stalls_counted; /* by the agent, whether written or not, as far as loop lines say */
        struct idset ended;
        struct analysed_open *open; /* stalls that have begun and not ended */
        size_t open_count;
};

struct analysed_open {
        uint64_t id;
        struct kept begin;
};

/* A loop, by process, thread and name. */
struct analysed_loop {
        struct analysed_process *process;
        char *name;
        char *thread;
        int32_t tid;
        bool counted; /* a loop line was seen: the following are good */
        uint64_t iterations;
        uint64_t busy_ns;
        uint64_t idle_ns;
        uint64_t outside_ns;
        uint64_t stalls_counted; /* see the process's */
        struct spread stalls;    /* seen here, without start-up */
};

/* A distinct stack, by its signature; without one by what else is known. */
struct analysed_stack {
        char *key;
        struct kept example; /* the longest stall that has frames, else the longest */
        uint64_t example_ns;
        bool example_framed;
};

/* One stack on one loop: what all tables are made of. */
struct analysed_unit {
        struct analysed_stack *stack;
        struct analysed_loop *loop;
        enum record_cause cause;
        char *call; /* blocked: in which system call; unknown: why; or NULL */
        bool startup;
        uint64_t never_ended;
        struct spread stalls;
};

struct analysis {
        uint64_t since_ns;    /* leave out stalls that ended before (CLOCK_REALTIME) */
        uint64_t min_ns;      /* leave out shorter ones */
        struct map processes; /* run -> struct analysed_process */
        struct map loops;     /* -> struct analysed_loop */
        struct map stacks;    /* -> struct analysed_stack */
        struct map units;     /* -> struct analysed_unit */
        struct map losses;    /* reason -> struct analysed_loss: samples without a stack, by all exit lines */
        struct map notices;   /* what processes said about their settings; no values */
        struct spread stalls; /* all, without start-up */
        struct spread startup;
        uint64_t never_ended; /* of both */
        uint64_t left_out;    /* by since_ns and min_ns */
        bool finished;
};

/* Count one record; `line` is its text. */
void analysis_add(struct analysis *analysis, const struct record *record, const char *line, size_t length);

/* All has been read: what is open now has never ended. Once. */
void analysis_finish(struct analysis *analysis);

void analysis_free(struct analysis *analysis);

#endif
