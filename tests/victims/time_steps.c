/* SPDX-License-Identifier: Apache-2.0
 *
 * time_steps.c - a loop on a machine whose clocks are set, or that stood still for a while
 *
 *     time_steps CLOCK idle|stall SECONDS
 *
 * No test may set the clocks of its machine. So this program has a clock_gettime() of its own, which is found before
 * libc's, by the library too (see dlsym()): the kernel's time, and from the step on SECONDS more (or less). CLOCK is
 * what steps:
 *
 *     date      CLOCK_REALTIME, as by settimeofday(), NTP's first step or a leap of an administrator
 *     machine   CLOCK_MONOTONIC, but not the TSC: the two part, as they do in a machine that was suspended
 *     paused    all of them, as in a virtual machine that was paused (the TSC can't step: it is not told that the
 * kernel trusts it)
 *
 * idle: the step comes between two waits, where nothing is long. stall: in the middle of a callback, of 20 ms where
 * time stands still for the program (machine, paused), and of 300 ms where only the date changes. In all cases one
 * stall of 300 ms is planted later. The program ends with the number of steps that it made, so that a test knows that
 * there was one.
 *
 * Context: one loop, in the main thread
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "truth.h"
#include "turn.h"

#define CALIBRATION_TURNS 10 /* of 20 ms: the library measures the TSC for 100 ms */

static _Atomic long date_step_s, monotonic_step_s;
static long step_s;
static const char *which;
static int steps;

/* By the raw call: libc's would read the TSC. */
__attribute__((visibility("default"))) int clock_gettime(clockid_t clock, struct timespec *now)
{
        if (syscall(SYS_clock_gettime, clock, now) != 0)
                return -1;
        if (clock == CLOCK_REALTIME)
                now->tv_sec += atomic_load(&date_step_s);
        if (clock == CLOCK_MONOTONIC)
                now->tv_sec += atomic_load(&monotonic_step_s);
        return 0;
}

/* A TSC that the kernel does not trust is not read: where it stands that the kernel does, there is nothing. */
__attribute__((visibility("default"))) int open(const char *path, int flags, ...)
{
        va_list list;
        va_start(list, flags);
        mode_t mode = va_arg(list, mode_t);
        va_end(list);
        bool hidden = which != NULL && strcmp(which, "paused") == 0;
        if (hidden && strstr(path, "/clocksource/") != NULL) {
                errno = ENOENT;
                return -1;
        }
        return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

/* The library asks libc itself for its clock, past whatever is preloaded (libfaketime): here it gets ours. What it asks
 * for as the next one after itself stands in libc, too. */
__attribute__((visibility("default"))) void *dlsym(void *restrict handle, const char *restrict name)
{
        static void *(*real)(void *, const char *);
        if (real == NULL)
                *(void **)&real = dlvsym(RTLD_NEXT, "dlsym", "GLIBC_2.2.5");
        if (strcmp(name, "clock_gettime") == 0)
                return (void *)(uintptr_t)clock_gettime;
        return real(handle == RTLD_NEXT ? dlopen("libc.so.6", RTLD_LAZY | RTLD_NOLOAD) : handle, name);
}

static void step(void)
{
        steps++;
        atomic_fetch_add(&date_step_s, step_s);
        if (strcmp(which, "date") != 0)
                atomic_fetch_add(&monotonic_step_s, step_s);
}

static VICTIM_FRAME void on_step(struct turn *loop)
{
        (void)loop;
        unsigned half_ms = strcmp(which, "date") == 0 ? 150 : 10;
        quiet_sleep_ms(half_ms);
        step();
        quiet_sleep_ms(half_ms);
}

static VICTIM_FRAME void on_sleep(struct turn *loop)
{
        (void)loop;
        planted_sleep_ms(300, "on_sleep");
}

int main(int argc, char **argv)
{
        struct turn loop;
        VICTIM_CHECK(argc == 4);
        which = argv[1];
        step_s = atol(argv[3]);
        turn_open(&loop);
        turn_run(&loop, CALIBRATION_TURNS, NULL);
        if (strcmp(argv[2], "idle") == 0)
                step();
        else
                turn_run(&loop, 1, on_step);
        turn_run(&loop, CALIBRATION_TURNS, NULL);
        turn_run(&loop, 1, on_sleep);
        turn_run(&loop, 3, NULL);
        turn_close(&loop);
        return steps;
}
