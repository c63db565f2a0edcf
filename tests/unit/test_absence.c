/* SPDX-License-Identifier: Apache-2.0
 *
 * test_absence.c - stopped, starved, or on a machine that stood still?
 *
 * Context: unit test
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "watch/absence.h"

#define MS 1000000ull

/* It slept for 50 ms, and woke `late_ns` too late after so many switches, of which it lacked a CPU for `delay_ns`. */
static struct absence_sleep slept(uint64_t late_ns, long switches, uint64_t delay_ns)
{
        return (struct absence_sleep){
                .asleep_ns = 1000 * MS,
                .wanted_ns = 1050 * MS,
                .now_ns = 1050 * MS + late_ns,
                .before = { .switches = 7, .delay_known = true, .delay_ns = 3 * MS },
                .after = { .switches = 7 + switches, .delay_known = true, .delay_ns = 3 * MS + delay_ns },
        };
}

static struct watch_absence judged(uint64_t late_ns, long switches, uint64_t delay_ns)
{
        struct absence_sleep sleep = slept(late_ns, switches, delay_ns);
        return absence_judge(&sleep);
}

Test(absence, of_a_thread_that_was_interrupted_is_a_stop)
{
        struct watch_absence absence = judged(300 * MS, 2, 0);
        cr_expect(eq(u64, absence.from_ns, 1050 * MS));
        cr_expect(eq(u64, absence.to_ns, 1350 * MS));
        cr_expect(eq(u64, absence.stopped_ns, 300 * MS));
        cr_expect(eq(u64, absence.doubtful_ns, 50 * MS), "it may have begun at any moment of the sleep");
        cr_expect(zero(u64, absence.starved_ns));
}

Test(absence, of_a_thread_that_had_no_cpu_is_no_stop)
{
        struct watch_absence absence = judged(300 * MS, 1, 299 * MS);
        cr_expect(zero(u64, absence.stopped_ns));
        cr_expect(zero(u64, absence.doubtful_ns));
        cr_expect(eq(u64, absence.starved_ns, 299 * MS));
}

Test(absence, of_a_thread_that_had_no_cpu_for_long_is_no_stop_either)
{
        struct watch_absence absence = judged(30000 * MS, 1, 29500 * MS);
        cr_expect(zero(u64, absence.stopped_ns));
        cr_expect(eq(u64, absence.starved_ns, 29500 * MS));
}

Test(absence, of_a_thread_that_was_stopped_and_then_starved_is_both)
{
        struct watch_absence absence = judged(300 * MS, 2, 100 * MS);
        cr_expect(eq(u64, absence.stopped_ns, 200 * MS));
        cr_expect(eq(u64, absence.starved_ns, 100 * MS));
}

Test(absence, without_a_witness_is_short_steal_or_a_long_pause_of_the_machine)
{
        struct watch_absence stolen = judged(400 * MS, 1, 0), paused = judged(60000 * MS, 1, 2 * MS);
        cr_expect(zero(u64, stolen.stopped_ns));
        cr_expect(eq(u64, paused.stopped_ns, 59998 * MS));
        cr_expect(eq(u64, paused.doubtful_ns, 50 * MS));
}

Test(absence, is_no_pause_where_the_kernel_does_not_count_who_had_no_cpu)
{
        struct absence_sleep sleep = slept(60000 * MS, 1, 0);
        sleep.after.delay_known = false;
        struct watch_absence absence = absence_judge(&sleep);
        cr_expect(zero(u64, absence.stopped_ns));
}

Test(absence, is_no_stop_where_switches_are_not_known)
{
        struct absence_sleep sleep = slept(400 * MS, 2, 0);
        sleep.before.switches = -1;
        struct watch_absence absence = absence_judge(&sleep);
        cr_expect(zero(u64, absence.stopped_ns));
        cr_expect(not(absence_is_interrupted(&sleep.before, &sleep.after)));
}

Test(absence, of_a_few_milliseconds_is_no_stop)
{
        struct watch_absence absence = judged(6 * MS, 2, 2 * MS);
        cr_expect(zero(u64, absence.stopped_ns));
}

/* ---- awake ---- */

static struct watch_absence worked(uint64_t gap_ns, long switches, uint64_t delay_ns)
{
        struct absence_sleep sleep = slept(0, switches, delay_ns);
        return absence_at_work(&sleep.before, &sleep.after, 2000 * MS, 2000 * MS + gap_ns);
}

Test(absence, in_the_middle_of_work_is_a_stop_where_the_thread_gave_its_cpu_up)
{
        struct watch_absence stopped = worked(400 * MS, 1, 50 * MS);
        cr_expect(eq(u64, stopped.stopped_ns, 350 * MS));
        cr_expect(eq(u64, stopped.starved_ns, 50 * MS));
        cr_expect(eq(u64, stopped.from_ns, 2000 * MS));
        cr_expect(eq(u64, stopped.to_ns, 2400 * MS));
}

Test(absence, in_the_middle_of_work_is_no_stop_where_the_thread_was_without_a_cpu)
{
        struct watch_absence preempted = worked(400 * MS, 0, 0), starved = worked(400 * MS, 1, 398 * MS);
        cr_expect(zero(u64, preempted.stopped_ns));
        cr_expect(zero(u64, starved.stopped_ns));
}
