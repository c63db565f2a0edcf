/* SPDX-License-Identifier: Apache-2.0
 *
 * cause.c - why a loop stalled
 *
 * One question stands behind every verdict: without what would it have been no stall? What was counted over the whole
 * stall (CPU time, time ready to run, time stopped) decides before samples, which are single moments: a stall made of
 * many short calls may be sampled asleep and yet be busy. Where nothing is clear the verdict says so and why.
 *
 * Context: watchdog
 */
#include "explain/cause.h"

#include <stddef.h>

/* Shares of the duration, in percent. */
#define MOSTLY 60
#define HARDLY 40
#define CAUSE_SHARE 25

static uint32_t percent(uint64_t part, uint64_t whole)
{
        if (whole == 0)
                return 0;
        uint64_t share = part * 100 / whole;
        return share > 100 ? 100 : (uint32_t)share;
}

/* The time in which it was not stopped: only that can have another cause. */
static uint64_t awake_ns(const struct cause_evidence *evidence)
{
        return evidence->duration_ns > evidence->stopped_ns ? evidence->duration_ns - evidence->stopped_ns : 0;
}

/* The samples of that time. */
static uint32_t awake_samples(const struct cause_evidence *evidence)
{
        return evidence->samples > evidence->stopped ? evidence->samples - evidence->stopped : 0;
}

static struct cause_verdict found(struct cause_verdict verdict, enum cause cause)
{
        verdict.cause = cause;
        return verdict;
}

static struct cause_verdict blocked(const struct cause_evidence *evidence, struct cause_verdict verdict)
{
        verdict.cause = 2 * evidence->locked >= evidence->blocked ? CAUSE_LOCK : CAUSE_BLOCKED;
        verdict.call = evidence->call;
        return verdict;
}

static struct cause_verdict unknown(struct cause_verdict verdict, const char *reason)
{
        verdict.cause = CAUSE_UNKNOWN;
        verdict.reason = reason;
        return verdict;
}

/* A loop that shares the interpreter with a busy thread gets it every few milliseconds: it waits for the lock for a
 * part of the time only, and yet that is why it took so long, unless its own computing would have made a stall alone.
 */
static bool is_locked_out(const struct cause_evidence *evidence)
{
        uint32_t share = percent(evidence->locked_out, evidence->samples);
        bool computes = evidence->cpu_known && evidence->cpu_ns >= evidence->threshold_ns &&
                        percent(evidence->cpu_ns, awake_ns(evidence)) > HARDLY;
        return share >= (computes ? MOSTLY : CAUSE_SHARE);
}

/* How long it was ready to run and had no CPU. The kernel counts that when it is over, so at the last sample a part is
 * missing, and where a cgroup has used up its quota it may not count at all. But where the thread was seen running,
 * all the time in which it used no CPU time is such time, if only a good part of it has a witness. */
static uint64_t without_cpu_ns(const struct cause_evidence *evidence, bool ran)
{
        uint64_t rest_ns = awake_ns(evidence) > evidence->cpu_ns ? awake_ns(evidence) - evidence->cpu_ns : 0;
        uint64_t counted_ns = evidence->delay_known ? evidence->delay_ns : ran ? rest_ns : 0;
        if (evidence->throttled_ns > counted_ns && ran)
                counted_ns = evidence->throttled_ns;
        if (evidence->steal_ns > counted_ns && ran)
                counted_ns = evidence->steal_ns;
        if (ran && percent(counted_ns, awake_ns(evidence)) >= CAUSE_SHARE)
                counted_ns = rest_ns * (evidence->running + evidence->locked_out) / awake_samples(evidence);
        return counted_ns < rest_ns ? counted_ns : rest_ns;
}

/* With a CPU of its own it would have been no stall. */
static bool is_starved(const struct cause_evidence *evidence, bool ran)
{
        uint64_t without_ns = without_cpu_ns(evidence, ran);
        return percent(without_ns, awake_ns(evidence)) >= (ran ? HARDLY : MOSTLY) &&
               awake_ns(evidence) - without_ns < evidence->threshold_ns;
}

static struct cause_verdict by_samples(const struct cause_evidence *evidence, struct cause_verdict verdict)
{
        uint32_t samples = awake_samples(evidence);
        if (percent(evidence->blocked, samples) >= MOSTLY)
                return blocked(evidence, verdict);
        if (percent(evidence->faulting, samples) >= MOSTLY)
                return found(verdict, CAUSE_PAGE_FAULT);
        if (percent(evidence->unclear, samples) >= MOSTLY)
                return unknown(verdict, "it waited for a disk or for memory, and which of them can't be read here");
        if (percent(evidence->running, samples) >= MOSTLY)
                return unknown(verdict, "it could run but got little of the CPU, and nobody is known who took it");
        return unknown(verdict, "it was on the CPU for a part of it and asleep for a part of it");
}

static struct cause_verdict without_samples(const struct cause_evidence *evidence, struct cause_verdict verdict)
{
        if (evidence->crowded)
                return unknown(verdict, "too many loops stalled at the same time to keep the samples of all");
        if (percent(evidence->starved_ns, evidence->duration_ns) >= MOSTLY)
                return unknown(verdict, "it was over before the watchdog, which had no CPU itself, could look at it");
        return unknown(verdict, "it was over before the watchdog could look at it");
}

/* CPU time is not known: samples alone. */
static struct cause_verdict without_cpu_time(const struct cause_evidence *evidence, struct cause_verdict verdict)
{
        if (percent(evidence->running, awake_samples(evidence)) < MOSTLY)
                return by_samples(evidence, verdict);
        if (evidence->running < 2) /* a single moment is no evidence for the rest */
                return unknown(verdict, "it was seen only once, running");
        return found(verdict, CAUSE_CPU);
}

static struct cause_verdict with_cpu_time(const struct cause_evidence *evidence, struct cause_verdict verdict)
{
        uint32_t samples = awake_samples(evidence);
        /* Never seen asleep, and its computing alone would have made a stall: that other work took the CPU from it in
         * between made it longer, but is not the cause. */
        bool ran = percent(evidence->running + evidence->locked_out, samples) >= MOSTLY;
        if (verdict.cpu_percent >= MOSTLY || (ran && evidence->cpu_ns >= evidence->threshold_ns))
                return found(verdict, CAUSE_CPU);
        if (is_starved(evidence, ran))
                return found(verdict, CAUSE_STARVED);
        if (verdict.cpu_percent > HARDLY && !ran && percent(evidence->blocked, samples) < 90)
                return unknown(verdict, "it was on the CPU for a part of it and asleep for a part of it");
        return by_samples(evidence, verdict);
}

struct cause_verdict cause_decide(const struct cause_evidence *evidence)
{
        struct cause_verdict verdict = { .call = -1, .cpu_known = evidence->cpu_known };
        if (evidence->cpu_known)
                verdict.cpu_percent = percent(evidence->cpu_ns, awake_ns(evidence));
        if (evidence->suspended)
                return found(verdict, CAUSE_SUSPENDED);
        if (evidence->crowded || evidence->samples == 0)
                return without_samples(evidence, verdict);
        if (evidence->deadlock) {
                verdict.call = evidence->call;
                return found(verdict, CAUSE_LOCK);
        }
        if (awake_samples(evidence) == 0)
                return unknown(verdict, "the thread was stopped whenever it was looked at");
        if (is_locked_out(evidence))
                return found(verdict, CAUSE_GIL);
        return evidence->cpu_known ? with_cpu_time(evidence, verdict) : without_cpu_time(evidence, verdict);
}
