/* SPDX-License-Identifier: Apache-2.0
 *
 * report.h - what `loopdog report` prints
 *
 * Context: reader
 */
#ifndef LOOPDOG_RENDER_REPORT_H
#define LOOPDOG_RENDER_REPORT_H

#include <stdio.h>

#include "analyse/group.h"
#include "read/input.h"

struct report {
        const struct input *input;
        const struct analysis *analysis;
        const struct groups *groups;
        const struct groups *suspended; /* by loop: listed apart */
        enum group_by by;
        struct symbolizer *symbolizer;
};

/* For people: totals, loops, a table, examples. */
void report_text(const struct report *report, FILE *out, const struct record_style *style);

/* One JSON document (docs/report-json.md). */
void report_json(const struct report *report, FILE *out);

#endif
