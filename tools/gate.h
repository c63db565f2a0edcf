/* SPDX-License-Identifier: Apache-2.0
 *
 * gate.h - when a report ends with exit code 3: for CI
 *
 * Context: reader
 */
#ifndef LOOPDOG_TOOLS_GATE_H
#define LOOPDOG_TOOLS_GATE_H

#include <stdbool.h>
#include <stdint.h>

#include "analyse/analysis.h"
#include "analyse/diff.h"

/* All zero: never. */
struct gate {
        bool any;
        bool new_culprit;
        bool worse;
        bool total;
        bool longest;
        uint64_t total_ns; /* more than that */
        uint64_t longest_ns;
};

#define GATE_WORDS "new, worse, any, total>DURATION or max>DURATION, separated by commas"

/* "new,total>1s" added to `gate`. 0 or -EINVAL. */
int gate_parse(struct gate *gate, const char *list);

/* Does it compare with an earlier run? */
bool gate_compares(const struct gate *gate);

/* Whether it is shut; each reason is said on stderr. `diff` may be NULL where nothing is compared. */
bool gate_shut(const struct gate *gate, const struct analysis *analysis, const struct diff *diff);

#endif
