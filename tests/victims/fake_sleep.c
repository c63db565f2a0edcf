/* SPDX-License-Identifier: Apache-2.0
 *
 * fake_sleep.c - a machine that sleeps for an hour, as far as a program can tell
 *
 * Preloaded before the agent: from the moment when the file FAKE_SLEEP exists, CLOCK_BOOTTIME is an hour ahead. No test
 * can put a machine to sleep, and this is all by which a program sees that it has slept.
 *
 * Context: any thread of a watched program
 */
#include <stdint.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define HOUR_S 3600

int clock_gettime(clockid_t id, struct timespec *time)
{
        const char *file = getenv("FAKE_SLEEP");
        long r = syscall(SYS_clock_gettime, id, time);
        if (r == 0 && id == CLOCK_BOOTTIME && file != NULL && access(file, F_OK) == 0)
                time->tv_sec += HOUR_S;
        return (int)r;
}
