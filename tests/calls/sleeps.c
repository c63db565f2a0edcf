/* SPDX-License-Identifier: Apache-2.0
 *
 * sleeps.c - calls that wait for the time only
 *
 * Context: tests; any thread
 */
#include <errno.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <threads.h>
#include <unistd.h>

#include "calls.h"

static const struct timespec untouched = { 77, 77 };

/* What a sleep has stored as the rest of it. */
static void saw_rest(struct scene *scene, const struct timespec *rest)
{
        if (memcmp(rest, &untouched, sizeof(untouched)) == 0)
                scene_saw(scene, "rest untouched");
        else
                scene_saw_left(scene, "rest", rest->tv_sec, rest->tv_nsec);
}

static long do_nanosleep(struct scene *scene)
{
        return nanosleep(calls_limit(), NULL);
}

static long do_nanosleep_with_rest(struct scene *scene)
{
        struct timespec rest = untouched;
        long result = nanosleep(calls_limit(), &rest);
        int error = errno;
        saw_rest(scene, &rest);
        errno = error;
        return result;
}

static long do_nanosleep_in_place(struct scene *scene)
{
        struct timespec t = *calls_limit();
        long result = nanosleep(&t, &t);
        int error = errno;
        if (memcmp(&t, calls_limit(), sizeof(t)) == 0)
                scene_saw(scene, "length untouched");
        else
                scene_saw_left(scene, "length", t.tv_sec, t.tv_nsec);
        errno = error;
        return result;
}

static long do_raw_nanosleep(struct scene *scene)
{
        return RAW(SYS_nanosleep, calls_limit(), 0, 0, 0, 0, 0);
}

static long do_clock_nanosleep(struct scene *scene)
{
        return scene_answer(-clock_nanosleep(CLOCK_BOOTTIME, 0, calls_limit(), NULL));
}

static long do_clock_nanosleep_with_rest(struct scene *scene)
{
        struct timespec rest = untouched;
        int error = clock_nanosleep(CLOCK_MONOTONIC, 0, calls_limit(), &rest);
        saw_rest(scene, &rest);
        return scene_answer(-error);
}

static long sleep_until(clockid_t clock)
{
        struct timespec t = calls_deadline(clock);
        return scene_answer(-clock_nanosleep(clock, TIMER_ABSTIME, &t, NULL));
}

static long do_sleep_until_real(struct scene *scene)
{
        return sleep_until(CLOCK_REALTIME);
}

static long do_sleep_until_monotonic(struct scene *scene)
{
        return sleep_until(CLOCK_MONOTONIC);
}

static long do_sleep_until_tai(struct scene *scene)
{
        return sleep_until(CLOCK_TAI);
}

static long do_usleep(struct scene *scene)
{
        return usleep(calls_ms() * 1000);
}

#define SLEEP_S 10

/* It is made for whole seconds, and ended by a signal of the program's own: what is left is in whole seconds too. */
static long do_sleep(struct scene *scene)
{
        unsigned left_s = sleep(SLEEP_S);
        uint64_t passed_ns = scene_now_ns() - atomic_load(&scene->begin_ns);
        if (passed_ns < calls_ms() * 1000000ull)
                return scene_answer(-EINTR);
        bool fits = left_s + calls_ms() / 1000 < SLEEP_S && left_s + 1 + passed_ns / 1000000000 >= SLEEP_S;
        if (fits)
                scene_saw(scene, "what is left fits");
        else
                scene_saw(scene, "%u s left", left_s);
        return 0;
}

static long do_thrd_sleep(struct scene *scene)
{
        struct timespec rest = untouched;
        long result = thrd_sleep(calls_limit(), &rest);
        saw_rest(scene, &rest);
        return result == 0 ? 0 : scene_answer(-EINTR);
}

static void make_timer(struct scene *scene)
{
        scene->id = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
        NEED(scene->id >= 0);
}

static long read_timer(struct scene *scene)
{
        uint64_t expirations = 0;
        long result = read(scene->id, &expirations, sizeof(expirations));
        if (result > 0)
                scene_saw(scene, "%s", expirations != 0 ? "expired" : "nothing");
        return result;
}

static long do_timer(struct scene *scene)
{
        struct itimerspec when = { .it_value = *calls_limit() };
        NEED(timerfd_settime(scene->id, 0, &when, NULL) == 0);
        return read_timer(scene);
}

static long do_timer_until(struct scene *scene)
{
        struct itimerspec when = { .it_value = calls_deadline(CLOCK_MONOTONIC) };
        NEED(timerfd_settime(scene->id, TFD_TIMER_ABSTIME, &when, NULL) == 0);
        return read_timer(scene);
}

const struct call calls_sleeps[] = {
        { "nanosleep", NULL, do_nanosleep, NULL, 0, 0, SYS_clock_nanosleep, MENDED },
        { "nanosleep, rest", NULL, do_nanosleep_with_rest, NULL, 0, 0, SYS_clock_nanosleep, LIMITED },
        { "nanosleep, in place", NULL, do_nanosleep_in_place, NULL, 0, 0, SYS_clock_nanosleep, MENDED },
        { "nanosleep, raw", NULL, do_raw_nanosleep, NULL, 0, 0, SYS_nanosleep, MENDED },
        { "clock_nanosleep", NULL, do_clock_nanosleep, NULL, 0, 0, SYS_clock_nanosleep, MENDED },
        { "clock_nanosleep, rest", NULL, do_clock_nanosleep_with_rest, NULL, 0, 0, SYS_clock_nanosleep, LIMITED },
        { "clock_nanosleep until, real time", NULL, do_sleep_until_real, NULL, 0, 0, SYS_clock_nanosleep, MENDED },
        { "clock_nanosleep until, monotonic", NULL, do_sleep_until_monotonic, NULL, 0, 0, SYS_clock_nanosleep, MENDED },
        { "clock_nanosleep until, TAI", NULL, do_sleep_until_tai, NULL, 0, 0, SYS_clock_nanosleep, MENDED },
        { "usleep", NULL, do_usleep, NULL, 0, 0, SYS_clock_nanosleep, MENDED },
        { "sleep", NULL, do_sleep, scene_send_signal, 0, 0, SYS_clock_nanosleep, MENDED },
        { "thrd_sleep", NULL, do_thrd_sleep, NULL, 0, 0, SYS_clock_nanosleep, LIMITED },
        { "read of a timerfd", make_timer, do_timer, NULL, 8, 0, SYS_read, RESTARTED },
        { "read of a timerfd, until", make_timer, do_timer_until, NULL, 8, 0, SYS_read, RESTARTED },
        { 0 },
};
