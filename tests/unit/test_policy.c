/* SPDX-License-Identifier: Apache-2.0
 *
 * test_policy.c - every answer of the policy, at and beside each of its bounds
 *
 * Context: unit test
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "watch/policy.h"

#define MS 1000000ull
#define SECOND 1000000000ull
#define NOW 5000000000000ull

static const struct policy_limits usual = { .threshold_ns = 100 * MS, .interval_ns = 10 * MS };

/* A loop that came back from its wait `age_ns` ago. */
static struct policy_view busy_for(uint64_t age_ns)
{
        return (struct policy_view){ .now_ns = NOW, .busy = true, .begin_ns = NOW - age_ns };
}

static struct policy_view stalled_for(uint64_t age_ns, uint64_t next_sample_ns, uint32_t samples)
{
        struct policy_view view = busy_for(age_ns);
        view.looked = true;
        view.detected = true;
        view.next_sample_ns = next_sample_ns;
        view.samples_detected = samples;
        return view;
}

static void expect(struct policy_view view, enum policy_action action, uint64_t next_ns, uint64_t late_ns)
{
        struct policy_answer answer = policy_decide(&usual, &view);
        cr_expect(eq(int, answer.action, action));
        cr_expect(eq(u64, answer.next_ns, next_ns));
        cr_expect(eq(u64, answer.late_ns, late_ns));
}

/* ---- nothing is long ---- */

Test(policy, looks_at_a_waiting_loop_each_half_threshold)
{
        expect((struct policy_view){ .now_ns = NOW, .begin_ns = NOW - 10 * SECOND }, POLICY_NOTHING, NOW + 50 * MS, 0);
}

Test(policy, ignores_what_is_left_over_of_a_stall_while_the_loop_waits)
{
        struct policy_view view = stalled_for(SECOND, NOW - MS, 7);
        view.busy = false;
        expect(view, POLICY_NOTHING, NOW + 50 * MS, 0);
}

Test(policy, leaves_a_young_iteration_alone)
{
        expect(busy_for(0), POLICY_NOTHING, NOW + 50 * MS, 0);
        expect(busy_for(50 * MS - 1), POLICY_NOTHING, NOW + 50 * MS, 0);
}

Test(policy, takes_a_begin_in_the_future_for_no_iteration)
{
        struct policy_view view = busy_for(0);
        view.begin_ns = NOW + 1;
        expect(view, POLICY_NOTHING, NOW + 50 * MS, 0);
        view.begin_ns = UINT64_MAX;
        view.detected = true;
        expect(view, POLICY_NOTHING, NOW + 50 * MS, 0);
}

Test(policy, never_waits_longer_than_until_a_young_iteration_could_be_seen_before_its_threshold)
{
        /* Whenever it begins, it is seen once between half the threshold and the threshold. */
        for (uint64_t age_ns = 0; age_ns < 50 * MS; age_ns += MS / 7) {
                struct policy_view view = busy_for(age_ns);
                struct policy_answer answer = policy_decide(&usual, &view);
                uint64_t next_age_ns = answer.next_ns - view.begin_ns;
                cr_expect(ge(u64, next_age_ns, 50 * MS));
                cr_expect(lt(u64, next_age_ns, 100 * MS));
        }
}

/* ---- half the threshold ---- */

Test(policy, looks_once_from_half_the_threshold_on_and_comes_back_exactly_at_the_threshold)
{
        expect(busy_for(50 * MS), POLICY_LOOK, NOW + 50 * MS, 0);
        expect(busy_for(99 * MS), POLICY_LOOK, NOW + 1 * MS, 0);
        expect(busy_for(100 * MS - 1), POLICY_LOOK, NOW + 1, 0);
}

Test(policy, does_not_look_twice)
{
        struct policy_view view = busy_for(60 * MS);
        view.looked = true;
        expect(view, POLICY_NOTHING, NOW + 40 * MS, 0);
}

/* ---- the threshold ---- */

Test(policy, detects_at_the_threshold_whether_it_has_looked_or_not)
{
        struct policy_view view = busy_for(100 * MS);
        expect(view, POLICY_DETECT, NOW + 10 * MS, 0);
        view.looked = true;
        expect(view, POLICY_DETECT, NOW + 10 * MS, 0);
}

Test(policy, says_how_late_it_came)
{
        expect(busy_for(100 * MS + 1), POLICY_DETECT, NOW + 10 * MS, 1);
        expect(busy_for(3600 * SECOND), POLICY_DETECT, NOW + 10 * MS, 3600 * SECOND - 100 * MS);
}

/* ---- a stall that goes on ---- */

Test(policy, waits_for_the_next_sample)
{
        expect(stalled_for(105 * MS, NOW + 1, 1), POLICY_NOTHING, NOW + 1, 0);
        expect(stalled_for(105 * MS, NOW + 5 * MS, 1), POLICY_NOTHING, NOW + 5 * MS, 0);
}

Test(policy, samples_when_the_next_sample_is_due_or_late)
{
        expect(stalled_for(110 * MS, NOW, 1), POLICY_SAMPLE, NOW + policy_pause_ns(&usual, 2), 0);
        expect(stalled_for(900 * MS, NOW - 700 * MS, 1), POLICY_SAMPLE, NOW + policy_pause_ns(&usual, 2), 0);
}

Test(policy, counts_the_sample_that_it_asks_for_when_it_plans_the_next)
{
        expect(stalled_for(2 * SECOND, NOW, 98), POLICY_SAMPLE, NOW + policy_pause_ns(&usual, 99), 0);
        expect(stalled_for(2 * SECOND, NOW, 99), POLICY_SAMPLE, NOW + policy_pause_ns(&usual, 100), 0);
}

Test(policy, asks_for_a_sample_once_when_it_is_followed_through_a_long_stall)
{
        /* As the watchdog does it: by its own answers only, with a clock that is always on time. */
        struct policy_view view = busy_for(0);
        unsigned looks = 0, detections = 0, samples = 0;
        view.begin_ns = NOW;
        while (view.now_ns - NOW < 4 * SECOND) {
                struct policy_answer answer = policy_decide(&usual, &view);
                cr_assert(gt(u64, answer.next_ns, view.now_ns), "asks to be asked again in the past");
                looks += answer.action == POLICY_LOOK;
                detections += answer.action == POLICY_DETECT;
                samples += answer.action == POLICY_SAMPLE;
                view.looked |= answer.action == POLICY_LOOK;
                if (answer.action == POLICY_DETECT || answer.action == POLICY_SAMPLE) {
                        view.detected = true;
                        view.samples_detected++;
                        view.next_sample_ns = view.now_ns + policy_pause_ns(&usual, view.samples_detected);
                }
                view.now_ns = answer.next_ns;
        }
        cr_expect(eq(uint, looks, 1));
        cr_expect(eq(uint, detections, 1));
        /* The detection at 100 ms and 99 more 10 to 11.25 ms apart, 100 more 20 to 22.5 ms apart, then 40 to 45 ms. */
        cr_expect(le(uint, samples, 99 + 100 + (4000 - 100 - 990 - 20 * 100 - 1) / 40));
        cr_expect(ge(uint, samples, 99 + 100 + (4000 - 100 - 1114 - 2250) / 45));
}

/* ---- the pause between samples ---- */

Test(policy, doubles_the_pause_after_each_hundred_samples)
{
        static const struct {
                uint32_t samples;
                uint64_t pause_ns;
        } cases[] = {
                { 0, 10 * MS },   { 1, 10 * MS },   { 99, 10 * MS },   { 100, 20 * MS },       { 199, 20 * MS },
                { 200, 40 * MS }, { 300, 80 * MS }, { 600, 640 * MS }, { 699, 640 * MS },      { 700, SECOND },
                { 2000, SECOND }, { 2099, SECOND }, { 2100, SECOND },  { UINT32_MAX, SECOND },
        };
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
                uint64_t pause_ns = policy_pause_ns(&usual, cases[i].samples);
                cr_expect(ge(u64, pause_ns, cases[i].pause_ns), "%u samples", cases[i].samples);
                cr_expect(le(u64, pause_ns, cases[i].pause_ns / 8 * 9), "%u samples", cases[i].samples);
        }
}

/* A thread that wakes every 5 ms for a moment must not be seen awake by more than its share of samples. */
Test(policy, keeps_no_step_with_what_the_thread_does_at_intervals)
{
        uint64_t time_ns = 0;
        unsigned in_step = 0;
        for (uint32_t sample = 1; sample < 100; sample++) {
                time_ns += policy_pause_ns(&usual, sample);
                in_step += time_ns % (5 * MS) < MS / 2;
        }
        cr_expect(le(uint, in_step, 20), "%u of 99 samples within a tenth of the time", in_step);
}

Test(policy, never_shortens_the_pause_that_the_user_asked_for)
{
        struct policy_limits slow = { .threshold_ns = 100 * MS, .interval_ns = 60 * SECOND };
        cr_expect(eq(u64, policy_pause_ns(&slow, 0), 60 * SECOND));
        cr_expect(ge(u64, policy_pause_ns(&slow, 100), 60 * SECOND));
        cr_expect(ge(u64, policy_pause_ns(&slow, UINT32_MAX), 60 * SECOND));
}

/* ---- the ends of the settings' ranges ---- */

Test(policy, works_with_a_threshold_of_1_ms)
{
        struct policy_limits limits = { .threshold_ns = MS, .interval_ns = MS };
        struct policy_view view = busy_for(MS / 2 - 1);
        struct policy_answer answer = policy_decide(&limits, &view);
        cr_expect(eq(int, answer.action, POLICY_NOTHING));
        cr_expect(eq(u64, answer.next_ns, NOW + MS / 2));
        view = busy_for(MS / 2);
        cr_expect(eq(int, policy_decide(&limits, &view).action, POLICY_LOOK));
        view = busy_for(MS);
        answer = policy_decide(&limits, &view);
        cr_expect(eq(int, answer.action, POLICY_DETECT));
        cr_expect(eq(u64, answer.next_ns, NOW + MS));
}

Test(policy, works_with_a_threshold_of_1_h)
{
        struct policy_limits limits = { .threshold_ns = 3600 * SECOND, .interval_ns = 60 * SECOND };
        struct policy_view view = { .now_ns = 3 * 3600 * SECOND, .busy = true, .begin_ns = 2 * 3600 * SECOND + 1 };
        struct policy_answer answer = policy_decide(&limits, &view);
        cr_expect(eq(int, answer.action, POLICY_LOOK));
        cr_expect(eq(u64, answer.next_ns, view.now_ns + 1));
        view.begin_ns--;
        cr_expect(eq(int, policy_decide(&limits, &view).action, POLICY_DETECT));
        view.begin_ns = view.now_ns - 1800 * SECOND + 1;
        answer = policy_decide(&limits, &view);
        cr_expect(eq(int, answer.action, POLICY_NOTHING));
        cr_expect(eq(u64, answer.next_ns, view.now_ns + 1800 * SECOND));
}

Test(policy, works_with_an_odd_threshold)
{
        struct policy_limits limits = { .threshold_ns = MS + 1, .interval_ns = MS };
        struct policy_view view = busy_for(MS / 2);
        cr_expect(eq(int, policy_decide(&limits, &view).action, POLICY_LOOK));
        view = busy_for(MS);
        cr_expect(eq(int, policy_decide(&limits, &view).action, POLICY_LOOK));
        view = busy_for(MS + 1);
        cr_expect(eq(int, policy_decide(&limits, &view).action, POLICY_DETECT));
}
