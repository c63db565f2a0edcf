/* SPDX-License-Identifier: Apache-2.0
 *
 * test_capture.c - one sample of one thread, with and without a signal
 *
 * Context: unit tests; each runs in a process of its own
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/raw.h"
#include "capture/capture.h"
#include "capture/handler.h"
#include "capture/signal.h"
#include "victim.h"

#define RED_ZONE 128

static void begin(void)
{
        const char *why = NULL;
        cr_assert_eq(capture_start(0, &why), 0, "%s", why);
}

static void take(struct victim *victim, bool may_signal, struct sample *sample)
{
        static _Atomic uint64_t mark = 7;
        capture_take(&victim->task, may_signal, &mark, 7, sample);
}

/* Another program may have the processor of the thread while it runs its handler. */
static void take_running(struct victim *victim, struct sample *sample)
{
        for (unsigned tries = 0; tries < 20; tries++) {
                take(victim, true, sample);
                if (sample->loss != CAPTURE_SIGNAL_LATE)
                        return;
                sleep_us(5000);
        }
}

/* ---- a thread that sleeps ---- */

struct blocked {
        int number;  /* of the call it sleeps in */
        long result; /* what it returned at the end */
        int error;
        int fds[2];
        _Atomic int word;
};

static void *nanosleep_200_ms(struct victim *victim)
{
        struct blocked *blocked = victim->argument;
        volatile uint64_t pattern[4] = { PATTERN, PATTERN, PATTERN, PATTERN };
        struct timespec t = { 0, 200000000 };
        blocked->result = syscall(SYS_nanosleep, &t, NULL);
        blocked->error = errno;
        return (void *)(uintptr_t)pattern[0];
}

static void *read_pipe(struct victim *victim)
{
        struct blocked *blocked = victim->argument;
        volatile uint64_t pattern[4] = { PATTERN, PATTERN, PATTERN, PATTERN };
        char c;
        blocked->result = read(blocked->fds[0], &c, 1);
        blocked->error = errno;
        return (void *)(uintptr_t)pattern[0];
}

static void *wait_futex(struct victim *victim)
{
        struct blocked *blocked = victim->argument;
        volatile uint64_t pattern[4] = { PATTERN, PATTERN, PATTERN, PATTERN };
        blocked->result = syscall(SYS_futex, &blocked->word, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0);
        blocked->error = errno;
        return (void *)(uintptr_t)pattern[0];
}

static void *poll_200_ms(struct victim *victim)
{
        struct blocked *blocked = victim->argument;
        volatile uint64_t pattern[4] = { PATTERN, PATTERN, PATTERN, PATTERN };
        struct pollfd fd = { .fd = blocked->fds[0], .events = POLLIN };
        blocked->result = poll(&fd, 1, 200);
        blocked->error = errno;
        return (void *)(uintptr_t)pattern[0];
}

/* Not below the stack pointer, where something may be left of what was called before. */
static uint64_t find_in_frames(const struct sample *sample, uint64_t pattern)
{
        struct sample frames = *sample;
        frames.stack += RED_ZONE;
        frames.stack_address += RED_ZONE;
        frames.stack_length -= RED_ZONE;
        return find_pattern(&frames, pattern);
}

/* Take samples while it sleeps; each must be a good one, and the thread must not notice. */
static void check_blocked(void *(*body)(struct victim *), struct blocked *blocked, uint64_t first_argument)
{
        struct victim victim;
        struct sample sample;
        cr_assert_eq(pipe(blocked->fds), 0);
        victim_start(&victim, body, blocked);
        cr_assert(victim_sleeps(&victim, blocked->number));
        for (int i = 0; i < 100; i++) {
                take(&victim, true, &sample);
                cr_assert_eq(sample.loss, CAPTURE_OK, "%s", capture_loss_text(sample.loss));
                cr_assert_not(sample.by_signal);
                cr_assert_not(sample.registers_complete);
                cr_assert(sample.syscall_known);
                cr_assert_eq(sample.syscall, blocked->number);
                cr_assert(first_argument == 0 || sample.arguments[0] == first_argument);
                cr_assert_eq(sample.state, 'S');
                cr_assert_gt(sample.switches, 0);
                cr_assert_gt(sample.cpu_ns, 0);
                cr_assert_not(sample.truncated);
                cr_assert_eq(sample.stack_address, sample.registers[SAMPLE_SP] - RED_ZONE);
                cr_assert_neq(find_in_frames(&sample, PATTERN), 0);
        }
        atomic_store(&blocked->word, 1);
        syscall(SYS_futex, &blocked->word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
        if (blocked->number == SYS_read)
                cr_assert_eq(write(blocked->fds[1], "x", 1), 1);
        victim_join(&victim);
        cr_assert_eq(atomic_load(&handler.arrived), 0, "a signal was sent");
        cr_assert_eq(capture_totals()->captures, 100);
        cr_assert_eq(capture_totals()->by_signal, 0);
}

Test(capture, a_thread_in_nanosleep_is_captured_without_a_signal, .init = begin)
{
        struct blocked blocked = { .number = SYS_nanosleep };
        check_blocked(nanosleep_200_ms, &blocked, 0);
        cr_assert_eq(blocked.result, 0);
}

Test(capture, a_thread_in_read_is_captured_without_a_signal, .init = begin)
{
        struct blocked blocked = { .number = SYS_read };
        check_blocked(read_pipe, &blocked, 0);
        cr_assert_eq(blocked.result, 1);
}

Test(capture, a_thread_in_a_futex_wait_is_captured_without_a_signal, .init = begin)
{
        struct blocked blocked = { .number = SYS_futex };
        check_blocked(wait_futex, &blocked, (uintptr_t)&blocked.word);
        cr_assert_eq(blocked.result, 0);
}

Test(capture, a_thread_in_poll_is_captured_without_a_signal_and_sees_no_eintr, .init = begin)
{
        struct blocked blocked = { .number = SYS_poll };
        check_blocked(poll_200_ms, &blocked, 0);
        cr_assert_eq(blocked.result, 0, "errno %d", blocked.error);
}

/* ---- a thread that repeats one call ---- */

struct repeated {
        int fds[2];
        _Atomic uint64_t rounds;
};

/* The same call at the same place each time, on a stack that is rewritten between: a copy is whole only if all of the
 * words are equal. The words are written front to back, so a torn copy shows two neighbouring rounds. */
#define WORDS 8192

static __attribute__((noinline)) void read_with_round(int fd, uint64_t round)
{
        volatile uint64_t words[WORDS];
        char c;
        for (size_t i = 0; i < WORDS; i++)
                words[i] = PATTERN + round;
        raw_syscall_sigsafe(SYS_read, (uint64_t)fd, (uintptr_t)&c, 1, 0, 0, 0);
        words[0] ^= PATTERN; /* a variable that is never read brings a warning */
}

static void *read_again_and_again(struct victim *victim)
{
        struct repeated *repeated = victim->argument;
        while (!atomic_load(&victim->stop))
                read_with_round(repeated->fds[0], atomic_fetch_add(&repeated->rounds, 1) & 0xffff);
        return NULL;
}

static void *write_again_and_again(struct victim *victim)
{
        struct repeated *repeated = victim->argument;
        for (unsigned i = 0; !atomic_load(&victim->stop); i++) {
                uint64_t next_ns = now_ns() + i % 32 * 4000;
                while (now_ns() < next_ns)
                        ;
                if (write(repeated->fds[1], "x", 1) != 1)
                        break;
        }
        return NULL;
}

/* 0: the words are not all there; 1: all the same; 2: torn */
static int judge_words(const struct sample *sample)
{
        size_t count = 0;
        uint64_t first = 0;
        bool torn = false;
        for (size_t at = 0; at + 8 <= sample->stack_length; at += 8) {
                uint64_t word;
                memcpy(&word, sample->stack + at, 8);
                if (word >> 16 != PATTERN >> 16)
                        continue;
                if (count++ == 0)
                        first = word;
                torn = torn || word != first;
        }
        return torn ? 2 : count >= WORDS;
}

Test(capture, accepted_samples_of_a_thread_that_repeats_one_read_are_whole, .init = begin)
{
        struct repeated repeated = { .rounds = 0 };
        struct victim reader, writer;
        struct sample sample;
        unsigned whole = 0, other = 0;
        cr_assert_eq(pipe(repeated.fds), 0);
        victim_start(&reader, read_again_and_again, &repeated);
        victim_start(&writer, write_again_and_again, &repeated);
        for (uint64_t end_ns = now_ns() + 2000000000; now_ns() < end_ns;) {
                take(&reader, false, &sample);
                if (sample.loss != CAPTURE_OK) {
                        other++;
                        continue;
                }
                int words = judge_words(&sample);
                cr_assert_eq(words, 1, "torn: %d, after %u whole ones", words == 2, whole);
                cr_assert_eq(sample.syscall, SYS_read);
                whole++;
        }
        printf("a thread that repeats one read: %u samples whole, %u not accepted, %lu reads\n", whole, other,
               (unsigned long)atomic_load(&repeated.rounds));
        cr_assert_gt(whole, 0);
        atomic_store(&reader.stop, true);
        sleep_us(10000);
        victim_join(&reader);
        signal(SIGPIPE, SIG_IGN);
        close(repeated.fds[0]);
        victim_join(&writer);
}

/* ---- a thread that runs ---- */

static void check_busy(struct victim *victim, const struct sample *sample)
{
        struct busy *busy = victim->argument;
        uint64_t pc = sample->registers[SAMPLE_PC], sp = sample->registers[SAMPLE_SP];
        cr_assert_eq(sample->loss, CAPTURE_OK, "%s", capture_loss_text(sample->loss));
        cr_assert(sample->by_signal);
        cr_assert(sample->registers_complete);
        cr_assert_eq(sample->state, 'R');
        cr_assert_eq(sample->syscall, -1);
        cr_assert(pc >= (uintptr_t)busy_function && pc < (uintptr_t)busy_function + 256, "pc %lx", (unsigned long)pc);
        cr_assert(sp < busy->top && sp > busy->top - 65536, "sp %lx", (unsigned long)sp);
        cr_assert_eq(sample->stack_address, sp - 128);
        cr_assert_not(sample->truncated);
        uint64_t at = find_pattern(sample, PATTERN);
        cr_assert(at >= sp - 128 && at < busy->top);
}

Test(capture, a_running_thread_is_captured_by_a_signal, .init = begin)
{
        struct busy busy = { .rounds = 0 };
        struct victim victim;
        struct sample sample;
        victim_start(&victim, be_busy, &busy);
        wait_until_busy(&busy);
        for (int i = 0; i < 200; i++) {
                take_running(&victim, &sample);
                check_busy(&victim, &sample);
        }
        uint64_t rounds = atomic_load(&busy.rounds);
        cr_assert_geq(atomic_load(&handler.arrived), 200);
        cr_assert_eq(capture_totals()->by_signal, 200);
        for (int i = 0; atomic_load(&busy.rounds) == rounds && i < 10000; i++)
                sleep_us(1000);
        cr_assert_gt(atomic_load(&busy.rounds), rounds, "it goes on");
        victim_join(&victim);
}

Test(capture, before_the_threshold_a_running_thread_gets_no_signal, .init = begin)
{
        struct busy busy = { .rounds = 0 };
        struct victim victim;
        struct sample sample;
        victim_start(&victim, be_busy, &busy);
        wait_until_busy(&busy);
        take(&victim, false, &sample);
        cr_assert_eq(sample.loss, CAPTURE_RUNNING);
        cr_assert_eq(sample.state, 'R');
        cr_assert_eq(atomic_load(&handler.arrived), 0);
        cr_assert_eq(capture_totals()->losses[CAPTURE_RUNNING], 0);
        victim_join(&victim);
}

/* Runs and sleeps in turn, some microseconds each. */
static void *change_quickly(struct victim *victim)
{
        while (!atomic_load(&victim->stop)) {
                for (volatile int i = 0; i < 2000; i++)
                        ;
                sleep_us(5);
        }
        return NULL;
}

Test(capture, a_thread_that_changes_quickly_is_captured_one_way_or_the_other, .init = begin)
{
        struct victim victim;
        struct sample sample;
        unsigned good = 0, by_signal = 0;
        victim_start(&victim, change_quickly, NULL);
        for (int i = 0; i < 1000; i++) {
                take(&victim, true, &sample);
                good += sample.loss == CAPTURE_OK;
                by_signal += sample.loss == CAPTURE_OK && sample.by_signal;
                sleep_us(100);
        }
        printf("a thread that changes quickly: %u of 1000 captured, %u by signal\n", good, by_signal);
        /* One that has woken up and waits for a processor can't be had: others may need the machine, too. */
        cr_assert_geq(good, 500);
        victim_join(&victim);
}

Test(capture, an_iteration_that_has_ended_is_no_sample, .init = begin)
{
        static _Atomic uint64_t mark = 8;
        struct busy busy = { .rounds = 0 };
        struct victim victim;
        struct sample sample;
        victim_start(&victim, be_busy, &busy);
        capture_take(&victim.task, true, &mark, 7, &sample);
        cr_assert_eq(sample.loss, CAPTURE_ENDED);
        cr_assert_eq(capture_totals()->losses[CAPTURE_ENDED], 1);
        capture_take(&victim.task, true, NULL, 7, &sample);
        cr_assert_eq(sample.loss, CAPTURE_OK);
        /* Ended while the capture was under way: this word changes with each signal. */
        capture_take(&victim.task, true, &handler.request.word, atomic_load(&handler.request.word), &sample);
        cr_assert_eq(sample.loss, CAPTURE_ENDED);
        victim_join(&victim);
}

Test(capture, any_iteration_is_a_sample_that_says_which, .init = begin)
{
        struct busy busy = { .rounds = 0 };
        struct victim victim;
        struct sample sample;
        victim_start(&victim, be_busy, &busy);
        wait_until_busy(&busy);
        /* As a mark it changes all the time. */
        do
                capture_take_any(&victim.task, true, (const _Atomic uint64_t *)&busy.rounds, &sample);
        while (sample.loss == CAPTURE_SIGNAL_LATE); /* another program had the CPU */
        cr_assert_eq(sample.loss, CAPTURE_OK);
        cr_assert(sample.mark > 0 && sample.mark <= atomic_load(&busy.rounds));
        cr_assert_eq(capture_totals()->losses[CAPTURE_ENDED], 0);
        victim_join(&victim);
}

/* ---- stacks of all kinds ---- */

static void *be_busy_on_an_alternate_stack(struct victim *victim);
static struct victim *alternate_victim;

static void be_busy_in_a_handler(int number)
{
        be_busy(alternate_victim);
}

/* The handler of the program runs on the alternate stack; ours does too, below it. */
static void *be_busy_on_an_alternate_stack(struct victim *victim)
{
        stack_t stack = { .ss_sp = malloc(65536), .ss_size = 65536 };
        struct sigaction action = { .sa_handler = be_busy_in_a_handler, .sa_flags = SA_ONSTACK };
        alternate_victim = victim;
        sigaltstack(&stack, NULL);
        sigaction(SIGUSR1, &action, NULL);
        raise(SIGUSR1);
        stack.ss_flags = SS_DISABLE;
        sigaltstack(&stack, NULL);
        free(stack.ss_sp);
        return NULL;
}

Test(capture, a_thread_on_an_alternate_stack_is_captured, .init = begin)
{
        struct busy busy = { .rounds = 0 };
        struct victim victim;
        struct sample sample;
        victim_start(&victim, be_busy_on_an_alternate_stack, &busy);
        wait_until_busy(&busy);
        for (int i = 0; i < 20; i++) {
                take_running(&victim, &sample);
                check_busy(&victim, &sample);
                cr_assert_leq(sample.stack_length, 65536);
        }
        victim_join(&victim);
}

/* Ours runs on the alternate stack, the program on its own. */
static void *be_busy_with_an_alternate_stack(struct victim *victim)
{
        stack_t stack = { .ss_sp = malloc(8192), .ss_size = 8192 };
        sigaltstack(&stack, NULL);
        be_busy(victim);
        stack.ss_flags = SS_DISABLE;
        sigaltstack(&stack, NULL);
        free(stack.ss_sp);
        return NULL;
}

Test(capture, a_thread_with_an_alternate_stack_of_8_kb_is_captured, .init = begin)
{
        struct busy busy = { .rounds = 0 };
        struct victim victim;
        struct sample sample;
        victim_start(&victim, be_busy_with_an_alternate_stack, &busy);
        wait_until_busy(&busy);
        for (int i = 0; i < 20; i++) {
                take_running(&victim, &sample);
                check_busy(&victim, &sample);
        }
        victim_join(&victim);
}

/* As small as the kernel takes it: its frame fits, and little more. What lies below may belong to anybody. */
static void *be_busy_with_a_minimal_alternate_stack(struct victim *victim)
{
        size_t least = getauxval(AT_MINSIGSTKSZ) + 600, page = 4096;
        uint8_t *area = mmap(NULL, 8 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        mprotect(area + page, 6 * page, PROT_READ | PROT_WRITE);
        stack_t stack = { .ss_sp = area + page, .ss_size = least };
        cr_assert_eq(sigaltstack(&stack, NULL), 0);
        be_busy(victim);
        stack.ss_flags = SS_DISABLE;
        sigaltstack(&stack, NULL);
        return NULL;
}

Test(capture, an_alternate_stack_without_room_is_not_overrun, .init = begin)
{
        struct busy busy = { .rounds = 0 };
        struct victim victim;
        struct sample sample;
        victim_start(&victim, be_busy_with_a_minimal_alternate_stack, &busy);
        wait_until_busy(&busy);
        sample.loss = CAPTURE_SIGNAL_LATE; /* which it may well be, on a machine without CPU to spare */
        for (int i = 0; i < 20 && (sample.loss == CAPTURE_SIGNAL_LATE || sample.loss == CAPTURE_MOVED); i++)
                take(&victim, true, &sample);
        cr_assert_eq(sample.loss, CAPTURE_NO_ROOM, "%s", capture_loss_text(sample.loss));
        while (atomic_load(&handler.arrived) == 0) /* it is counted after it has answered */
                sched_yield();
        victim_join(&victim);
}

/* Not asked at all: it would not survive the kernel's frame. */
Test(capture, an_alternate_stack_without_room_for_a_frame_is_spared, .init = begin)
{
        struct busy busy = { .rounds = 0 };
        struct victim victim;
        struct sample sample;
        _Atomic uint64_t alternate_bytes = 2048;
        victim_start(&victim, be_busy, &busy);
        wait_until_busy(&busy);
        for (int known = 0; known < 2; known++) {
                victim.task.alternate_bytes = known ? &alternate_bytes : NULL;
                victim.task.least_alternate_bytes = known ? 0 : 2048;
                sample.loss = CAPTURE_MOVED;
                for (int i = 0; i < 20 && sample.loss == CAPTURE_MOVED; i++)
                        take(&victim, true, &sample);
                cr_expect_eq(sample.loss, CAPTURE_NO_ROOM, "%s", capture_loss_text(sample.loss));
        }
        cr_expect_eq(atomic_load(&handler.arrived), 0);
        victim.task.alternate_bytes = NULL;
        victim.task.least_alternate_bytes = 0;
        take_running(&victim, &sample);
        check_busy(&victim, &sample);
        victim_join(&victim);
}

static enum capture_loss loss_of_running(struct victim *victim)
{
        struct sample sample = { .loss = CAPTURE_MOVED };
        for (int i = 0; i < 100 && (sample.loss == CAPTURE_MOVED || sample.loss == CAPTURE_SIGNAL_LATE); i++)
                take_running(victim, &sample);
        return sample.loss;
}

Test(capture, a_thread_last_seen_at_the_end_of_its_stack_gets_no_signal, .init = begin)
{
        struct busy busy = { .rounds = 0 };
        struct victim victim;
        _Atomic uint64_t alternate_bytes = 65536;
        victim_start(&victim, be_busy, &busy);
        wait_until_busy(&busy);
        for (int round = 0; round < 3; round++) {
                cr_assert_eq(loss_of_running(&victim), CAPTURE_OK); /* finds the stack */
                uint64_t arrived = atomic_load(&handler.arrived), low = victim.task.stack_low;
                cr_assert(low != 0 && victim.task.was_pointer - low > 65536);
                victim.task.was_pointer = low + 3000;
                cr_expect_eq(loss_of_running(&victim), CAPTURE_SMALL_STACK);
                cr_expect_eq(atomic_load(&handler.arrived), arrived);
                victim.task.stack_grows = round == 0;
                victim.task.alternate_bytes = round == 1 ? &alternate_bytes : NULL;
                if (round == 2)
                        victim.task.was_pointer = low + 16384;
                cr_expect_eq(loss_of_running(&victim), CAPTURE_OK, "round %d", round);
                victim.task.stack_grows = false;
                victim.task.alternate_bytes = NULL;
        }
        victim_join(&victim);
}

Test(capture, a_program_with_small_coroutines_gets_no_signal, .init = begin)
{
        struct busy busy = { .rounds = 0 };
        struct victim victim;
        _Atomic uint64_t alternate_bytes = 65536;
        victim_start(&victim, be_busy, &busy);
        wait_until_busy(&busy);
        capture_note_stack(16384);
        cr_expect_eq(loss_of_running(&victim), CAPTURE_OK);
        capture_note_stack(16383);
        capture_note_stack(1 << 20);
        cr_expect_eq(loss_of_running(&victim), CAPTURE_SMALL_STACK);
        victim.task.alternate_bytes = &alternate_bytes;
        cr_expect_eq(loss_of_running(&victim), CAPTURE_OK);
        victim.task.alternate_bytes = NULL;
        victim_join(&victim);
}

Test(capture, a_thread_with_a_tiny_stack_is_captured, .init = begin)
{
        struct busy busy = { .rounds = 0 };
        struct victim victim;
        struct sample sample;
        pthread_attr_t attributes;
        pthread_attr_init(&attributes);
        cr_assert_eq(pthread_attr_setstacksize(&attributes, 16384), 0);
        victim_start_with(&victim, &attributes, be_busy, &busy);
        wait_until_busy(&busy);
        for (int i = 0; i < 20; i++) {
                take_running(&victim, &sample);
                check_busy(&victim, &sample);
                cr_assert_leq(sample.stack_length, 16384);
        }
        victim_join(&victim);
}

/* 1 MB of stack: more than a copy holds. */
static __attribute__((noinline)) void *be_busy_deeply(struct victim *victim)
{
        volatile uint8_t deep[1 << 20];
        memset((void *)deep, 1, sizeof(deep));
        be_busy(victim);
        return (void *)(uintptr_t)deep[5];
}

static __attribute__((noinline)) void *sleep_deeply(struct victim *victim)
{
        volatile uint8_t deep[1 << 20];
        memset((void *)deep, 1, sizeof(deep));
        while (!atomic_load(&victim->stop))
                sleep_us(100000);
        return (void *)(uintptr_t)deep[5];
}

Test(capture, a_stack_larger_than_a_copy_is_truncated, .init = begin)
{
        struct busy busy = { .rounds = 0 };
        struct victim runs, sleeps;
        struct sample sample;
        victim_start(&runs, be_busy_deeply, &busy);
        victim_start(&sleeps, sleep_deeply, NULL);
        wait_until_busy(&busy);
        for (int i = 0; i < 3; i++) { /* at first the mapping of its stack is not known, then it is */
                take(&runs, true, &sample);
                cr_assert_eq(sample.loss, CAPTURE_OK);
                cr_assert(sample.by_signal);
                cr_assert(sample.truncated);
                cr_assert_eq(sample.stack_length, LIMIT_STACK_BYTES);
        }
        cr_assert(victim_sleeps(&sleeps, SYS_clock_nanosleep));
        take(&sleeps, true, &sample);
        cr_assert_eq(sample.loss, CAPTURE_OK);
        cr_assert(sample.truncated);
        cr_assert_eq(sample.stack_length, LIMIT_STACK_BYTES);
        victim_join(&runs);
        victim_join(&sleeps);
}

/* ---- what a capture costs the thread ---- */

#define PAUSES 400

struct pauses {
        struct busy busy;
        _Atomic uint64_t longest; /* ticks between two readings */
        _Atomic uint64_t last;
};

/* Reads the TSC without end: a gap is time in which it did not run. */
static __attribute__((noinline)) void *measure_gaps(struct victim *victim)
{
        struct pauses *pauses = victim->argument;
        volatile uint8_t deep[32768];
        memset((void *)deep, 1, sizeof(deep));
        uint64_t last = clock_ticks();
        while (!atomic_load_explicit(&victim->stop, memory_order_relaxed)) {
                uint64_t now = clock_ticks();
                if (now - last > atomic_load_explicit(&pauses->longest, memory_order_relaxed))
                        atomic_store_explicit(&pauses->longest, now - last, memory_order_relaxed);
                last = now;
                atomic_store_explicit(&pauses->last, now, memory_order_relaxed);
        }
        return (void *)(uintptr_t)deep[3];
}

static int compare_ticks(const void *a, const void *b)
{
        uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
        return (x > y) - (x < y);
}

static double ticks_per_us(void)
{
        uint64_t ticks = clock_ticks(), ns = now_ns();
        sleep_us(50000);
        return (double)(clock_ticks() - ticks) * 1000 / (double)(now_ns() - ns);
}

/* A figure, no limit: the machine may be busy with something else. */
Test(capture, the_pause_of_a_running_thread_is_measured, .init = begin)
{
        static uint64_t gaps[PAUSES];
        struct pauses pauses = { .longest = 0 };
        struct victim victim;
        struct sample sample;
        double rate = ticks_per_us();
        size_t bytes = 0;
        int late = 0;
        victim_start(&victim, measure_gaps, &pauses);
        sleep_us(10000);
        for (int i = 0; i < PAUSES; i++) {
                sleep_us(200);
                atomic_store(&pauses.longest, 0);
                take(&victim, true, &sample);
                if (sample.loss != CAPTURE_OK && late++ < 5 * PAUSES) { /* others have the CPU */
                        sleep_us(1000);
                        i--;
                        continue;
                }
                cr_assert_eq(sample.loss, CAPTURE_OK);
                bytes = sample.stack_length;
                uint64_t captured = clock_ticks();
                while (atomic_load(&pauses.last) < captured) /* it runs again, so its gap is known */
                        sched_yield();
                gaps[i] = atomic_load(&pauses.longest);
        }
        qsort(gaps, PAUSES, sizeof(gaps[0]), compare_ticks);
        printf("pause of a running thread with %zu KB of stack: median %.1f us, p90 %.1f us, p99 %.1f us\n",
               bytes / 1024, (double)gaps[PAUSES / 2] / rate, (double)gaps[PAUSES * 9 / 10] / rate,
               (double)gaps[PAUSES * 99 / 100] / rate);
        cr_assert_geq(bytes, 32768);
        victim_join(&victim);
}

Test(capture, the_cost_of_a_sleeping_threads_capture_is_measured, .init = begin)
{
        struct blocked blocked = { .number = SYS_read };
        struct victim victim;
        struct sample sample;
        cr_assert_eq(pipe(blocked.fds), 0);
        victim_start(&victim, read_pipe, &blocked);
        cr_assert(victim_sleeps(&victim, SYS_read));
        uint64_t begin_ns = now_ns();
        for (int i = 0; i < 1000; i++) {
                take(&victim, true, &sample);
                cr_assert_eq(sample.loss, CAPTURE_OK);
        }
        printf("a capture of a sleeping thread with %zu KB of stack costs the watchdog %.1f us\n",
               sample.stack_length / 1024, (double)(now_ns() - begin_ns) / 1e6);
        cr_assert_eq(write(blocked.fds[1], "x", 1), 1);
        victim_join(&victim);
}
