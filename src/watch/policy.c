/* SPDX-License-Identifier: Apache-2.0
 *
 * policy.c - decide whether a loop is stalled, and when to look again
 *
 * A pure function of a slot's numbers and the time, so that every case can be tested without threads or sleeping. It
 * answers with the next moment at which it wants to be asked; the watchdog sleeps until the earliest of these.
 *
 * While nothing is long, all loops are looked at together every half threshold, so that a thousand loops cost no more
 * wake-ups than one: two a threshold. An iteration seen to be older than half the threshold is sampled at once
 * (evidence for a stall that ends just after the threshold) and asked for again exactly at the threshold.
 *
 * Context: watchdog
 * Limits:  none; allocates nothing
 */
#include "watch/policy.h"

#define LONGEST_PAUSE_NS 1000000000ull
#define SAMPLES_BEFORE_DOUBLING 100

/* Up to an eighth longer, differently each time. What a thread does may be timed itself: one that waits for CPython's
 * lock looks up every 5 ms, and samples in step with that would see it awake each time. */
static uint64_t spread(uint64_t pause_ns, uint32_t samples_detected)
{
        uint32_t share = samples_detected * 2654435769u >> 22; /* of 1024: steps of the golden ratio */
        return pause_ns + pause_ns / 8 * share / 1024;
}

uint64_t policy_pause_ns(const struct policy_limits *limits, uint32_t samples_detected)
{
        uint32_t doublings = samples_detected / SAMPLES_BEFORE_DOUBLING;
        uint64_t longest_ns = limits->interval_ns > LONGEST_PAUSE_NS ? limits->interval_ns : LONGEST_PAUSE_NS;
        if (doublings > 20)
                return longest_ns;
        uint64_t pause_ns = limits->interval_ns << doublings;
        return spread(pause_ns < longest_ns ? pause_ns : longest_ns, samples_detected);
}

static struct policy_answer young(const struct policy_limits *limits, const struct policy_view *view, uint64_t age_ns)
{
        uint64_t due_ns = view->begin_ns + limits->threshold_ns;
        if (age_ns < limits->threshold_ns / 2)
                return (struct policy_answer){ POLICY_NOTHING, view->now_ns + limits->threshold_ns / 2, 0 };
        return (struct policy_answer){ view->looked ? POLICY_NOTHING : POLICY_LOOK, due_ns, 0 };
}

static struct policy_answer old(const struct policy_limits *limits, const struct policy_view *view, uint64_t age_ns)
{
        if (!view->detected)
                return (struct policy_answer){ POLICY_DETECT, view->now_ns + policy_pause_ns(limits, 0),
                                               age_ns - limits->threshold_ns };
        if (view->now_ns < view->next_sample_ns)
                return (struct policy_answer){ POLICY_NOTHING, view->next_sample_ns, 0 };
        return (struct policy_answer){ POLICY_SAMPLE,
                                       view->now_ns + policy_pause_ns(limits, view->samples_detected + 1), 0 };
}

struct policy_answer policy_decide(const struct policy_limits *limits, const struct policy_view *view)
{
        /* A begin in the future comes from a clock that was exchanged: as good as no iteration. */
        if (!view->busy || view->begin_ns > view->now_ns)
                return (struct policy_answer){ POLICY_NOTHING, view->now_ns + limits->threshold_ns / 2, 0 };
        uint64_t age_ns = view->now_ns - view->begin_ns;
        return age_ns < limits->threshold_ns ? young(limits, view, age_ns) : old(limits, view, age_ns);
}
