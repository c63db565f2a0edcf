/* SPDX-License-Identifier: Apache-2.0
 *
 * filter.h - which stalls are looked at
 *
 * Context: reader
 */
#ifndef LOOPDOG_ANALYSE_FILTER_H
#define LOOPDOG_ANALYSE_FILTER_H

#include <stdbool.h>
#include <stdint.h>

#include "record/record.h"
#include "symbolize/symbolize.h"

/* All zero: every stall. */
struct filter {
        uint64_t since_ns;             /* leave out stalls that ended before (CLOCK_REALTIME) */
        uint64_t until_ns;             /* leave out stalls that began after; 0: none */
        uint64_t min_ns;               /* leave out shorter ones */
        uint32_t causes;               /* bits 1 << enum record_cause; 0: all */
        const char *culprit;           /* part of the culprit's function, file or module; NULL: all */
        struct symbolizer *symbolizer; /* for the culprit's name as people write it; may be NULL */
};

/* Does it pass by what its line alone says? All but the culprit. */
bool filter_takes(const struct filter *filter, const struct record_stall *stall);

/* Does its culprit pass? */
bool filter_takes_culprit(const struct filter *filter, const struct record *record);

#endif
