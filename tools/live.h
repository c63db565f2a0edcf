/* SPDX-License-Identifier: Apache-2.0
 *
 * live.h - show stalls while a command runs
 *
 * Context: reader
 */
#ifndef LOOPDOG_TOOLS_LIVE_H
#define LOOPDOG_TOOLS_LIVE_H

#include <stdbool.h>
#include <stdint.h>

#include "analyse/analysis.h"
#include "read/input.h"
#include "render/source.h"
#include "symbolize/symbolize.h"

struct live {
        struct input input;       /* give it to who reads; its records come here */
        struct analysis analysis; /* of all that came */
        struct symbolizer *symbolizer;
        struct source_lines sources;
        struct record_style style;
        uint64_t gate_ns; /* count stalls of this length, start-up excluded */
        uint64_t gate_count;
        uint64_t gate_longest_ns;
        struct live_begin *begun; /* stalls that have begun and not ended, start-up excluded */
        size_t begun_count;
};

void live_init(struct live *live, const struct record_style *style, uint64_t gate_ns);

/* When to call live_tick(), by CLOCK_MONOTONIC; UINT64_MAX: not before the next record. */
uint64_t live_next_ns(const struct live *live);

/* Say which stalls have gone on for a second since they were noticed. */
void live_tick(struct live *live, uint64_t now_ns);

/* The command has ended: what has not ended by now never will. */
void live_finish(struct live *live);

void live_free(struct live *live);

#endif
