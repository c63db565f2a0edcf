/* SPDX-License-Identifier: Apache-2.0
 *
 * overview.h - the parts that the summary of `run` and the text of `report` share
 *
 * Context: reader
 */
#ifndef LOOPDOG_RENDER_OVERVIEW_H
#define LOOPDOG_RENDER_OVERVIEW_H

#include <stdio.h>

#include "analyse/group.h"

struct overview {
        FILE *out;
        unsigned columns; /* 0: unlimited */
        bool colour;
        int run_digits; /* name an example of each group by so many digits of its run, with its hint; 0: do not */
};

/* "3 stalls, 1.62 s lost, longest 620 ms". */
void overview_spread(FILE *out, const struct spread *stalls);

/* The same, and the lines about those that are not counted and those that never
 * ended. */
void overview_totals(const struct overview *view, const struct analysis *analysis);

/* The table of groups, at most `most` of them; what is left out is said. */
void overview_groups(const struct overview *view, const struct groups *groups, enum group_by by, size_t most);

/* What the agents could not see or write; nothing where there was no such thing. */
void overview_losses(const struct overview *view, const struct analysis *analysis);

#endif
