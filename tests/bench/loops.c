/* SPDX-License-Identifier: Apache-2.0
 *
 * loops.c - a server of many loops, for what the watchdog costs
 *
 *     loops [-n THREADS] [-r HZ] [-s STALLS] [-a] [-z]
 *
 * Each of THREADS threads (1) runs a loop of its own whose timer fires HZ (10) times a second, staggered; with -r 0
 * ten times in all, then never again. -s: the first loop (-a: each, at the same time) then stalls STALLS times for
 * 150 ms. -z: the first loop polls without ever sleeping. Writes "ready" when all that has happened, and ends when
 * its standard input does.
 *
 * Context: one thread a loop
 */
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "../victims/truth.h"

#define TURNS 10 /* of each loop before "ready" */
#define STALL_MS 150
#define STACK_BYTES (64 * 1024)

struct loop {
        unsigned index;
        int epoll;
        int timer;
};

static unsigned threads = 1, hz = 10, stalls;
static bool all_stall, zero;
static pthread_barrier_t ready;

static struct timespec duration(uint64_t duration_ns)
{
        return (struct timespec){ .tv_sec = (time_t)(duration_ns / 1000000000u),
                                  .tv_nsec = (long)(duration_ns % 1000000000u) };
}

static void open_loop(struct loop *loop)
{
        uint64_t period_ns = 1000000000ull / (hz ? hz : 20);
        struct itimerspec when = { .it_value = duration(1 + period_ns * loop->index / threads),
                                   .it_interval = duration(period_ns) };
        struct epoll_event event = { .events = EPOLLIN };
        loop->epoll = epoll_create1(EPOLL_CLOEXEC);
        loop->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
        VICTIM_CHECK(loop->epoll >= 0 && loop->timer >= 0);
        VICTIM_CHECK(epoll_ctl(loop->epoll, EPOLL_CTL_ADD, loop->timer, &event) == 0);
        VICTIM_CHECK(timerfd_settime(loop->timer, 0, &when, NULL) == 0);
}

/* One turn. Returns 1 where the timer fired. */
static int turn(const struct loop *loop, int timeout_ms)
{
        struct epoll_event event;
        uint64_t expirations;
        int count = epoll_wait(loop->epoll, &event, 1, timeout_ms);
        VICTIM_CHECK(count >= 0);
        return count == 1 && read(loop->timer, &expirations, 8) == 8;
}

static void *run(void *argument)
{
        struct loop *loop = argument;
        bool first = loop->index == 0;
        open_loop(loop);
        for (unsigned turns = 0; turns < TURNS;)
                turns += (unsigned)turn(loop, -1);
        for (unsigned i = 0; (first || all_stall) && i < stalls; i++) {
                quiet_busy_ms(STALL_MS);
                turn(loop, -1);
        }
        struct itimerspec never = { 0 };
        if (hz == 0)
                VICTIM_CHECK(timerfd_settime(loop->timer, 0, &never, NULL) == 0);
        pthread_barrier_wait(&ready);
        for (;;)
                turn(loop, first && zero ? 0 : -1);
        return NULL;
}

static void start(struct loop *loop)
{
        pthread_t thread;
        pthread_attr_t attributes;
        pthread_attr_init(&attributes);
        VICTIM_CHECK(pthread_attr_setstacksize(&attributes, STACK_BYTES) == 0);
        VICTIM_CHECK(pthread_create(&thread, &attributes, run, loop) == 0);
        pthread_attr_destroy(&attributes);
}

int main(int argc, char **argv)
{
        for (int option; (option = getopt(argc, argv, "n:r:s:az")) != -1;) {
                if (option == 'n')
                        threads = (unsigned)atoi(optarg);
                else if (option == 'r')
                        hz = (unsigned)atoi(optarg);
                else if (option == 's')
                        stalls = (unsigned)atoi(optarg);
                else if (option == 'a')
                        all_stall = true;
                else if (option == 'z')
                        zero = true;
                else
                        return 2;
        }
        struct loop *loops = calloc(threads, sizeof(*loops));
        VICTIM_CHECK(threads > 0 && loops && pthread_barrier_init(&ready, NULL, threads + 1) == 0);
        for (unsigned i = 0; i < threads; i++) {
                loops[i].index = i;
                start(&loops[i]);
        }
        pthread_barrier_wait(&ready);
        puts("ready");
        fflush(stdout);
        while (getchar() != EOF)
                ;
        exit(0);
}
