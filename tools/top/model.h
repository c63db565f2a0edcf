/* SPDX-License-Identifier: Apache-2.0
 *
 * model.h - what is known of processes, loops and stalls at this moment
 *
 * `report` adds up what has been; this is what goes on: which loop stalls now and since when, what a loop did between
 * its last two records, and who is to blame for the stalls so far. It is fed with records as they come and may be for
 * months, so everything in it has a limit: what was silent longest is forgotten first, and that is counted.
 *
 * Context: reader
 */
#ifndef LOOPDOG_TOP_MODEL_H
#define LOOPDOG_TOP_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "analyse/analysis.h"
#include "analyse/filter.h"
#include "analyse/idset.h"
#include "analyse/spread.h"
#include "map.h"
#include "record/record.h"

#define TOP_PROCESSES 4096 /* kept at most, of them */
#define TOP_ENDED 128      /* so many that have ended */
#define TOP_LOOPS 8192
#define TOP_CULPRITS 512
#define TOP_OPEN 64 /* stalls in progress of one process */

enum top_state {
        TOP_RUNS,       /* as far as is known */
        TOP_ENDED_WELL, /* it wrote so */
        TOP_GONE,       /* there is no such process, and it did not write that it ends */
        TOP_SILENT,     /* on another machine, and nothing was heard of it for long */
};

/* A stall that has begun and not ended. */
struct top_open {
        uint64_t id;
        uint64_t begin_ns; /* CLOCK_REALTIME */
        uint64_t told_ns;  /* how long it was when it was written down */
        bool startup;
        enum record_cause cause;
        char *call;    /* see struct top_culprit */
        char *culprit; /* "block() at app.py:8" */
        char *loop;    /* its name; "?" */
        int32_t tid;
        struct kept line;
};

struct top_process {
        char *run;
        char *host;
        char *program;
        int32_t pid;
        enum top_state state;
        uint64_t first_ns; /* CLOCK_REALTIME, of its earliest and latest line */
        uint64_t last_ns;
        struct idset ended; /* ids of stalls that are over */
        struct top_open *open;
        size_t open_count;
        bool elsewhere;  /* it has written after it was given up: how it is, is not known */
        bool forgotten;  /* while others are let go of */
        bool makes_code; /* at run time: its stalls are asked for their stacks */
};

/* What a loop did in a time. */
struct top_span {
        uint64_t length_ns; /* 0: nothing is known */
        uint64_t iterations;
        uint64_t busy_ns;
        uint64_t idle_ns;
        uint64_t longest_ns; /* the longest iteration, within the width of a bucket */
};

struct top_loop {
        struct top_process *process;
        char *name;
        char *thread;
        int32_t tid;
        uint64_t told_ns;              /* CLOCK_REALTIME of its latest record */
        uint64_t stalling_ns;          /* when the stall in progress began; 0: there is none */
        bool counted;                  /* a loop record was seen: the following are good */
        struct top_span all;           /* since the loop began */
        struct top_span span;          /* between its last two records; of the only one all that was before */
        struct record_bucket *buckets; /* busy time of all iterations, ascending */
        size_t buckets_count;
        uint64_t stalls; /* seen; without start-up and suspension */
        uint64_t lost_ns;
        bool forgotten;
};

/* The stalls with one culprit. */
struct top_culprit {
        char *key;
        char *name; /* "block() at app.py:8"; "(no stack)" */
        struct record_frame frame;
        enum record_cause cause; /* of the latest; with the call that it was blocked in, the object it waited for, or */
        char *call;              /* why the cause is not known; NULL */
        struct spread stalls;
        uint64_t never_ended;
        uint64_t last_ns;    /* CLOCK_REALTIME, when the latest was over */
        struct kept example; /* the longest; one with stacks, if there is one */
        uint64_t example_ns;
        bool example_stacked;
        bool forgotten;
};

/* The stall that somebody looks at: its record may go from a `stall-begin` to a `stall` meanwhile. */
struct top_watched {
        char *run; /* NULL: none is looked at */
        uint64_t id;
        struct kept line;
        bool open;           /* it has not ended, */
        uint64_t at_most_ns; /* but can't be longer than this: its process is gone; 0: it goes on */
};

struct top_forgotten {
        uint64_t processes; /* that have not ended; */
        uint64_t loops;
        uint64_t culprits;
        uint64_t stalls; /* that were in progress, beyond TOP_OPEN */
};

struct top_model {
        struct filter filter; /* with its symbolizer, also for the names of culprits; may be NULL */
        const int32_t *pids;  /* only these processes, as they call themselves; */
        size_t pids_count;    /* 0: all */
        /* What has become of a process that has not said that it ends: TOP_RUNS, TOP_GONE or TOP_SILENT; NULL: nobody
         * knows. */
        enum top_state (*state_of)(void *context, const struct top_process *process);
        void *context;
        struct map processes; /* run -> struct top_process */
        struct map loops;     /* -> struct top_loop */
        struct map culprits;  /* -> struct top_culprit */
        struct map known;     /* signatures whose stacks have been seen */
        struct spread stalls; /* all that count, also of what was forgotten */
        uint64_t never_ended;
        uint64_t startup; /* not among them; */
        uint64_t suspended;
        struct top_forgotten forgotten;
        struct top_watched watched;
        size_t ticks;
        uint64_t records; /* taken */
};

/* For struct input: are the stacks of this record needed for the name of its culprit? */
bool top_model_wants_stacks(const struct top_model *model, const struct record *record);

/* Take a record; `line` is its text. What is forgotten then is not there any more. */
void top_model_add(struct top_model *model, const struct record *record, const char *line, size_t length);

/* Look at a stall, whose line is copied, until the next. */
void top_model_watch(struct top_model *model, const struct kept *line);

/* Now and then: find out which processes are gone, and forget what is too much. */
void top_model_tick(struct top_model *model, uint64_t now_ns);

void top_model_free(struct top_model *model);

/* How long a stall has been in progress at `now_ns` (CLOCK_REALTIME). */
uint64_t top_open_ns(const struct top_open *open, uint64_t now_ns);

/* Stalls in progress, those of the start-up not counted. */
size_t top_model_open(const struct top_model *model);

/* For how many nanoseconds a loop has not iterated, at least, though its records would say so: it rests. 0: it may
 * not. */
uint64_t top_loop_rests_ns(const struct top_loop *loop, uint64_t now_ns);

#endif
