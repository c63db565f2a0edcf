/* SPDX-License-Identifier: Apache-2.0
 *
 * test_mend.c - what a thread is like whose interrupted call goes on
 *
 * Context: unit tests; each runs in a process of its own
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include "capture/handler.h"
#include "capture/mend.h"
#include "capture/signal.h"
#include "victim.h"

static void begin(void)
{
        const char *why = NULL;
        cr_assert_eq(capture_start(0, &why), 0, "%s", why);
}

/* ---- the number in the code ---- */

#define CODE(...) ((const uint8_t[]){ __VA_ARGS__, 0x0f, 0x05 }), sizeof((const uint8_t[]){ __VA_ARGS__, 0x0f, 0x05 })

#define decode mend_decode_sigsafe

Test(mend, the_number_is_read_from_the_instruction_before)
{
        cr_assert_eq(decode(CODE(0x90, 0xb8, 0xe8, 0, 0, 0)), 232); /* mov $232, %eax */
        cr_assert_eq(decode(CODE(0xb8, 0xe8, 0, 0, 0)), -1, "a prefix before it may not be known");
        cr_assert_eq(decode(CODE(0x48, 0xc7, 0xc0, 0x23, 0, 0, 0)), 35);               /* mov $35, %rax */
        cr_assert_eq(decode(CODE(0x90, 0x31, 0xc0)), 0);                               /* xor %eax, %eax */
        cr_assert_eq(decode(CODE(0x48, 0x31, 0xc0)), 0);                               /* xor %rax, %rax */
        cr_assert_eq(decode(CODE(0x48, 0x8b, 0x54, 0x24, 0x48, 0xb8, 7, 0, 0, 0)), 7); /* 0x48 ends a displacement */
}

Test(mend, the_number_is_read_across_instructions_that_load_arguments)
{
        /* epoll_pwait of glibc 2.36 in a program with threads */
        cr_assert_eq(decode(CODE(0x8b, 0x54, 0x24, 0x10, 0x48, 0x8b, 0x74, 0x24, 8, 0xb8, 0x19, 1, 0, 0, 0x8b, 0x7c,
                                 0x24, 4)),
                     281);
        /* recvfrom */
        cr_assert_eq(decode(CODE(0x8b, 0x3c, 0x24, 0xb8, 0x2d, 0, 0, 0, 0x48, 0x8b, 0x54, 0x24, 0x10, 0x48, 0x8b, 0x74,
                                 0x24, 8)),
                     45);
        /* a futex wait: xor $0x80, %sil */
        cr_assert_eq(decode(CODE(0x45, 0x31, 0xd2, 0xb8, 0xca, 0, 0, 0, 0x40, 0x80, 0xf6, 0x80)), 202);
        /* xor %r8d, %r8d and mov $-1, %r9d between */
        cr_assert_eq(decode(CODE(0x90, 0xb8, 0xca, 0, 0, 0, 0x45, 0x31, 0xc0, 0x41, 0xb9, 0xff, 0xff, 0xff, 0xff)),
                     202);
}

Test(mend, what_may_be_read_in_two_ways_is_not_believed)
{
        cr_assert_eq(decode(CODE(0x41, 0xb8, 0xe8, 0, 0, 0)), -1, "mov $232, %%r8d");
        cr_assert_eq(decode(CODE(0x45, 0x31, 0xc0)), -1, "xor %%r8d, %%r8d");
        cr_assert_eq(decode(CODE(0x90, 0xb8, 0xe8, 0, 0, 0, 0xb8, 7, 0, 0, 0)), 7, "the last one counts");
        cr_assert_eq(decode(CODE(0x90, 0xb8, 0xe8, 0, 0, 0, 0x89, 0xe8)), -1, "then rax comes from ebp");
        cr_assert_eq(decode(CODE(0x90, 0xb8, 7, 1, 0, 0, 0x41, 0x8b, 0xb8, 0xe8, 0, 0, 0)), 263,
                     "mov 232(%%r8), %%edi");
        cr_assert_eq(decode(CODE(0x90, 0xb8, 0xe8, 0, 0, 0, 0xe8, 1, 2, 3, 4)), -1, "a call between");
        cr_assert_eq(decode(CODE(0x90, 0xb8, 0xe8, 0, 0, 0, 0x8b, 0x00)), -1, "rax is loaded between");
        /* syscall() of libc: mov %rdi, %rax, and then rdi gets its first argument */
        cr_assert_eq(decode(CODE(0x48, 0x89, 0xf8, 0x48, 0x89, 0xf7, 0x48, 0x89, 0xd6)), -1);
        cr_assert_eq(decode(CODE(0x90, 0x90, 0x89, 0xd0)), -1, "mov %%edx, %%eax");
        cr_assert_eq(decode(CODE(0x90, 0xb8, 0, 0, 0, 0x80)), -1, "no number of a call");
        cr_assert_eq(decode((const uint8_t[]){ 0xb8, 1, 0, 0, 0, 0x90, 0x90 }, 7), -1, "no syscall");
        cr_assert_eq(decode((const uint8_t[]){ 0x05 }, 1), -1);
}

Test(mend, the_number_is_read_from_a_register)
{
        enum { rdx = 1, rcx = 2, rbx = 3, rdi = 5, r12 = 12, r15 = 15 }; /* DWARF's numbers */
        uint64_t registers[SAMPLE_REGISTERS];
#define moved(...) mend_decode_moved_sigsafe(CODE(0x90, __VA_ARGS__), registers)
        for (int i = 0; i < SAMPLE_REGISTERS; i++)
                registers[i] = 0x7f0000005000;
        registers[r15] = 426;
        registers[rbx] = 7;
        registers[rdx] = 11;
        registers[rcx] = 12;
        cr_assert_eq(moved(0x44, 0x89, 0xf8), 426, "mov %%r15d, %%eax: liburing");
        cr_assert_eq(moved(0x4c, 0x89, 0xf8), 426, "mov %%r15, %%rax");
        cr_assert_eq(moved(0x41, 0x8b, 0xc7), 426, "the same in the other form");
        cr_assert_eq(moved(0x90, 0x89, 0xd8), 7, "mov %%ebx, %%eax");
        cr_assert_eq(moved(0x90, 0x89, 0xd0), 11, "mov %%edx, %%eax");
        cr_assert_eq(moved(0x90, 0x89, 0xc8), -1, "mov %%ecx, %%eax: not kept");
        cr_assert_eq(moved(0x90, 0x89, 0xd9), -1, "mov %%ebx, %%ecx");
        cr_assert_eq(moved(0x41, 0x89, 0xd8), -1, "mov %%ebx, %%r8d; or the REX belongs to what is before");
        cr_assert_eq(moved(0x44, 0x89, 0xe0), -1, "mov %%r12d, %%eax: no number");
        registers[rdi] = 3;
        cr_assert_eq(moved(0x44, 0x89, 0xf8), 426, "rdi is its first argument");
        registers[11] = 35;
        cr_assert_eq(moved(0x44, 0x89, 0xd8), -1, "r11 is not kept; or, if that is no REX, rbx");
        registers[r12] = 9;
        cr_assert_eq(moved(0x44, 0x89, 0xe0), 9, "mov %%r12d, %%eax");
        cr_assert_eq(moved(0x8b, 0x03, 0x90), -1, "another instruction before");
#undef moved
}

/* Any bytes at all: it reads no further than it may (seen by ASan), and comes to an end. */
Test(mend, any_bytes_may_stand_before_a_call)
{
        uint64_t seed = 42;
        for (int i = 0; i < 200000; i++) {
                uint8_t *code = malloc(34);
                size_t length = 2 + (size_t)i % 33;
                for (size_t j = 0; j < length; j++) {
                        seed = seed * 6364136223846793005ull + 1442695040888963407ull;
                        code[j] = (uint8_t)(seed >> 56);
                }
                code[length - 2] = 0x0f;
                code[length - 1] = 0x05;
                uint8_t *exact = realloc(code, length);
                decode(exact, length);
                mend_decode_moved_sigsafe(exact, length, (uint64_t[SAMPLE_REGISTERS]){ 1, 2, 3 });
                free(exact);
        }
}

/* ---- a thread in a call that was made to go on ---- */

struct scene {
        struct victim victim;
        sigjmp_buf jump;
        _Atomic int handled;
        _Atomic int cleaned;
        _Atomic bool inside;
        long result;
        int error;
        int fds[2];
        void *frames[32];
        int frames_count;
};

static struct scene *current;

/* Make the thread's poll() go on by us: as ppoll(), but only the kernel sees that. */
static void interrupt(struct scene *scene)
{
        struct sample sample;
        uint64_t mended = atomic_load(&handler.mended);
        memset(&sample, 0, sizeof(sample));
        cr_assert(victim_sleeps(&scene->victim, SYS_poll));
        cr_assert_eq(signal_ask(&scene->victim.task, now_ns(), &sample), CAPTURE_OK);
        cr_assert(victim_sleeps(&scene->victim, SYS_ppoll));
        cr_assert_eq(atomic_load(&handler.mended), mended + 1);
}

static void handle(int number, int flags, void (*function)(int))
{
        struct sigaction action = { .sa_handler = function, .sa_flags = flags };
        sigaction(number, &action, NULL);
}

static void count_and_trace(int number)
{
        current->frames_count = backtrace(current->frames, 32);
        current->handled++;
}

static __attribute__((noinline)) void *poll_without_end(struct victim *victim)
{
        struct scene *scene = victim->argument;
        struct pollfd fd = { .fd = scene->fds[0], .events = POLLIN };
        scene->result = poll(&fd, 1, -1);
        scene->error = errno;
        return NULL;
}

static void start_scene(struct scene *scene, void *(*body)(struct victim *))
{
        void *warm[1];
        memset(scene, 0, sizeof(*scene));
        current = scene;
        backtrace(warm, 1); /* loads libgcc here and not in a handler */
        cr_assert_eq(pipe(scene->fds), 0);
        victim_start(&scene->victim, body, scene);
}

static void end_scene(struct scene *scene)
{
        cr_assert_eq(write(scene->fds[1], "x", 1), 1);
        victim_join(&scene->victim);
}

Test(mend, a_capture_of_the_thread_shows_it_in_its_own_call, .init = begin)
{
        struct scene scene;
        struct sample before, after;
        start_scene(&scene, poll_without_end);
        cr_assert(victim_sleeps(&scene.victim, SYS_poll));
        capture_take(&scene.victim.task, true, NULL, 0, &before);
        interrupt(&scene);
        capture_take(&scene.victim.task, true, NULL, 0, &after);
        cr_assert_eq(after.loss, CAPTURE_OK);
        cr_assert_not(after.by_signal);
        cr_assert_eq(after.syscall, SYS_poll);
        cr_assert_eq(after.registers[SAMPLE_SP], before.registers[SAMPLE_SP]);
        cr_assert_eq(after.registers[SAMPLE_PC], before.registers[SAMPLE_PC]);
        cr_assert_eq(after.stack_address, before.stack_address);
        cr_assert_arr_eq(after.arguments, before.arguments, sizeof(before.arguments));
        end_scene(&scene);
        cr_assert_eq(scene.result, 1);
}

Test(mend, the_programs_own_signal_still_ends_the_call, .init = begin)
{
        struct scene scene;
        start_scene(&scene, poll_without_end);
        handle(SIGUSR1, SA_RESTART, count_and_trace);
        interrupt(&scene);
        pthread_kill(scene.victim.thread, SIGUSR1);
        victim_join(&scene.victim);
        cr_assert_eq(scene.result, -1);
        cr_assert_eq(scene.error, EINTR);
        cr_assert_eq(atomic_load(&scene.handled), 1);
}

static bool traced(const struct scene *scene, void *(*function)(struct victim *))
{
        for (int i = 0; i < scene->frames_count; i++) {
                uint64_t at = (uintptr_t)scene->frames[i];
                if (at >= (uintptr_t)function && at < (uintptr_t)function + 512)
                        return true;
        }
        return false;
}

Test(mend, a_backtrace_passes_through, .init = begin)
{
        struct scene scene;
        start_scene(&scene, poll_without_end);
        handle(SIGUSR1, 0, count_and_trace);
        interrupt(&scene);
        pthread_kill(scene.victim.thread, SIGUSR1);
        victim_join(&scene.victim);
        cr_assert_gt(scene.frames_count, 6);
        cr_assert(traced(&scene, poll_without_end));
}

static void note_cleaning(void *opaque)
{
        struct scene *scene = opaque;
        scene->cleaned++;
}

static void *poll_with_cleaning(struct victim *victim)
{
        pthread_cleanup_push(note_cleaning, victim->argument);
        poll_without_end(victim);
        pthread_cleanup_pop(0);
        return NULL;
}

Test(mend, the_thread_can_be_cancelled, .init = begin)
{
        struct scene scene;
        void *result;
#ifdef __SANITIZE_ADDRESS__
        cr_skip_test("ASan takes the frames that are left by unwinding for live ones");
#endif
        start_scene(&scene, poll_with_cleaning);
        interrupt(&scene);
        cr_assert_eq(pthread_cancel(scene.victim.thread), 0);
        cr_assert_eq(pthread_join(scene.victim.thread, &result), 0);
        cr_assert_eq(result, PTHREAD_CANCELED);
        cr_assert_eq(atomic_load(&scene.cleaned), 1);
        capture_task_close(&scene.victim.task);
}

static void jump_out(int number)
{
        siglongjmp(current->jump, 1);
}

static void *poll_and_jump(struct victim *victim)
{
        struct scene *scene = victim->argument;
        if (sigsetjmp(scene->jump, 1) == 0)
                poll_without_end(victim);
        else
                scene->handled++;
        while (!atomic_load(&victim->stop))
                atomic_store(&scene->inside, true);
        return NULL;
}

Test(mend, the_program_may_jump_out_of_the_call, .init = begin)
{
        struct scene scene;
        struct sample sample;
        start_scene(&scene, poll_and_jump);
        handle(SIGUSR1, 0, jump_out);
        interrupt(&scene);
        pthread_kill(scene.victim.thread, SIGUSR1);
        while (!atomic_load(&scene.inside))
                sched_yield();
        cr_assert_eq(atomic_load(&scene.handled), 1);
        capture_take(&scene.victim.task, true, NULL, 0, &sample);
        cr_assert_eq(sample.loss, CAPTURE_OK, "%s", capture_loss_text(sample.loss));
        cr_assert(sample.by_signal);
        victim_join(&scene.victim);
}

/* ---- alternate stacks ---- */

#ifdef __SANITIZE_ADDRESS__
#define ALTERNATE_BYTES 32768 /* ASan makes larger frames, our handler's too */
#else
#define ALTERNATE_BYTES 8192
#endif

static uint8_t *alternate;

/* Uses most of what the kernel leaves of 8 KB. */
static void use_the_stack(int number)
{
        volatile uint8_t deep[3000];
        memset((void *)deep, 1, sizeof(deep));
        current->handled += deep[number];
}

static void *poll_with_an_alternate_stack(struct victim *victim)
{
        stack_t stack = { .ss_sp = alternate + 4096, .ss_size = ALTERNATE_BYTES };
        sigaltstack(&stack, NULL);
        poll_without_end(victim);
        stack.ss_flags = SS_DISABLE;
        sigaltstack(&stack, NULL);
        return NULL;
}

/* With pages around it that can't be touched, so that an overflow is noticed. */
static void make_alternate_stack(void)
{
        size_t length = ALTERNATE_BYTES + 2 * 4096;
        alternate = mmap(NULL, length, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        mprotect(alternate + 4096, ALTERNATE_BYTES, PROT_READ | PROT_WRITE);
}

/* The call goes on while a handler of the program's runs on the same alternate stack, and after it. */
Test(mend, an_alternate_stack_of_8_kb_is_free_again_while_the_call_goes_on, .init = begin)
{
        for (int flags = 0; flags < 2; flags++) {
                struct scene scene;
                make_alternate_stack();
                start_scene(&scene, poll_with_an_alternate_stack);
                handle(SIGUSR1, flags == 0 ? SA_ONSTACK : 0, use_the_stack);
                interrupt(&scene);
                pthread_kill(scene.victim.thread, SIGUSR1);
                victim_join(&scene.victim);
                cr_assert_eq(scene.result, -1);
                cr_assert_eq(scene.error, EINTR);
                cr_assert_eq(atomic_load(&scene.handled), 1);
        }
}

static void poll_in_a_handler(int number)
{
        poll_without_end(&current->victim);
}

static void *poll_on_an_alternate_stack(struct victim *victim)
{
        stack_t stack = { .ss_sp = alternate, .ss_size = 8 * ALTERNATE_BYTES };
        handle(SIGUSR2, SA_ONSTACK, poll_in_a_handler);
        sigaltstack(&stack, NULL);
        raise(SIGUSR2);
        stack.ss_flags = SS_DISABLE;
        sigaltstack(&stack, NULL);
        return NULL;
}

Test(mend, a_call_on_the_alternate_stack_goes_on, .init = begin)
{
        struct scene scene;
        size_t roomy = 8 * ALTERNATE_BYTES;
        alternate = mmap(NULL, roomy, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        start_scene(&scene, poll_on_an_alternate_stack);
        interrupt(&scene);
        end_scene(&scene);
        cr_assert_eq(scene.result, 1);
}

/* ---- registers ---- */

struct vectors {
        uint8_t bytes[16][32];
};

/* Fills every vector and general register around the call and compares them after it. */
static __attribute__((noinline, target("avx"))) long call_with_full_registers(int fd, struct vectors *out)
{
        struct pollfd poll_fd = { .fd = fd, .events = POLLIN };
        long result;
        uint64_t general[6];
        __asm__ volatile(
                "vpcmpeqd %%xmm0, %%xmm0, %%xmm0\n\tvpcmpeqd %%xmm15, %%xmm15, %%xmm15\n\t"
                "vmovdqu (%[vectors]), %%ymm1\n\tvmovdqu 32(%[vectors]), %%ymm2\n\tvmovdqu 64(%[vectors]), %%ymm14\n\t"
                "movq $0x1111, %%rbx\n\tmovq $0x2222, %%r12\n\tmovq $0x3333, %%r13\n\tmovq $0x4444, %%r14\n\t"
                "movq $0x5555, %%r8\n\tmovq $0x6666, %%r10\n\t"
                "pushq %[vectors]\n\t"
                "movl $7, %%eax\n\tsyscall\n\t"
                "popq %%rcx\n\t"
                "vmovdqu %%ymm1, (%%rcx)\n\tvmovdqu %%ymm2, 32(%%rcx)\n\tvmovdqu %%ymm14, 64(%%rcx)\n\t"
                "vmovdqu %%xmm0, 96(%%rcx)\n\tvmovdqu %%xmm15, 128(%%rcx)\n\t"
                "movq %%rbx, 160(%%rcx)\n\tmovq %%r12, 168(%%rcx)\n\t"
                "movq %%r13, 176(%%rcx)\n\tmovq %%r14, 184(%%rcx)\n\t"
                "movq %%r8, 192(%%rcx)\n\tmovq %%r10, 200(%%rcx)\n\t"
                "movq %%rdi, 208(%%rcx)\n\tmovq %%rsi, 216(%%rcx)\n\t"
                "movq %%rdx, 224(%%rcx)\n\t"
                : "=a"(result)
                : "D"(&poll_fd), "S"(1l), "d"(100l), [vectors] "r"(out)
                : "rbx", "rcx", "r8", "r10", "r11", "r12", "r13", "r14", "xmm0", "xmm1", "xmm2", "xmm14", "xmm15",
                  "memory", "cc");
        memcpy(general, (uint8_t *)out + 208, 24);
        cr_assert_eq(general[0], (uintptr_t)&poll_fd);
        cr_assert_eq(general[1], 1);
        cr_assert_eq(general[2], 100);
        return result;
}

static void *poll_with_full_registers(struct victim *victim)
{
        struct scene *scene = victim->argument;
        static struct vectors vectors, expected;
        static const uint64_t general[] = { 0x1111, 0x2222, 0x3333, 0x4444, 0x5555, 0x6666 };
        for (size_t i = 0; i < sizeof(vectors); i++)
                ((uint8_t *)&vectors)[i] = (uint8_t)(i * 7);
        expected = vectors;
        memset((uint8_t *)&expected + 96, 0xff, 16);
        memset((uint8_t *)&expected + 128, 0xff, 16);
        memcpy((uint8_t *)&expected + 160, general, sizeof(general));
        scene->result = call_with_full_registers(scene->fds[0], &vectors);
        cr_assert_eq(memcmp(&vectors, &expected, 208), 0);
        return NULL;
}

Test(mend, all_registers_are_as_the_kernel_would_leave_them, .init = begin)
{
        struct scene scene;
        if (!__builtin_cpu_supports("avx"))
                cr_skip_test("no AVX");
        start_scene(&scene, poll_with_full_registers);
        for (int i = 0; i < 20; i++) {
                struct sample sample;
                memset(&sample, 0, sizeof(sample));
                if (i == 0)
                        interrupt(&scene);
                else
                        signal_ask(&scene.victim.task, now_ns(), &sample);
        }
        victim_join(&scene.victim);
        cr_assert_eq(scene.result, 0);
}

/* ---- what can't be mended ---- */

static void *poll_by_the_general_function(struct victim *victim)
{
        struct scene *scene = victim->argument;
        scene->result = syscall(SYS_poll, NULL, 0, 1000);
        scene->error = errno;
        return NULL;
}

/* Its number is in no register any more. */
Test(mend, a_call_by_the_general_function_is_counted, .init = begin)
{
        struct scene scene;
        struct sample sample;
        start_scene(&scene, poll_by_the_general_function);
        cr_assert(victim_sleeps(&scene.victim, SYS_poll));
        memset(&sample, 0, sizeof(sample));
        cr_assert_eq(signal_ask(&scene.victim.task, now_ns(), &sample), CAPTURE_OK);
        victim_join(&scene.victim);
        cr_assert_eq(scene.error, EINTR);
        cr_assert_eq(capture_totals()->unmended, 1);
        cr_assert_eq(capture_totals()->mended, 0);
}

/* ---- ignored signals ---- */

static void *ignore_child_and_poll(struct victim *victim)
{
        struct scene *scene = victim->argument;
        scene->result = poll(NULL, 0, 100);
        scene->error = errno;
        return NULL;
}

/* A signal that the program ignores never ends a call, also if it comes while the handler holds it back. */
Test(mend, an_ignored_signal_does_not_end_the_call, .init = begin)
{
        struct scene scene;
        struct sample sample;
        start_scene(&scene, ignore_child_and_poll);
        cr_assert(victim_sleeps(&scene.victim, SYS_poll));
        uint64_t end_ns = now_ns() + 80000000;
        for (int i = 0; i < 2000; i++) {
                struct task_call call;
                if (task_read_call(&scene.victim.task, &call) != 0 || now_ns() > end_ns)
                        break;
                memset(&sample, 0, sizeof(sample));
                pthread_kill(scene.victim.thread, i % 2 == 0 ? SIGCHLD : SIGWINCH);
                signal_ask(&scene.victim.task, now_ns(), &sample);
        }
        victim_join(&scene.victim);
        cr_assert_eq(scene.result, 0, "errno %d", scene.error);
        close(scene.fds[0]);
}

/* ---- a call that newer kernels do not interrupt ---- */

/* tmpfs fails with EINTR before Linux 6.18, whose own way `short fallocates` of tests/calls tries. */
Test(mend, an_interrupted_fallocate_is_made_again, .init = begin)
{
        struct stat status;
        int fd = memfd_create("mend", MFD_CLOEXEC);
        struct mend_frame frame = { .number = SYS_fallocate,
                                    .result = -EINTR,
                                    .arguments = { (uint64_t)fd, 0, 0, 8192 } };
        frame.handler_ns = now_ns();
        cr_assert(mend_knows_sigsafe(frame.number, frame.arguments, frame.result));
        cr_assert_eq(mend_run_sigsafe(&frame), 0);
        cr_assert(fstat(fd, &status) == 0 && status.st_size == 8192 && status.st_blocks > 0);
        close(fd);
}
