/* SPDX-License-Identifier: Apache-2.0
 *
 * test_task.c - what /proc says about a thread
 *
 * Context: unit tests; each runs in a process of its own
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>

#include "base/limits.h"
#include "base/proc.h"
#include "capture/task.h"
#include "victim.h"

/* ---- parsers ---- */

Test(task, reads_a_call_with_its_arguments)
{
        struct task_call call;
        cr_assert_eq(task_parse_call("230 0x1 0x0 0x7ffc34aec328 0xffffffffffffffff 0x5 0x6 0x7ffc34aec300 "
                                     "0x7f0a5152a2ad\n",
                                     &call),
                     0);
        cr_assert(call.asleep);
        cr_assert_eq(call.number, 230);
        cr_assert_eq(call.arguments[0], 1);
        cr_assert_eq(call.arguments[2], 0x7ffc34aec328);
        cr_assert_eq(call.arguments[3], UINT64_MAX);
        cr_assert_eq(call.arguments[5], 6);
        cr_assert_eq(call.stack_pointer, 0x7ffc34aec300);
        cr_assert_eq(call.program_counter, 0x7f0a5152a2ad);
}

Test(task, reads_a_page_fault_as_asleep_in_no_call)
{
        struct task_call call;
        cr_assert_eq(task_parse_call("-1 0x7ffc34aec300 0x7f0a5152a2ad\n", &call), 0);
        cr_assert(call.asleep);
        cr_assert_eq(call.number, -1);
        cr_assert_eq(call.stack_pointer, 0x7ffc34aec300);
}

Test(task, reads_running)
{
        struct task_call call;
        cr_assert_eq(task_parse_call("running\n", &call), 0);
        cr_assert_not(call.asleep);
}

Test(task, refuses_what_is_no_call)
{
        static const char *const texts[] = { "",
                                             "\n",
                                             "x",
                                             "1",
                                             "1 0x1 0x2",
                                             "-2 0x1 0x2",
                                             "-1 0x1",
                                             "99999999999 0x1",
                                             "1 0x1 0x2 0x3 0x4 0x5 0x6 0x7",
                                             "1 0x 0x2 0x3 0x4 0x5 0x6 0x7 0x8" };
        struct task_call call;
        for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
                cr_assert_eq(task_parse_call(texts[i], &call), -EINVAL, "\"%s\"", texts[i]);
}

Test(task, finds_the_state_behind_any_name)
{
        static const char *const texts[] = { "1 (cat) S 1", "1 (a b) S 1", "1 (:)) S 1", "1 () R 2 () S 1",
                                             "1 (x\n) R\n) S 1" };
        char state = 0;
        for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
                cr_assert_eq(task_parse_state(texts[i], &state), 0);
                cr_assert_eq(state, 'S', "\"%s\"", texts[i]);
        }
        cr_assert_eq(task_parse_state("", &state), -EINVAL);
        cr_assert_eq(task_parse_state("1 (cat)", &state), -EINVAL);
        cr_assert_eq(task_parse_state("1 (cat) ", &state), -EINVAL);
}

/* ---- real threads ---- */

static void *sleep_until_stopped(struct victim *victim)
{
        while (!atomic_load(&victim->stop))
                sleep_us(20000);
        return NULL;
}

static void *spin_until_stopped(struct victim *victim)
{
        while (!atomic_load(&victim->stop))
                ;
        return NULL;
}

static void *sleep_under_an_odd_name(struct victim *victim)
{
        prctl(PR_SET_NAME, "a) R (\n) Z");
        return sleep_until_stopped(victim);
}

static void *end_at_once(struct victim *victim)
{
        return NULL;
}

static void *sleep_with_usr1_blocked(struct victim *victim)
{
        sigset_t set;
        sigemptyset(&set);
        sigaddset(&set, SIGUSR1);
        pthread_sigmask(SIG_BLOCK, &set, NULL);
        return sleep_until_stopped(victim);
}

Test(task, sees_a_thread_asleep_in_its_call)
{
        struct victim victim;
        struct task_call call;
        victim_start(&victim, sleep_until_stopped, NULL);
        cr_assert(victim_sleeps(&victim, SYS_clock_nanosleep));
        cr_assert_eq(task_read_call(&victim.task, &call), 0);
        cr_assert_eq(task_find_stack(&victim.task, call.stack_pointer), 0);
        cr_assert_geq(call.stack_pointer, victim.task.stack_low);
        cr_assert_lt(call.stack_pointer, victim.task.stack_high);
        victim_join(&victim);
}

Test(task, sees_a_running_thread_and_its_cpu_time)
{
        struct victim victim;
        struct task_call call;
        char state = 0;
        victim_start(&victim, spin_until_stopped, NULL);
        uint64_t before_ns = task_cpu_ns(victim.task.tid), begin_ns = now_ns();
        while (task_cpu_ns(victim.task.tid) - before_ns < 6000000 && now_ns() - begin_ns < 10000000000ull)
                sleep_us(10000); /* on a busy machine it takes long to get 6 ms */
        cr_assert_eq(task_read_call(&victim.task, &call), 0);
        cr_assert_not(call.asleep);
        cr_assert_eq(task_read_state(&victim.task, &state), 0);
        cr_assert_eq(state, 'R');
        uint64_t used_ns = task_cpu_ns(victim.task.tid) - before_ns;
        cr_assert(used_ns > 5000000 && used_ns < 10000000000ull, "%lu ns", (unsigned long)used_ns);
        victim_join(&victim);
}

Test(task, is_not_misled_by_a_threads_name)
{
        struct victim victim;
        struct task_status status;
        char state = 0;
        victim_start(&victim, sleep_under_an_odd_name, NULL);
        cr_assert(victim_sleeps(&victim, SYS_clock_nanosleep));
        cr_assert_eq(task_read_state(&victim.task, &state), 0);
        cr_assert_eq(state, 'S');
        cr_assert_eq(task_read_status(&victim.task, &status), 0);
        cr_assert_eq(status.state, 'S');
        victim_join(&victim);
}

Test(task, reads_masks_and_switches)
{
        struct victim victim;
        struct task_status status, later;
        victim_start(&victim, sleep_with_usr1_blocked, NULL);
        cr_assert(victim_sleeps(&victim, SYS_clock_nanosleep));
        cr_assert_eq(pthread_kill(victim.thread, SIGUSR1), 0);
        cr_assert_eq(task_read_status(&victim.task, &status), 0);
        cr_assert_eq(status.blocked, 1ull << (SIGUSR1 - 1));
        cr_assert_eq(status.pending, 1ull << (SIGUSR1 - 1));
        sleep_us(100000); /* it wakes every 20 ms */
        cr_assert_eq(task_read_status(&victim.task, &later), 0);
        cr_assert_gt(later.switches, status.switches);
        victim_join(&victim);
}

Test(task, reads_a_status_longer_than_any_buffer)
{
        static gid_t groups[20000];
        struct task_status status = { .state = 0 };
        for (size_t i = 0; i < 20000; i++)
                groups[i] = (gid_t)(1000000 + i);
        if (setgroups(20000, groups) != 0)
                cr_skip_test("may not set groups");
        cr_assert_eq(task_read_status_at("self/status", &status), 0);
        cr_assert_eq(status.state, 'R');
        cr_assert_eq(status.blocked, 0);
}

Test(task, knows_that_a_thread_has_ended)
{
        struct victim victim;
        struct task_call call;
        struct task_status status;
        victim_start(&victim, sleep_until_stopped, NULL);
        cr_assert_not(capture_task_gone(&victim.task));
        atomic_store(&victim.stop, true);
        pthread_join(victim.thread, NULL);
        while (syscall(SYS_tgkill, getpid(), victim.task.tid, 0) == 0)
                sched_yield(); /* joined is a little before gone */
        cr_assert_eq(task_read_call(&victim.task, &call), -ESRCH);
        cr_assert_eq(task_read_status(&victim.task, &status), -ESRCH);
        cr_assert(capture_task_gone(&victim.task));
        capture_task_close(&victim.task);
        cr_assert(capture_task_gone(&victim.task));
}

Test(task, opened_too_late_is_gone)
{
        struct victim victim;
        struct capture_task task;
        victim_start(&victim, end_at_once, NULL);
        pthread_join(victim.thread, NULL);
        while (syscall(SYS_tgkill, getpid(), atomic_load(&victim.tid), 0) == 0)
                sched_yield();
        capture_task_open(&task, atomic_load(&victim.tid), 0);
        cr_assert(capture_task_gone(&task));
        capture_task_close(&task);
}

Test(task, closing_a_task_that_was_never_opened_closes_nothing)
{
        struct capture_task task;
        memset(&task, 0, sizeof(task));
        capture_task_close(&task);
        cr_assert_neq(fcntl(0, F_GETFD), -1);
}

/* ---- the stack's mapping ---- */

/* A stack of 64 pages, of which one has a mapping of its own, between two pages without access. */
static uint8_t *make_split_stack(size_t page, size_t length)
{
        uint8_t *area = mmap(NULL, length + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        cr_assert_neq(area, MAP_FAILED);
        cr_assert_eq(mprotect(area + page, length, PROT_READ | PROT_WRITE), 0);
        cr_assert_eq(madvise(area + page + 20 * page, page, MADV_DONTFORK), 0);
        return area + page;
}

Test(task, a_stack_in_several_mappings_is_found_whole_up_to_the_thread_pointer)
{
        size_t page = 4096, length = 64 * page;
        uint8_t *stack = make_split_stack(page, length);
        struct capture_task task;
        memset(&task, 0, sizeof(task));
        task.stack_bound = (uintptr_t)stack + 50 * page;
        cr_assert_eq(task_find_stack(&task, (uintptr_t)stack + 10 * page), 0);
        cr_assert_eq(task.stack_low, (uintptr_t)stack);
        cr_assert_eq(task.stack_high, (uintptr_t)stack + length);
        cr_assert_eq(task_stack_end(&task, (uintptr_t)stack + 10 * page), (uintptr_t)stack + 50 * page);
        cr_assert_eq(task_stack_end(&task, (uintptr_t)stack + 60 * page), (uintptr_t)stack + length);
        cr_assert_eq(task_find_stack(&task, 4096), -ENOENT);
        cr_assert_eq(task.stack_high, 0);
}

Test(task, memory_that_follows_by_chance_is_no_stack)
{
        size_t page = 4096, length = 64 * page;
        uint8_t *stack = make_split_stack(page, length);
        struct capture_task task;
        memset(&task, 0, sizeof(task));
        cr_assert_eq(task_find_stack(&task, (uintptr_t)stack + 10 * page), 0);
        cr_assert_eq(task.stack_high, (uintptr_t)stack + 20 * page);
        task.stack_bound = (uintptr_t)stack + 1000 * page; /* of a stack elsewhere */
        cr_assert_eq(task_find_stack(&task, (uintptr_t)stack + 10 * page), 0);
        cr_assert_eq(task.stack_high, (uintptr_t)stack + 20 * page);
}

/* Run on the first thread of a process, where a library has locked a page of the stack. */
Test(task, the_first_threads_stack_is_found_whole)
{
        volatile uint8_t deep[65536];
        uint64_t locked = ((uintptr_t)deep + 32768) & -4096ull;
        struct capture_task task, whole;
        memset(&task, 0, sizeof(task));
        deep[0] = 1;
        cr_assert_eq(task_find_stack(&task, (uintptr_t)deep), 0);
        whole = task;
        cr_assert_eq(madvise((void *)locked, 4096, MADV_DONTFORK), 0);
        cr_assert_eq(task_find_stack(&task, (uintptr_t)deep), 0);
        if (whole.stack_high < 0x7ff000000000)
                cr_skip_test("this runner's tests are not on the first thread's stack");
        cr_assert_eq(task.stack_high, whole.stack_high);
        cr_assert_eq(task.stack_low, whole.stack_low);
        madvise((void *)locked, 4096, MADV_DOFORK);
}
