/* SPDX-License-Identifier: Apache-2.0
 *
 * test_calls.c - which calls are refused under a filter, found out by children that nobody sees
 *
 * Context: unit tests; what installs a filter does so in a child of its own
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/calls.h"
#include "base/notice.h"
#include "forbid.h"

static const int three[3] = { SYS_process_vm_readv, SYS_pidfd_getfd, SYS_process_vm_writev };

/* Run `body` in a child, which may come under a filter for good; its exit code is the line where it failed. */
static void in_child(int (*body)(void))
{
        int status;
        pid_t child = fork();
        if (child == 0)
                _exit(body());
        cr_assert(eq(int, waitpid(child, &status, 0), child));
        cr_expect(eq(int, WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status), 0));
}

#define EXPECT(condition)                                                                                              \
        do {                                                                                                           \
                if (!(condition))                                                                                      \
                        return __LINE__ % 89 + 1;                                                                      \
        } while (0)

static bool only_three_are_refused(void)
{
        for (int number = 0; number < 448; number++) {
                bool expected = number != three[0] && number != three[1] && number != three[2];
                if (call_allowed_sigsafe(number) != expected)
                        return false;
        }
        return true;
}

static bool everything_is_refused(void)
{
        return !call_allowed_sigsafe(SYS_process_vm_readv) && !call_allowed_sigsafe(SYS_openat) &&
               !call_allowed_sigsafe(SYS_pread64) && !call_allowed_sigsafe(SYS_membarrier);
}

static int find_under(uint32_t action)
{
        struct rlimit core = { RLIM_INFINITY, RLIM_INFINITY };
        char folder[] = "/tmp/loopdog-calls-XXXXXX";
        sigset_t pending;
        setrlimit(RLIMIT_CORE, &core);
        EXPECT(mkdtemp(folder) != NULL && chdir(folder) == 0);
        calls_load();
        forbid(three, action, 0);
        calls_find_out();
        EXPECT(only_three_are_refused());
        EXPECT(calls_filters() >= 1);
        EXPECT(waitpid(-1, NULL, __WALL | WNOHANG) == -1 && errno == ECHILD);
        EXPECT(sigpending(&pending) != 0 || !sigismember(&pending, SIGCHLD));
        EXPECT(notice_count() == 0);
        EXPECT(rmdir(folder) == 0); /* no core file in it */
        return 0;
}

static int under_kill_process(void)
{
        return find_under(SECCOMP_RET_KILL_PROCESS);
}

static int under_kill_thread(void)
{
        return find_under(SECCOMP_RET_KILL_THREAD);
}

static int under_trap(void)
{
        sigset_t all;
        sigfillset(&all); /* as the watchdog */
        pthread_sigmask(SIG_SETMASK, &all, NULL);
        return find_under(SECCOMP_RET_TRAP);
}

static int under_errno(void)
{
        return find_under(SECCOMP_RET_ERRNO | EPERM);
}

static int under_no_such_call(void)
{
        return find_under(SECCOMP_RET_ERRNO | ENOSYS);
}

Test(calls, those_that_a_child_does_not_survive_are_refused)
{
        in_child(under_kill_process);
        in_child(under_kill_thread);
        in_child(under_trap);
        in_child(under_errno);
        in_child(under_no_such_call);
}

static int without_filter(void)
{
        calls_load();
        calls_find_out();
        calls_look_again();
        for (int number = 0; number < CALLS_KNOWN; number++)
                EXPECT(call_allowed_sigsafe(number));
        EXPECT(calls_filters() == 0);
        return 0;
}

Test(calls, nothing_is_refused_without_a_filter)
{
        if (prctl(PR_GET_SECCOMP) != 0)
                cr_skip_test("the tests themselves run under a filter");
        in_child(without_filter);
}

/* A child can't be reaped, or can't be made. */
static int without_wait(void)
{
        forbid((int[3]){ SYS_wait4, SYS_wait4, SYS_wait4 }, SECCOMP_RET_KILL_PROCESS, 0);
        calls_find_out();
        EXPECT(everything_is_refused());
        return 0;
}

static int without_clone3(void)
{
        const int clone3[3] = { SYS_clone3, SYS_clone3, SYS_clone3 }, clone[3] = { SYS_clone, SYS_clone, SYS_clone };
        forbid(clone3, SECCOMP_RET_ERRNO | ENOSYS, 0);
        forbid(clone, SECCOMP_RET_KILL_PROCESS, 0);
        calls_find_out(); /* these filters came after calls_load() */
        EXPECT(everything_is_refused());
        return 0;
}

static int under_containers_filter(void)
{
        const int clone3[3] = { SYS_clone3, SYS_clone3, SYS_clone3 };
        forbid(clone3, SECCOMP_RET_ERRNO | ENOSYS, 0);
        calls_load();
        forbid(three, SECCOMP_RET_KILL_PROCESS, 0);
        calls_find_out();
        EXPECT(only_three_are_refused());
        return 0;
}

Test(calls, everything_is_refused_where_no_child_can_be_tried)
{
        in_child(without_wait);
        if (prctl(PR_GET_SECCOMP) == 0)
                in_child(without_clone3);
}

Test(calls, children_are_made_by_clone_under_a_filter_that_came_before_the_program)
{
        in_child(under_containers_filter);
}

/* ---- later ---- */

static int after_start(void)
{
        calls_find_out();
        calls_look_again();
        EXPECT(notice_count() == 0);
        unsigned before = calls_filters();
        forbid(three, SECCOMP_RET_KILL_PROCESS, 0);
        usleep(25000); /* filters are not counted more often */
        calls_look_again();
        EXPECT(everything_is_refused());
        EXPECT(notice_count() == 1);
        EXPECT(calls_filters() != before);
        calls_look_again();
        EXPECT(notice_count() == 1);
        return 0;
}

static int second_after_start(void)
{
        forbid((int[3]){ SYS_acct, SYS_acct, SYS_acct }, SECCOMP_RET_KILL_PROCESS, 0);
        return after_start();
}

Test(calls, a_filter_that_comes_later_is_noticed_and_nothing_is_tried)
{
        in_child(after_start);
        in_child(second_after_start);
}

static int after_fork(void)
{
        forbid(three, SECCOMP_RET_KILL_PROCESS, 0);
        calls_find_out();
        call_refuse(SYS_acct); /* would be allowed again if all were tried again */
        pid_t child = fork();
        if (child == 0) {
                calls_find_out();
                _exit(call_allowed_sigsafe(SYS_process_vm_readv));
        }
        int status;
        EXPECT(waitpid(child, &status, 0) == child && status == 0);
        return 0;
}

Test(calls, what_was_found_out_holds_after_a_fork)
{
        in_child(after_fork);
}

static int untried(void)
{
        EXPECT(!calls_untried_here());
        calls_find_out();
        EXPECT(!calls_untried_here());
        forbid(three, SECCOMP_RET_KILL_PROCESS, 0);
        EXPECT(calls_untried_here());
        calls_find_out();
        EXPECT(!calls_untried_here());
        return 0;
}

Test(calls, are_untried_where_a_thread_has_a_filter_that_the_watchdog_has_not)
{
        if (prctl(PR_GET_SECCOMP) != 0)
                cr_skip_test("the tests themselves run under a filter");
        in_child(untried);
}
