/* SPDX-License-Identifier: Apache-2.0
 *
 * test_signal.c - the signal: which one, what if it is somebody else's or late, fork and exec
 *
 * Context: unit tests; each runs in a process of its own
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

#include "base/calls.h"
#include "base/limits.h"
#include "capture/capture.h"
#include "capture/handler.h"
#include "capture/signal.h"
#include "forbid.h"
#include "victim.h"

static void begin(void)
{
        const char *why = NULL;
        cr_assert_eq(capture_start(0, &why), 0, "%s", why);
}

static void take(struct victim *victim, struct sample *sample)
{
        capture_take(&victim->task, true, NULL, 0, sample);
}

/* A thread that runs, after a while: told by `step`. */
struct steps {
        _Atomic int step;
        const char *program; /* for exec */
};

static void *run_on(struct victim *victim)
{
        struct steps *steps = victim->argument;
        atomic_store(&steps->step, 100);
        while (!atomic_load(&victim->stop))
                ;
        return NULL;
}

static void wait_for_step(struct steps *steps, int step)
{
        while (atomic_load(&steps->step) < step)
                sched_yield();
}

static void *sleep_long(struct victim *victim)
{
        while (!atomic_load(&victim->stop))
                sleep_us(10000);
        return NULL;
}

/* ---- which one ---- */

Test(signal, a_free_signal_is_chosen_from_sigrtmax_5_downwards)
{
        const char *why = NULL;
        sigset_t set;
        signal(SIGRTMAX - 5, SIG_IGN); /* used by the program */
        sigemptyset(&set);
        sigaddset(&set, SIGRTMAX - 6); /* blocked by the program */
        pthread_sigmask(SIG_BLOCK, &set, NULL);
        cr_assert_eq(capture_start(0, &why), 0);
        cr_assert_eq(atomic_load(&handler.number), SIGRTMAX - 7);
        cr_assert_eq(capture_start(0, &why), 0);
        cr_assert_eq(atomic_load(&handler.number), SIGRTMAX - 7, "started twice, it keeps its signal");
        capture_stop();
        struct sigaction action;
        sigaction(SIGRTMAX - 7, NULL, &action);
        cr_assert_eq(action.sa_handler, SIG_DFL);
}

static void *block_everything_and_wait(struct victim *victim)
{
        sigset_t set;
        sigfillset(&set);
        pthread_sigmask(SIG_SETMASK, &set, NULL);
        while (!atomic_load(&victim->stop))
                sleep_us(1000);
        return NULL;
}

Test(signal, a_thread_that_blocks_every_signal_does_not_forbid_them_all)
{
        const char *why = NULL;
        struct victim victim;
        victim_start(&victim, block_everything_and_wait, NULL);
        cr_assert(victim_sleeps(&victim, SYS_clock_nanosleep));
        cr_assert_eq(capture_start(0, &why), 0, "%s", why);
        cr_assert_eq(atomic_load(&handler.number), SIGRTMAX - 5);
        victim_join(&victim);
}

Test(signal, none_is_taken_where_none_is_wanted)
{
        const char *why = NULL;
        struct sample sample;
        static _Atomic uint64_t mark = 7;
        struct busy busy = { .rounds = 0 };
        struct victim victim;
        cr_assert_eq(capture_start(-1, &why), 0);
        cr_expect_null(why);
        cr_expect_eq(atomic_load(&handler.number), 0);
        victim_start(&victim, be_busy, &busy);
        wait_until_busy(&busy);
        capture_take(&victim.task, true, &mark, 7, &sample);
        cr_expect_eq(sample.loss, CAPTURE_SIGNAL_UNWANTED, "%s", capture_loss_text(sample.loss));
        victim_join(&victim);
}

Test(signal, where_no_signal_is_free_only_sleeping_threads_are_captured)
{
        struct steps steps = { .step = 0 };
        const char *why = NULL;
        struct victim runs, sleeps;
        struct sample sample;
        for (int number = SIGRTMIN; number <= SIGRTMAX; number++)
                signal(number, SIG_IGN);
        cr_assert_eq(capture_start(0, &why), -EBUSY);
        cr_assert_not_null(why);
        victim_start(&runs, run_on, &steps);
        victim_start(&sleeps, sleep_long, NULL);
        cr_assert(victim_sleeps(&sleeps, SYS_clock_nanosleep));
        wait_for_step(&steps, 1);
        take(&runs, &sample);
        cr_assert_eq(sample.loss, CAPTURE_NO_SIGNAL);
        take(&sleeps, &sample);
        cr_assert_eq(sample.loss, CAPTURE_OK);
        victim_join(&runs);
        victim_join(&sleeps);
}

Test(signal, the_signal_of_the_settings_is_used_if_it_can_be)
{
        const char *why = NULL;
        cr_assert_eq(capture_start(SIGRTMIN + 2, &why), 0);
        cr_assert_eq(atomic_load(&handler.number), SIGRTMIN + 2);
        capture_stop();
        static const int bad[] = { 1, 9, 32, 33, 65 };
        for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
                why = NULL;
                cr_assert_eq(capture_start(bad[i], &why), -EBUSY, "%d", bad[i]);
                cr_assert_not_null(why);
        }
        signal(SIGRTMIN + 3, SIG_IGN);
        cr_assert_eq(capture_start(SIGRTMIN + 3, &why), -EBUSY);
}

/* What a program sees of a signal with our number that is not ours. */
static int status_after_foreign_signal(bool started, bool thread_directed)
{
        int status;
        pid_t child = fork();
        if (child == 0) {
                if (started)
                        begin();
                union sigval value = { .sival_int = 5 };
                if (thread_directed)
                        pthread_sigqueue(pthread_self(), SIGRTMAX - 5, value);
                else
                        kill(getpid(), SIGRTMAX - 5);
                sleep_us(100000);
                _exit(0);
        }
        cr_assert_eq(waitpid(child, &status, 0), child);
        return status;
}

Test(signal, a_foreign_signal_of_our_number_does_what_it_did_before)
{
        for (int directed = 0; directed < 2; directed++) {
                int without = status_after_foreign_signal(false, directed != 0);
                int with = status_after_foreign_signal(true, directed != 0);
                cr_assert(WIFSIGNALED(without));
                cr_assert_eq(with, without, "status %x instead of %x", with, without);
        }
}

/* Our signal arrives after its request was taken back. */
static void *block_for_a_while(struct victim *victim)
{
        sigset_t set, before;
        struct steps *steps = victim->argument;
        sigfillset(&set);
        pthread_sigmask(SIG_SETMASK, &set, &before);
        atomic_store(&steps->step, 1);
        while (atomic_load(&steps->step) == 1)
                ;
        pthread_sigmask(SIG_SETMASK, &before, NULL);
        return run_on(victim);
}

Test(signal, a_handler_that_runs_late_finds_its_request_withdrawn, .init = begin)
{
        struct steps steps = { .step = 0 };
        struct victim victim;
        struct sample sample;
        struct sigaction action;
        memset(&sample, 0, sizeof(sample));
        victim_start(&victim, block_for_a_while, &steps);
        wait_for_step(&steps, 1);
        uint64_t begin_ns = now_ns();
        cr_assert_eq(signal_ask(&victim.task, now_ns(), &sample), CAPTURE_SIGNAL_LATE);
        uint64_t waited_ns = now_ns() - begin_ns;
        cr_assert(waited_ns > 20000000 && waited_ns < 120000000, "%lu ns", (unsigned long)waited_ns);
        cr_assert_eq(signal_take(&victim.task, &sample), CAPTURE_SIGNAL_LATE, "one is still pending: no second one");
        capture_stop();
        sigaction(atomic_load(&handler.number), NULL, &action);
        cr_assert_neq(action.sa_handler, SIG_DFL, "it would die of the signal on its way");
        cr_assert_eq(atomic_load(&handler.arrived), 0);
        uint64_t word = atomic_load(&handler.request.word);
        atomic_store(&steps.step, 2);
        while (atomic_load(&handler.arrived) == 0)
                sched_yield();
        cr_assert_eq(atomic_load(&handler.request.word), word, "it answers nothing");
        take(&victim, &sample);
        cr_assert_eq(sample.loss, CAPTURE_OK);
        capture_stop();
        sigaction(atomic_load(&handler.number), NULL, &action);
        cr_assert_eq(action.sa_handler, SIG_DFL);
        victim_join(&victim);
}

Test(signal, a_refused_system_call_is_not_made, .init = begin)
{
        struct steps steps = { .step = 0 };
        struct victim victim;
        struct sample sample;
        victim_start(&victim, run_on, &steps);
        wait_for_step(&steps, 1);
        call_refuse(SYS_rt_tgsigqueueinfo);
        take(&victim, &sample);
        cr_assert_eq(sample.loss, CAPTURE_FILTERED);
        victim_join(&victim);
}

/* As gdb and strace do: attached, and the thread goes on. A byte on `told` says so; the end of `until` lets it go. */
static pid_t start_tracer(pid_t tid, const int told[2], const int until[2])
{
        pid_t child = fork();
        if (child != 0)
                return child;
        char word = ptrace(PTRACE_SEIZE, tid, NULL, NULL) == 0 ? 'y' : 'n';
        close(until[1]);
        _exit(write(told[1], &word, 1) != 1 || read(until[0], &word, 1) != 0);
}

Test(signal, a_thread_under_a_debugger_is_sent_none)
{
        int told[2], until[2], status;
        char word = 'n';
        const char *why = NULL;
        struct steps steps = { .step = 0 };
        struct victim victim;
        struct sample sample;
        cr_assert_eq(pipe(told) | pipe(until), 0);
        victim_start(&victim, run_on, &steps);
        wait_for_step(&steps, 1);
        pid_t tracer = start_tracer(atomic_load(&victim.tid), told, until);
        cr_assert_eq(capture_start(0, &why), 0, "%s", why);
        cr_assert(read(told[0], &word, 1) == 1);
        if (word == 'y') { /* else a container forbids it */
                take(&victim, &sample);
                cr_expect_eq(sample.loss, CAPTURE_TRACED);
        }
        close(until[1]);
        cr_assert(waitpid(tracer, &status, 0) == tracer && status == 0);
        take(&victim, &sample);
        cr_expect_eq(sample.loss, CAPTURE_OK);
        victim_join(&victim);
}

/* ---- fork and exec ---- */

Test(signal, a_child_of_fork_starts_afresh, .init = begin)
{
        int status;
        pid_t child = fork();
        if (child == 0) {
                struct steps steps = { .step = 0 };
                struct sigaction action;
                struct victim victim;
                struct sample sample;
                int number = atomic_load(&handler.number);
                capture_after_fork();
                sigaction(number, NULL, &action);
                if (action.sa_handler != SIG_DFL)
                        _exit(1);
                begin();
                victim_start(&victim, run_on, &steps);
                wait_for_step(&steps, 1);
                take(&victim, &sample);
                if (sample.loss != CAPTURE_OK || capture_totals()->captures != 1)
                        _exit(2);
                _exit(0);
        }
        cr_assert_eq(waitpid(child, &status, 0), child);
        cr_assert_eq(status, 0, "status %x", status);
}

/* Asked for while it blocks the signal, as a thread between fork and exec may: it must not take ours along. */
static void *block_and_drain(struct victim *victim)
{
        struct steps *steps = victim->argument;
        sigset_t set, pending, before, after;
        sigfillset(&set);
        pthread_sigmask(SIG_SETMASK, &set, NULL);
        atomic_store(&steps->step, 1);
        wait_for_step(steps, 2);
        sigpending(&pending);
        cr_assert(sigismember(&pending, atomic_load(&handler.number)));
        pthread_sigmask(SIG_BLOCK, NULL, &before);
        capture_forbid_and_drain();
        pthread_sigmask(SIG_BLOCK, NULL, &after);
        sigpending(&pending);
        capture_allow();
        cr_assert_arr_eq(&before, &after, sizeof(uint64_t));
        steps->step = sigismember(&pending, atomic_load(&handler.number)) ? 4 : 3;
        return NULL;
}

Test(signal, what_is_pending_is_drained_before_exec, .init = begin)
{
        struct steps steps = { .step = 0 };
        struct victim victim;
        struct sample sample;
        memset(&sample, 0, sizeof(sample));
        victim_start(&victim, block_and_drain, &steps);
        wait_for_step(&steps, 1);
        cr_assert_eq(signal_ask(&victim.task, now_ns(), &sample), CAPTURE_SIGNAL_LATE);
        atomic_store(&steps.step, 2);
        wait_for_step(&steps, 3);
        cr_assert_eq(atomic_load(&steps.step), 3, "it is still pending");
        cr_assert_eq(atomic_load(&handler.arrived), 1, "and known not to be on its way any more");
        victim_join(&victim);
}

Test(signal, what_somebody_else_has_sent_stays_pending, .init = begin)
{
        sigset_t set, pending;
        int number = atomic_load(&handler.number);
        sigemptyset(&set);
        sigaddset(&set, number);
        pthread_sigmask(SIG_BLOCK, &set, NULL);
        raise(number);
        capture_forbid_and_drain();
        sigpending(&pending);
        cr_assert(sigismember(&pending, number));
}

static void *exec_soon(struct victim *victim)
{
        struct steps *steps = victim->argument;
        uint64_t end_ns = now_ns() + 2000000 + (uint64_t)(getpid() % 10) * 100000;
        char *const argv[] = { (char *)(uintptr_t) "true", NULL };
        atomic_store(&steps->step, 1);
        while (now_ns() < end_ns)
                ;
        capture_forbid_and_drain();
        execv(steps->program, argv);
        capture_allow();
        return run_on(victim);
}

static _Noreturn void exec_in_a_storm(void)
{
        struct steps steps = { .program = "/bin/true" };
        struct victim victim;
        struct sample sample;
        begin();
        victim_start(&victim, exec_soon, &steps);
        wait_for_step(&steps, 1);
        for (;;) /* without looking first: the worst case */
                signal_ask(&victim.task, now_ns(), &sample);
}

Test(signal, no_program_dies_of_a_signal_of_ours_after_exec)
{
        int died = 0;
        for (int i = 0; i < 200; i++) {
                int status;
                pid_t child = fork();
                if (child == 0)
                        exec_in_a_storm();
                cr_assert_eq(waitpid(child, &status, 0), child);
                died += status != 0;
        }
        cr_assert_eq(died, 0, "%d of 200 died", died);
}

Test(signal, after_a_failed_exec_threads_are_captured_again, .init = begin)
{
        struct steps steps = { .program = "/nonexistent" };
        struct victim victim;
        struct sample sample;
        victim_start(&victim, exec_soon, &steps);
        while (atomic_load(&steps.step) < 100)
                take(&victim, &sample);
        sleep_us(1000);
        take(&victim, &sample);
        cr_assert_eq(sample.loss, CAPTURE_OK, "%s", capture_loss_text(sample.loss));
        capture_forbid_and_drain();
        take(&victim, &sample);
        cr_assert_eq(sample.loss, CAPTURE_FORBIDDEN);
        capture_allow();
        take(&victim, &sample);
        cr_assert_eq(sample.loss, CAPTURE_OK);
        victim_join(&victim);
}

Test(signal, a_vforked_childs_exec_does_not_end_captures_in_the_parent, .init = begin)
{
        struct steps steps = { .step = 0 };
        struct victim victim;
        struct sample sample;
        pid_t child = vfork();
        if (child == 0) {
                capture_forbid_and_drain();
                execl("/bin/true", "true", NULL);
                _exit(1);
        }
        waitpid(child, NULL, 0);
        victim_start(&victim, run_on, &steps);
        wait_for_step(&steps, 1);
        take(&victim, &sample);
        cr_assert_eq(sample.loss, CAPTURE_OK);
        victim_join(&victim);
}

/* ---- the program wants it itself ---- */

Test(signal, is_given_up_when_none_is_on_its_way, .init = begin)
{
        struct steps steps = { .step = 0 };
        struct victim victim;
        struct sample sample;
        memset(&sample, 0, sizeof(sample));
        cr_expect(capture_owns_signal(atomic_load(&handler.number)));
        cr_expect_not(capture_owns_signal(atomic_load(&handler.number) - 1));
        cr_expect_not(capture_owns_signal(0));
        victim_start(&victim, block_for_a_while, &steps);
        wait_for_step(&steps, 1);
        cr_assert_eq(signal_ask(&victim.task, now_ns(), &sample), CAPTURE_SIGNAL_LATE);
        uint64_t begin_ns = now_ns();
        capture_give_signal_up(); /* it waits a little, and no longer */
        uint64_t waited_ns = now_ns() - begin_ns;
        cr_expect(waited_ns > 50000000 && waited_ns < 5000000000, "%lu ns", (unsigned long)waited_ns);
        atomic_store(&steps.step, 2);
        while (atomic_load(&handler.arrived) == 0)
                sched_yield();
        capture_give_signal_up();
        take(&victim, &sample);
        cr_expect_eq(sample.loss, CAPTURE_FORBIDDEN);
        capture_allow();
        capture_allow();
        take(&victim, &sample);
        cr_expect_eq(sample.loss, CAPTURE_OK, "%s", capture_loss_text(sample.loss));
        signal(atomic_load(&handler.number), SIG_IGN);
        cr_expect_not(capture_owns_signal(atomic_load(&handler.number)));
        victim_join(&victim);
}

static _Noreturn void give_up_under_a_filter(void)
{
        struct steps steps = { .step = 0 };
        struct victim victim;
        struct sample sample;
        memset(&sample, 0, sizeof(sample));
        begin();
        victim_start(&victim, block_for_a_while, &steps);
        wait_for_step(&steps, 1);
        if (signal_ask(&victim.task, now_ns(), &sample) != CAPTURE_SIGNAL_LATE)
                _exit(1);
        forbid((int[3]){ SYS_nanosleep, SYS_clock_nanosleep, SYS_rt_sigtimedwait }, SECCOMP_RET_KILL_PROCESS, 0);
        capture_give_signal_up();
        _exit(0);
}

/* That a thread of the program has installed for itself alone. TSan itself sleeps at exit by a call that it forbids. */
Test(signal, is_given_up_by_calls_that_no_filter_punishes, .disabled = UNDER_TSAN)
{
        int status;
        if (prctl(PR_GET_SECCOMP) != 0)
                cr_skip_test("the tests themselves run under a filter");
        pid_t child = fork();
        if (child == 0)
                give_up_under_a_filter();
        cr_assert_eq(waitpid(child, &status, 0), child);
        cr_expect_eq(status, 0, "status %x", status);
}

static _Atomic int own_signals;

static void count_own_signal(int number)
{
        atomic_fetch_add(&own_signals, 1);
}

/* Taken after the last look at the action: of what is sent then nothing may come to the program's own handler. */
Test(signal, that_was_taken_just_now_is_not_sent, .init = begin)
{
        struct steps steps = { .step = 0 };
        struct victim victim;
        struct sample sample;
        memset(&sample, 0, sizeof(sample));
        victim_start(&victim, run_on, &steps);
        wait_for_step(&steps, 100);
        signal(atomic_load(&handler.number), count_own_signal);
        cr_expect_eq(signal_ask(&victim.task, now_ns(), &sample), CAPTURE_SIGNAL_TAKEN);
        take(&victim, &sample);
        cr_expect_eq(sample.loss, CAPTURE_SIGNAL_TAKEN, "%s", capture_loss_text(sample.loss));
        victim_join(&victim);
        cr_expect_eq(own_signals, 0);
}

/* ---- handlers of the program ---- */

/* As in a handler: the signal that is handled is blocked. */
static void *run_blocking(struct victim *victim)
{
        struct steps *steps = victim->argument;
        sigset_t set;
        sigemptyset(&set);
        sigaddset(&set, atomic_load(&steps->step));
        pthread_sigmask(SIG_BLOCK, &set, NULL);
        return run_on(victim);
}

static enum capture_loss loss_while_blocking(int number, uint64_t alternate_bytes, uint64_t usually)
{
        struct steps steps = { .step = number };
        _Atomic uint64_t bytes = alternate_bytes;
        struct victim victim;
        struct sample sample;
        victim_start(&victim, run_blocking, &steps);
        wait_for_step(&steps, 100);
        victim.task.alternate_bytes = &bytes;
        victim.task.usually_blocked = usually;
        do
                take(&victim, &sample);
        while (sample.loss == CAPTURE_MOVED || sample.loss == CAPTURE_SIGNAL_LATE);
        victim_join(&victim);
        return sample.loss;
}

Test(signal, is_not_sent_to_a_handler_on_a_small_stack, .init = begin)
{
        uint64_t usr1 = (uint64_t)1 << (SIGUSR1 - 1), segv = (uint64_t)1 << (SIGSEGV - 1);
        cr_expect_eq(loss_while_blocking(SIGUSR1, 8192, 0), CAPTURE_IN_HANDLER);
        cr_expect_eq(loss_while_blocking(SIGUSR1, 8192, usr1), CAPTURE_OK, "it always blocks it");
        cr_expect_eq(loss_while_blocking(SIGUSR1, LIMIT_ALTERNATE_BYTES, 0), CAPTURE_OK, "there is room");
        cr_expect_eq(loss_while_blocking(SIGUSR1, 0, 0), CAPTURE_OK, "its handlers run on its stack");
        cr_expect_eq(loss_while_blocking(SIGSEGV, 0, 0), CAPTURE_IN_HANDLER, "it may be about to end");
        cr_expect_eq(loss_while_blocking(SIGSEGV, 0, segv), CAPTURE_OK);
}
