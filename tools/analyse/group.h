/* SPDX-License-Identifier: Apache-2.0
 *
 * group.h - the stalls of an analysis by culprit, cause, stack or loop
 *
 * Context: reader
 */
#ifndef LOOPDOG_ANALYSE_GROUP_H
#define LOOPDOG_ANALYSE_GROUP_H

#include "analyse/analysis.h"
#include "symbolize/symbolize.h"

enum group_by {
        GROUP_CULPRIT, /* function, and the file or module that it is in */
        GROUP_CAUSE,   /* cause and system call */
        GROUP_STACK,   /* signature */
        GROUP_LOOP,    /* process, thread and loop */
        GROUP_THREAD,  /* process and thread */
        GROUP_PROCESS,
        GROUP_LABEL,    /* what the program says of the work, if the analysis was asked to tell that apart */
        GROUP_CALLBACK, /* likewise */
};

/* "culprit" and so on; -1 for another word. */
int group_by_from_name(const char *name);
const char *group_by_name(enum group_by by); /* NULL beyond the last */

/* Do groups by this exist in one run only, whose processes and loops they stand for? */
bool group_by_is_of_run(enum group_by by);

struct group_cause {
        enum record_cause cause;
        const char *call; /* borrowed from the analysis; NULL */
        uint64_t count;
        uint64_t total_ns;
};

struct group {
        char *key;
        const char *said;            /* by label or callback; "": nothing; borrowed from the analysis */
        struct record_frame culprit; /* of its longest stack; strings are its own; all NULL: none is known */
        struct group_cause *causes;  /* longest first */
        size_t causes_count;
        struct spread stalls;
        uint64_t never_ended;
        const struct analysed_stack *example;
        const struct analysed_loop *loop;               /* of its longest stack */
        const struct analysed_process *example_process; /* one of its stalls, by process and */
        uint64_t example_id;                            /* id */
        size_t stacks;                                  /* distinct */
        uint64_t example_total_ns; /* while grouping: time of the stack that is the example so far */
};

struct groups {
        struct group *items; /* most time lost first */
        size_t count;
        uint64_t total_ns;
};

/* What stalls with the same culprit are told by, to be freed: language, function, and file or module. */
char *group_culprit_key(const struct record_frame *culprit);

/* After analysis_finish(). Symbolizes one example of each stack. Only stalls of that kind. */
void groups_make(struct groups *groups, const struct analysis *analysis, enum group_by by, enum analysed_kind kind,
                 struct symbolizer *symbolizer);
void groups_free(struct groups *groups);

#endif
