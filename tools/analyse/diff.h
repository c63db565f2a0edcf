/* SPDX-License-Identifier: Apache-2.0
 *
 * diff.h - the stalls of one run beside those of another
 *
 * Runs differ in length, so what is compared is the time lost per hour in which processes were watched.
 *
 * Context: reader
 */
#ifndef LOOPDOG_ANALYSE_DIFF_H
#define LOOPDOG_ANALYSE_DIFF_H

#include "analyse/group.h"

/* In the order in which they are shown. */
enum diff_change {
        DIFF_NEW,
        DIFF_WORSE,  /* by more than a fifth; */
        DIFF_SAME,   /* in between */
        DIFF_BETTER, /* likewise */
        DIFF_GONE,
};

struct diff_row {
        enum diff_change change;
        const struct group *before; /* NULL: new */
        const struct group *after;  /* NULL: gone */
        uint64_t before_per_hour_ns;
        uint64_t after_per_hour_ns;
};

struct diff {
        struct diff_row *rows; /* by change, then by how much */
        size_t count;
        size_t changes[DIFF_GONE + 1]; /* rows of each */
        uint64_t before_watched_ns;
        uint64_t after_watched_ns;
        uint64_t before_per_hour_ns;
        uint64_t after_per_hour_ns;
};

/* Both groups are by the same, not by what a single process is told by; they stay in use. */
void diff_make(struct diff *diff, const struct analysis *before, const struct groups *before_groups,
               const struct analysis *after, const struct groups *after_groups);
void diff_free(struct diff *diff);

/* "new", "worse" ... */
const char *diff_change_name(enum diff_change change);

#endif
