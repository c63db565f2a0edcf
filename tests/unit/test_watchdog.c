/* SPDX-License-Identifier: Apache-2.0
 *
 * test_watchdog.c - the watchdog's thread: when it looks, sleeps, wakes, stops and starts again
 *
 * The loops belong to the test's own thread, and the iterations really last. Bounds upwards are loose, because tests
 * run on busy machines; what must not happen too early, or not at all, is exact.
 *
 * Context: unit test; Criterion gives each test a process of its own
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "forbid.h"
#include "watch_log.h"

#define SHORT_NS (40 * MS) /* threshold of the tests in which time passes */

static struct policy_limits limits = { .threshold_ns = SHORT_NS, .interval_ns = 4 * MS };

static void start_watchdog(void)
{
        int error = watchdog_start(&log_calls, &limits, 0);
        loop_note_memory();
        starts += error == 0;
        if (error != -EALREADY) /* two threads may begin at the same time */
                cr_assert(zero(int, error));
}

static const struct loop_calls real_calls = { .start = start_watchdog,
                                              .wake = watchdog_wake,
                                              .child = loop_after_fork };

static void begin(void)
{
        alarm(100);
        watchdog_ask_libc();
        loop_setup(&real_calls, SHORT_NS, false);
}
TestSuite(watchdog, .init = begin);

static bool wait_until_asleep(void)
{
        uint64_t deadline_ns = clock_monotonic_ns() + PATIENCE_NS;
        while (atomic_load(&loop_attention) != LOOP_ASLEEP && clock_monotonic_ns() < deadline_ns)
                sleep_ns(MS);
        return atomic_load(&loop_attention) == LOOP_ASLEEP;
}

/* Stalls that were recorded as ended by a wait, so long or longer. One that the machine made, and the watchdog followed
 * when make_last() moved its begin, ends before that. */
static unsigned stalls_waited(int64_t least_ns)
{
        unsigned count = 0;
        for (unsigned i = 0; i < atomic_load(&events_count) && i < EVENTS; i++) {
                const struct stall *stall = &events[i].stall;
                bool waited = events[i].what == ENDED && stall->end == STALL_WAITED;
                count += waited && (int64_t)(stall->end_ns - stall->begin_ns) >= least_ns;
        }
        return count;
}

/* The events of one stall. A busy machine may make others beside the one that a test plants. */
static unsigned count_of_stall(enum happening what, uint64_t id)
{
        unsigned count = 0;
        for (unsigned i = 0; i < atomic_load(&events_count) && i < EVENTS; i++)
                count += events[i].what == what && events[i].stall.id == id;
        return count;
}

static const struct event *first(enum happening what)
{
        for (unsigned i = 0; i < atomic_load(&events_count) && i < EVENTS; i++)
                if (events[i].what == what)
                        return &events[i];
        cr_assert(false, "no event of kind %d", (int)what);
        return NULL;
}

static uint64_t wakeups(void)
{
        return atomic_load(&ticks); /* the thread's own count is its own */
}

static void stop(void)
{
        cr_assert(zero(int, watchdog_stop(true, PATIENCE_NS)));
}

/* ---- start and stop ---- */

Test(watchdog, starts_at_the_first_own_wait_and_not_before)
{
        sleep_ns(MS);
        cr_expect(zero(uint, count_of(BEGIN)));
        wait_on(5);
        cr_expect(wait_until_happened(BEGIN, 1));
        cr_expect(eq(uint, starts, 1));
        stop();
        cr_expect(eq(uint, count_of(END), 1));
}

Test(watchdog, starts_once_and_ends_once)
{
        cr_expect(eq(int, watchdog_stop(true, 0), -ESRCH));
        wait_on(5);
        cr_expect(eq(int, watchdog_start(&log_calls, &limits, 0), -EALREADY));
        errno = EXDEV;
        stop();
        cr_expect(eq(int, errno, EXDEV));
        cr_expect(eq(int, watchdog_stop(true, 0), -ESRCH));
        cr_expect(eq(int, watchdog_tid(), 0));
        wait_on(5);
        cr_expect(eq(uint, starts, 1), "after the end for good no wait starts it again");
}

/* A line of a thread's status. */
static const char *status_of(int tid, const char *name)
{
        static char bytes[8192];
        char path[64];
        snprintf(path, sizeof path, "/proc/self/task/%d/status", tid);
        int fd = open(path, O_RDONLY);
        ssize_t n = read(fd, bytes, sizeof bytes - 1);
        close(fd);
        bytes[n > 0 ? n : 0] = '\0';
        char *line = strstr(bytes, name);
        cr_assert(line != NULL, "%s of thread %d", name, tid);
        *strchrnul(line, '\n') = '\0';
        return line + strlen(name);
}

/* Which processors a thread may run on. */
static void processors_of(int tid, char *text, size_t capacity)
{
        snprintf(text, capacity, "%s", status_of(tid, "Cpus_allowed:"));
}

Test(watchdog, runs_on_the_first_processors_of_its_process_wherever_the_loop_is_bound)
{
        char first[256], bound[256], dogs[256];
        cpu_set_t one;
        processors_of(getpid(), first, sizeof first);
        watchdog_note_processors();
        CPU_ZERO(&one);
        CPU_SET(sched_getcpu(), &one);
        cr_assert(zero(int, sched_setaffinity(0, sizeof one, &one)));
        processors_of(getpid(), bound, sizeof bound);
        if (strcmp(first, bound) == 0)
                cr_skip_test("there is one processor only");
        wait_on(5);
        cr_assert(wait_until_happened(BEGIN, 1));
        processors_of(watchdog_tid(), dogs, sizeof dogs);
        cr_expect_str_eq(dogs, first);
        processors_of(getpid(), dogs, sizeof dogs);
        cr_expect_str_eq(dogs, bound);
        stop();
}

Test(watchdog, has_a_name_and_blocks_all_signals_but_libcs)
{
        wait_on(5);
        cr_assert(wait_until_happened(BEGIN, 1));
        cr_expect(not(zero(ptr, strstr(status_of(watchdog_tid(), "Name:"), "loopdog"))));
        unsigned long long blocked = strtoull(status_of(watchdog_tid(), "SigBlk:"), NULL, 16);
        for (int number = 1; number <= 64; number++) {
                bool special = number == SIGKILL || number == SIGSTOP || number == 32 || number == 33;
                if (!special)
                        cr_expect(ne(ullong, blocked & 1ull << (number - 1), 0), "signal %d", number);
        }
        cr_expect(zero(ullong, blocked & 3ull << 31), "32 and 33 are libc's");
        sigset_t mine;
        pthread_sigmask(SIG_SETMASK, NULL, &mine);
        cr_expect(not(sigismember(&mine, SIGTERM)), "the host's own mask stays");
        stop();
}

/* ---- a stall ---- */

Test(watchdog, follows_a_stall_from_its_begin_to_its_end)
{
        struct slot *slot = make_loop(5);
        cr_assert(wait_until_happened(LOOP_CONFIRMED, 1));
        wait_on(5);
        forget_events();
        uint64_t mark = mark_of(slot), begin_ns = MARK_NS(mark);
        cr_assert(wait_until_happened(SAMPLE, 6));
        wait_on(5);
        uint64_t end_ns = MARK_NS(mark_of(slot));
        cr_assert(wait_until_happened(ENDED, 1));
        stop();
        unsigned detected = 0, ended = 0;
        const struct event *last = NULL;
        const struct stall *stall = NULL;
        for (unsigned i = 0; i < atomic_load(&events_count); i++) {
                const struct event *event = &events[i];
                uint64_t age_ns = event->time_ns - begin_ns;
                if (event->stall.mark != mark) /* a busy machine makes stalls of its own */
                        continue;
                detected += event->what == DETECTED;
                ended += event->what == ENDED;
                if (event->what == ENDED)
                        stall = &event->stall;
                if (event->what != SAMPLE)
                        continue;
                cr_expect(ge(u64, age_ns, SHORT_NS / 2), "a look at a young iteration");
                if (event->may_signal)
                        cr_expect(ge(u64, age_ns, SHORT_NS), "a signal before the threshold");
                if (last != NULL && last->may_signal)
                        cr_expect(ge(u64, event->time_ns - last->time_ns, limits.interval_ns));
                last = event;
        }
        cr_expect(eq(uint, detected, 1));
        cr_assert(eq(uint, ended, 1));
        cr_expect(eq(int, stall->end, STALL_WAITED));
        cr_expect(eq(u64, stall->begin_ns, begin_ns));
        cr_expect(lt(u64, stall->begin_ns, stall->end_ns));
        cr_expect(le(u64, stall->end_ns, end_ns));
        cr_expect(lt(u64, stall->late_ns, 5000 * MS));
}

Test(watchdog, is_at_the_threshold_in_time_more_often_than_not)
{
        /* Within 2 ms of it on an idle machine. Here half of the stalls must do, within a threshold. */
        struct slot *slot = make_loop(5);
        unsigned in_time = 0;
        for (unsigned i = 1; i <= 10; i++) {
                wait_on(5);
                uint64_t begin_ns = MARK_NS(mark_of(slot));
                cr_assert(wait_until_happened(DETECTED, i));
                cr_expect(ge(u64, latest(DETECTED)->time_ns - begin_ns, SHORT_NS));
                in_time += latest(DETECTED)->time_ns - begin_ns < 2 * SHORT_NS;
        }
        stop();
        cr_expect(ge(uint, in_time, 5));
}

Test(watchdog, records_stalls_that_end_while_it_is_held_up)
{
        struct slot *slot = make_loop(5);
        cr_assert(wait_until_happened(LOOP_CONFIRMED, 1));
        for (int i = 0; i < 5; i++) { /* faster than it can look */
                make_last(slot, 200 * MS);
                wait_on(5);
        }
        uint64_t deadline_ns = clock_monotonic_ns() + PATIENCE_NS;
        while (stalls_waited(200 * MS) < 5 && clock_monotonic_ns() < deadline_ns)
                sleep_ns(MS);
        wait_on(5);
        stop();
        cr_expect(eq(uint, stalls_waited(200 * MS), 5));
        cr_expect(eq(u64, watch_totals()->stalls, stalls_waited(INT64_MIN)), "a busy machine makes stalls of its own");
}

Test(watchdog, never_reports_a_loop_that_iterates)
{
        make_loop(5);
        uint64_t end_ns = clock_monotonic_ns() + 300 * MS;
        while (clock_monotonic_ns() < end_ns) {
                wait_on(5);
                sleep_ns(MS / 10);
        }
        struct slot *slot = loop_slot_here;
        struct wait wait = on_epoll(5);
        loop_enter(&wait);                                 /* it rests, so that stopping may take its time */
        bool stalled = atomic_load(&slot->ring_head) != 0; /* by a busy machine: then it was a stall */
        stop();
        if (!stalled)
                cr_expect(zero(u64, watch_totals()->stalls));
}

/* ---- sleep ---- */

Test(watchdog, wakes_up_no_more_than_twice_a_threshold_while_loops_iterate)
{
        make_loop(5);
        cr_assert(wait_until_happened(LOOP_CONFIRMED, 1));
        uint64_t begin_ns = clock_monotonic_ns(), before = wakeups();
        while (clock_monotonic_ns() - begin_ns < 800 * MS)
                wait_on(5);
        uint64_t passed_ns = clock_monotonic_ns() - begin_ns, count = wakeups() - before;
        unsigned samples = count_of(SAMPLE); /* of iterations that a busy machine made long */
        stop();
        cr_expect(le(u64, count, passed_ns * 2 / SHORT_NS + 2 + 2 * samples));
        cr_expect(gt(u64, count, 2));
}

Test(watchdog, sleeps_without_end_after_a_second_of_idleness)
{
        make_loop(5);
        struct wait wait = on_epoll(5);
        loop_enter(&wait);
        cr_assert(wait_until_asleep());
        sleep_ns(20 * MS);
        uint64_t before = wakeups();
        sleep_ns(400 * MS);
        cr_expect(eq(u64, wakeups(), before));
        stop();
}

Test(watchdog, does_not_sleep_while_a_loop_is_busy)
{
        make_loop(5);
        sleep_ns(1500 * MS); /* a stall, longer than a second */
        cr_expect(eq(int, atomic_load(&loop_attention), LOOP_WATCHED));
        cr_expect(eq(uint, count_of(DETECTED), 1));
        stop();
}

Test(watchdog, is_woken_by_the_next_wait_that_ends_and_sees_the_stall_after_it)
{
        make_loop(5);
        struct wait wait = on_epoll(5);
        for (unsigned i = 1; i <= 2; i++) {
                loop_enter(&wait);
                cr_assert(wait_until_asleep());
                loop_leave(loop_slot_here, 1);
                cr_assert(wait_until_happened(DETECTED, i));
                cr_expect(eq(int, atomic_load(&loop_attention), LOOP_WATCHED));
        }
        stop();
}

static void *become_a_loop(void *unused)
{
        struct slot *slot = make_loop(6);
        wait_until_happened(DETECTED, 1);
        wait_on(6);
        return slot;
}

Test(watchdog, is_woken_by_a_loop_that_begins)
{
        pthread_t thread;
        make_loop(5);
        struct wait wait = on_epoll(5);
        loop_enter(&wait);
        cr_assert(wait_until_asleep());
        pthread_create(&thread, NULL, become_a_loop, NULL);
        pthread_join(thread, NULL);
        cr_expect(eq(uint, count_of(DETECTED), 1));
        cr_expect(wait_until_happened(LOOP_ENDS, 1));
        stop();
}

Test(watchdog, can_be_stopped_in_its_sleep)
{
        make_loop(5);
        struct wait wait = on_epoll(5);
        loop_enter(&wait);
        cr_assert(wait_until_asleep());
        stop();
        cr_expect(eq(int, atomic_load(&loop_attention), LOOP_WATCHED), "nobody is to be woken any more");
}

/* ---- fork ---- */

Test(watchdog, goes_on_with_an_open_stall_after_it_was_stopped_for_a_fork)
{
        make_loop(5);
        cr_assert(wait_until_happened(DETECTED, 1));
        cr_assert(zero(int, watchdog_stop(false, PATIENCE_NS)));
        cr_expect(eq(uint, count_of(END), 1));
        cr_expect(not(latest(END)->for_good));
        cr_expect(zero(uint, count_of(ENDED)));
        cr_expect(zero(uint, count_of(LOOP_ENDS)));
        cr_expect(eq(int, atomic_load(&loop_attention), LOOP_STOPPED));
        wait_on(6); /* a nested wait of the same callback */
        cr_expect(eq(uint, starts, 1));
        wait_on(5);
        cr_expect(eq(uint, starts, 2));
        cr_assert(wait_until_happened(ENDED, 1));
        cr_expect(eq(uint, count_of(LOOP_BEGINS), 2), "what belonged to its descriptor table is opened anew");
        stop();
        cr_expect(eq(uint, count_of_stall(DETECTED, 1), 1));
        cr_expect(eq(uint, count_of_stall(ENDED, 1), 1));
        cr_expect(eq(int, first(ENDED)->stall.end, STALL_WAITED));
        cr_expect(eq(u64, watch_totals()->stalls, count_of(DETECTED)));
}

/* As CPython counts them: the field num_threads of /proc/self/stat. */
static long threads_counted(void)
{
        char text[1024] = "";
        FILE *file = fopen("/proc/self/stat", "re");
        cr_assert(file != NULL && fgets(text, sizeof text, file) != NULL);
        fclose(file);
        const char *at = strrchr(text, ')');
        for (int field = 2; at != NULL && field < 20; field++)
                at = strchr(at + 1, ' ');
        cr_assert(at != NULL);
        return strtol(at, NULL, 10);
}

Test(watchdog, is_not_counted_among_the_threads_once_it_was_stopped_for_a_fork)
{
        make_loop(5);
        for (int i = 0; i < 200; i++) {
                cr_assert(wait_until_happened(BEGIN, (unsigned)i + 1));
                long running = threads_counted(); /* with others: Criterion's, a sanitizer's */
                cr_assert(zero(int, watchdog_stop(false, PATIENCE_NS)));
                long threads = threads_counted();
                cr_assert(eq(long, threads, running - 1), "after stop %d", i);
                wait_on(5); /* starts it again */
        }
        stop();
}

Test(watchdog, is_not_there_in_a_child_and_starts_at_its_first_wait)
{
        int status;
        make_loop(5);
        cr_assert(wait_until_happened(BEGIN, 1));
        cr_assert(zero(int, watchdog_stop(false, PATIENCE_NS)));
        pid_t child = fork();
        if (child == 0) {
                watchdog_after_fork();
                loop_after_fork();
                starts = 0;
                forget_events();
                make_loop(5);
                bool seen = starts == 1 && wait_until_happened(DETECTED, 1) && latest(DETECTED)->stall.id == 1;
                _exit(!seen || watchdog_stop(true, PATIENCE_NS) != 0);
        }
        waitpid(child, &status, 0);
        cr_expect(zero(int, status));
}

static _Atomic bool held_up;

static void hold_up(void)
{
        while (atomic_load(&held_up))
                sleep_ns(MS);
}

Test(watchdog, that_does_not_end_in_time_ends_later_and_starts_again)
{
        make_loop(5);
        atomic_store(&held_up, true);
        atomic_store(&while_sampling, hold_up);
        cr_assert(wait_until_happened(SAMPLE, 1));
        errno = EXDEV;
        cr_expect(eq(int, watchdog_stop(false, 5 * MS), -ETIMEDOUT));
        cr_expect(eq(int, errno, EXDEV));
        cr_expect(eq(int, watchdog_stop(false, 5 * MS), -ESRCH), "nobody waits for it twice");
        cr_expect(eq(int, watchdog_start(&log_calls, &limits, 0), -EALREADY));
        atomic_store(&while_sampling, NULL);
        atomic_store(&held_up, false);
        cr_assert(wait_until_happened(END, 1));
        uint64_t deadline_ns = clock_monotonic_ns() + PATIENCE_NS;
        while (starts < 2 && clock_monotonic_ns() < deadline_ns)
                wait_on(5);
        cr_expect(eq(uint, starts, 2), "the process is never watched again");
        cr_expect(wait_until_happened(BEGIN, 2));
        stop();
}

static void *release_later(void *unused)
{
        sleep_ns(50 * MS);
        atomic_store(&while_sampling, NULL);
        atomic_store(&held_up, false);
        return NULL;
}

/* Where the thread that forks has installed it for itself alone. */
Test(watchdog, is_stopped_by_calls_that_no_filter_punishes)
{
        if (prctl(PR_GET_SECCOMP) != 0)
                cr_skip_test("the tests themselves run under a filter");
        make_loop(5);
        cr_assert(wait_until_happened(BEGIN, 1));
        forbid((int[3]){ SYS_tgkill, SYS_nanosleep, SYS_clock_nanosleep }, SECCOMP_RET_KILL_PROCESS, 0);
        cr_expect(zero(int, watchdog_stop(false, PATIENCE_NS)));
}

/* A setuid() may follow a fork that had no patience. */
Test(watchdog, that_did_not_end_in_time_can_be_waited_for)
{
        pthread_t third;
        make_loop(5);
        watchdog_wait_for_late_end(PATIENCE_NS); /* it is not late */
        atomic_store(&held_up, true);
        atomic_store(&while_sampling, hold_up);
        cr_assert(wait_until_happened(SAMPLE, 1));
        cr_assert(eq(int, watchdog_stop(false, 5 * MS), -ETIMEDOUT));
        pid_t tid = watchdog_tid();
        watchdog_wait_for_late_end(5 * MS);
        cr_expect(zero(int, tgkill(getpid(), tid, 0)));
        pthread_create(&third, NULL, release_later, NULL);
        watchdog_wait_for_late_end(PATIENCE_NS);
        cr_expect(eq(int, tgkill(getpid(), tid, 0), -1));
        cr_expect(eq(uint, count_of(END), 1));
        pthread_join(third, NULL);
}

static _Atomic int second_result;

static void *stop_too(void *unused)
{
        watchdog_forbid();
        atomic_store(&second_result, watchdog_stop(false, PATIENCE_NS));
        cr_expect(eq(uint, count_of(END), 1), "it forks while the watchdog is at work");
        return NULL;
}

/* Two threads fork at once: the second must not go on before the watchdog has ended for the first. */
Test(watchdog, is_gone_for_both_of_two_threads_that_fork_at_once)
{
        pthread_t second, third;
        make_loop(5);
        atomic_store(&held_up, true);
        atomic_store(&while_sampling, hold_up);
        cr_assert(wait_until_happened(SAMPLE, 1));
        atomic_store(&second_result, 1);
        pthread_create(&third, NULL, release_later, NULL);
        pthread_create(&second, NULL, stop_too, NULL);
        cr_expect(eq(int, atomic_load(&held_up), true));
        watchdog_forbid();
        int first_result = watchdog_stop(false, PATIENCE_NS);
        pthread_join(second, NULL);
        pthread_join(third, NULL);
        cr_expect(eq(uint, count_of(END), 1));
        int sum = first_result + atomic_load(&second_result);
        cr_expect(eq(int, sum, -ESRCH), "one has ended it, and the other found it ended");
}

static void start_if_allowed(void)
{
        int error = watchdog_start(&log_calls, &limits, 0);
        loop_note_memory();
        starts += error == 0;
        cr_expect(error == 0 || error == -EAGAIN);
}

/* Between the end of the watchdog and the fork itself another loop may wait. */
Test(watchdog, does_not_start_before_the_fork_is_over)
{
        static const struct loop_calls careful_calls = { .start = start_if_allowed,
                                                         .wake = watchdog_wake,
                                                         .child = loop_after_fork };
        loop_setup(&careful_calls, SHORT_NS, false);
        make_loop(5);
        cr_assert(wait_until_happened(BEGIN, 1));
        watchdog_forbid();
        watchdog_forbid(); /* two at once */
        cr_assert(zero(int, watchdog_stop(false, PATIENCE_NS)));
        wait_on(5);
        cr_expect(eq(uint, starts, 1));
        watchdog_allow();
        wait_on(5);
        cr_expect(eq(uint, starts, 1));
        watchdog_allow();
        watchdog_allow();
        wait_on(5);
        cr_expect(eq(uint, starts, 2));
        cr_expect(wait_until_happened(BEGIN, 2));
        stop();
}

/* ---- the end ---- */

Test(watchdog, closes_what_is_open_when_the_process_ends)
{
        make_loop(5);
        cr_assert(wait_until_happened(DETECTED, 1));
        stop();
        cr_assert(eq(uint, count_of(ENDED), 1));
        cr_expect(eq(int, latest(ENDED)->stall.end, STALL_EXIT));
        cr_expect(eq(uint, count_of(LOOP_ENDS), 1));
        cr_expect(latest(END)->for_good);
        cr_expect(eq(int, events[atomic_load(&events_count) - 1].what, END));
}

Test(watchdog, records_a_stall_that_ended_just_before_the_process)
{
        struct slot *slot = make_loop(5);
        make_last(slot, 300 * MS);
        wait_on(5);
        stop();
        cr_expect(eq(u64, watch_totals()->stalls, 1));
        cr_expect(eq(int, latest(ENDED)->stall.end, STALL_WAITED));
}

static void *stall_and_end(void *unused)
{
        make_loop(6);
        wait_until_happened(DETECTED, 1);
        return NULL;
}

Test(watchdog, ends_a_stall_with_its_thread)
{
        pthread_t thread;
        pthread_create(&thread, NULL, stall_and_end, NULL);
        pthread_join(thread, NULL);
        cr_assert(wait_until_happened(LOOP_ENDS, 1));
        cr_expect(eq(uint, count_of(ENDED), 1));
        cr_expect(eq(int, latest(ENDED)->stall.end, STALL_THREAD));
        stop();
}

/* ---- many threads ---- */

#define THREADS 6
static _Atomic bool enough;

static void *iterate(void *fd)
{
        wait_on((int)(intptr_t)fd); /* not make_loop(): its instance may be closed between two waits */
        struct slot *slot = loop_slot_here;
        for (unsigned i = 0; !atomic_load(&enough); i++) {
                if (i % 1000 == 999 && is_busy(slot))
                        make_last(slot, 200 * MS);
                wait_on((int)(intptr_t)fd);
                if (i % 64 == 0)
                        sleep_ns(MS / 20);
        }
        return NULL;
}

Test(watchdog, watches_many_loops_that_come_and_go)
{
        pthread_t threads[THREADS];
        uint64_t end_ns = clock_monotonic_ns() + 1500 * MS;
        for (unsigned round = 0; round < 3 || clock_monotonic_ns() < end_ns; round++) {
                atomic_store(&enough, false);
                for (int i = 0; i < THREADS; i++)
                        pthread_create(&threads[i], NULL, iterate, (void *)(intptr_t)(10 + i));
                for (int i = 0; i < 200; i++) {
                        loop_note_close(10, 11);
                        sleep_ns(MS / 2);
                }
                atomic_store(&enough, true);
                loop_note_close(10, 10 + THREADS); /* while they end */
                for (int i = 0; i < THREADS; i++)
                        pthread_join(threads[i], NULL);
        }
        stop();
        cr_expect(gt(u64, watch_totals()->stalls, 0));
        cr_expect(le(uint, count_of(LOOP_BEGINS), count_of(LOOP_ENDS)), "some came and went unseen");
        unsigned announced = 0, ended = 0;
        for (unsigned i = 0; i < atomic_load(&events_count) && i < EVENTS; i++) {
                announced += events[i].what == DETECTED;
                ended += events[i].what == ENDED && events[i].stall.announced;
                if (events[i].what == ENDED && events[i].stall.end == STALL_WAITED)
                        cr_expect(ge(u64, events[i].stall.end_ns - events[i].stall.begin_ns, SHORT_NS));
        }
        if (atomic_load(&events_count) < EVENTS)
                cr_expect(eq(uint, announced, ended), "what was told to begin must be told to end");
}
