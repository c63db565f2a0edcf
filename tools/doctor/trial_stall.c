/* SPDX-License-Identifier: Apache-2.0
 *
 * trial_stall.c - a loop that stalls a few times, asleep and on the CPU
 *
 * Context: a process of its own, with the agent in it
 */
#include <dlfcn.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include "command.h"
#include "doctor/trial.h"
#include "now.h"

#define ROUNDS 3 /* one that the machine disturbs does not count against it */
#define STALL_NS 60000000u
#define WAITS 3       /* of a loop, before it is one */
#define PATIENCE_S 30 /* then the kernel ends us */

/* By the thread's own time: another program on the CPU makes it longer, not shorter. */
static void stay_on_cpu(void)
{
        uint64_t end_ns = now_ns(CLOCK_THREAD_CPUTIME_ID) + STALL_NS;
        while (now_ns(CLOCK_THREAD_CPUTIME_ID) < end_ns)
                ;
}

static void stay_asleep(void)
{
        const struct timespec length = { .tv_nsec = STALL_NS };
        nanosleep(&length, NULL);
}

/* A loop that has nothing to wait for but the time. */
static void wait_for_events(int epoll)
{
        struct epoll_event event;
        for (int i = 0; i < WAITS; i++)
                epoll_wait(epoll, &event, 1, 1);
}

int trial_stall(void)
{
        const char *(*version)(void);
        *(void **)&version = dlsym(RTLD_DEFAULT, "loopdog_version");
        int epoll = epoll_create1(EPOLL_CLOEXEC);
        alarm(PATIENCE_S);
        if (version)
                printf("version %s\n", version());
        if (fflush(stdout) != 0 || epoll < 0)
                return EXIT_FAILED;
        wait_for_events(epoll);
        for (int i = 0; i < ROUNDS; i++) {
                stay_asleep();
                wait_for_events(epoll);
                stay_on_cpu();
                wait_for_events(epoll);
        }
        close(epoll);
        return EXIT_FINE;
}
