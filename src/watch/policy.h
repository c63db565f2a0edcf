/* SPDX-License-Identifier: Apache-2.0
 *
 * policy.h - decide whether a loop is stalled, and when to look again
 *
 * Context: watchdog
 */
#ifndef LOOPDOG_WATCH_POLICY_H
#define LOOPDOG_WATCH_POLICY_H

#include <stdbool.h>
#include <stdint.h>

struct policy_limits {
        uint64_t threshold_ns;
        uint64_t interval_ns; /* between samples of a stall, at first */
};

/* What is known of a loop at `now_ns`. */
struct policy_view {
        uint64_t now_ns;
        bool busy;
        uint64_t begin_ns;         /* of the present iteration; valid while busy */
        bool looked;               /* this iteration was sampled before the threshold */
        bool detected;             /* this iteration was found to be a stall */
        uint64_t next_sample_ns;   /* valid once detected */
        uint32_t samples_detected; /* samples since the detection */
};

enum policy_action {
        POLICY_NOTHING,
        POLICY_LOOK,   /* sample it without a signal: it has lasted half the threshold */
        POLICY_DETECT, /* it has just become a stall: sample it and say so */
        POLICY_SAMPLE, /* the stall goes on: sample it again */
};

struct policy_answer {
        enum policy_action action;
        uint64_t next_ns; /* ask again then, at the latest */
        uint64_t late_ns; /* POLICY_DETECT: how long after the threshold */
};

struct policy_answer policy_decide(const struct policy_limits *limits, const struct policy_view *view);

/* Pause between two samples of a stall: the interval, doubled after each 100 samples, at most 1 s or the interval; and
 * up to an eighth more, so that the samples keep no step with anything. */
uint64_t policy_pause_ns(const struct policy_limits *limits, uint32_t samples_detected);

#endif
