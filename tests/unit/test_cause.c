/* SPDX-License-Identifier: Apache-2.0
 *
 * test_cause.c - every verdict, and the bounds between them
 *
 * Context: unit test
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <string.h>
#include <sys/syscall.h>

#include "explain/cause.h"

#define DURATION_NS 1000000000ull

/* `cpu_percent` of the stall on the CPU, and 100 samples, all alike but for what a test changes. */
static struct cause_evidence known(uint32_t cpu_percent)
{
        return (struct cause_evidence){
                .threshold_ns = DURATION_NS, /* so that the share decides, not whether computing alone made a stall */
                .duration_ns = DURATION_NS,
                .cpu_ns = DURATION_NS / 100 * cpu_percent,
                .cpu_known = true,
                .samples = 100,
                .call = -1,
        };
}

static struct cause_evidence unknown_cpu(void)
{
        return (struct cause_evidence){ .duration_ns = DURATION_NS, .samples = 100, .call = -1 };
}

static void expect_cpu(struct cause_evidence evidence)
{
        struct cause_verdict verdict = cause_decide(&evidence);
        cr_expect(eq(int, verdict.cause, CAUSE_CPU));
        cr_expect(eq(int, verdict.call, -1));
        cr_expect(zero(ptr, (void *)verdict.reason), "a cause that is known needs no reason");
}

static void expect_blocked(struct cause_evidence evidence, int call)
{
        struct cause_verdict verdict = cause_decide(&evidence);
        cr_expect(eq(int, verdict.cause, CAUSE_BLOCKED));
        cr_expect(eq(int, verdict.call, call));
        cr_expect(zero(ptr, (void *)verdict.reason), "a cause that is known needs no reason");
}

static void expect_cause(struct cause_evidence evidence, enum cause cause)
{
        struct cause_verdict verdict = cause_decide(&evidence);
        cr_expect(eq(int, verdict.cause, cause));
        cr_expect(zero(ptr, (void *)verdict.reason), "a cause that is known needs no reason");
}

static void expect_unknown(struct cause_evidence evidence, const char *words)
{
        struct cause_verdict verdict = cause_decide(&evidence);
        cr_expect(eq(int, verdict.cause, CAUSE_UNKNOWN));
        cr_expect(eq(int, verdict.call, -1));
        cr_assert(not(zero(ptr, (void *)verdict.reason)), "unknown must say why");
        cr_expect(not(zero(ptr, strstr(verdict.reason, words))), "\"%s\" does not speak of \"%s\"", verdict.reason,
                  words);
}

/* ---- no evidence ---- */

Test(cause, is_unknown_without_a_sample)
{
        expect_unknown((struct cause_evidence){ .duration_ns = DURATION_NS, .call = -1 }, "before the watchdog");
}

Test(cause, is_unknown_without_a_sample_even_where_cpu_time_is_known)
{
        struct cause_evidence evidence = known(100);
        evidence.samples = 0;
        expect_unknown(evidence, "before the watchdog");
}

Test(cause, is_unknown_where_the_samples_of_all_could_not_be_kept)
{
        struct cause_evidence evidence = { .duration_ns = DURATION_NS, .crowded = true, .call = -1 };
        expect_unknown(evidence, "too many loops stalled at the same time");
        cr_expect(zero(ptr, strstr(cause_decide(&evidence).reason, "before the watchdog")), "it was looked at");
}

/* ---- CPU time is known: it decides ---- */

Test(cause, is_cpu_from_60_percent_on)
{
        expect_cpu(known(60));
        expect_cpu(known(100));
        struct cause_evidence evidence = known(60);
        evidence.cpu_ns -= DURATION_NS / 100; /* 59 % */
        evidence.running = 100;
        expect_cause(evidence, CAUSE_STARVED);
        evidence.delay_known = true; /* and it had no reason to wait for one */
        expect_unknown(evidence, "got little of the CPU");
}

Test(cause, is_cpu_where_computing_alone_would_have_made_a_stall_and_it_never_slept)
{
        struct cause_evidence evidence = known(20);
        evidence.threshold_ns = DURATION_NS / 5;
        evidence.running = 60;
        expect_cpu(evidence);
        evidence.running = 59;
        expect_unknown(evidence, "a part of it");
        evidence.running = 60;
        evidence.threshold_ns++;
        expect_unknown(evidence, "got little of the CPU"); /* it may have slept in the rest of the samples */
        evidence.running = 100;
        expect_cause(evidence, CAUSE_STARVED);
}

Test(cause, is_cpu_where_most_samples_slept_but_the_cpu_was_used)
{
        struct cause_evidence evidence = known(75);
        evidence.blocked = 100;
        evidence.call = SYS_write;
        expect_cpu(evidence);
}

Test(cause, is_mixed_between_40_and_60_percent)
{
        struct cause_evidence evidence = known(41);
        evidence.blocked = 89;
        evidence.call = SYS_read;
        expect_unknown(evidence, "a part of it");
        evidence.cpu_ns = DURATION_NS / 100 * 59;
        expect_unknown(evidence, "a part of it");
}

Test(cause, is_blocked_between_40_and_60_percent_only_where_nearly_all_samples_slept)
{
        struct cause_evidence evidence = known(50);
        evidence.blocked = 90;
        evidence.call = SYS_read;
        expect_blocked(evidence, SYS_read);
        evidence.blocked = 89;
        expect_unknown(evidence, "a part of it");
}

Test(cause, is_blocked_up_to_40_percent_from_60_percent_of_the_samples_on)
{
        struct cause_evidence evidence = known(40);
        evidence.blocked = 60;
        evidence.call = SYS_clock_nanosleep;
        expect_blocked(evidence, SYS_clock_nanosleep);
        evidence.blocked = 59;
        evidence.running = 41;
        expect_unknown(evidence, "a part of it");
}

Test(cause, is_blocked_in_a_call_without_a_number_where_it_could_not_be_read)
{
        struct cause_evidence evidence = known(1);
        evidence.blocked = 100;
        expect_blocked(evidence, -1);
}

/* ---- stopped ---- */

Test(cause, is_suspended_where_without_that_time_it_was_no_stall)
{
        struct cause_evidence evidence = known(0);
        evidence.stopped_ns = DURATION_NS / 100 * 95;
        evidence.suspended = true;
        expect_cause(evidence, CAUSE_SUSPENDED);
        evidence.samples = 0;
        expect_cause(evidence, CAUSE_SUSPENDED);
}

Test(cause, is_what_the_rest_shows_where_only_a_part_was_stopped)
{
        struct cause_evidence evidence = known(30);
        evidence.threshold_ns = DURATION_NS / 10;
        evidence.stopped_ns = DURATION_NS / 100 * 60;
        evidence.stopped = 60;
        evidence.running = 40;
        expect_cause(evidence, CAUSE_CPU);
        cr_expect(eq(uint, cause_decide(&evidence).cpu_percent, 75), "of the time in which it could run");
        evidence.cpu_ns = 0;
        evidence.running = 0;
        evidence.blocked = 40;
        evidence.call = SYS_read;
        expect_blocked(evidence, SYS_read);
}

Test(cause, is_unknown_where_it_was_stopped_in_every_sample_but_not_for_certain_all_the_time)
{
        struct cause_evidence evidence = known(0);
        evidence.stopped = 100;
        expect_unknown(evidence, "stopped");
}

/* ---- locks ---- */

Test(cause, is_a_lock_where_half_of_the_blocked_samples_waited_for_one)
{
        struct cause_evidence evidence = known(0);
        evidence.call = SYS_futex;
        evidence.blocked = 60;
        evidence.locked = 30;
        expect_cause(evidence, CAUSE_LOCK);
        cr_expect(eq(int, cause_decide(&evidence).call, SYS_futex));
        evidence.locked = 29;
        expect_blocked(evidence, SYS_futex);
}

Test(cause, is_a_lock_in_a_deadlock_whatever_else_was_seen)
{
        struct cause_evidence evidence = known(0);
        evidence.deadlock = true;
        evidence.blocked = evidence.locked = 2;
        evidence.samples = 3;
        expect_cause(evidence, CAUSE_LOCK);
}

Test(cause, is_the_gil_before_a_lock)
{
        struct cause_evidence evidence = known(0);
        evidence.blocked = 100;
        evidence.locked_out = 60;
        evidence.locked = 40;
        expect_cause(evidence, CAUSE_GIL);
}

/* ---- memory ---- */

Test(cause, is_a_page_fault_where_it_slept_outside_of_system_calls)
{
        struct cause_evidence evidence = known(0);
        evidence.faulting = 60;
        expect_cause(evidence, CAUSE_PAGE_FAULT);
        evidence.faulting = 59;
        expect_unknown(evidence, "a part of it");
}

Test(cause, is_unknown_where_it_waited_for_a_disk_in_a_call_or_in_none)
{
        struct cause_evidence evidence = known(0);
        evidence.unclear = 60;
        expect_unknown(evidence, "which of them can't be read");
        evidence.unclear = 59;
        expect_unknown(evidence, "a part of it");
}

/* ---- without a CPU ---- */

/* A threshold of a tenth, `cpu` and `delay` percent, seen running in all samples. */
static struct cause_evidence short_of_cpu(uint32_t cpu, uint32_t delay)
{
        struct cause_evidence evidence = known(cpu);
        evidence.threshold_ns = DURATION_NS / 10;
        evidence.running = 100;
        evidence.delay_known = true;
        evidence.delay_ns = DURATION_NS / 100 * delay;
        return evidence;
}

Test(cause, is_starved_where_it_waited_for_a_cpu)
{
        expect_cause(short_of_cpu(9, 91), CAUSE_STARVED);
        expect_cause(short_of_cpu(9, 25), CAUSE_STARVED); /* the last wait is not counted yet */
        expect_unknown(short_of_cpu(9, 24), "nobody is known");
        expect_cause(short_of_cpu(10, 90), CAUSE_CPU); /* that alone would have made a stall */
}

Test(cause, is_starved_by_a_quota_or_a_hypervisor_that_the_kernel_does_not_count_as_waiting)
{
        struct cause_evidence evidence = short_of_cpu(5, 0);
        evidence.throttled_ns = DURATION_NS / 2;
        expect_cause(evidence, CAUSE_STARVED);
        evidence.throttled_ns = 0;
        evidence.steal_ns = DURATION_NS / 2;
        expect_cause(evidence, CAUSE_STARVED);
        evidence.running = 0;
        evidence.blocked = 100; /* others were throttled, this one slept */
        evidence.call = SYS_read;
        expect_blocked(evidence, SYS_read);
}

Test(cause, is_not_starved_where_it_would_have_been_a_stall_with_a_cpu_too)
{
        struct cause_evidence evidence = short_of_cpu(0, 45);
        evidence.running = 50;
        evidence.blocked = 50;
        expect_unknown(evidence, "a part of it");
}

Test(cause, is_starved_by_the_kernels_count_though_few_samples_could_be_taken)
{
        struct cause_evidence evidence = short_of_cpu(3, 95);
        evidence.samples = 2;
        evidence.running = 1;
        evidence.blocked = 1;
        expect_cause(evidence, CAUSE_STARVED);
}

Test(cause, says_that_the_watchdog_had_no_cpu_where_it_saw_nothing)
{
        struct cause_evidence evidence = { .duration_ns = DURATION_NS,
                                           .starved_ns = DURATION_NS / 100 * 60,
                                           .call = -1 };
        expect_unknown(evidence, "had no CPU itself");
        evidence.starved_ns--;
        cr_expect(zero(ptr, strstr(cause_decide(&evidence).reason, "had no CPU")));
}

Test(cause, names_a_thread_that_could_run_but_did_not)
{
        struct cause_evidence evidence = known(40);
        evidence.running = 60;
        evidence.blocked = 40;
        expect_unknown(evidence, "little of the CPU");
        evidence.running = 59;
        evidence.blocked = 41;
        expect_unknown(evidence, "a part of it");
}

/* ---- CPU time is not known: samples decide ---- */

Test(cause, is_cpu_by_samples_where_cpu_time_is_not_known)
{
        struct cause_evidence evidence = unknown_cpu();
        evidence.running = 60;
        expect_cpu(evidence);
        struct cause_verdict verdict = cause_decide(&evidence);
        cr_expect(eq(int, verdict.cpu_known, false), "a share that is not known may not be shown");
        cr_expect(eq(uint, verdict.cpu_percent, 0));
        evidence.running = 59;
        expect_unknown(evidence, "a part of it");
}

Test(cause, is_unknown_by_a_single_running_sample_where_cpu_time_is_not_known)
{
        struct cause_evidence evidence = unknown_cpu();
        evidence.samples = 1;
        evidence.running = 1;
        expect_unknown(evidence, "only once");
        evidence.samples = 2;
        evidence.running = 2;
        expect_cpu(evidence);
}

Test(cause, is_blocked_by_samples_where_cpu_time_is_not_known)
{
        struct cause_evidence evidence = unknown_cpu();
        evidence.blocked = 60;
        evidence.call = SYS_futex;
        expect_blocked(evidence, SYS_futex);
        evidence.blocked = 59;
        expect_unknown(evidence, "a part of it");
}

Test(cause, never_says_starved_where_cpu_time_is_not_known)
{
        struct cause_evidence evidence = unknown_cpu();
        evidence.running = 100;
        expect_cpu(evidence);
}

/* ---- the share itself ---- */

Test(cause, gives_the_share_of_cpu_time)
{
        struct cause_evidence evidence = known(33);
        evidence.blocked = 100;
        struct cause_verdict verdict = cause_decide(&evidence);
        cr_expect(eq(int, verdict.cpu_known, true));
        cr_expect(eq(uint, verdict.cpu_percent, 33));
}

Test(cause, never_gives_more_than_100_percent)
{
        struct cause_evidence evidence = known(100);
        evidence.cpu_ns = 3 * DURATION_NS; /* extrapolated from few samples */
        cr_expect(eq(uint, cause_decide(&evidence).cpu_percent, 100));
        expect_cpu(evidence);
}

Test(cause, survives_a_duration_of_nothing_and_one_of_a_year)
{
        struct cause_evidence evidence = known(100);
        evidence.duration_ns = 0;
        evidence.blocked = 100;
        cr_expect(eq(uint, cause_decide(&evidence).cpu_percent, 0));
        evidence.duration_ns = 365ull * 86400 * DURATION_NS;
        evidence.cpu_ns = evidence.duration_ns / 100 * 99;
        cr_expect(eq(uint, cause_decide(&evidence).cpu_percent, 99));
        expect_cpu(evidence);
}

Test(cause, decides_by_a_single_sample)
{
        struct cause_evidence evidence = known(0);
        evidence.samples = 1;
        evidence.blocked = 1;
        evidence.call = SYS_connect;
        expect_blocked(evidence, SYS_connect);
}

/* ---- names of system calls ---- */

Test(syscall_name, knows_the_calls_that_loops_block_in)
{
        cr_expect_str_eq(syscall_name(SYS_read), "read");
        cr_expect_str_eq(syscall_name(SYS_clock_nanosleep), "clock_nanosleep");
        cr_expect_str_eq(syscall_name(SYS_futex), "futex");
        cr_expect_str_eq(syscall_name(SYS_poll), "poll");
        cr_expect_str_eq(syscall_name(SYS_connect), "connect");
        cr_expect_str_eq(syscall_name(SYS_wait4), "wait4");
        cr_expect_str_eq(syscall_name(SYS_fsync), "fsync");
        cr_expect_str_eq(syscall_name(SYS_io_uring_enter), "io_uring_enter");
        cr_expect_str_eq(syscall_name(0), "read");
        cr_expect_str_eq(syscall_name(SYS_set_mempolicy_home_node), "set_mempolicy_home_node");
}

Test(syscall_name, has_none_for_numbers_that_are_no_call)
{
        static const int numbers[] = { -1, -1000, INT32_MIN, 334 + 1, 400, SYS_set_mempolicy_home_node + 1, INT32_MAX };
        for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
                cr_expect(zero(ptr, (void *)syscall_name(numbers[i])), "%d", numbers[i]);
}

Test(syscall_name, has_one_for_every_number_of_the_old_range)
{
        for (int number = 0; number <= SYS_rseq; number++)
                cr_expect(not(zero(ptr, (void *)syscall_name(number))), "%d", number);
}
