/* SPDX-License-Identifier: Apache-2.0
 *
 * cause.c - why a loop stalled: on the CPU, or blocked in a system call
 *
 * CPU time decides first, because it covers the whole stall while samples are single moments: a stall made of many
 * short calls may be sampled asleep and yet be busy. Where neither is clear the verdict says so and why.
 *
 * Context: watchdog
 * Limits:  the finer causes (lock, page-fault, starved, suspended) are not told apart yet
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

static struct cause_verdict blocked(const struct cause_evidence *evidence, struct cause_verdict verdict)
{
        verdict.cause = CAUSE_BLOCKED;
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
                        percent(evidence->cpu_ns, evidence->duration_ns) > HARDLY;
        return share >= (computes ? MOSTLY : CAUSE_SHARE);
}

static struct cause_verdict by_samples(const struct cause_evidence *evidence, struct cause_verdict verdict)
{
        if (percent(evidence->blocked, evidence->samples) >= MOSTLY)
                return blocked(evidence, verdict);
        if (percent(evidence->stopped, evidence->samples) >= MOSTLY)
                return unknown(verdict, "the thread was stopped");
        if (percent(evidence->faulting, evidence->samples) >= MOSTLY)
                return unknown(verdict, "the thread slept outside of system calls, as in a page fault");
        if (percent(evidence->running, evidence->samples) >= MOSTLY)
                return unknown(verdict, "it could run but got little of the CPU: other work took it");
        return unknown(verdict, "it was on the CPU for a part of it and asleep for a part of it");
}

struct cause_verdict cause_decide(const struct cause_evidence *evidence)
{
        struct cause_verdict verdict = { .call = -1, .cpu_known = evidence->cpu_known };
        if (evidence->crowded)
                return unknown(verdict, "too many loops stalled at the same time to keep the samples of all");
        if (evidence->samples == 0)
                return unknown(verdict, "it was over before the watchdog could look at it");
        if (is_locked_out(evidence)) {
                verdict.cause = CAUSE_GIL;
                verdict.cpu_percent = evidence->cpu_known ? percent(evidence->cpu_ns, evidence->duration_ns) : 0;
                return verdict;
        }
        if (!evidence->cpu_known) {
                if (percent(evidence->running, evidence->samples) < MOSTLY)
                        return by_samples(evidence, verdict);
                if (evidence->running < 2) /* a single moment is no evidence for the rest */
                        return unknown(verdict, "it was seen only once, running");
                verdict.cause = CAUSE_CPU;
                return verdict;
        }
        verdict.cpu_percent = percent(evidence->cpu_ns, evidence->duration_ns);
        /* Never seen asleep, and its computing alone would have made a stall: that other work took the CPU from it in
         * between made it longer, but is not the cause. */
        bool ran = percent(evidence->running + evidence->locked_out, evidence->samples) >= MOSTLY;
        if (verdict.cpu_percent >= MOSTLY || (ran && evidence->cpu_ns >= evidence->threshold_ns)) {
                verdict.cause = CAUSE_CPU;
                return verdict;
        }
        if (verdict.cpu_percent > HARDLY && !ran && percent(evidence->blocked, evidence->samples) < 90)
                return unknown(verdict, "it was on the CPU for a part of it and asleep for a part of it");
        return by_samples(evidence, verdict);
}
