/* SPDX-License-Identifier: Apache-2.0
 *
 * victim.h - a thread that is captured, for the tests of src/capture
 *
 * Context: unit tests
 */
#ifndef LOOPDOG_TESTS_UNIT_VICTIM_H
#define LOOPDOG_TESTS_UNIT_VICTIM_H

#include <criterion/criterion.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "capture/capture.h"
#include "capture/task.h"

/* For .disabled. */
#ifdef __SANITIZE_THREAD__
#define UNDER_TSAN true
#else
#define UNDER_TSAN false
#endif

struct victim {
        pthread_t thread;
        _Atomic int32_t tid;
        _Atomic bool stop;
        void *(*body)(struct victim *victim);
        void *argument;
        struct capture_task task;
};

static inline uint64_t now_ns(void)
{
        struct timespec t;
        clock_gettime(CLOCK_MONOTONIC, &t);
        return (uint64_t)t.tv_sec * 1000000000ull + (uint64_t)t.tv_nsec;
}

static inline void sleep_us(unsigned us)
{
        struct timespec t = { us / 1000000, us % 1000000 * 1000 };
        while (nanosleep(&t, &t) != 0)
                ;
}

static void *victim_main(void *opaque)
{
        struct victim *victim = opaque;
        atomic_store(&victim->tid, (int32_t)syscall(SYS_gettid));
        return victim->body(victim);
}

/* Start it and open its files; `attributes` may be NULL. */
static inline void victim_start_with(struct victim *victim, const pthread_attr_t *attributes,
                                     void *(*body)(struct victim *), void *argument)
{
        memset(victim, 0, sizeof(*victim));
        victim->body = body;
        victim->argument = argument;
        cr_assert_eq(pthread_create(&victim->thread, attributes, victim_main, victim), 0);
        while (atomic_load(&victim->tid) == 0)
                sched_yield();
        capture_task_open(&victim->task, atomic_load(&victim->tid), 0);
}

static inline void victim_start(struct victim *victim, void *(*body)(struct victim *), void *argument)
{
        victim_start_with(victim, NULL, body, argument);
}

static inline void *victim_join(struct victim *victim)
{
        void *result;
        atomic_store(&victim->stop, true);
        cr_assert_eq(pthread_join(victim->thread, &result), 0);
        capture_task_close(&victim->task);
        return result;
}

/* Wait until it sleeps in system call `number`, in at most 10 s. */
static inline bool victim_sleeps(struct victim *victim, int number)
{
        struct task_call call;
        for (uint64_t end_ns = now_ns() + 10000000000ull; now_ns() < end_ns; sleep_us(100))
                if (task_read_call(&victim->task, &call) == 0 && call.asleep && call.number == number)
                        return true;
        return false;
}

/* ---- a victim that runs ---- */

#define PATTERN 0x10adc0de5a5a0000ull

struct busy {
        _Atomic uint64_t rounds;
        uint64_t top; /* an address above its frames */
};

static __attribute__((noinline, unused)) void busy_function(struct victim *victim, struct busy *busy)
{
        volatile uint64_t pattern = PATTERN;
        while (!atomic_load(&victim->stop) && pattern == PATTERN)
                atomic_fetch_add(&busy->rounds, 1);
}

static __attribute__((noinline, unused)) void *be_busy(struct victim *victim)
{
        struct busy *busy = victim->argument;
        busy->top = (uintptr_t)__builtin_frame_address(0);
        busy_function(victim, busy);
        return NULL;
}

static inline void wait_until_busy(struct busy *busy)
{
        while (atomic_load(&busy->rounds) == 0)
                sched_yield();
}

/* Where `pattern` lies in the copy, as the address in the thread; 0: nowhere. From the outermost frame inwards, because
 * an earlier call may have left a copy of it in the red zone below the stack pointer. */
static inline uint64_t find_pattern(const struct sample *sample, uint64_t pattern)
{
        for (size_t at = sample->stack_length & ~7ul; at >= 8; at -= 8)
                if (memcmp(sample->stack + at - 8, &pattern, 8) == 0)
                        return sample->stack_address + at - 8;
        return 0;
}

#endif
