/* SPDX-License-Identifier: Apache-2.0
 *
 * fake_sleep.c - a machine that sleeps for an hour, as far as a program can tell
 *
 * Preloaded behind the agent: from the moment when the file FAKE_SLEEP exists, CLOCK_BOOTTIME is an hour ahead. No test
 * can put a machine to sleep, and this is all by which a program sees that it has slept. The agent asks the loader for
 * libc's own clock, so that it is the loader's answer that is changed.
 *
 * Context: any thread of a watched program
 */
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define HOUR_S 3600

static int fake_clock_gettime(clockid_t id, struct timespec *time)
{
        const char *file = getenv("FAKE_SLEEP");
        long r = syscall(SYS_clock_gettime, id, time);
        if (r == 0 && id == CLOCK_BOOTTIME && file != NULL && access(file, F_OK) == 0)
                time->tv_sec += HOUR_S;
        return (int)r;
}

void *dlsym(void *restrict handle, const char *restrict name)
{
        static void *(*real)(void *, const char *);
        if (real == NULL)
                *(void **)&real = dlvsym(RTLD_NEXT, "dlsym", "GLIBC_2.2.5");
        if (strcmp(name, "clock_gettime") == 0)
                return (void *)fake_clock_gettime;
        return real(handle, name);
}
