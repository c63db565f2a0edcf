/* SPDX-License-Identifier: Apache-2.0
 *
 * test_unwind.c - threads with known stacks are unwound to the functions that are known to be on them
 *
 * Context: tests
 */
#include <criterion/criterion.h>

#include <alloca.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <linux/futex.h>
#include <poll.h>
#include <semaphore.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#include "base/proc.h"
#include "unwind/module.h"
#include "unwind/symbol.h"
#include "unwind/unwind.h"
#include "unwind_victims.h"

#define NOINLINE __attribute__((noinline, noipa))
#define FRAME_POINTER __attribute__((noinline, noipa, optimize("no-omit-frame-pointer")))

static struct stack stack;

static void load(void)
{
        const char *why = NULL;
        cr_assert_eq(unwind_load(&why), 0, "%s", why);
        cr_assert(unwind_ready());
}

static void print_stack(void)
{
        for (unsigned i = 0; i < stack.count; i++) {
                const struct frame *frame = &stack.frames[i];
                const struct module *module = module_get(frame->module);
                const char *name = symbol_name(frame);
                fprintf(stderr, "  #%u %#" PRIx64 " cfa %#" PRIx64 " %s %s\n", i, frame->pc, frame->cfa,
                        name != NULL ? name : "?", module != NULL ? module->name : "-");
        }
        fprintf(stderr, "  complete %d truncated %d\n", stack.complete, stack.truncated);
}

/* The index of the first frame at or after `from` that is in this function, or -1. */
static int find_frame(unsigned from, const char *name)
{
        for (unsigned i = from; i < stack.count; i++) {
                const char *found = symbol_name(&stack.frames[i]);
                if (found != NULL && strcmp(found, name) == 0)
                        return (int)i;
        }
        return -1;
}

/* Unwind and expect these functions directly after each other, the first one anywhere, and a complete stack. */
static void expect_chain(const struct sample *sample, const char *const *names)
{
        cr_assert_eq(unwind_sample(sample, &stack), 0);
        symbols_resolve(&stack);
        int at = find_frame(0, names[0]);
        if (at < 0 || !stack.complete)
                print_stack();
        cr_assert(stack.complete);
        cr_assert_geq(at, 0, "%s is not on the stack", names[0]);
        for (unsigned i = 0; names[i] != NULL; i++) {
                const char *found = symbol_name(&stack.frames[(unsigned)at + i]);
                if (found == NULL || strcmp(found, names[i]) != 0)
                        print_stack();
                cr_assert(found != NULL && strcmp(found, names[i]) == 0, "frame %u is %s, not %s", at + i, found,
                          names[i]);
        }
        for (unsigned i = 1; i < stack.count; i++) /* the callers' frames are above each other */
                cr_assert(stack.frames[i].cfa > stack.frames[i - 1].cfa || stack.frames[i].cfa == 0);
}

#define CHAIN(...) ((const char *const[]){ __VA_ARGS__, NULL })

/* --- chains of functions; each does something after its call, so that it is no tail call --- */

static volatile int sink;

NOINLINE static void leaf_block(struct victim *victim)
{
        victim_block(victim);
        sink++;
}

NOINLINE static void leaf_spin(struct victim *victim)
{
        victim_spin(victim);
        sink++;
}

NOINLINE static void plain_three(struct victim *victim, void (*leaf)(struct victim *))
{
        leaf(victim);
        sink++;
}

NOINLINE static void plain_two(struct victim *victim, void (*leaf)(struct victim *))
{
        plain_three(victim, leaf);
        sink++;
}

NOINLINE static void plain_one(struct victim *victim, void (*leaf)(struct victim *))
{
        plain_two(victim, leaf);
        sink++;
}

NOINLINE static void alloca_inner(struct victim *victim, void (*leaf)(struct victim *))
{
        char *room = alloca((size_t)victim->argument);
        memset(room, 1, (size_t)victim->argument);
        leaf(victim);
        sink += room[victim->argument / 2];
}

NOINLINE static void alloca_outer(struct victim *victim, void (*leaf)(struct victim *))
{
        char *room = alloca((size_t)victim->argument / 2);
        memset(room, 2, (size_t)victim->argument / 2);
        alloca_inner(victim, leaf);
        sink += room[victim->argument / 4];
}

FRAME_POINTER static void pointer_inner(struct victim *victim, void (*leaf)(struct victim *))
{
        leaf(victim);
        sink++;
}

FRAME_POINTER static void pointer_outer(struct victim *victim, void (*leaf)(struct victim *))
{
        pointer_inner(victim, leaf);
        sink++;
}

/* A tail call into a function that needs its frame pointer. */
NOINLINE static void alloca_by_tail_call(struct victim *victim, void (*leaf)(struct victim *))
{
        alloca_inner(victim, leaf);
}

NOINLINE static void tail_caller(struct victim *victim, void (*leaf)(struct victim *))
{
        alloca_by_tail_call(victim, leaf);
        sink++;
}

static struct victim *sorting;

NOINLINE static int compare_block(const void *a, const void *b)
{
        if (!atomic_load(&sorting->ready))
                victim_block(sorting);
        return *(const int *)a - *(const int *)b;
}

NOINLINE static void sort_one(struct victim *victim)
{
        int numbers[100];
        for (int i = 0; i < 100; i++)
                numbers[i] = (i * 37) % 100;
        sorting = victim;
        qsort(numbers, 100, sizeof(numbers[0]), compare_block);
        sink += numbers[0];
}

NOINLINE static void recurse(struct victim *victim, int depth)
{
        if (depth == 0)
                victim_block(victim);
        else
                recurse(victim, depth - 1);
        sink++;
}

static void body_plain_block(struct victim *victim)
{
        plain_one(victim, leaf_block);
        sink++;
}

static void body_plain_spin(struct victim *victim)
{
        plain_one(victim, leaf_spin);
        sink++;
}

static void body_alloca_block(struct victim *victim)
{
        alloca_outer(victim, leaf_block);
        sink++;
}

static void body_alloca_spin(struct victim *victim)
{
        alloca_outer(victim, leaf_spin);
        sink++;
}

static void body_pointer_block(struct victim *victim)
{
        pointer_outer(victim, leaf_block);
        sink++;
}

static void body_pointer_spin(struct victim *victim)
{
        pointer_outer(victim, leaf_spin);
        sink++;
}

static void body_tail_block(struct victim *victim)
{
        tail_caller(victim, leaf_block);
        sink++;
}

static void body_sort_block(struct victim *victim)
{
        sort_one(victim);
        sink++;
}

static void body_recurse_block(struct victim *victim)
{
        recurse(victim, victim->argument);
        sink++;
}

static void check_blocked(void (*body)(struct victim *), int argument, const char *const *names)
{
        struct victim victim;
        struct sample sample;
        load();
        victim_start(&victim, body, argument);
        cr_assert(sample_blocked(victim.tid, &sample));
        expect_chain(&sample, names);
        victim_stop(&victim);
}

static void check_running(void (*body)(struct victim *), int argument, const char *const *names)
{
        struct victim victim;
        struct sample sample;
        load();
        victim_start(&victim, body, argument);
        cr_assert(sample_running(&victim, &sample));
        expect_chain(&sample, names);
        victim_stop(&victim);
}

Test(unwind, follows_a_sleeping_thread_through_optimised_code)
{
        check_blocked(body_plain_block, 0,
                      CHAIN("victim_block", "leaf_block", "plain_three", "plain_two", "plain_one", "body_plain_block",
                            "victim_main"));
        const char *innermost = symbol_name(&stack.frames[0]);
        cr_assert_str_eq(innermost, "read");
        cr_assert_not(stack.frames[0].caller);
        cr_assert(stack.frames[1].caller);
}

Test(unwind, follows_a_running_thread_through_optimised_code)
{
        check_running(body_plain_spin, 0,
                      CHAIN("victim_spin", "leaf_spin", "plain_three", "plain_two", "plain_one", "body_plain_spin",
                            "victim_main"));
}

Test(unwind, searches_the_frame_pointer_of_a_sleeping_thread)
{
        check_blocked(body_alloca_block, 300,
                      CHAIN("leaf_block", "alloca_inner", "alloca_outer", "body_alloca_block", "victim_main"));
        check_blocked(body_alloca_block, 20000,
                      CHAIN("leaf_block", "alloca_inner", "alloca_outer", "body_alloca_block", "victim_main"));
        check_blocked(body_pointer_block, 0,
                      CHAIN("leaf_block", "pointer_inner", "pointer_outer", "body_pointer_block", "victim_main"));
}

Test(unwind, searches_the_frame_pointer_behind_a_tail_call)
{
        check_blocked(body_tail_block, 300, CHAIN("leaf_block", "alloca_inner", "tail_caller", "body_tail_block"));
}

Test(unwind, follows_a_running_thread_through_frame_pointers)
{
        check_running(body_alloca_spin, 300,
                      CHAIN("leaf_spin", "alloca_inner", "alloca_outer", "body_alloca_spin", "victim_main"));
        check_running(body_pointer_spin, 0,
                      CHAIN("leaf_spin", "pointer_inner", "pointer_outer", "body_pointer_spin", "victim_main"));
}

Test(unwind, follows_a_callback_of_qsort)
{
        struct victim victim;
        struct sample sample;
        load();
        victim_start(&victim, body_sort_block, 0);
        cr_assert(sample_blocked(victim.tid, &sample));
        expect_chain(&sample, CHAIN("victim_block", "compare_block"));
        int compare = find_frame(0, "compare_block"), sort = find_frame(0, "sort_one");
        cr_assert_gt(sort, compare + 1, "qsort itself, of libc or of a sanitizer, is between them");
        victim_stop(&victim);
}

Test(unwind, keeps_the_innermost_frames_of_a_deep_stack)
{
        struct victim victim;
        struct sample sample;
        load();
        victim_start(&victim, body_recurse_block, LIMIT_FRAMES);
        cr_assert(sample_blocked(victim.tid, &sample));
        cr_assert_eq(unwind_sample(&sample, &stack), 0);
        symbols_resolve(&stack);
        cr_assert_eq(stack.count, LIMIT_FRAMES);
        cr_assert(stack.truncated);
        cr_assert_not(stack.complete);
        cr_assert_str_eq(symbol_name(&stack.frames[LIMIT_FRAMES - 1]), "recurse");
        victim_stop(&victim);
}

Test(unwind, says_where_the_copy_ends)
{
        struct victim victim;
        struct sample sample;
        load();
        victim_start(&victim, body_recurse_block, 50);
        cr_assert(sample_blocked(victim.tid, &sample));
        cr_assert_eq(unwind_sample(&sample, &stack), 0);
        cr_assert(stack.complete);
        cr_assert_gt(stack.count, 50);
        sample.stack_length = stack.frames[20].cfa - 8 - sample.stack_address; /* without the return address */
        sample.truncated = true;
        cr_assert_eq(unwind_sample(&sample, &stack), 0);
        cr_assert(stack.truncated);
        cr_assert_not(stack.complete);
        cr_assert_eq(stack.count, 21);
        victim_stop(&victim);
}

/* --- each call in which threads sleep --- */

NOINLINE static void in_nanosleep(struct victim *victim)
{
        struct timespec time = { .tv_nsec = 300000000 };
        atomic_store(&victim->ready, true);
        nanosleep(&time, NULL);
        sink++;
}

NOINLINE static void in_poll(struct victim *victim)
{
        struct pollfd fd = { .fd = victim->pipe[0], .events = POLLIN };
        atomic_store(&victim->ready, true);
        poll(&fd, 1, 300);
        sink++;
}

NOINLINE static void in_futex(struct victim *victim)
{
        static int word;
        struct timespec time = { .tv_nsec = 300000000 };
        atomic_store(&victim->ready, true);
        syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 0, &time, NULL, 0);
        sink++;
}

NOINLINE static void in_semaphore(struct victim *victim)
{
        sem_t semaphore;
        struct timespec end;
        sem_init(&semaphore, 0, 0);
        clock_gettime(CLOCK_REALTIME, &end);
        end.tv_sec++;
        atomic_store(&victim->ready, true);
        sem_timedwait(&semaphore, &end);
        sink++;
}

NOINLINE static void in_system(struct victim *victim)
{
        atomic_store(&victim->ready, true);
        sink += system("sleep 0.3"); /* posix_spawn, then wait4 */
}

Test(unwind, follows_each_call_in_which_threads_sleep)
{
        void (*const bodies[])(struct victim *) = { in_nanosleep, in_poll, in_futex, in_semaphore, in_system };
        const char *const names[] = { "in_nanosleep", "in_poll", "in_futex", "in_semaphore", "in_system" };
        load();
        for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
                struct victim victim;
                struct sample sample;
                victim_start(&victim, bodies[i], 0);
                cr_assert(sample_blocked(victim.tid, &sample), "%s", names[i]);
                expect_chain(&sample, CHAIN(names[i], "victim_main"));
                victim_stop(&victim);
        }
}

/* --- signal frames --- */

static struct victim *in_handler;

NOINLINE static void handler_body(int number)
{
        victim_block(in_handler);
        sink++;
}

NOINLINE static void interrupted(struct victim *victim)
{
        raise(SIGUSR1);
        sink++;
}

static void body_handler(struct victim *victim)
{
        struct sigaction action = { .sa_handler = handler_body };
        stack_t alternate = { .ss_size = 65536 };
        in_handler = victim;
        if (victim->argument) {
                alternate.ss_sp = malloc(alternate.ss_size);
                sigaltstack(&alternate, NULL);
                action.sa_flags = SA_ONSTACK;
        }
        sigaction(SIGUSR1, &action, NULL);
        interrupted(victim);
        if (victim->argument) {
                void *memory = alternate.ss_sp;
                alternate.ss_flags = SS_DISABLE;
                sigaltstack(&alternate, NULL);
                free(memory);
        }
}

static void check_handler(bool alternate)
{
        struct victim victim;
        struct sample sample;
        load();
        victim_start(&victim, body_handler, alternate);
        cr_assert(sample_blocked(victim.tid, &sample));
        cr_assert_eq(unwind_sample(&sample, &stack), 0);
        symbols_resolve(&stack);
        int handler = find_frame(0, "handler_body"), below = find_frame(0, "interrupted");
        if (handler < 0 || below < 0 || !stack.complete)
                print_stack();
        cr_assert_geq(handler, 0);
        cr_assert_gt(below, handler + 2);
        cr_assert(stack.complete);
        cr_assert_not(stack.frames[handler + 1].caller, "the kernel's trampoline was not called");
        cr_assert_not(stack.frames[handler + 2].caller, "nor did the interrupted function call it");
        cr_assert(stack.frames[handler + 3].caller);
        victim_stop(&victim);
}

Test(unwind, walks_through_a_signal_handler)
{
        check_handler(false);
}

Test(unwind, walks_through_a_signal_handler_on_an_alternate_stack)
{
        check_handler(true);
}

/* --- code without unwind information, as a JIT writes it --- */

/* push %rbp; mov %rsp,%rbp; sub $32,%rsp; mov %rsi,%rax; call *%rax; leave; ret  (with victim in %rdi) */
static const uint8_t framed_code[] = { 0x55, 0x48, 0x89, 0xe5, 0x48, 0x83, 0xec, 0x20,
                                       0x48, 0x89, 0xf0, 0xff, 0xd0, 0xc9, 0xc3 };
/* 1: mov %rdi,%rax (to be interrupted at any place); jmp 1b, entered by a call: nothing saved yet */
static const uint8_t spinning_code[] = { 0x55, 0x48, 0x89, 0xe5, 0xf3, 0x90, 0x83, 0x3e, 0x00, 0x74, 0xf9, 0x5d, 0xc3 };

static uint8_t *make_code(const uint8_t *bytes, size_t length)
{
        uint8_t *code = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        cr_assert_neq(code, MAP_FAILED);
        memcpy(code, bytes, length);
        return code;
}

static uint8_t *code_outer, *code_inner;

NOINLINE static void middle_of_code(struct victim *victim)
{
        ((void (*)(struct victim *, void *))code_inner)(victim, victim->argument ? leaf_spin : leaf_block);
        sink++;
}

NOINLINE static void calls_code(struct victim *victim)
{
        ((void (*)(struct victim *, void *))code_outer)(victim, middle_of_code);
        sink++;
}

static void check_code(bool spin)
{
        struct victim victim;
        struct sample sample;
        load();
        code_outer = make_code(framed_code, sizeof(framed_code));
        code_inner = make_code(framed_code, sizeof(framed_code));
        victim_start(&victim, calls_code, spin);
        cr_assert(spin ? sample_running(&victim, &sample) : sample_blocked(victim.tid, &sample));
        expect_chain(&sample, CHAIN(spin ? "victim_spin" : "victim_block", spin ? "leaf_spin" : "leaf_block"));
        int leaf = find_frame(0, spin ? "leaf_spin" : "leaf_block"), middle = find_frame(0, "middle_of_code");
        int outer = find_frame(0, "calls_code");
        cr_assert_eq(middle, leaf + 2);
        cr_assert_eq(outer, middle + 2);
        cr_assert_eq(stack.frames[leaf + 1].module, MODULE_NONE);
        cr_assert_eq(stack.frames[leaf + 1].function, 0);
        cr_assert_eq(stack.frames[leaf + 1].pc, (uintptr_t)code_inner + 13);
        cr_assert_eq(stack.frames[middle + 1].pc, (uintptr_t)code_outer + 13);
        victim_stop(&victim);
}

Test(unwind, follows_a_sleeping_thread_through_generated_code)
{
        check_code(false);
}

Test(unwind, follows_a_running_thread_through_generated_code)
{
        check_code(true);
}

static int spin_word;

NOINLINE static void spins_in_code(struct victim *victim)
{
        atomic_store(&victim->ready, true);
        ((void (*)(struct victim *, int *))code_inner)(victim, &spin_word);
        sink++;
}

/* Wherever the generated code is interrupted, its caller is found: also in its first and last instructions. */
Test(unwind, finds_the_caller_of_generated_code_at_each_instruction)
{
        static const struct {
                uint8_t offset;
                int8_t stack, pointer_pushed; /* words of the stack pointer below what it is inside */
        } places[] = { { 0, 1, 0 }, { 1, 0, 0 }, { 4, 0, 1 }, { 11, 0, 1 }, { 12, 1, 0 } };
        struct victim victim;
        struct sample sample;
        load();
        code_inner = make_code(spinning_code, sizeof(spinning_code));
        __atomic_store_n(&spin_word, 0, __ATOMIC_SEQ_CST);
        victim_start(&victim, spins_in_code, 0);
        cr_assert(sample_running(&victim, &sample));
        cr_assert_geq(sample.registers[SAMPLE_PC], (uintptr_t)code_inner + 4);
        uint64_t inside_sp = sample.registers[SAMPLE_SP], inside_fp = sample.registers[SAMPLE_FP], caller_fp;
        memcpy(&caller_fp, sample.stack + (inside_fp - sample.stack_address), sizeof(caller_fp));
        for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
                sample.registers[SAMPLE_PC] = (uintptr_t)code_inner + places[i].offset;
                sample.registers[SAMPLE_SP] = inside_sp + 8u * (unsigned)places[i].stack;
                sample.registers[SAMPLE_FP] = places[i].pointer_pushed ? inside_fp : caller_fp;
                expect_chain(&sample, CHAIN("spins_in_code", "victim_main"));
                cr_assert_eq(find_frame(0, "spins_in_code"), 1, "at offset %d", places[i].offset);
        }
        __atomic_store_n(&spin_word, 1, __ATOMIC_SEQ_CST);
        victim_stop(&victim);
}

Test(unwind, finds_the_caller_of_a_null_pointer)
{
#ifdef __SANITIZE_ADDRESS__
        cr_skip_test("the sanitizer's own frames stand between, and its spin is interrupted in them");
#endif
        struct victim victim;
        struct sample sample;
        load();
        victim_start(&victim, body_plain_spin, 0);
        cr_assert(sample_running(&victim, &sample));
        /* As if victim_spin(), which has no frame of its own, had been at address 0. */
        cr_assert_eq(unwind_sample(&sample, &stack), 0);
        uint64_t slot = stack.frames[0].cfa - 8;
        sample.registers[SAMPLE_PC] = 0;
        sample.registers[SAMPLE_SP] = slot;
        expect_chain(&sample, CHAIN("leaf_spin", "plain_three", "plain_two"));
        cr_assert_eq(find_frame(0, "leaf_spin"), 1);
        cr_assert_eq(stack.frames[0].module, MODULE_NONE);
        victim_stop(&victim);
}

/* A call to nowhere, and a signal handler in which the thread then sleeps. */
NOINLINE static void calls_nowhere(struct victim *victim)
{
        void (*volatile nowhere)(struct victim *) = NULL;
        nowhere(victim);
        sink++;
}

static sigjmp_buf after_fault;

NOINLINE static void fault_handler(int number)
{
        victim_block(in_handler);
        siglongjmp(after_fault, 1);
}

static void body_fault(struct victim *victim)
{
        struct sigaction action = { .sa_handler = fault_handler };
        in_handler = victim;
        sigaction(SIGSEGV, &action, NULL);
        if (sigsetjmp(after_fault, 1) == 0)
                calls_nowhere(victim);
        signal(SIGSEGV, SIG_DFL);
}

Test(unwind, finds_who_called_nowhere_below_the_handler_of_the_fault)
{
        check_blocked(body_fault, 0, CHAIN("calls_nowhere", "body_fault", "victim_main"));
        int handler = find_frame(0, "fault_handler"), caller = find_frame(0, "calls_nowhere");
        cr_assert_geq(handler, 0);
        cr_assert_eq(caller, handler + 3, "between them the kernel's trampoline and address 0");
        cr_assert_eq(stack.frames[caller - 1].pc, 0);
}

/* --- objects that are not files, or come and go --- */

static void body_clock(struct victim *victim)
{
        struct timespec now;
        atomic_store(&victim->ready, true);
        while (!atomic_load(&victim->stop))
                clock_gettime(CLOCK_MONOTONIC, &now);
}

Test(unwind, walks_out_of_the_vdso)
{
        struct victim victim;
        struct sample sample;
        bool seen = false;
        load();
        victim_start(&victim, body_clock, 0);
        for (int i = 0; i < 300 && !seen; i++) {
                cr_assert(sample_running(&victim, &sample));
                cr_assert_eq(unwind_sample(&sample, &stack), 0);
                cr_assert(stack.complete);
                const struct module *module = module_get(stack.frames[0].module);
                seen = module != NULL && strcmp(module->name, "[vdso]") == 0;
        }
        victim_stop(&victim);
        if (!seen)
                cr_skip_test("clock_gettime does not run in the vdso here");
}

static char library[] = "/tmp/loopdog-unwind-XXXXXX";

static void body_loads(struct victim *victim)
{
        static char text[1000], compressed[4000];
        atomic_store(&victim->ready, true);
        while (!atomic_load(&victim->stop)) {
                int (*compress)(char *, unsigned *, char *, unsigned, int, int, int) = NULL;
                unsigned length = sizeof(compressed);
                void *handle = dlopen(library, RTLD_NOW | RTLD_LOCAL);
                if (handle == NULL)
                        abort();
                *(void **)&compress = dlsym(handle, "BZ2_bzBuffToBuffCompress");
                sink = compress(compressed, &length, text, sizeof(text), 1, 0, 0);
                dlclose(handle);
        }
}

/* The library vanishes at any moment of a walk and of a look-up, and nobody says so. */
Test(unwind, survives_libraries_that_come_and_go, .timeout = 120)
{
        struct victim victim;
        struct sample sample;
        unsigned complete = 0, inside = 0, rounds = 0;
        int fd = mkstemp(library);
        cr_assert_geq(fd, 0);
        close(fd);
        copy_library("libbz2.so.1.0", library);
        load();
        victim_start(&victim, body_loads, 0);
        for (; rounds < 500 || (inside < 10 && rounds < 20000); rounds++) { /* it is there a small part of the time */
                cr_assert(sample_running(&victim, &sample));
                cr_assert_eq(unwind_sample(&sample, &stack), 0);
                symbols_resolve(&stack);
                complete += stack.complete;
                const struct module *module = module_get(stack.frames[0].module);
                inside += module != NULL && strcmp(module->path, library) == 0;
        }
        victim_stop(&victim);
        unlink(library);
        fprintf(stderr, "%u of %u walks complete while a library came and went, %u inside it\n", complete, rounds,
                inside);
        cr_assert_gt(complete, rounds / 2, "what was unloaded before the walk has no unwind information");
        cr_assert_geq(inside, 10);
}

/* --- other stacks --- */

static ucontext_t main_context, coroutine_context;

NOINLINE static void coroutine(void)
{
        leaf_block(sorting);
        sink++;
}

static void body_coroutine(struct victim *victim)
{
        size_t size = 65536;
        sorting = victim;
        getcontext(&coroutine_context);
        coroutine_context.uc_stack.ss_sp = malloc(size);
        coroutine_context.uc_stack.ss_size = size;
        coroutine_context.uc_link = &main_context;
        makecontext(&coroutine_context, coroutine, 0);
        swapcontext(&main_context, &coroutine_context);
        free(coroutine_context.uc_stack.ss_sp);
}

Test(unwind, reaches_the_end_of_a_coroutine)
{
        check_blocked(body_coroutine, 0, CHAIN("victim_block", "leaf_block", "coroutine"));
}

/* --- the same stack seen both ways --- */

struct both {
        uint64_t pcs[LIMIT_FRAMES];
        unsigned count;
};

Test(unwind, finds_the_same_callers_with_and_without_registers)
{
        void (*const bodies[])(struct victim *) = { body_plain_spin, body_alloca_spin, body_pointer_spin };
        unsigned same = 0, total = 0;
        load();
        for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
                struct victim victim;
                struct sample sample;
                struct both all = { .count = 0 };
                victim_start(&victim, bodies[i], 1000);
                for (int round = 0; round < 20; round++, total++) {
                        cr_assert(sample_running(&victim, &sample));
                        cr_assert_eq(unwind_sample(&sample, &stack), 0);
                        all.count = stack.count;
                        for (unsigned f = 0; f < stack.count; f++)
                                all.pcs[f] = stack.frames[f].pc;
                        sample.registers_complete = false;
                        cr_assert_eq(unwind_sample(&sample, &stack), 0);
                        bool equal = stack.complete && stack.count == all.count;
                        for (unsigned f = 0; equal && f < stack.count; f++)
                                equal = stack.frames[f].pc == all.pcs[f];
                        same += equal;
                }
                victim_stop(&victim);
        }
        fprintf(stderr, "with SP and PC only: %u of %u walks the same as with all registers\n", same, total);
        cr_assert_eq(same, total);
}

/* --- without help --- */

/* In a chroot without /proc there are no modules, but the loader still knows where unwind information is. */
Test(unwind, needs_no_proc_for_a_complete_stack)
{
        struct victim victim;
        struct sample sample;
        load();
        victim_start(&victim, body_plain_block, 0);
        cr_assert(sample_blocked(victim.tid, &sample));
        int empty = open("/dev", O_PATH | O_DIRECTORY | O_CLOEXEC);
        proc_set_descriptor(empty);
        cr_assert_lt(proc_open("self/maps"), 0);
        cr_assert_eq(unwind_sample(&sample, &stack), 0);
        cr_assert(stack.complete);
        cr_assert_gt(stack.count, 6);
        cr_assert_eq(stack.frames[0].module, MODULE_NONE);
        cr_assert_neq(stack.frames[0].function, 0);
        victim_stop(&victim);
}

/* --- bad input --- */

Test(unwind, refuses_a_sample_without_a_stack)
{
        struct sample sample = { .loss = CAPTURE_MOVED };
        load();
        cr_assert_lt(unwind_sample(&sample, &stack), 0);
        cr_assert_eq(stack.count, 0);
}

static uint64_t random_state = 88172645463325252u;

static uint64_t random_word(void)
{
        random_state ^= random_state << 13;
        random_state ^= random_state >> 7;
        random_state ^= random_state << 17;
        return random_state;
}

/* What stacks are made of: code and stack addresses, small numbers, rubbish. */
static uint64_t likely_word(const struct sample *sample)
{
        static void *const functions[] = { (void *)plain_one, (void *)alloca_inner, (void *)qsort,
                                           (void *)read,      (void *)system,       (void *)pointer_inner };
        switch (random_word() % 6) {
        case 0:
        case 1:
                return (uintptr_t)functions[random_word() % 6] + random_word() % 200;
        case 2:
                return sample->stack_address + random_word() % (sample->stack_length + 64);
        case 3:
                return random_word() % 256;
        case 4:
                return UINT64_MAX - random_word() % 32;
        default:
                return random_word();
        }
}

static long resident_kb(void)
{
        long pages = 0;
        FILE *file = fopen("/proc/self/statm", "re");
        if (file != NULL) {
                if (fscanf(file, "%*d %ld", &pages) != 1)
                        pages = 0;
                fclose(file);
        }
        return pages * 4;
}

Test(unwind, survives_ten_thousand_random_samples, .timeout = 300)
{
        static uint64_t words[1024];
        unsigned long frames = 0, complete = 0;
        long before_kb = 0;
        load();
        for (int round = 0; round < 10000; round++) {
                struct sample sample = {
                        .stack = (const uint8_t *)words,
                        .stack_address = 0x7f0000000000 + (random_word() % 512) * 4,
                        .stack_length = random_word() % sizeof(words),
                        .truncated = random_word() % 2,
                        .registers_complete = random_word() % 4 != 0,
                };
                for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
                        words[i] = likely_word(&sample);
                for (int i = 0; i < SAMPLE_REGISTERS; i++)
                        sample.registers[i] = likely_word(&sample);
                if (random_word() % 2)
                        sample.registers[SAMPLE_SP] = sample.stack_address;
                if (round % 100 == 50)
                        sample.stack_address = UINT64_MAX - 4;
                cr_assert_eq(unwind_sample(&sample, &stack), 0);
                cr_assert_gt(stack.count, 0);
                frames += stack.count;
                complete += stack.complete;
                if (round == 1000)
                        before_kb = resident_kb();
        }
        fprintf(stderr, "10000 random samples: %lu frames, %lu walks ended as complete\n", frames, complete);
        cr_assert_lt(resident_kb() - before_kb, 4096, "memory grows");
}

/* --- cost --- */

static double now_us(void)
{
        struct timespec now;
        clock_gettime(CLOCK_MONOTONIC, &now);
        return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

/* Not a judgement, a figure to look at: machines and sanitizers differ. */
Test(unwind, prints_what_a_walk_costs)
{
        struct victim victim;
        struct sample sample;
        load();
        victim_start(&victim, body_recurse_block, 20);
        cr_assert(sample_blocked(victim.tid, &sample));
        double first = now_us();
        unwind_sample(&sample, &stack);
        first = now_us() - first;
        double cold = 0, warm = 0;
        for (int i = 0; i < 100; i++) {
                unwind_flush();
                double begin = now_us();
                unwind_sample(&sample, &stack);
                double middle = now_us();
                unwind_sample(&sample, &stack);
                cold += middle - begin;
                warm += now_us() - middle;
        }
        fprintf(stderr, "%u frames: first %.0f us, cold %.1f us, warm %.1f us\n", stack.count, first, cold / 100,
                warm / 100);
        double begin = now_us();
        symbols_resolve(&stack);
        double middle = now_us();
        symbols_resolve(&stack);
        fprintf(stderr, "their names: first %.0f us, again %.1f us\n", middle - begin, now_us() - middle);
        cr_assert(stack.complete);
        victim_stop(&victim);
}

/* --- fork --- */

Test(unwind, works_in_a_forked_child)
{
        struct victim victim;
        struct sample sample;
        load();
        victim_start(&victim, body_plain_block, 0);
        cr_assert(sample_blocked(victim.tid, &sample));
        cr_assert_eq(unwind_sample(&sample, &stack), 0);
        unsigned count = stack.count;
        pid_t child = fork();
        if (child == 0) {
                unwind_after_fork();
                modules_after_fork();
                symbols_after_fork();
                int result = unwind_sample(&sample, &stack);
                symbols_resolve(&stack);
                bool good = result == 0 && stack.complete && stack.count == count && find_frame(0, "plain_two") > 0;
                _exit(good ? 0 : 1);
        }
        int status = -1;
        waitpid(child, &status, 0);
        cr_assert_eq(status, 0);
        victim_stop(&victim);
}
