/* SPDX-License-Identifier: Apache-2.0
 *
 * guest_stacks.c - stalls on stacks that libc did not make
 *
 *     guest_stacks alternate | smallest | old | forked | owner | contexts | small BYTES [alternate] | torn
 *
 * "alternate": a signal handler of the program stalls on an alternate stack, within a callback. "smallest": the
 * alternate stack is just as large as the kernel demands, while the thread computes off it and on it. "old": it has the
 * 2048 bytes that were enough for any processor once, set before the first wait and again later; "forked" does the same
 * in a child. "owner": a thread without a loop holds a lock and is in a handler that fills its alternate stack; the
 * loop waits for it. "contexts": coroutines by swapcontext(), on the heap and on a mapping, each with a callback that
 * stalls. "small": a coroutine whose stack has so many bytes, with nothing below it, computes and sleeps, with or
 * without an alternate stack. "torn": a loop that switches between coroutines all the time while it is captured.
 *
 * Context: main
 */
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#include "see.h"
#include "truth.h"
#include "turn.h"

#define STACK_BYTES 65536
#define COROUTINES 4

static struct turn loop;

/* ---- alternate stacks ---- */

static void use_alternate_stack(void *bytes, size_t size, void (*function)(int))
{
        stack_t stack = { .ss_sp = bytes, .ss_size = size };
        struct sigaction action = { .sa_handler = function, .sa_flags = SA_ONSTACK };
        VICTIM_CHECK(sigaltstack(&stack, NULL) == 0);
        VICTIM_CHECK(sigaction(SIGUSR1, &action, NULL) == 0 && sigaction(SIGUSR2, &action, NULL) == 0);
}

static VICTIM_FRAME void stall_in_handler(int number)
{
        if (number == SIGUSR1)
                planted_sleep_ms(200, "stall_in_handler");
        else
                planted_busy_ms(200, "stall_in_handler");
}

static VICTIM_FRAME void on_raise_asleep(struct turn *turn)
{
        VICTIM_CHECK(raise(SIGUSR1) == 0);
}

static VICTIM_FRAME void on_raise_busy(struct turn *turn)
{
        VICTIM_CHECK(raise(SIGUSR2) == 0);
}

static void alternate(void)
{
        use_alternate_stack(malloc(STACK_BYTES), STACK_BYTES, stall_in_handler);
        for (int i = 0; i < 2; i++) {
                turn_run(&loop, 3, NULL);
                turn_run(&loop, 1, on_raise_asleep);
                turn_run(&loop, 1, on_raise_busy);
        }
        turn_run(&loop, 2, NULL);
        see("alternate: 4 handlers");
}

static volatile sig_atomic_t handled;

/* Not deeper than this: the kernel's own frame takes nearly all of the stack. */
static void count_in_handler(int number)
{
        struct timespec now;
        for (uint64_t end_ns = truth_now_ns() + 300000000; truth_now_ns() < end_ns;)
                clock_gettime(CLOCK_MONOTONIC, &now);
        handled++;
}

static VICTIM_FRAME void on_smallest(struct turn *turn)
{
        struct truth begin = truth_begin();
        raise(SIGUSR1);
        truth_end(begin, "", "", "on_smallest");
}

/* A page that must stay as it is lies on either side. */
static char *guarded(size_t size)
{
        size_t page = (size_t)sysconf(_SC_PAGESIZE), span = (size + page - 1) / page * page;
        char *bytes = mmap(NULL, span + 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        VICTIM_CHECK(bytes != MAP_FAILED);
        VICTIM_CHECK(mprotect(bytes, page, PROT_NONE) == 0 && mprotect(bytes + page + span, page, PROT_NONE) == 0);
        return bytes + page;
}

static void smallest(void)
{
        size_t size = (size_t)getauxval(AT_MINSIGSTKSZ);
        size = size != 0 ? size + 256 : (size_t)MINSIGSTKSZ;
        use_alternate_stack(guarded(size), size, count_in_handler);
        turn_run(&loop, 3, NULL);
        turn_run(&loop, 1, on_smallest);
        stall_busy(&loop);
        see("smallest: %d handled", (int)handled);
}

/* No handler of the program's own would survive on it either, and none ever runs. */
static void old(void)
{
        stack_t small = { .ss_sp = guarded(2048), .ss_size = 2048 }, none = { .ss_flags = SS_DISABLE };
        VICTIM_CHECK(sigaltstack(&small, NULL) == 0);
        turn_run(&loop, 3, NULL);
        stall_busy(&loop);
        VICTIM_CHECK(sigaltstack(&none, NULL) == 0 && sigaltstack(&small, NULL) == 0);
        stall_busy(&loop);
        see("old: survived");
}

/* As a server that has put itself into the background, before its first wait. */
static void forked(void)
{
        int status;
        pid_t child = fork();
        VICTIM_CHECK(child >= 0);
        if (child == 0) {
                old();
                return;
        }
        VICTIM_CHECK(waitpid(child, &status, 0) == child && status == 0);
}

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static _Atomic bool locked;

static void fill_in_handler(int number)
{
        volatile char filling[1024] = "";
        for (uint64_t end_ns = truth_now_ns() + 500000000; truth_now_ns() < end_ns;)
                filling[handled % sizeof filling]++;
        handled++;
}

static void *hold_in_handler(void *unused)
{
        use_alternate_stack(guarded(6144), 6144, fill_in_handler);
        pthread_mutex_lock(&lock);
        locked = true;
        raise(SIGUSR1);
        pthread_mutex_unlock(&lock);
        return NULL;
}

static VICTIM_FRAME void on_held(struct turn *turn)
{
        struct truth begin = truth_begin();
        pthread_mutex_lock(&lock);
        pthread_mutex_unlock(&lock);
        truth_end(begin, "lock", "", "on_held");
}

static void owner(void)
{
        pthread_t holder;
        turn_run(&loop, 3, NULL);
        VICTIM_CHECK(pthread_create(&holder, NULL, hold_in_handler, NULL) == 0);
        while (!locked)
                sched_yield();
        turn_run(&loop, 1, on_held);
        pthread_join(holder, NULL);
        turn_run(&loop, 2, NULL);
        see("owner: %d handled", (int)handled);
}

/* ---- coroutines ---- */

static ucontext_t scheduler, coroutines[COROUTINES];
static int current;
static size_t little_bytes;
static bool with_alternate;

static VICTIM_FRAME void on_coroutine(struct turn *turn)
{
        if (current % 2 == 0)
                planted_sleep_ms(200, "on_coroutine");
        else
                planted_busy_ms(200, "on_coroutine");
}

static void run_coroutine(void)
{
        for (;;) {
                on_coroutine(&loop);
                swapcontext(&coroutines[current], &scheduler);
        }
}

static void prepare(int number, void (*function)(void))
{
        char *stack = number < 2 ? malloc(STACK_BYTES)
                                 : mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        VICTIM_CHECK(stack != NULL && stack != MAP_FAILED && getcontext(&coroutines[number]) == 0);
        coroutines[number].uc_stack.ss_sp = stack;
        coroutines[number].uc_stack.ss_size = STACK_BYTES;
        coroutines[number].uc_link = &scheduler;
        makecontext(&coroutines[number], function, 0);
}

static VICTIM_FRAME void on_switch(struct turn *turn)
{
        VICTIM_CHECK(swapcontext(&scheduler, &coroutines[current]) == 0);
        current++;
}

static void contexts(void)
{
        for (int i = 0; i < COROUTINES; i++)
                prepare(i, run_coroutine);
        for (int i = 0; i < COROUTINES; i++) {
                turn_run(&loop, 3, NULL);
                turn_run(&loop, 1, on_switch);
        }
        turn_run(&loop, 2, NULL);
        see("contexts: %d", current);
}

/* Nothing here may need much stack: what is planted writes down its truth off it. */
static VICTIM_FRAME void run_on_little_stack(void)
{
        for (;;) {
                struct timespec now, nap = { 0, 200000000 };
                uint64_t end_ns = truth_now_ns() + 200000000;
                while (current % 2 == 0 && truth_now_ns() < end_ns)
                        clock_gettime(CLOCK_MONOTONIC, &now);
                if (current % 2 == 1)
                        nanosleep(&nap, NULL);
                swapcontext(&coroutines[0], &scheduler);
        }
}

static VICTIM_FRAME void on_little_stack(struct turn *turn)
{
        struct truth begin = truth_begin();
        VICTIM_CHECK(swapcontext(&scheduler, &coroutines[0]) == 0);
        truth_end(begin, current % 2 == 0 ? "cpu" : "blocked", "", "run_on_little_stack");
        current++;
}

static void small(void)
{
        if (with_alternate)
                use_alternate_stack(malloc(STACK_BYTES), STACK_BYTES, count_in_handler);
        VICTIM_CHECK(getcontext(&coroutines[0]) == 0);
        coroutines[0].uc_stack = (stack_t){ .ss_sp = guarded(little_bytes), .ss_size = little_bytes };
        makecontext(&coroutines[0], run_on_little_stack, 0);
        turn_run(&loop, 3, NULL);
        for (int i = 0; i < 4; i++) {
                turn_run(&loop, 1, on_little_stack);
                turn_run(&loop, 2, NULL);
        }
        see("small: %d", current);
}

/* The whole loop runs in a coroutine. */
static unsigned long switches;

static void go_back_and_forth(void)
{
        for (;;) {
                switches++;
                swapcontext(&coroutines[0], &scheduler);
        }
}

static VICTIM_FRAME void on_torn(struct turn *turn)
{
        struct truth begin = truth_begin();
        while (truth_now_ns() - begin.begin_ns < 400000000)
                swapcontext(&scheduler, &coroutines[0]);
        truth_end(begin, "", "", "");
}

static void torn(void)
{
        prepare(0, go_back_and_forth);
        turn_run(&loop, 3, NULL);
        turn_run(&loop, 1, on_torn);
        turn_run(&loop, 2, NULL);
        see("torn: %s", switches > 100 ? "switched often" : "hardly switched");
}

int main(int argc, char **argv)
{
        static const struct victim_case cases[] = {
                { "alternate", alternate }, { "smallest", smallest }, { "old", old },
                { "forked", forked },       { "owner", owner },       { "contexts", contexts },
                { "small", small },         { "torn", torn },         { NULL, NULL },
        };
        VICTIM_CHECK(argc > 1);
        little_bytes = argc > 2 ? strtoul(argv[2], NULL, 10) : 0;
        with_alternate = argc > 3;
        turn_open(&loop);
        victim_case_of(cases, argv[1])->run();
        return 0;
}
