/* SPDX-License-Identifier: Apache-2.0
 *
 * lacks.c - a loop that computes, or would but gets no CPU, is stopped, or waits for memory
 *
 *     lacks RUNS MODE [FILE]
 *
 * RUNS stalls of one kind, each in an iteration of its own. FILE is what is mapped into memory.
 *
 * Context: one loop, in the main thread
 */
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include "truth.h"
#include "turn.h"

#define STALL_MS 260
#define PART_MS 26
#define HOGS 8
#define HANDLERS 10
#define PAGE 4096

static const char *file;
static unsigned run;

/* ---- the CPU ---- */

/* So much CPU time, however long it takes. */
static VICTIM_FRAME void computes_ms(unsigned cpu_ms)
{
        struct timespec now;
        uint64_t end_ns = 0;
        do {
                for (volatile int i = 0; i < 1000; i++)
                        ;
                clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
                uint64_t cpu_ns = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
                end_ns = end_ns ? end_ns : cpu_ns + cpu_ms * 1000000ull;
                if (cpu_ns >= end_ns)
                        return;
        } while (true);
}

static void do_busy(void)
{
        struct truth begin = truth_begin();
        computes_ms(STALL_MS);
        truth_end(begin, "cpu", "computes_ms", "");
}

#define PART(n)                                                                                                        \
        static VICTIM_FRAME void part_##n(void)                                                                        \
        {                                                                                                              \
                computes_ms(PART_MS);                                                                                  \
        }
PART(0)
PART(1)
PART(2)
PART(3)
PART(4)
PART(5)
PART(6)
PART(7)
PART(8)
PART(9)

static void (*const parts[HANDLERS])(void) = {
        part_0, part_1, part_2, part_3, part_4, part_5, part_6, part_7, part_8, part_9,
};

static VICTIM_FRAME void all_parts(void)
{
        for (unsigned i = 0; i < HANDLERS; i++)
                parts[i]();
}

static void do_ten_calls(void)
{
        struct truth begin = truth_begin();
        all_parts();
        truth_end(begin, "cpu", "", "");
}

static VICTIM_FRAME void handle_a(void)
{
        computes_ms(PART_MS);
}

static VICTIM_FRAME void handle_b(void)
{
        computes_ms(PART_MS);
}

/* The loop for many callbacks: one iteration serves all descriptors that are ready. */
static VICTIM_FRAME void serve(int epoll, bool planted)
{
        struct epoll_event events[HANDLERS];
        int count = epoll_wait(epoll, events, HANDLERS, 20);
        struct truth begin = truth_begin();
        for (int i = 0; i < count; i++) {
                uint64_t value;
                VICTIM_CHECK(read(events[i].data.fd, &value, 8) == 8);
                if (i % 3 == 2)
                        handle_b();
                else
                        handle_a();
        }
        if (planted)
                truth_end(begin, "cpu", "", "");
}

static void many_callbacks(unsigned runs)
{
        int epoll = epoll_create1(EPOLL_CLOEXEC), fds[HANDLERS];
        for (unsigned i = 0; i < HANDLERS; i++) {
                fds[i] = eventfd(0, EFD_CLOEXEC);
                struct epoll_event event = { .events = EPOLLIN, .data.fd = fds[i] };
                VICTIM_CHECK(epoll_ctl(epoll, EPOLL_CTL_ADD, fds[i], &event) == 0);
        }
        for (unsigned i = 0; i < 5 + 5 * runs; i++) {
                bool planted = i % 5 == 4 && i > 4;
                for (unsigned j = 0; planted && j < HANDLERS; j++)
                        VICTIM_CHECK(write(fds[j], &(uint64_t){ 1 }, 8) == 8);
                serve(epoll, planted);
        }
}

static pid_t hogs[HOGS];

static void bind_to_one(void)
{
        cpu_set_t one;
        CPU_ZERO(&one);
        CPU_SET(0, &one);
        VICTIM_CHECK(sched_setaffinity(0, sizeof one, &one) == 0);
}

/* Others on this thread's only CPU: its 40 ms take several times as long. */
static void start_hogs(void)
{
        for (unsigned i = 0; i < HOGS; i++) {
                hogs[i] = fork();
                if (hogs[i] != 0)
                        continue;
                prctl(PR_SET_PDEATHSIG, SIGKILL);
                bind_to_one();
                for (;;)
                        for (volatile int j = 0; j < 1000; j++)
                                ;
        }
}

static void end_hogs(void)
{
        for (unsigned i = 0; i < HOGS; i++) {
                kill(hogs[i], SIGKILL);
                VICTIM_CHECK(waitpid(hogs[i], NULL, 0) == hogs[i]);
        }
}

static _Atomic bool hogging;
static pthread_t own_hogs[HOGS];

static void *own_hog(void *unused)
{
        bind_to_one();
        while (hogging)
                for (volatile int j = 0; j < 1000; j++)
                        ;
        return unused;
}

static void start_own_hogs(void)
{
        hogging = true;
        for (unsigned i = 0; i < HOGS; i++)
                VICTIM_CHECK(pthread_create(&own_hogs[i], NULL, own_hog, NULL) == 0);
}

static void end_own_hogs(void)
{
        hogging = false;
        for (unsigned i = 0; i < HOGS; i++)
                VICTIM_CHECK(pthread_join(own_hogs[i], NULL) == 0);
}

static void do_starved(void)
{
        struct truth begin = truth_begin();
        computes_ms(40);
        truth_end(begin, "starved", "computes_ms", "");
}

/* The same by threads of its own. */
static void do_starves_itself(void)
{
        do_starved();
}

static void do_throttled(void)
{
        struct truth begin = truth_begin();
        computes_ms(60);
        truth_end(begin, "starved", "computes_ms", "");
}

/* ---- stopped ---- */

/* Another process stops this one, or this thread only, for a while. It is there from the start, so that a stop comes
 * soon after it was asked for, and says when it is over. */
static struct {
        _Atomic unsigned asked, over;
} * stops;
static pid_t stopper;

static void stop_all(pid_t target)
{
        kill(target, SIGSTOP);
        quiet_sleep_ms(STALL_MS);
        kill(target, SIGCONT);
}

static void stop_one(pid_t target)
{
        if (ptrace(PTRACE_SEIZE, target, NULL, NULL) != 0 || ptrace(PTRACE_INTERRUPT, target, NULL, NULL) != 0)
                _exit(1);
        waitpid(target, NULL, __WALL);
        quiet_sleep_ms(STALL_MS);
        ptrace(PTRACE_DETACH, target, NULL, NULL);
}

static void start_stopper(void (*stop)(pid_t target))
{
        pid_t target = getpid();
        stops = mmap(NULL, sizeof *stops, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        VICTIM_CHECK(stops != MAP_FAILED);
        stopper = fork();
        if (stopper != 0)
                return;
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (unsigned stopped = 0;; usleep(200)) {
                if (stops->asked == stopped)
                        continue;
                stop(target);
                stops->over = ++stopped;
        }
}

static void end_stopper(void)
{
        kill(stopper, SIGKILL);
        VICTIM_CHECK(waitpid(stopper, NULL, 0) == stopper);
}

static void stopped_stall(unsigned work_ms, const char *cause)
{
        struct truth begin = truth_begin();
        unsigned asked = ++stops->asked;
        while (stops->over != asked)
                ;
        computes_ms(work_ms);
        truth_end(begin, cause, "", "");
}

static void do_stopped(void)
{
        stopped_stall(5, "suspended");
}

static void do_stopped_work(void)
{
        stopped_stall(250, "cpu");
}

static void do_traced(void)
{
        stopped_stall(5, "suspended");
}

/* ---- memory ---- */

static VICTIM_FRAME uint64_t reads_mapping(const volatile uint8_t *bytes, unsigned from, unsigned pages)
{
        uint64_t sum = 0;
        for (unsigned i = 0; i < pages; i++)
                sum += bytes[(from + i) * PAGE];
        return sum;
}

/* The file has 64 pages, and each that is touched for the first time comes slowly. */
static void do_fault(void)
{
        static const uint8_t *bytes;
        if (!bytes) {
                int fd = open(file, O_RDONLY | O_CLOEXEC);
                VICTIM_CHECK(fd >= 0);
                bytes = mmap(NULL, 64 * PAGE, PROT_READ, MAP_SHARED, fd, 0);
                VICTIM_CHECK(bytes != MAP_FAILED && madvise((void *)(uintptr_t)bytes, 64 * PAGE, MADV_RANDOM) == 0);
        }
        struct truth begin = truth_begin();
        reads_mapping(bytes, 2 * run, 2);
        truth_end(begin, "page-fault", "reads_mapping", "");
}

/* ---- which ---- */

static const struct victim_case modes[] = {
        { "busy", do_busy },
        { "ten_calls", do_ten_calls },
        { "starved", do_starved },
        { "throttled", do_throttled },
        { "stopped", do_stopped },
        { "stopped_work", do_stopped_work },
        { "traced", do_traced },
        { "fault", do_fault },
        { "starves_itself", do_starves_itself },
        { NULL, NULL },
};

static const struct victim_case *chosen;

static VICTIM_FRAME void callback(struct turn *loop)
{
        (void)loop;
        chosen->run();
}

static bool is_chosen(void (*run_it)(void))
{
        return chosen->run == run_it;
}

/* Who stops the loop is there before it begins; who takes its CPU comes when it goes round. */
static void start_stoppers(void)
{
        if (is_chosen(do_stopped) || is_chosen(do_stopped_work))
                start_stopper(stop_all);
        if (is_chosen(do_traced))
                start_stopper(stop_one);
}

static void start_all_hogs(void)
{
        if (is_chosen(do_starved) || is_chosen(do_starves_itself))
                bind_to_one();
        if (is_chosen(do_starved))
                start_hogs();
        if (is_chosen(do_starves_itself))
                start_own_hogs();
}

static void end_all(void)
{
        if (is_chosen(do_starved))
                end_hogs();
        if (is_chosen(do_starves_itself))
                end_own_hogs();
        if (stopper != 0)
                end_stopper();
}

static void run_loop(unsigned runs)
{
        struct turn loop;
        start_stoppers();
        turn_open(&loop);
        turn_run(&loop, 5, NULL);
        start_all_hogs();
        for (run = 0; run < runs; run++) {
                turn_run(&loop, 1, callback);
                turn_run(&loop, 3, NULL);
        }
        end_all();
        turn_close(&loop);
}

int main(int argc, char **argv)
{
        VICTIM_CHECK(argc >= 3);
        unsigned runs = (unsigned)atoi(argv[1]);
        file = argc > 3 ? argv[3] : NULL;
        if (strcmp(argv[2], "many_callbacks") == 0) {
                many_callbacks(runs);
                return 0;
        }
        chosen = victim_case_of(modes, argv[2]);
        run_loop(runs);
        return 0;
}
