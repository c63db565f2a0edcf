/* SPDX-License-Identifier: Apache-2.0
 *
 * away.h - when the watchdog was away, the last few times, and how much of a stall that covers
 *
 * Context: watchdog
 */
#ifndef LOOPDOG_WATCH_AWAY_H
#define LOOPDOG_WATCH_AWAY_H

#include <stdint.h>

#include "watch/absence.h"

void away_remember(const struct watch_absence *absence);

/* What is known of [begin_ns, end_ns): how long it was stopped in it, and perhaps for how much longer, and starved. */
struct away {
        uint64_t stopped_ns, doubtful_ns, starved_ns;
};
struct away away_within(uint64_t begin_ns, uint64_t end_ns);

/* After a fork, and where the clock that they were measured by is another now. */
void away_forget(void);

#endif
