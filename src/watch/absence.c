/* SPDX-License-Identifier: Apache-2.0
 *
 * absence.c - what kept the watchdog from waking up in time
 *
 * Its own sleep tells: all signals are blocked in its thread, so nothing but the time-out or watchdog_wake() ends it.
 * One that took more than one switch was interrupted all the same: the process was stopped, by a signal, a debugger or
 * a freezer. One that took a single switch and then waited for a CPU was starved, which the kernel counts. One that did
 * neither got its timer late: the machine itself stood still. Where that took long it is a paused virtual machine whose
 * clocks have jumped, and no program is to blame; a shorter one is the hypervisor's everyday work (steal time), which
 * is a lack of CPU like any other.
 *
 * A pure function, so that a paused machine can be tested without one.
 *
 * Context: watchdog
 */
#include "watch/absence.h"

#include "base/order.h"

#define PAUSED_NS 1000000000ull

bool absence_is_interrupted(const struct absence_counts *before, const struct absence_counts *after)
{
        return before->switches >= 0 && after->switches >= 0 && after->switches - before->switches > 1;
}

struct watch_absence absence_judge(const struct absence_sleep *sleep)
{
        uint64_t late_ns = sleep->now_ns - sleep->wanted_ns;
        struct watch_absence absence = { .from_ns = sleep->wanted_ns, .to_ns = sleep->now_ns };
        absence.starved_ns = smaller(sleep->after.delay_ns - sleep->before.delay_ns, late_ns);
        uint64_t rest_ns = late_ns - absence.starved_ns;
        bool interrupted = absence_is_interrupted(&sleep->before, &sleep->after) && rest_ns >= ABSENCE_LATE_NS;
        bool paused = sleep->before.delay_known && sleep->after.delay_known && rest_ns >= PAUSED_NS;
        if (interrupted || paused) {
                absence.stopped_ns = rest_ns;
                absence.doubtful_ns = sleep->wanted_ns - sleep->asleep_ns;
        }
        return absence;
}

struct watch_absence absence_at_work(const struct absence_counts *before, const struct absence_counts *after,
                                     uint64_t from_ns, uint64_t to_ns)
{
        struct watch_absence absence = { .from_ns = from_ns, .to_ns = to_ns };
        uint64_t gap_ns = to_ns - from_ns;
        absence.starved_ns = smaller(after->delay_ns - before->delay_ns, gap_ns);
        uint64_t rest_ns = gap_ns - absence.starved_ns;
        bool switched = before->switches >= 0 && after->switches > before->switches;
        bool known = before->delay_known && after->delay_known;
        absence.stopped_ns = switched && known && rest_ns >= ABSENCE_LATE_NS ? rest_ns : 0;
        return absence;
}
