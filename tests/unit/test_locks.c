/* SPDX-License-Identifier: Apache-2.0
 *
 * test_locks.c - captures of threads that hold the locks which a careless agent would wait for
 *
 * malloc's, the loader's, stdio's, the unwinder's, those of fork and exit. A thread goes into such a region again and
 * again, others contend with it, and it is captured, unwound and named about once a millisecond, as the watchdog does
 * it. What counts is a sample that was taken while the thread was provably inside: a flag in its copied stack says so.
 * A deadlock ends as the test's timeout.
 *
 * LOOPDOG_LOCKS_CAPTURES=10000 for the full count (./dev soak).
 *
 * Context: unit tests; each runs in a process of its own
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>

#include "../calls/regions.h"
#include "unwind/module.h"
#include "unwind/symbol.h"
#include "unwind/unwind.h"
#include "victim.h"

#define CAPTURES 200
#define SECONDS_MOST 600

/* ---- the threads ---- */

static void *go_in_and_out(struct victim *victim)
{
        const struct region *region = victim->argument;
        struct region_flag flag = { .pattern = REGION_PATTERN };
        while (!atomic_load(&victim->stop))
                region->enter(&flag);
        flag.pattern = 0;
        return NULL;
}

static void *contend(struct victim *victim)
{
        const struct region *region = victim->argument;
        struct region_flag flag = { .pattern = 0 };
        while (!atomic_load(&victim->stop)) {
                region->enter(&flag);
                sleep_us(200); /* the captured one is to get in, too */
        }
        return NULL;
}

/* ---- the watchdog's part ---- */

static unsigned wanted_captures(void)
{
        const char *wanted = getenv("LOOPDOG_LOCKS_CAPTURES");
        return wanted != NULL ? (unsigned)atoi(wanted) : CAPTURES;
}

static void start(void)
{
        const char *why = NULL;
        cr_assert_eq(unwind_load(&why), 0, "%s", why);
        cr_assert_eq(capture_start(0, &why), 0, "%s", why);
}

static bool was_inside(const struct sample *sample)
{
        uint64_t at = find_pattern(sample, REGION_PATTERN), inside = 0;
        uint64_t within = at - sample->stack_address + sizeof inside;
        if (at != 0 && within + sizeof inside <= sample->stack_length)
                memcpy(&inside, sample->stack + within, sizeof inside);
        return inside == 1;
}

struct outcome {
        unsigned taken, inside, whole; /* samples */
};

/* Until so many were taken inside. */
static struct outcome capture_inside(struct capture_task *task)
{
        static struct sample sample;
        static struct stack stack;
        struct outcome outcome = { 0 };
        unsigned wanted = wanted_captures();
        for (uint64_t end_ns = now_ns() + SECONDS_MOST * 1000000000ull; outcome.inside < wanted && now_ns() < end_ns;) {
                sleep_us(1000);
                capture_take(task, true, NULL, 0, &sample);
                if (sample.loss != CAPTURE_OK)
                        continue;
                outcome.taken++;
                outcome.inside += was_inside(&sample);
                outcome.whole += unwind_sample(&sample, &stack) == 0 && stack.complete;
                symbols_resolve(&stack);
        }
        return outcome;
}

/* Most stacks reach the thread's start; what is missing is cut within code without unwind information. */
static bool is_good(struct outcome outcome, const char *name)
{
        fprintf(stderr, "%s: %u samples, %u of them inside, %u whole\n", name, outcome.taken, outcome.inside,
                outcome.whole);
        return outcome.inside == wanted_captures() && outcome.whole >= outcome.taken - outcome.taken / 20;
}

static void check_region(const struct region *region)
{
        struct victim victim, other;
        victim_start(&victim, go_in_and_out, (void *)(uintptr_t)region);
        if (region->contended)
                victim_start(&other, contend, (void *)(uintptr_t)region);
        cr_expect(is_good(capture_inside(&victim.task), region->name));
        victim_join(&victim);
        if (region->contended)
                victim_join(&other);
}

#define REGION_TEST(test, index)                                                                                       \
        Test(locks, test, .init = start, .timeout = SECONDS_MOST + 60)                                                 \
        {                                                                                                              \
                check_region(&regions[index]);                                                                         \
        }

REGION_TEST(of_malloc, 0)
REGION_TEST(of_the_unwinder_during_an_exception, 1)
REGION_TEST(of_dlopen_and_dlclose, 2)
REGION_TEST(of_dl_iterate_phdr, 3)
REGION_TEST(of_the_loader_in_a_cycle, 4)
REGION_TEST(of_stdio, 5)
REGION_TEST(of_fork, 6)

/* ---- exit handlers: in a child, whose first thread exits ---- */

static _Atomic int32_t exiting_tid;
static _Atomic bool exit_may_end;

static void exit_handler(void)
{
        volatile struct region_flag flag = { .pattern = REGION_PATTERN, .inside = 1 };
        atomic_store(&exiting_tid, (int32_t)syscall(SYS_gettid));
        while (!atomic_load(&exit_may_end) && flag.inside == 1)
                region_allocate(&(struct region_flag){ .pattern = 0 });
        flag.inside = 0;
}

static void *capture_the_exiting(void *unused)
{
        struct capture_task task;
        while (atomic_load(&exiting_tid) == 0)
                sched_yield();
        capture_task_open(&task, atomic_load(&exiting_tid), 0);
        if (!is_good(capture_inside(&task), "exit handlers"))
                _exit(1);
        capture_task_close(&task);
        atomic_store(&exit_may_end, true);
        return NULL;
}

Test(locks, of_exit_handlers, .timeout = SECONDS_MOST + 60)
{
        pid_t child = fork();
        if (child == 0) {
                pthread_t thread;
                start();
                atexit(exit_handler);
                pthread_create(&thread, NULL, capture_the_exiting, NULL);
                exit(0);
        }
        int status;
        cr_assert(child > 0 && waitpid(child, &status, 0) == child);
        cr_expect(WIFEXITED(status) && WEXITSTATUS(status) == 0, "status %x", (unsigned)status);
}
