/* SPDX-License-Identifier: Apache-2.0
 *
 * test_loop_threads.c - loops in many threads, in children, and under a filter that kills for a system call
 *
 * Context: unit test; Criterion gives each test a process of its own
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sched.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/raw.h"
#include "waits.h"

TestSuite(threads, .init = set_up_loops);
TestSuite(child, .init = set_up_loops);
TestSuite(system_calls, .init = set_up_loops);

/* ---- threads ---- */

static pthread_barrier_t meeting;

static void *loop_on(void *fd)
{
        struct slot *slot = make_loop((int)(intptr_t)fd);
        pthread_barrier_wait(&meeting); /* all wait */
        pthread_barrier_wait(&meeting); /* the test has looked */
        return slot;
}

Test(threads, that_wait_on_one_instance_are_an_executor)
{
        pthread_t threads[3];
        pthread_barrier_init(&meeting, NULL, 4);
        static const int fds[] = { 5, 5, 6 };
        for (int i = 0; i < 3; i++)
                pthread_create(&threads[i], NULL, loop_on, (void *)(intptr_t)fds[i]);
        pthread_barrier_wait(&meeting);
        cr_assert(eq(uint, slots_used(), 3));
        for (uint32_t i = 0; i < 3; i++) {
                bool shared = atomic_load(&slot_at(i)->key) == WAIT_KEY(WAIT_EPOLL, 5);
                cr_expect(eq(int, atomic_load(&slot_at(i)->executor), shared));
        }
        loop_note_close(5, 5);
        for (uint32_t i = 0; i < 3; i++)
                cr_expect(ne(u64, atomic_load(&slot_at(i)->key), WAIT_KEY(WAIT_EPOLL, 5)), "closed for both");
        pthread_barrier_wait(&meeting);
        for (int i = 0; i < 3; i++)
                pthread_join(threads[i], NULL);
}

/* A loop that the watchdog knows when it ends. */
static void *wait_once_met(void *unused)
{
        struct slot *slot = wait_on(5);
        atomic_store(&slot->met, SLOT_MET);
        return slot;
}

Test(threads, that_are_gone_make_no_executor)
{
        pthread_t thread;
        void *theirs;
        pthread_create(&thread, NULL, wait_once_met, NULL);
        pthread_join(thread, &theirs);
        cr_expect(eq(uint, atomic_load(&((struct slot *)theirs)->state), SLOT_RELEASED));
        struct slot *mine = wait_on(5);
        cr_expect(not(atomic_load(&mine->executor)));
}

Test(threads, that_have_only_waited_once_make_one)
{
        pthread_t thread;
        pthread_barrier_init(&meeting, NULL, 2);
        pthread_create(&thread, NULL, loop_on, (void *)5);
        pthread_barrier_wait(&meeting);
        struct slot *mine = wait_on(5);
        cr_expect(atomic_load(&mine->executor));
        cr_expect(atomic_load(&slot_at(0)->executor));
        pthread_barrier_wait(&meeting);
        pthread_join(thread, NULL);
}

static struct slot *slot_after(void *(*life)(void *))
{
        pthread_t thread;
        void *slot;
        pthread_barrier_init(&meeting, NULL, 1);
        pthread_create(&thread, NULL, life, (void *)5);
        pthread_join(thread, &slot);
        return slot;
}

Test(threads, leave_their_slot_to_a_watchdog_that_knows_it)
{
        cr_expect(eq(uint, atomic_load(&slot_after(wait_once_met)->state), SLOT_RELEASED));
}

Test(threads, give_their_slot_back_themselves_where_nobody_has_met_it)
{
        struct slot *slot = slot_after(loop_on);
        cr_expect(eq(uint, atomic_load(&slot->state), SLOT_FREE));
        cr_expect(eq(uint, atomic_load(&slot->generation), 1));
        for (int i = 0; i < 10; i++)
                cr_expect(eq(ptr, slot_after(loop_on), slot), "thousands of short threads use up the table");
        cr_expect(eq(ptr, wait_on(5), slot));
        cr_expect(eq(uint, atomic_load(&slot->met), SLOT_UNMET), "the next one is met as any other");
}

static void *stall_unmet(void *fd)
{
        struct slot *slot = make_loop((int)(intptr_t)fd);
        make_last(slot, 300 * MS);
        wait_on((int)(intptr_t)fd);
        return slot;
}

Test(threads, leave_their_slot_to_the_watchdog_where_they_have_stalled)
{
        struct slot_ended ended;
        struct slot *slot = slot_after(stall_unmet);
        cr_expect(eq(uint, atomic_load(&slot->state), SLOT_RELEASED));
        cr_expect(loop_take_ended(slot, &ended));
}

static pthread_key_t late_key;

static void wait_late(void *unused)
{
        atomic_store(&make_loop(8)->met, SLOT_MET);
}

static void *end_late(void *unused)
{
        struct slot *slot = make_loop(5);
        atomic_store(&slot->met, SLOT_MET);
        pthread_key_create(&late_key, wait_late); /* younger than ours: runs after it */
        pthread_setspecific(late_key, slot);
        return slot;
}

Test(threads, may_wait_in_a_destructor_and_release_that_slot_too)
{
        pthread_t thread;
        pthread_create(&thread, NULL, end_late, NULL);
        pthread_join(thread, NULL);
        cr_assert(eq(uint, slots_used(), 2));
        cr_expect(eq(uint, atomic_load(&slot_at(0)->state), SLOT_RELEASED));
        cr_expect(eq(uint, atomic_load(&slot_at(1)->state), SLOT_RELEASED));
}

#define ROUNDS 20000

static void *run_loop(void *fd)
{
        struct slot *slot = make_loop((int)(intptr_t)fd);
        for (int i = 0; i < ROUNDS; i++) {
                if (i % 100 == 0)
                        make_last(slot, 200 * MS);
                wait_on((int)(intptr_t)fd);
        }
        pthread_barrier_wait(&meeting);
        pthread_barrier_wait(&meeting);
        return NULL;
}

Test(threads, and_the_watchdog_never_see_half_an_iteration)
{
        pthread_t threads[2];
        uint64_t taken = 0, last_ns[2] = { 0 };
        struct slot_ended ended;
        pthread_barrier_init(&meeting, NULL, 3);
        for (int i = 0; i < 2; i++)
                pthread_create(&threads[i], NULL, run_loop, (void *)(intptr_t)(5 + i));
        bool whole = true;
        while (slots_used() < 2)
                sched_yield();
        for (int quiet = 0; quiet < 2000; quiet++) {
                for (uint32_t i = 0; i < 2; i++) {
                        while (loop_take_ended(slot_at(i), &ended)) {
                                uint64_t length_ns = ended.end_ns - ended.begin_ns;
                                whole &= length_ns >= 200 * MS && length_ns < 3600 * 1000 * MS;
                                whole &= ended.end_ns >= last_ns[i];
                                last_ns[i] = ended.end_ns;
                                taken++;
                                quiet = 0;
                        }
                }
                sched_yield();
        }
        pthread_barrier_wait(&meeting);
        for (uint32_t i = 0; i < 2; i++)
                while (loop_take_ended(slot_at(i), &ended))
                        taken++;
        cr_expect(whole);
        uint64_t lost = atomic_load(&slot_at(0)->ring_lost) + atomic_load(&slot_at(1)->ring_lost);
        cr_expect(eq(u64, taken + lost, 2 * ROUNDS / 100));
        for (uint32_t i = 0; i < 2; i++)
                cr_expect(eq(u64, iterations(slot_at(i)), ROUNDS + 1));
        pthread_barrier_wait(&meeting);
        for (int i = 0; i < 2; i++)
                pthread_join(threads[i], NULL);
}
/* ---- fork ---- */

/* As the agent's, when it finds itself in a child of clone() that no handler of fork was called in. */
static void start_in_child_of_clone(void)
{
        loop_after_fork();
        start();
}

static const struct loop_calls clone_calls = { .start = start_in_child_of_clone,
                                               .wake = wake,
                                               .child = loop_after_fork };

/* What the kernel does to it in a child. */
static void empty_page(void)
{
        memset(&loop_page, 0, sizeof loop_page);
}

Test(child, of_clone_gives_its_parents_slot_up_at_its_first_wait_of_any_kind)
{
        for (int fd = 5; fd <= 6; fd++) {
                loop_setup(&test_calls, THRESHOLD_NS, false);
                make_loop(5);
                loop_setup(&clone_calls, THRESHOLD_NS, false);
                empty_page();
                struct wait wait = on_epoll(fd);
                loop_enter_slow(&wait);
                cr_expect(zero(ptr, loop_slot_here), "claimed before it was found out: its next wait claims another");
                cr_expect(eq(int, (int)atomic_load(&slot_at(0)->state), SLOT_FREE));
                struct slot *slot = loop_enter_slow(&wait);
                cr_assert(eq(ptr, slot, loop_slot_here));
                cr_assert(eq(ptr, slot, slot_at(0)));
                cr_expect(eq(u64, atomic_load(&slot->candidate_key), wait.key), "it is a loop of the child's own");
                cr_expect(eq(int, (int)atomic_load(&slot->tid), getpid()));
                loop_after_fork();
        }
}

Test(child, of_vfork_has_no_slots_of_its_own)
{
        struct slot *slot = make_loop(5);
        atomic_store(&loop_attention, LOOP_STOPPED); /* its parent has forked before */
        wait_on(6);
        cr_expect(eq(ptr, loop_slot_here, slot));
        cr_expect(eq(ptr, wait_on(5), slot));
}

Test(child, of_clone_that_was_no_loop_claims_no_slot_that_is_emptied_at_once)
{
        loop_setup(&clone_calls, THRESHOLD_NS, false);
        atomic_store(&loop_attention, LOOP_STOPPED);
        struct wait wait = on_epoll(5);
        cr_expect(zero(ptr, loop_enter_slow(&wait)));
        cr_expect(zero(ptr, loop_slot_here));
        struct slot *slot = loop_enter_slow(&wait);
        cr_assert(eq(ptr, slot, loop_slot_here));
        cr_assert(not(zero(ptr, slot)));
        cr_expect(eq(int, (int)atomic_load(&slot->state), SLOT_CANDIDATE));
}

Test(child, knows_no_loop_of_its_parent)
{
        struct slot *slot = make_loop(5);
        pid_t child = fork();
        if (child == 0) {
                loop_after_fork();
                int wrong = loop_slot_here != NULL || slots_used() != 0 || loop_totals().loops != 0 ||
                            atomic_load(&loop_attention) != LOOP_STOPPED;
                starts = 0;
                wrong |= wait_on(5) != slot_at(0) || starts != 1 || atomic_load(&slot_at(0)->tid) != getpid();
                wrong |= wait_on(5) != slot_at(0) || loop_totals().loops != 1;
                loop_note_close(5, 5);
                wrong |= atomic_load(&slot_at(0)->key) != 0;
                _exit(wrong);
        }
        int status;
        waitpid(child, &status, 0);
        cr_expect(zero(int, status));
        cr_expect(eq(u64, atomic_load(&slot->key), WAIT_KEY(WAIT_EPOLL, 5)), "the parent's is untouched");
}
/* ---- no system call ---- */

/* From here on this process dies of every system call but its end (and, where `clock` says so, clock_gettime). */
static void forbid_system_calls(bool clock)
{
        struct sock_filter filter[] = {
                BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
                BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_exit_group, 2, 0),
                BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, clock ? SYS_clock_gettime : SYS_exit_group, 1, 0),
                BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
                BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        };
        struct sock_fprog program = { .len = sizeof filter / sizeof *filter, .filter = filter };
        if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
                _exit(77);
}

static int in_a_child_without_system_calls(void (*work)(void), bool clock)
{
        pid_t child = fork();
        if (child == 0) {
                start(); /* as if there had been no fork */
                forbid_system_calls(clock);
                work();
                raw_syscall_sigsafe(SYS_exit_group, 0, 0, 0, 0, 0, 0);
        }
        int status;
        waitpid(child, &status, 0);
        return status;
}

static void ask_for_pid(void)
{
        raw_syscall_sigsafe(SYS_getpid, 0, 0, 0, 0, 0, 0);
}

static void read_clock(void)
{
        clock_monotonic_ns();
}

/* Some clock sources (those of a few virtual machines) can't be read without the kernel: nothing that we could help. */
static bool clock_needs_the_kernel(void)
{
        return in_a_child_without_system_calls(read_clock, false) != 0;
}

static void wait_a_thousand_times(void)
{
        struct wait wait = on_epoll(5);
        for (int i = 0; i < 1000; i++) {
                struct slot *own = loop_enter(&wait);
                if (own == NULL)
                        __builtin_trap();
                wait.sleeps = i & 1;
                loop_leave(own, i % 3);
        }
}

static void wait_in_other_ways(void)
{
        struct wait nested = on_epoll(6), within = on_epoll(5);
        within.sleeps = false;
        within.cfa = DEEPER;
        struct pollfd polled[2] = { { .fd = 0 }, { .fd = 1 } };
        struct wait polls = { .key = WAIT_KEY(WAIT_POLL, SITE), .polled = polled, .polled_count = 2, .sleeps = true };
        for (int i = 0; i < 1000; i++) {
                loop_leave(loop_enter(&nested), 0);
                loop_leave(loop_enter(&within), 0);
                loop_leave(loop_enter_slow(&polls), 0);
        }
        for (int i = 0; i < LIMIT_RING * 2; i++) {
                make_last(loop_slot_here, 300 * MS);
                wait_on(5);
        }
}

Test(system_calls, are_noticed_here)
{
        int status = in_a_child_without_system_calls(ask_for_pid, false);
        if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
                cr_skip_test("no seccomp filters here");
        cr_expect(eq(int, status & 0x7f, SIGSYS), "the filter lets system calls through");
}

Test(system_calls, are_none_in_own_waits)
{
        make_loop(5);
        int status = in_a_child_without_system_calls(wait_a_thousand_times, clock_needs_the_kernel());
        if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
                cr_skip_test("no seccomp filters here");
        cr_expect(zero(int, status));
}

Test(system_calls, are_none_in_nested_waits_and_long_iterations)
{
        make_loop(5);
        int status = in_a_child_without_system_calls(wait_in_other_ways, clock_needs_the_kernel());
        if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
                cr_skip_test("no seccomp filters here");
        cr_expect(zero(int, status));
}
