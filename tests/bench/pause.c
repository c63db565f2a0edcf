/* SPDX-License-Identifier: Apache-2.0
 *
 * pause.c - how long a capture by signal keeps a running thread from running
 *
 *     pause STACK_KB STALLS STALL_MS [INTERVAL_MS]
 *
 * The callback spins and reads the clock; whatever comes between two readings shows as a gap. Which gaps are captures
 * the program sees by itself: its alternate signal stack is painted, and a signal leaves its frame there (the agent's
 * handler is SA_ONSTACK). One line for each gap above GAP_NS: its length, and 1 where a signal was handled in it.
 *
 * With INTERVAL_MS a second thread sends a signal of its own so often, whose handler does nothing: the least that any
 * capture by signal can take here.
 *
 * Context: the thread that spins; the one that sends
 */
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "../victims/truth.h"
#include "../victims/turn.h"

#define GAP_NS 1500
#define GAPS_MAX 1000000
#define ALTERNATE_BYTES (64 * 1024)
#define PAINTED_BYTES (16 * 1024) /* of its top, where frames begin */
#define PAINT 0xa5

static unsigned char alternate[ALTERNATE_BYTES] __attribute__((aligned(64)));
static unsigned char paint[PAINTED_BYTES];
static unsigned char *const painted = alternate + ALTERNATE_BYTES - PAINTED_BYTES;

static struct {
        uint32_t ns;
        uint32_t captured;
} gaps[GAPS_MAX];
static size_t gaps_count;
static uint64_t spun_ns;

static unsigned stack_kb, stall_ms, interval_ms;
static pthread_t spinner;

static void handle_nothing(int number)
{
}

static void *send_signals(void *unused)
{
        for (;;) {
                usleep(interval_ms * 1000);
                pthread_kill(spinner, SIGRTMIN);
        }
        return NULL;
}

/* Open only while the thread spins: elsewhere it would interrupt the loop's wait. */
static void set_signal(int how)
{
        sigset_t set;
        sigemptyset(&set);
        sigaddset(&set, SIGRTMIN);
        VICTIM_CHECK(pthread_sigmask(how, &set, NULL) == 0);
}

static void start_sender(void)
{
        pthread_t sender;
        struct sigaction action = { .sa_handler = handle_nothing, .sa_flags = SA_ONSTACK | SA_RESTART };
        spinner = pthread_self();
        VICTIM_CHECK(sigaction(SIGRTMIN, &action, NULL) == 0);
        VICTIM_CHECK(pthread_create(&sender, NULL, send_signals, NULL) == 0);
}

static void note_gap(uint64_t gap_ns)
{
        uint32_t captured = memcmp(painted, paint, PAINTED_BYTES) != 0;
        if (captured)
                memset(painted, PAINT, PAINTED_BYTES);
        if (gaps_count == GAPS_MAX)
                return;
        gaps[gaps_count].ns = (uint32_t)gap_ns;
        gaps[gaps_count++].captured = captured;
}

static VICTIM_FRAME void spin(void)
{
        set_signal(interval_ms ? SIG_UNBLOCK : SIG_BLOCK);
        uint64_t begin_ns = truth_now_ns(), last_ns = begin_ns, end_ns = begin_ns + stall_ms * 1000000ull;
        while (last_ns < end_ns) {
                uint64_t now_ns = truth_now_ns();
                if (now_ns - last_ns >= GAP_NS) {
                        note_gap(now_ns - last_ns);
                        now_ns = truth_now_ns(); /* without the time of noting it */
                }
                last_ns = now_ns;
        }
        spun_ns += last_ns - begin_ns;
        set_signal(SIG_BLOCK);
}

static VICTIM_FRAME void descend(unsigned left_kb)
{
        volatile char kilobyte[900]; /* about 1 KB with the frame */
        for (size_t i = 0; i < sizeof(kilobyte); i += 64)
                kilobyte[i] = (char)left_kb;
        if (left_kb > 0)
                descend(left_kb - 1);
        else
                spin();
        kilobyte[0] = kilobyte[64];
}

static VICTIM_FRAME void callback(struct turn *loop)
{
        descend(stack_kb);
}

/* This thread only: the watchdog keeps all CPUs, as in a server that has pinned its loop. */
static void pin(void)
{
        cpu_set_t all, one;
        int cpu = 0;
        VICTIM_CHECK(sched_getaffinity(0, sizeof(all), &all) == 0);
        while (!CPU_ISSET(cpu, &all))
                cpu++;
        CPU_ZERO(&one);
        CPU_SET(cpu, &one);
        VICTIM_CHECK(sched_setaffinity(0, sizeof(one), &one) == 0);
}

int main(int argc, char **argv)
{
        if (argc < 4)
                return 2;
        struct turn loop;
        stack_t stack = { .ss_sp = alternate, .ss_size = ALTERNATE_BYTES };
        stack_kb = (unsigned)atoi(argv[1]);
        unsigned stalls = (unsigned)atoi(argv[2]);
        stall_ms = (unsigned)atoi(argv[3]);
        interval_ms = argc > 4 ? (unsigned)atoi(argv[4]) : 0;
        set_signal(SIG_BLOCK);
        memset(alternate, PAINT, sizeof(alternate));
        memset(paint, PAINT, sizeof(paint));
        memset(gaps, 0, sizeof(gaps)); /* touched now, not in a gap */
        VICTIM_CHECK(sigaltstack(&stack, NULL) == 0);
        turn_open(&loop);
        turn_run(&loop, 5, NULL);
        if (interval_ms)
                start_sender();
        pin();
        turn_run(&loop, stalls, callback);
        for (size_t i = 0; i < gaps_count; i++)
                printf("%u %u\n", gaps[i].ns, gaps[i].captured);
        fprintf(stderr, "%llu\n", (unsigned long long)spun_ns);
        turn_close(&loop);
        return 0;
}
