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

#include "analyse/filter.h"
#include "analyse/idset.h"
#include "analyse/spread.h"
#include "map.h"
#include "record/record.h"

/* The line of a record, kept. */
struct kept {
        char *line;
        size_t length;
};

/* What a stall counts as. Only the first are time that the program lost by its own doing. */
enum analysed_kind {
        KIND_STALL,
        KIND_STARTUP,   /* of a loop that has not slept yet */
        KIND_SUSPENDED, /* the process was stopped, or the machine slept */
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
        bool makes_code;         /* at run time, and a map names it: a stall's stacks may tell of it */
        bool exited;             /* its exit line was seen, and nothing later */
        uint64_t exit_ns;        /* when its latest exit line was written; */
        struct kept exit_line;   /* that line */
        struct record_exit exit; /* and, once finished, its numbers */
        uint64_t stalls;         /* seen, before any filter */
        uint64_t stalls_counted; /* by the agent, whether written or not, as far as loop lines say */
        uint64_t dumps;          /* that the program has asked for: the highest number seen */
        struct idset ended;
        struct analysed_open *open; /* stalls that have begun and not ended */
        size_t open_count;
};

struct analysed_open {
        uint64_t id;
        uint64_t duration_ns; /* so far */
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
        uint64_t longest_ns;           /* iteration */
        struct record_bucket *buckets; /* busy time of its iterations, ascending */
        size_t buckets_count;
        uint64_t stalls_counted; /* see the process's */
        struct spread stalls;    /* seen here, of kind KIND_STALL */
};

/* A distinct stack, by its signature, and by the culprit among code made at run time, which has no part in that;
 * without a signature by what else is known. */
struct analysed_stack {
        char *key;
        struct kept example; /* the longest stall that has frames, else the longest */
        uint64_t example_ns;
        uint64_t example_id;
        const struct analysed_process *example_process;
        bool example_framed;
};

/* What the program says of a stall, by which stalls are told apart where that is asked for. */
enum analysed_said {
        SAID_NOTHING,
        SAID_LABEL,
        SAID_CALLBACK,
};

/* One stack on one loop: what all tables are made of. */
struct analysed_unit {
        struct analysed_stack *stack;
        struct analysed_loop *loop;
        char *said; /* "request GET /orders", "on_client"; "": nothing was said, NULL: it is not asked for */
        enum record_cause cause;
        char *call; /* blocked: in which system call; unknown: why; or NULL */
        enum analysed_kind kind;
        uint64_t never_ended;
        uint64_t longest_id; /* of its longest stall */
        struct spread stalls;
};

/* A stall that has been counted. */
struct counted {
        enum analysed_kind kind;
        bool ended; /* else it is as long as is known */
        const struct analysed_process *process;
        const struct analysed_loop *loop;
        struct analysed_stack *stack;
};

struct analysis {
        struct filter filter;
        /* Called for each stall that counts, once, as soon as it is known to have ended, and at the end for those that
         * have not; NULL: nobody asks. The record is good until it returns. */
        void (*on_stall)(void *context, const struct record *record, const struct counted *counted);
        void *context;
        enum analysed_said said;
        const char *label_key; /* of SAID_LABEL: only this one; NULL: all of a stall together */
        struct map sayings;    /* distinct ones; no values */
        struct map verdicts;   /* culprit -> taken by the filter or not: while reading */
        struct map made;       /* signatures of stalls in code made at run time whose names are known */
        struct map processes;  /* run -> struct analysed_process */
        struct map loops;      /* -> struct analysed_loop */
        struct map stacks;     /* -> struct analysed_stack */
        struct map units;      /* -> struct analysed_unit */
        struct map losses;     /* reason -> struct analysed_loss: samples without a stack, by all exit lines */
        struct map notices;    /* what processes said about their settings; no values */
        struct spread stalls;  /* all of KIND_STALL */
        struct spread startup;
        struct spread suspended;
        uint64_t never_ended; /* of all three */
        uint64_t left_out;    /* by the filter */
        bool finished;
};

/* Where a map of loops has the one that these tell from all others, see map_at_string(). `name` may be NULL. */
void **analysis_loop_at(struct map *loops, const char *run, int32_t tid, const char *name);

/* Would analysis_add() make any use of the stacks of this record, which have not been parsed? Not if an example of its
 * signature is there already, which says all of the signature's culprit. */
bool analysis_wants_stacks(const struct analysis *analysis, const struct record *record);

/* Count one record; `line` is its text. */
void analysis_add(struct analysis *analysis, const struct record *record, const char *line, size_t length);

/* All has been read: what is open now has never ended. Once. */
void analysis_finish(struct analysis *analysis);

void analysis_free(struct analysis *analysis);

/* So many of a thousand iterations of a loop were at most this long, within the width of a bucket (1/16, and 1 us); 0
 * where it is not known. */
uint64_t analysed_loop_permille_ns(const struct analysed_loop *loop, unsigned permille);

/* The same of any list of buckets; `longest_ns`: of all iterations, 0 where it is not known. */
uint64_t buckets_permille_ns(const struct record_bucket *buckets, size_t count, uint64_t longest_ns, unsigned permille);

/* An iteration of this bucket took about so long. */
uint64_t bucket_middle_ns(const struct record_bucket *bucket);

/* What a stall counts as, and what is said of its cause besides its name: the call that it was blocked in, the object
 * that it waited for, why the cause is not known; or NULL. */
enum analysed_kind stall_kind(const struct record_stall *stall);
const char *stall_call(const struct record_stall *stall);

/* From the earliest line of all processes to the latest (CLOCK_REALTIME); false where there is none. */
bool analysis_span(const struct analysis *analysis, uint64_t *first_ns, uint64_t *last_ns);

/* How many digits of `run` are enough to tell the processes read apart; at least 4. */
int analysis_run_digits(const struct analysis *analysis);

#endif
