/* SPDX-License-Identifier: Apache-2.0
 *
 * report.h - what `loopdog report` prints
 *
 * Context: reader
 */
#ifndef LOOPDOG_RENDER_REPORT_H
#define LOOPDOG_RENDER_REPORT_H

#include <stdio.h>

#include "analyse/calltree.h"
#include "analyse/diff.h"
#include "analyse/group.h"
#include "read/input.h"

struct report {
        const struct input *input;
        const struct analysis *analysis;
        const struct groups *groups;
        const struct groups *suspended; /* by loop: listed apart */
        enum group_by by;
        const struct calltree *tree; /* named; NULL: not asked for */
        const struct diff *diff;     /* with an earlier run; NULL: not asked for */
        struct symbolizer *symbolizer;
};

/* For people: totals, loops, and a table with examples, or the tree. */
void report_text(const struct report *report, FILE *out, const struct record_style *style);

/* What has changed, as a part of it. */
void diff_text(const struct report *report, FILE *out, const struct record_style *style);

/* One JSON document (docs/report-json.md). */
void report_json(const struct report *report, FILE *out);

#endif
