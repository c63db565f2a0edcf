/* SPDX-License-Identifier: Apache-2.0
 *
 * test_signals.c - what a program sees and gets of the signal that captures its threads
 *
 * The hooks are linked into the test itself, where they stand before libc's functions as in a host.
 *
 * Context: unit tests
 */
#include "hooked.h"

#include <sys/mman.h>

#include "../../src/hooks/contexts_x86_64.c"
#include "../../src/hooks/signals.c"

#pragma GCC diagnostic ignored "-Wdeprecated-declarations" /* a program may use them all the same */

#define OURS (SIGRTMAX - 5)

static unsigned taken, was_taken;

static bool owns_ours(int number)
{
        return number == OURS;
}

static void count_taken(void)
{
        cr_expect_eq(taken, was_taken);
        taken++;
}

static void count_was_taken(void)
{
        was_taken++;
}

static uint64_t stack_bytes;

static void keep_bytes(uint64_t bytes)
{
        stack_bytes = bytes;
}

static void our_handler(int number)
{
}

static void own_handler(int number)
{
}

/* As the agent has installed it. */
static void begin(void)
{
        static const struct hooks_calls calls = {
                .rights_end = count_begun,
                .user_changes = count_begun,
                .user_changed = count_begun,
                .exec_begins = count_begun,
                .exec_failed = count_begun,
                .code_unloaded = count_begun,
                .owns_signal = owns_ours,
                .signal_is_taken = count_taken,
                .signal_was_taken = count_was_taken,
                .stack_given = keep_bytes,
        };
        struct sigaction action = { .sa_handler = our_handler, .sa_flags = SA_RESTART };
        hooks_setup(&calls, true);
        cr_assert_eq(REAL(sigaction)(OURS, &action, NULL), 0);
}
TestSuite(signals, .init = begin);

static sighandler_t handler_now(int number)
{
        struct sigaction action;
        cr_assert_eq(REAL(sigaction)(number, NULL, &action), 0);
        return action.sa_handler;
}

Test(signals, ours_has_the_default_action_to_the_program)
{
        struct sigaction action;
        memset(&action, 0xff, sizeof action);
        cr_expect_eq(sigaction(OURS, NULL, &action), 0);
        cr_expect_eq(action.sa_handler, SIG_DFL);
        cr_expect_eq(action.sa_flags, 0);
        cr_expect_eq(sigaction(OURS, NULL, NULL), 0);
        cr_expect_eq(handler_now(OURS), our_handler);
}

Test(signals, the_default_set_anew_changes_nothing)
{
        struct sigaction action = { .sa_handler = SIG_DFL, .sa_flags = SA_RESTART };
        cr_expect_eq(sigaction(OURS, &action, &action), 0);
        cr_expect_eq(action.sa_flags, 0);
        cr_expect_eq(signal(OURS, SIG_DFL), SIG_DFL);
        cr_expect_eq(__sysv_signal(OURS, SIG_DFL), SIG_DFL);
        cr_expect_eq(handler_now(OURS), our_handler);
        cr_expect_eq(taken, 0);
}

Test(signals, a_handler_of_the_program_gets_it)
{
        struct sigaction action = { .sa_handler = own_handler }, before;
        memset(&before, 0xff, sizeof before);
        cr_expect_eq(sigaction(OURS, &action, &before), 0);
        cr_expect_eq(before.sa_handler, SIG_DFL);
        cr_expect_eq(handler_now(OURS), own_handler);
        cr_expect_eq(signal(OURS, SIG_IGN), SIG_DFL);
        cr_expect_eq(handler_now(OURS), SIG_IGN);
        cr_expect_eq(sysv_signal(OURS, own_handler), SIG_DFL);
        cr_expect_eq(taken, 3);
        cr_expect_eq(was_taken, 3);
}

/* All that libc has of the same kind. */
Test(signals, no_older_function_shows_or_changes_it)
{
        struct sigaction action;
        sigset_t set;
        sigemptyset(&set);
        sigaddset(&set, OURS);
        memset(&action, 0xff, sizeof action);
        cr_expect_eq(__sigaction(OURS, NULL, &action), 0);
        cr_expect_eq(action.sa_handler, SIG_DFL);
        cr_expect_eq(ssignal(OURS, SIG_DFL), SIG_DFL);
        cr_expect_eq(bsd_signal(OURS, SIG_DFL), SIG_DFL);
        cr_expect_eq(sigset(OURS, SIG_DFL), SIG_DFL);
        cr_expect_eq(siginterrupt(OURS, 1), 0);
        cr_assert_eq(REAL(sigaction)(OURS, NULL, &action), 0);
        cr_expect_eq(action.sa_handler, our_handler);
        cr_expect_eq(action.sa_flags & SA_RESTART, SA_RESTART);
        cr_expect_eq(taken, 0);
        cr_expect_eq(sigset(OURS, SIG_HOLD), SIG_DFL);
        cr_expect_eq(handler_now(OURS), our_handler);
        cr_expect_eq(sigset(OURS, SIG_HOLD), SIG_HOLD);
        cr_expect_eq(sigset(OURS, SIG_DFL), SIG_HOLD, "it was blocked, and is not any more");
        cr_expect_eq(sigset(OURS, own_handler), SIG_DFL);
        cr_expect_eq(handler_now(OURS), own_handler);
}

Test(signals, an_older_function_takes_it)
{
        cr_expect_eq(sigignore(OURS), 0);
        cr_expect_eq(handler_now(OURS), SIG_IGN);
        cr_expect_eq(taken, 1);
        cr_expect_eq(ssignal(OURS, own_handler), SIG_DFL);
        cr_expect_eq(bsd_signal(OURS, own_handler), SIG_DFL);
        cr_expect_eq(__sigaction(OURS, &(struct sigaction){ .sa_handler = own_handler }, NULL), 0);
        cr_expect_eq(taken, 4);
        cr_expect_eq(was_taken, 4);
        cr_expect_eq(sigset(OURS - 1, own_handler), SIG_DFL, "others are libc's matter");
        cr_expect_eq(siginterrupt(OURS - 1, 1), 0);
        cr_expect_eq(sigignore(OURS - 1), 0);
        cr_expect_eq(handler_now(OURS - 1), SIG_IGN);
}

Test(signals, others_are_libcs_matter)
{
        struct sigaction action = { .sa_handler = own_handler }, before;
        cr_expect_eq(sigaction(OURS - 1, &action, &before), 0);
        cr_expect_eq(before.sa_handler, SIG_DFL);
        cr_expect_eq(signal(OURS - 1, SIG_IGN), own_handler);
        cr_expect_eq(sysv_signal(OURS - 1, SIG_DFL), SIG_IGN);
        errno = 0;
        cr_expect_eq(signal(65, SIG_DFL), SIG_ERR);
        cr_expect_eq(errno, EINVAL);
        cr_expect_eq(taken, 0);
}

/* Its actions are its own, whatever those of its parent are. */
Test(signals, a_child_of_vfork_has_its_own)
{
        static volatile bool sees_ours;
        pid_t child = vfork();
        if (child == 0) {
                struct sigaction action;
                sees_ours = sigaction(OURS, NULL, &action) == 0 && action.sa_handler == our_handler;
                signal(OURS, SIG_DFL);
                _exit(0);
        }
        cr_expect(sees_ours);
        cr_expect_eq(handler_now(OURS), our_handler);
}

Test(signals, an_alternate_stack_is_noted_with_its_size)
{
        static char bytes[16384];
        stack_t stack = { .ss_sp = bytes, .ss_size = sizeof bytes }, old;
        loop_setup(NULL, 0, false);
        struct slot *slot = loop_claim();
        cr_assert_not_null(slot);
        cr_expect_eq(sigaltstack(&stack, NULL), 0);
        cr_expect_eq(atomic_load(&slot->alternate_bytes), sizeof bytes);
        cr_expect_leq(atomic_load(&loop_least_alternate_bytes), sizeof bytes);
        cr_expect_neq(atomic_load(&loop_least_alternate_bytes), 0);
        stack.ss_flags = SS_DISABLE;
        cr_expect_eq(sigaltstack(&stack, &old), 0);
        cr_expect_eq(old.ss_size, sizeof bytes);
        cr_expect_eq(atomic_load(&slot->alternate_bytes), 0);
        stack = (stack_t){ .ss_sp = bytes, .ss_size = 16 };
        cr_expect_eq(sigaltstack(&stack, NULL), -1);
        cr_expect_eq(errno, ENOMEM);
        cr_expect_eq(atomic_load(&slot->alternate_bytes), 0);
        cr_expect_eq(sigaltstack((stack_t *)8, NULL), -1);
        cr_expect_eq(errno, EFAULT);
}

Test(signals, an_alternate_stack_may_be_described_where_memory_ends)
{
        char *pages = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        cr_assert_neq(pages, MAP_FAILED);
        cr_assert_eq(munmap(pages + 4096, 4096), 0);
        cr_expect_eq(sigaltstack((stack_t *)(void *)(pages + 4096 - sizeof(stack_t) / 2), NULL), -1);
        cr_expect_eq(errno, EFAULT);
}

Test(signals, a_child_of_vfork_has_an_alternate_stack_of_its_own)
{
        static char bytes[16384];
        static stack_t stack = { .ss_sp = bytes, .ss_size = sizeof bytes };
        loop_setup(NULL, 0, false);
        struct slot *slot = loop_claim();
        cr_assert_not_null(slot);
        uint64_t before = atomic_load(&slot->alternate_bytes); /* ASan's runtime makes one */
        pid_t child = vfork();
        if (child == 0) {
                sigaltstack(&stack, NULL);
                _exit(0);
        }
        cr_expect_neq(before, sizeof bytes);
        cr_expect_eq(atomic_load(&slot->alternate_bytes), before);
}

/* ---- coroutines ---- */

static ucontext_t back, there;
static long sum;

static void add_none(void)
{
        sum += 1000;
}

static void add_nine(int a, int b, int c, int d, int e, int f, int g, int h, int i)
{
        sum += a + 2 * b + 3 * c + 4 * d + 5 * e + 6 * f + 7 * g + 8 * h + 9 * i;
}

Test(signals, a_coroutine_gets_all_its_arguments_and_its_stack_is_noted)
{
        static _Alignas(16) char stack[65536];
        cr_assert_eq(getcontext(&there), 0);
        there.uc_stack = (stack_t){ .ss_sp = stack, .ss_size = sizeof stack };
        there.uc_link = &back;
        makecontext(&there, add_none, 0);
        cr_expect_eq(stack_bytes, sizeof stack);
        cr_assert_eq(swapcontext(&back, &there), 0);
        cr_expect_eq(sum, 1000);
        there.uc_stack.ss_size = sizeof stack - 4096;
        makecontext(&there, (void (*)(void))add_nine, 9, 1, 1, 1, 1, 1, 1, 1, 1, 100);
        cr_expect_eq(stack_bytes, sizeof stack - 4096);
        cr_assert_eq(swapcontext(&back, &there), 0);
        cr_expect_eq(sum, 1000 + 36 + 900);
}
