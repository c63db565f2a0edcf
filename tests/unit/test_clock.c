/* SPDX-License-Identifier: Apache-2.0
 *
 * test_clock.c - measuring the TSC, and falling back when it parts from CLOCK_MONOTONIC
 *
 * The source is included, so that a test can move the measurement's begin into the past, and the clocks apart,
 * instead of waiting for it.
 *
 * Context: unit test; Criterion gives each test a process of its own
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

#include "../../src/base/clock.c"

#define MS 1000000ull
#define SECOND 1000000000ull

static uint64_t apart(uint64_t a, uint64_t b)
{
        return a > b ? a - b : b - a;
}

/* How far the clock is from CLOCK_MONOTONIC: the least of many comparisons, for the test may be taken off its CPU. */
static uint64_t error_ns(void)
{
        uint64_t least = UINT64_MAX;
        for (int i = 0; i < 1000; i++) {
                uint64_t monotonic_ns = clock_monotonic_ns(), now_ns = clock_now_ns();
                if (apart(monotonic_ns, now_ns) < least)
                        least = apart(monotonic_ns, now_ns);
        }
        return least;
}

/* As if the measurement had begun `passed_ns` ago, on a TSC of `mhz`. */
static void measure(uint64_t passed_ns, uint64_t mhz)
{
        read_both(&calibration.first_ticks, &calibration.first_ns);
        calibration.state = CLOCK_MEASURING;
        calibration.first_ns -= passed_ns;
        calibration.first_ticks -= passed_ns / 1000 * mhz;
}

/* About right: a test may be taken off its CPU for a while without a false drift. */
static uint64_t real_mhz(void)
{
        uint64_t first_ticks, first_ns, ticks, ns;
        read_both(&first_ticks, &first_ns);
        do
                read_both(&ticks, &ns);
        while (ns - first_ns < 10 * MS);
        return (ticks - first_ticks) * 1000 / (ns - first_ns);
}

static void use_tsc(void)
{
        uint64_t mhz = real_mhz();
        if (mhz <= 1000)
                cr_skip_test("no TSC that we would use");
        measure(SECOND, mhz);
        cr_assert(not(clock_tend()));
        cr_assert_str_eq(clock_name(), "tsc");
}

/* ---- CLOCK_MONOTONIC ---- */

Test(clock, is_monotonic_at_first)
{
        cr_expect_str_eq(clock_name(), "clock_gettime");
        uint64_t before_ns = clock_monotonic_ns(), now_ns = clock_now_ns(), after_ns = clock_monotonic_ns();
        cr_expect(le(u64, before_ns, now_ns));
        cr_expect(le(u64, now_ns, after_ns));
}

static bool file_says(const char *path, const char *words)
{
        static char bytes[1 << 16];
        FILE *file = fopen(path, "r");
        size_t n = file != NULL ? fread(bytes, 1, sizeof bytes - 1, file) : 0;
        bytes[n] = '\0';
        if (file != NULL)
                fclose(file);
        return strstr(bytes, words) != NULL;
}

Test(clock, takes_the_tsc_where_processor_and_kernel_say_that_it_can_be_used)
{
        bool invariant = file_says("/proc/cpuinfo", " constant_tsc") && file_says("/proc/cpuinfo", " nonstop_tsc");
        bool trusted = file_says("/sys/devices/system/clocksource/clocksource0/current_clocksource", "tsc\n");
        cr_expect(eq(int, clock_tsc_usable(), invariant &&trusted));
        cr_expect(eq(int, clock_tsc_usable(), invariant &&trusted), "the second time as the first");
}

Test(clock, leaves_a_tsc_alone_that_this_process_may_not_read)
{
        int error = prctl(PR_SET_TSC, PR_TSC_SIGSEGV);
        bool usable = clock_tsc_usable();
        clock_tend();                     /* would die of a reading */
        prctl(PR_SET_TSC, PR_TSC_ENABLE); /* Criterion reads clocks */
        cr_assert(zero(int, error));
        cr_expect(not(usable));
        cr_expect(eq(int, calibration.state, CLOCK_PLAIN));
}

Test(clock, is_never_measured_where_the_tsc_is_not_usable)
{
        calibration.state = CLOCK_PLAIN;
        for (int i = 0; i < 5; i++)
                cr_expect(not(clock_tend()));
        cr_expect_str_eq(clock_name(), "clock_gettime");
}

/* ---- measuring ---- */

Test(clock, begins_to_measure_where_the_tsc_is_usable)
{
        bool usable = clock_tsc_usable();
        cr_expect(not(clock_tend()));
        cr_expect(eq(int, calibration.state, usable ? CLOCK_MEASURING : CLOCK_PLAIN));
        cr_expect_str_eq(clock_name(), "clock_gettime");
}

Test(clock, does_not_end_its_measurement_before_100_ms)
{
        measure(50 * MS, 2000);
        cr_expect(not(clock_tend()));
        cr_expect(eq(int, calibration.state, CLOCK_MEASURING));
        cr_expect_str_eq(clock_name(), "clock_gettime");
}

Test(clock, publishes_the_rate_that_it_measured)
{
        measure(10000 * SECOND, 2000);
        cr_expect(not(clock_tend()), "readings before and after can be compared");
        cr_assert_str_eq(clock_name(), "tsc");
        uint64_t half = UINT64_C(1) << 63; /* ns a tick, of 2^64 */
        cr_expect(lt(u64, apart(atomic_load(&clock_rate)->scale_q64, half), half / 100000));
}

Test(clock, goes_on_where_it_was_when_it_changes_over)
{
        use_tsc();
        cr_expect(lt(u64, error_ns(), MS));
}

Test(clock, does_not_believe_in_a_tsc_that_is_slower_than_1_ghz)
{
        static const uint64_t rates_mhz[] = { 0, 1, 100, 999 };
        for (size_t i = 0; i < sizeof rates_mhz / sizeof *rates_mhz; i++) {
                measure(10000 * SECOND, rates_mhz[i]);
                cr_expect(not(clock_tend()));
                cr_expect(eq(int, calibration.state, CLOCK_PLAIN));
                cr_expect_str_eq(clock_name(), "clock_gettime");
        }
        measure(10000 * SECOND, 1001);
        clock_tend();
        cr_expect_str_eq(clock_name(), "tsc");
}

Test(clock, agrees_with_monotonic_to_a_thousandth_once_it_has_really_measured)
{
        if (!clock_tsc_usable())
                cr_skip_test("the TSC can't be used here");
        struct timespec pause = { .tv_nsec = 10 * MS };
        uint64_t deadline_ns = clock_monotonic_ns() + 20 * SECOND;
        while (calibration.state != CLOCK_TSC && clock_monotonic_ns() < deadline_ns) {
                clock_tend();
                nanosleep(&pause, NULL);
        }
        cr_assert_str_eq(clock_name(), "tsc");
        uint64_t begin_ns = clock_monotonic_ns();
        cr_expect(lt(u64, error_ns(), 20000));
        for (int i = 0; i < 20; i++) {
                nanosleep(&pause, NULL);
                cr_expect(not(clock_tend()), "a false alarm");
        }
        cr_expect(lt(u64, error_ns(), 20000 + (clock_monotonic_ns() - begin_ns) / 1000));
}

/* ---- drift ---- */

Test(clock, goes_back_to_monotonic_for_good_when_the_two_part)
{
        use_tsc();
        calibration.last_reading_ns -= 50 * MS; /* it has gained 50 ms */
        cr_expect(clock_tend(), "readings before and after can't be compared");
        cr_expect_str_eq(clock_name(), "clock_gettime");
        cr_expect(not(clock_tend()), "said once");
        measure(SECOND, 2000);
        calibration.state = CLOCK_PLAIN;
        clock_tend();
        cr_expect_str_eq(clock_name(), "clock_gettime");
}

Test(clock, leaves_the_tsc_for_good_where_a_thread_may_not_read_it_any_more)
{
        use_tsc();
        clock_leave_tsc();
        cr_expect_str_eq(clock_name(), "clock_gettime", "at once");
        int error = prctl(PR_SET_TSC, PR_TSC_SIGSEGV);
        uint64_t now_ns = clock_now_ns(), later_ns = clock_monotonic_ns(); /* without it they end the process */
        bool changed = clock_tend(), again = clock_tend();
        prctl(PR_SET_TSC, PR_TSC_ENABLE); /* Criterion reads clocks */
        cr_expect(zero(int, error));
        cr_expect(le(u64, now_ns, later_ns));
        cr_expect(changed, "readings before and after can't be compared");
        cr_expect(not(again), "said once");
        measure(SECOND, real_mhz());
        cr_expect(not(clock_tend()));
        cr_expect_str_eq(clock_name(), "clock_gettime", "a measurement under way is not published");
}

Test(clock, notices_a_tsc_that_has_lost_time_in_a_suspended_machine)
{
        use_tsc();
        calibration.last_monotonic_ns -= 3600 * SECOND;
        cr_expect(clock_tend());
        cr_expect_str_eq(clock_name(), "clock_gettime");
}

Test(clock, allows_for_a_monotonic_that_is_slewed)
{
        use_tsc();
        calibration.last_monotonic_ns -= 100 * SECOND; /* 100 ms of drift are allowed, and 2 */
        calibration.last_reading_ns -= 100 * SECOND + 90 * MS;
        cr_expect(not(clock_tend()));
        calibration.last_monotonic_ns -= 100 * SECOND;
        calibration.last_reading_ns -= 100 * SECOND - 90 * MS;
        cr_expect(not(clock_tend()));
        calibration.last_monotonic_ns -= 100 * SECOND;
        calibration.last_reading_ns -= 100 * SECOND + 150 * MS;
        cr_expect(clock_tend());
}

Test(clock, compares_with_the_last_time_only)
{
        use_tsc();
        for (int i = 0; i < 20; i++) {
                calibration.last_reading_ns -= MS; /* 1 ms a time is no reason */
                cr_expect(not(clock_tend()));
        }
        cr_expect_str_eq(clock_name(), "tsc");
}

/* ---- dates ---- */

Test(clock, tells_the_date_of_an_earlier_reading)
{
        uint64_t reading_ns = clock_now_ns(), realtime_ns = clock_realtime_ns();
        cr_expect(lt(u64, apart(clock_realtime_of(reading_ns), realtime_ns), SECOND));
        cr_expect(lt(u64, apart(clock_realtime_of(reading_ns - 3600 * SECOND), realtime_ns - 3600 * SECOND), SECOND));
        cr_expect(lt(u64, apart(clock_realtime_of(reading_ns + 60 * SECOND), realtime_ns + 60 * SECOND), SECOND));
}

/* ---- fork ---- */

Test(clock, begins_its_measurement_anew_in_a_child)
{
        measure(50 * MS, 2000);
        clock_after_fork();
        cr_expect(eq(int, calibration.state, CLOCK_NEW));
}

Test(clock, keeps_its_rate_in_a_child)
{
        use_tsc();
        calibration.last_reading_ns -= 50 * MS;
        clock_after_fork();
        cr_expect_str_eq(clock_name(), "tsc");
        cr_expect(not(clock_tend()), "compared with a moment of the parent's");
}

/* ---- readers in other threads ---- */

static _Atomic bool done;

/* The furthest that the clock went back under this thread. */
static void *read_all_the_time(void *furthest)
{
        uint64_t last_ns = clock_now_ns();
        while (!atomic_load(&done)) {
                uint64_t now_ns = clock_now_ns();
                if (now_ns < last_ns && last_ns - now_ns > *(uint64_t *)furthest)
                        *(uint64_t *)furthest = last_ns - now_ns;
                last_ns = now_ns;
        }
        return NULL;
}

Test(clock, does_not_jump_back_when_it_changes_over)
{
        if (!clock_tsc_usable())
                cr_skip_test("the TSC can't be used here");
        pthread_t threads[2];
        uint64_t furthest[2] = { 0 };
        for (int i = 0; i < 2; i++)
                pthread_create(&threads[i], NULL, read_all_the_time, &furthest[i]);
        uint64_t deadline_ns = clock_monotonic_ns() + 20 * SECOND;
        while (calibration.state != CLOCK_TSC && clock_monotonic_ns() < deadline_ns) {
                clock_tend();
                sched_yield();
        }
        atomic_store(&done, true);
        for (int i = 0; i < 2; i++) {
                pthread_join(threads[i], NULL);
                /* By the error of reading two clocks one after the other, never by more. */
                cr_expect(lt(u64, furthest[i], 100000));
        }
        cr_expect_str_eq(clock_name(), "tsc");
}
