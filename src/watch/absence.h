/* SPDX-License-Identifier: Apache-2.0
 *
 * absence.h - what kept the watchdog from waking up in time
 *
 * Context: watchdog
 */
#ifndef LOOPDOG_WATCH_ABSENCE_H
#define LOOPDOG_WATCH_ABSENCE_H

#include <stdbool.h>
#include <stdint.h>

/* The watchdog wanted to run again at `from_ns` and did at `to_ns`. */
struct watch_absence {
        uint64_t from_ns;
        uint64_t to_ns;
        uint64_t stopped_ns;  /* of that it was stopped, */
        uint64_t doubtful_ns; /* and perhaps for so much before, while it slept */
        uint64_t starved_ns;  /* of that it was ready to run, but without a CPU */
};

/* What the kernel has counted of the watchdog's thread. */
struct absence_counts {
        long switches; /* voluntary; -1: not known */
        bool delay_known;
        uint64_t delay_ns; /* ready to run, but without a CPU */
};

/* A sleep that should have ended at `wanted_ns`; all times by clock_now_ns(). */
struct absence_sleep {
        uint64_t asleep_ns; /* when it began */
        uint64_t wanted_ns;
        uint64_t now_ns;
        struct absence_counts before;
        struct absence_counts after;
};

#define ABSENCE_LATE_NS 5000000ull /* a wake-up that comes so much later is worth a question */

/* A sleep that ended ABSENCE_LATE_NS after its time or later. */
struct watch_absence absence_judge(const struct absence_sleep *sleep);

/* A gap in work that can't wait for anything: stopped_ns is 0 where it was no stop. */
struct watch_absence absence_at_work(const struct absence_counts *before, const struct absence_counts *after,
                                     uint64_t from_ns, uint64_t to_ns);

/* Was the thread stopped while it slept, or on its way out of that? */
bool absence_is_interrupted(const struct absence_counts *before, const struct absence_counts *after);

#endif
