/* SPDX-License-Identifier: Apache-2.0
 *
 * test_loss.c - where a capture gives no stack, the reason is the right one, and the program survives
 *
 * Context: unit tests; each runs in a process of its own
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "base/descriptors.h"
#include "capture/capture.h"
#include "capture/handler.h"
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

static void *read_pipe(struct victim *victim)
{
        volatile uint64_t pattern = PATTERN;
        char c;
        ssize_t n = read(*(int *)victim->argument, &c, 1);
        return n == 1 ? (void *)(uintptr_t)pattern : NULL;
}

static void *be_busy_with_all_blocked(struct victim *victim)
{
        sigset_t set;
        sigfillset(&set);
        pthread_sigmask(SIG_SETMASK, &set, NULL);
        return be_busy(victim);
}

static void check_loss(void *(*body)(struct victim *), enum capture_loss loss, char state)
{
        struct busy busy = { .rounds = 0 };
        struct victim victim;
        struct sample sample;
        victim_start(&victim, body, &busy);
        wait_until_busy(&busy);
        take(&victim, &sample);
        cr_assert_eq(sample.loss, loss, "%s", capture_loss_text(sample.loss));
        cr_assert_eq(sample.state, state);
        cr_assert_gt(sample.cpu_ns, 0);
        cr_assert_eq(capture_totals()->losses[loss], 1);
        victim_join(&victim);
}

Test(loss, a_thread_that_blocks_the_signal_is_said_so, .init = begin)
{
        check_loss(be_busy_with_all_blocked, CAPTURE_SIGNAL_BLOCKED, 'R');
        cr_assert_eq(atomic_load(&handler.arrived), 0);
}

/* What the kernel blocks while our handler runs, SIGSEGV not: a thread that lost its processor there. */
static void *be_busy_as_in_the_handler(struct victim *victim)
{
        uint64_t mask = HANDLER_MASK;
        syscall(SYS_rt_sigprocmask, SIG_SETMASK, &mask, NULL, sizeof mask);
        return be_busy(victim);
}

Test(loss, a_thread_that_is_still_in_our_handler_does_not_block_the_signal, .init = begin)
{
        check_loss(be_busy_as_in_the_handler, CAPTURE_SIGNAL_LATE, 'R');
        cr_assert_eq(atomic_load(&handler.arrived), 0);
}

Test(loss, an_action_that_the_program_resets_does_not_kill_it, .init = begin)
{
        signal(atomic_load(&handler.number), SIG_DFL);
        check_loss(be_busy, CAPTURE_SIGNAL_TAKEN, 'R');
}

Test(loss, an_action_that_the_program_takes_is_left_to_it, .init = begin)
{
        struct sigaction action;
        signal(atomic_load(&handler.number), SIG_IGN);
        check_loss(be_busy, CAPTURE_SIGNAL_TAKEN, 'R');
        capture_stop();
        sigaction(atomic_load(&handler.number), NULL, &action);
        cr_assert_eq(action.sa_handler, SIG_IGN);
}

Test(loss, a_thread_that_has_ended_is_gone, .init = begin)
{
        struct busy busy = { .rounds = 0 };
        struct victim victim;
        struct sample sample;
        victim_start(&victim, be_busy, &busy);
        atomic_store(&victim.stop, true);
        pthread_join(victim.thread, NULL);
        while (syscall(SYS_tgkill, getpid(), victim.task.tid, 0) == 0)
                sched_yield();
        take(&victim, &sample);
        cr_assert_eq(sample.loss, CAPTURE_GONE);
        capture_task_close(&victim.task);
}

/* SIGSTOP would stop the watchdog as well, so another process stands for a thread that a debugger holds. */
Test(loss, a_stopped_thread_is_said_to_be_stopped, .init = begin)
{
        struct capture_task task;
        struct sample sample;
        char bytes[64];
        pid_t child = fork();
        if (child == 0) {
                for (;;)
                        pause();
        }
        memset(&task, 0, sizeof(task));
        kill(child, SIGSTOP);
        cr_assert_eq(waitpid(child, NULL, WUNTRACED), child);
        task.tid = child;
        snprintf(bytes, sizeof(bytes), "/proc/%d/syscall", child);
        task.syscall_fd = descriptor_take(open(bytes, O_RDONLY));
        snprintf(bytes, sizeof(bytes), "/proc/%d/status", child);
        task.status_fd = descriptor_take(open(bytes, O_RDONLY));
        snprintf(bytes, sizeof(bytes), "/proc/%d/stat", child);
        task.stat_fd = descriptor_take(open(bytes, O_RDONLY));
        capture_take(&task, true, NULL, 0, &sample);
        cr_assert_eq(sample.loss, CAPTURE_STOPPED, "%s", capture_loss_text(sample.loss));
        cr_assert_eq(sample.state, 'T');
        close(task.syscall_fd); /* the same where only the state is known */
        task.syscall_fd = -1;
        capture_take(&task, true, NULL, 0, &sample);
        cr_assert_eq(sample.loss, CAPTURE_STOPPED);
        kill(child, SIGKILL);
        waitpid(child, NULL, 0);
}

Test(loss, without_proc_it_is_said_so, .init = begin)
{
        struct capture_task task = {
                .tid = getpid(), .syscall_fd = -1, .status_fd = -1, .stat_fd = -1, .open_error = -ENOENT
        };
        struct sample sample;
        capture_take(&task, true, NULL, 0, &sample);
        cr_assert_eq(sample.loss, CAPTURE_NO_PROC);
        cr_assert_not(capture_task_gone(&task));
        task.tid = 4194304; /* above any thread's */
        capture_take(&task, true, NULL, 0, &sample);
        cr_assert_eq(sample.loss, CAPTURE_GONE);
}

static unsigned count_open(void)
{
        unsigned count = 0;
        for (int fd = 0; fd < 2000; fd++)
                count += fcntl(fd, F_GETFD) >= 0;
        return count;
}

Test(loss, many_threads_take_no_more_than_a_share_of_the_descriptors, .init = begin)
{
        static struct capture_task tasks[100];
        struct rlimit limit = { 96, 96 };
        struct victim victim;
        struct sample sample;
        int fds[2];
        cr_assert_eq(pipe(fds), 0);
        victim_start(&victim, read_pipe, &fds[0]);
        while (!victim_sleeps(&victim, SYS_read))
                sched_yield();
        setrlimit(RLIMIT_NOFILE, &limit);
        unsigned before = count_open();
        for (int i = 0; i < 100; i++)
                capture_task_open(&tasks[i], victim.task.tid, 0);
        unsigned with_tasks = count_open();
        cr_assert_leq(with_tasks, before + 96 / 8);
        for (int i = 0; i < 100; i += 99) {
                capture_take(&tasks[i], true, NULL, 0, &sample);
                cr_assert_eq(sample.loss, CAPTURE_OK, "%s", capture_loss_text(sample.loss));
                cr_assert_eq(sample.state, 'S');
        }
        cr_assert_eq(count_open(), with_tasks);
        while (dup(0) >= 0)
                ;
        capture_take(&tasks[99], true, NULL, 0, &sample);
        cr_assert_eq(sample.loss, CAPTURE_NO_FILES, "%s", capture_loss_text(sample.loss));
        capture_take(&tasks[0], true, NULL, 0, &sample); /* its files are kept open, and its stack is known */
        cr_assert_eq(sample.loss, CAPTURE_OK, "%s", capture_loss_text(sample.loss));
        tasks[0].stack_low = tasks[0].stack_high = 0; /* as before its first capture */
        capture_take(&tasks[0], true, NULL, 0, &sample);
        cr_assert_eq(sample.loss, CAPTURE_NO_FILES, "%s", capture_loss_text(sample.loss));
        for (int i = 0; i < 100; i++)
                capture_task_close(&tasks[i]);
        close(fds[1]);
        victim_join(&victim);
}

/* After setuid the files of /proc belong to root. */
static int check_after_setuid(void)
{
        static struct busy busy; /* static: the threads outlive this function */
        static int fds[2];
        static struct victim runs, sleeps, early;
        struct sample sample;
        if (pipe(fds) != 0)
                return 1;
        victim_start(&early, read_pipe, &fds[0]);
        if (setuid(65534) != 0)
                return 2;
        victim_start(&runs, be_busy, &busy);
        victim_start(&sleeps, read_pipe, &fds[0]);
        while (atomic_load(&busy.rounds) == 0 || !victim_sleeps(&early, SYS_read))
                sched_yield();
        sleep_us(20000);
        if (runs.task.open_error != -EACCES || early.task.open_error != 0)
                return 3;
        take(&sleeps, &sample);
        if (sample.loss != CAPTURE_NOT_DUMPABLE || sample.state != 'S')
                return 4;
        take(&runs, &sample);
        if (sample.loss != CAPTURE_OK || !sample.by_signal || find_pattern(&sample, PATTERN) == 0)
                return 5;
        take(&early, &sample); /* its files were opened in time */
        if (sample.loss != CAPTURE_OK || sample.by_signal || find_pattern(&sample, PATTERN) == 0)
                return 6;
        return 0;
}

Test(loss, after_setuid_running_threads_have_stacks_and_sleeping_ones_a_reason)
{
        int status;
        if (geteuid() != 0)
                cr_skip_test("needs root");
        pid_t child = fork();
        if (child == 0) {
                begin();
                _exit(check_after_setuid());
        }
        cr_assert_eq(waitpid(child, &status, 0), child);
        cr_assert(WIFEXITED(status), "status %x", status);
        cr_assert_eq(WEXITSTATUS(status), 0, "step %d", WEXITSTATUS(status));
}

/* ---- words ---- */

Test(loss, every_loss_has_words)
{
        for (int loss = 0; loss < CAPTURE_LOSSES; loss++) {
                cr_assert_not_null(capture_loss_text((enum capture_loss)loss), "%d", loss);
                for (int other = 0; other < loss; other++)
                        cr_assert_str_neq(capture_loss_text((enum capture_loss)loss),
                                          capture_loss_text((enum capture_loss)other));
        }
        cr_assert_str_eq(capture_loss_text(CAPTURE_LOSSES), "unknown");
}
