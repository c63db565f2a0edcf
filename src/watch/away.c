/* SPDX-License-Identifier: Apache-2.0
 *
 * away.c - when the watchdog was away, the last few times, and how much of a stall that covers
 *
 * What kept the watchdog away kept the loops away, too, where all threads were stopped; and where it had no CPU they
 * may have had none either.
 *
 * Context: watchdog
 * Limits:  ABSENCES
 */
#include "watch/away.h"

#include <string.h>

#include "base/order.h"

#define ABSENCES 8

static struct {
        struct watch_absence last[ABSENCES];
        unsigned next;
} absences;

void away_remember(const struct watch_absence *absence)
{
        absences.last[absences.next++ % ABSENCES] = *absence;
}

static uint64_t overlap_of(const struct watch_absence *absence, uint64_t begin_ns, uint64_t end_ns)
{
        uint64_t from_ns = larger(absence->from_ns, begin_ns);
        uint64_t to_ns = smaller(absence->to_ns, end_ns);
        return to_ns > from_ns ? to_ns - from_ns : 0;
}

struct away away_within(uint64_t begin_ns, uint64_t end_ns)
{
        struct away away = { .stopped_ns = 0 };
        for (unsigned i = 0; i < ABSENCES; i++) {
                const struct watch_absence *absence = &absences.last[i];
                uint64_t overlap_ns = overlap_of(absence, begin_ns, end_ns);
                if (overlap_ns == 0)
                        continue;
                away.stopped_ns += smaller(absence->stopped_ns, overlap_ns);
                away.starved_ns += smaller(absence->starved_ns, overlap_ns);
                away.doubtful_ns += absence->stopped_ns != 0 ? absence->doubtful_ns : 0;
        }
        return away;
}

void away_forget(void)
{
        memset(&absences, 0, sizeof absences);
}
