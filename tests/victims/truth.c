/* SPDX-License-Identifier: Apache-2.0
 *
 * truth.c - log of planted stalls, and the stalls themselves
 *
 * The planted functions keep their own loop or sleep in their own frame, so that the culprit of a sample is exactly
 * their name and never that of a helper.
 *
 * Context: any thread of a victim
 */
#include "truth.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static uint64_t clock_ns(clockid_t clock)
{
        struct timespec now;
        clock_gettime(clock, &now);
        return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

uint64_t truth_real_ns(void)
{
        return clock_ns(CLOCK_REALTIME);
}

struct truth truth_begin(void)
{
        return (struct truth){
                .begin_ns = truth_now_ns(),
                .begin_real_ns = truth_real_ns(),
                .begin_cpu_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID),
        };
}

/* Opened anew for each line: some victims close all their descriptors, fork or exec. */
static void log_line(const char *line, size_t length)
{
        const char *path = getenv("VICTIM_TRUTH");
        if (!path)
                return;
        int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
        if (fd < 0 || write(fd, line, length) != (ssize_t)length)
                victim_fail(__FILE__, __LINE__, "the truth can't be written");
        close(fd);
}

void truth_end(struct truth begin, const char *cause, const char *culprit, const char *where)
{
        uint64_t end_ns = truth_now_ns();
        uint64_t cpu_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID) - begin.begin_cpu_ns;
        int saved = errno;
        char line[512];
        int length = snprintf(line, sizeof(line),
                              "{\"pid\":%d,\"tid\":%ld,\"begin_ns\":%llu,\"end_ns\":%llu,\"begin_real_ns\":%llu,"
                              "\"cpu_ns\":%llu,\"cause\":\"%s\",\"culprit\":\"%s\",\"where\":\"%s\"}\n",
                              (int)getpid(), syscall(SYS_gettid), (unsigned long long)begin.begin_ns,
                              (unsigned long long)end_ns, (unsigned long long)begin.begin_real_ns,
                              (unsigned long long)cpu_ns, cause, culprit, where);
        log_line(line, (size_t)length);
        errno = saved;
}

VICTIM_FRAME void planted_sleep_ms(unsigned duration_ms, const char *where)
{
        struct truth begin = truth_begin();
        struct timespec pause = { .tv_sec = duration_ms / 1000, .tv_nsec = duration_ms % 1000 * 1000000L };
        if (nanosleep(&pause, NULL) != 0)
                victim_fail(__FILE__, __LINE__, "nanosleep was interrupted");
        truth_end(begin, "blocked", "planted_sleep_ms", where);
}

VICTIM_FRAME void planted_busy_ms(unsigned duration_ms, const char *where)
{
        struct truth begin = truth_begin();
        for (uint64_t end_ns = begin.begin_ns + duration_ms * 1000000ull, now_ns = begin.begin_ns; now_ns < end_ns;) {
                for (volatile int i = 0; i < 1000; i++)
                        ;
                struct timespec now;
                clock_gettime(CLOCK_MONOTONIC, &now);
                now_ns = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
        }
        truth_end(begin, "cpu", "planted_busy_ms", where);
}

VICTIM_FRAME void quiet_sleep_ms(unsigned duration_ms)
{
        struct timespec pause = { .tv_sec = duration_ms / 1000, .tv_nsec = duration_ms % 1000 * 1000000L };
        while (nanosleep(&pause, &pause) != 0 && errno == EINTR)
                ;
}

VICTIM_FRAME void quiet_busy_ms(unsigned duration_ms)
{
        for (uint64_t end_ns = truth_now_ns() + duration_ms * 1000000ull; truth_now_ns() < end_ns;)
                for (volatile int i = 0; i < 1000; i++)
                        ;
}

void victim_fail(const char *file, int line, const char *what)
{
        fprintf(stderr, "victim: %s:%d: %s\n", file, line, what);
        _exit(99);
}

const struct victim_case *victim_case_of(const struct victim_case *cases, const char *name)
{
        while (cases->name != NULL && strcmp(cases->name, name) != 0)
                cases++;
        VICTIM_CHECK(cases->name != NULL);
        return cases;
}
