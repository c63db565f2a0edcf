/* SPDX-License-Identifier: Apache-2.0
 *
 * explained.c - what was counted of a thread and of the machine over a whole stall, and what follows from it
 *
 * A stall has neither a sample at its begin nor one at its end, so what passed between the first and the last is taken
 * for the same in the rest.
 *
 * Context: watchdog
 */
#include "explain/explained.h"

/* What passed over the whole stall, by what passed between its first and its last sample. */
static uint64_t over_stall(const struct profile *profile, uint64_t duration_ns, uint64_t before, uint64_t after)
{
        uint64_t seen_ns = profile->last_counted_ns - profile->first_counted_ns;
        return after > before ? (uint64_t)((unsigned __int128)(after - before) * duration_ns / seen_ns) : 0;
}

/* From the first sample, when the machine was read, until now. */
static uint64_t others_cpu_ns(const struct explained *explained)
{
        uint64_t before_ns = explained->profile->first_counted_ns - explained->begin_ns;
        if (explained->duration_ns <= before_ns)
                return 0;
        uint64_t own_ns = (uint64_t)((unsigned __int128)explained->cpu_ns * (explained->duration_ns - before_ns) /
                                     explained->duration_ns);
        return explained->machine.process_ns > own_ns ? explained->machine.process_ns - own_ns : 0;
}

void explained_measure(struct explained *explained)
{
        const struct profile *profile = explained->profile;
        if (profile == NULL)
                return;
        struct machine_reading now;
        machine_read(&now);
        explained->machine = machine_compare(&profile->machine, &now);
        if (profile->samples < 2 || profile->last_counted_ns <= profile->first_counted_ns)
                return;
        const struct sample_usage *before = &profile->first_usage, *after = &profile->last_usage;
        uint64_t duration_ns = explained->duration_ns;
        explained->cpu_known = profile->first_cpu_ns != 0 && profile->last_cpu_ns != 0;
        if (explained->cpu_known)
                explained->cpu_ns = over_stall(profile, duration_ns, profile->first_cpu_ns, profile->last_cpu_ns);
        if (explained->cpu_known)
                explained->others_cpu_ns = others_cpu_ns(explained);
        explained->usage.known = before->known && after->known;
        explained->usage.delay_known = before->delay_known && after->delay_known;
        if (explained->usage.delay_known)
                explained->usage.delay_ns = over_stall(profile, duration_ns, before->delay_ns, after->delay_ns);
        if (!explained->usage.known)
                return;
        explained->usage.user_ticks = after->user_ticks - before->user_ticks;
        explained->usage.system_ticks = after->system_ticks - before->system_ticks;
        explained->usage.major_faults = after->major_faults - before->major_faults;
        explained->usage.voluntary = after->voluntary - before->voluntary;
        explained->usage.involuntary = after->involuntary - before->involuntary;
}

void explained_decide(struct explained *explained)
{
        static const struct profile none;
        const struct profile *profile = explained->profile != NULL ? explained->profile : &none;
        struct cause_evidence evidence = {
                .threshold_ns = explained->threshold_ns,
                .duration_ns = explained->duration_ns,
                .cpu_known = explained->cpu_known,
                .cpu_ns = explained->cpu_ns,
                .delay_known = explained->usage.delay_known,
                .delay_ns = explained->usage.delay_ns,
                .throttled_ns = explained->machine.throttled_ns,
                .steal_ns = explained->machine.cpus != 0 ? explained->machine.steal_ns / explained->machine.cpus : 0,
                .stopped_ns = explained->stopped_ns,
                .starved_ns = explained->starved_ns,
                .suspended = explained->suspended,
                .samples = profile->samples - profile->losses[CAPTURE_ENDED], /* those tell nothing of the stall */
                .running = profile->running,
                .blocked = profile->blocked,
                .locked = profile->locked,
                .locked_out = profile->locked_out,
                .deadlock = profile->deadlock,
                .faulting = profile->faulting,
                .unclear = profile->unclear,
                .stopped = profile->stopped,
                .crowded = explained->crowded != 0,
        };
        uint32_t count;
        evidence.call = profile_main_call(profile, &count);
        explained->verdict = cause_decide(&evidence);
        if (explained->slept)
                explained->verdict.reason = "the machine slept";
}
