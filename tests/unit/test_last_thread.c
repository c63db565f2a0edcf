/* SPDX-License-Identifier: Apache-2.0
 *
 * test_last_thread.c - a process ends with its last thread, and ours is not among them
 *
 * libc counts the threads that it makes, and calls exit() in the one that finds itself the last.
 *
 * Context: unit test; Criterion gives each test a process of its own. Not under TSan, whose own thread libc counts
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "watch_log.h"

#define SHORT_NS (40 * MS) /* threshold */

static struct policy_limits limits = { .threshold_ns = SHORT_NS, .interval_ns = 4 * MS };

static void start_watchdog(void)
{
        int error = watchdog_start(&log_calls, &limits, 0);
        if (error != -EALREADY)
                cr_assert(zero(int, error));
}

static void begin(void)
{
        static const struct loop_calls calls = { .start = start_watchdog, .wake = watchdog_wake };
        alarm(100);
        watchdog_ask_libc();
        loop_setup(&calls, SHORT_NS, false);
        loop_note_memory();
}
TestSuite(last_thread, .init = begin);

static _Atomic bool held_up;

static void hold_up(void)
{
        while (atomic_load(&held_up))
                sleep_ns(MS);
}

static uint32_t counted_by_libc(void)
{
        const uint32_t *count = dlsym(RTLD_DEFAULT, "__nptl_nthreads");
        if (count == NULL)
                cr_skip_test("this libc does not tell");
        return __atomic_load_n(count, __ATOMIC_SEQ_CST);
}

Test(last_thread, does_not_count_among_libcs_threads)
{
        uint32_t before = counted_by_libc();
        make_loop(5);
        for (unsigned i = 1; i <= 50; i++) {
                cr_assert(eq(u32, counted_by_libc(), before), "start %u", i);
                cr_assert(wait_until_happened(BEGIN, i));
                cr_assert(eq(u32, counted_by_libc(), before), "it runs for time %u", i);
                cr_assert(zero(int, watchdog_stop(false, PATIENCE_NS)));
                cr_assert(eq(u32, counted_by_libc(), before), "stop %u", i);
                wait_on(5);
        }
        atomic_store(&held_up, true);
        atomic_store(&while_sampling, hold_up);
        unsigned samples = count_of(SAMPLE);
        cr_assert(wait_until_happened(SAMPLE, samples + 1));
        cr_assert(eq(int, watchdog_stop(false, 5 * MS), -ETIMEDOUT));
        pid_t tid = watchdog_tid();
        atomic_store(&while_sampling, NULL);
        atomic_store(&held_up, false);
        while (tgkill(getpid(), tid, 0) == 0)
                sleep_ns(MS);
        cr_expect(eq(u32, counted_by_libc(), before), "it ended late");
}

/* Twice, as an exit handler may wait itself. */
static void stop_at_exit(void)
{
        bool in_main = syscall(SYS_gettid) == getpid();
        bool stopped = watchdog_stop(false, PATIENCE_NS) == 0;
        wait_on(5);
        bool again = watchdog_stop(true, PATIENCE_NS) == 0;
        _exit(in_main && stopped && again ? 7 : 8);
}

/* Where it does not, no signal but SIGKILL would end it: our thread blocks all others. */
static bool ends_in_time(pid_t child, int *status)
{
        uint64_t deadline_ns = clock_monotonic_ns() + PATIENCE_NS;
        while (waitpid(child, status, WNOHANG) == 0) {
                if (clock_monotonic_ns() >= deadline_ns) {
                        kill(child, SIGKILL);
                        waitpid(child, status, 0);
                        return false;
                }
                sleep_ns(MS);
        }
        return true;
}

Test(last_thread, lets_the_process_end_with_its_last_thread_and_in_it)
{
        int status;
        counted_by_libc();
        pid_t child = fork();
        if (child == 0) {
                loop_after_fork();
                atexit(stop_at_exit);
                make_loop(5);
                wait_until_happened(BEGIN, 1);
                pthread_exit(NULL);
        }
        cr_assert(ends_in_time(child, &status), "it goes on without a thread of its own");
        cr_expect(eq(int, WEXITSTATUS(status), 7), "0x%x", (unsigned)status);
}
