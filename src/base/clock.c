/* SPDX-License-Identifier: Apache-2.0
 *
 * clock.c - measure the TSC against CLOCK_MONOTONIC, and fall back when the two part
 *
 * The rate is measured once, over at least CALIBRATE_NS, so that the error of reading two clocks one after the other
 * (some 50 ns) is far below a millionth. The parameters are never changed after they are published. A machine that was
 * suspended or migrated may come back with another TSC: then CLOCK_MONOTONIC is used for good.
 *
 * Context: watchdog, except the readers in clock.h
 */
#include "base/clock.h"

#include <dlfcn.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__x86_64__)
#include <cpuid.h>
#endif
#include <fcntl.h>

#include "base/calls.h"
#include "base/raw.h"

#define CALIBRATE_NS 100000000ull
#define DRIFT_NS 2000000ull
#define TOGETHER_NS 1000000 /* two readings that are no further apart count as one */

static const struct clock_rate rate_monotonic;
static struct clock_rate rate_tsc;
const struct clock_rate *_Atomic clock_rate = &rate_monotonic;

static struct {
        enum { CLOCK_NEW, CLOCK_MEASURING, CLOCK_TSC, CLOCK_PLAIN } state;
        uint64_t first_ticks;
        uint64_t first_ns;
        uint64_t last_reading_ns;
        uint64_t last_monotonic_ns;
} calibration;

/* What this name stands for may be another library's idea of time (libfaketime). */
static int (*read_clock)(clockid_t id, struct timespec *t) = clock_gettime;

void clock_find_libcs_own(void)
{
        void *libc = dlopen("libc.so.6", RTLD_LAZY | RTLD_NOLOAD);
        void *found = libc != NULL ? dlsym(libc, "clock_gettime") : NULL;
        if (found != NULL)
                *(void **)&read_clock = found;
}

static _Atomic bool tsc_left; /* by clock_leave_tsc() */

/* libc's own function reads the TSC, too, where the kernel trusts it. */
static uint64_t read_ns(clockid_t id)
{
        struct timespec t;
        if (__builtin_expect(atomic_load_explicit(&tsc_left, memory_order_relaxed), 0))
                raw_syscall_sigsafe(SYS_clock_gettime, (uint64_t)id, (uintptr_t)&t, 0, 0, 0, 0);
        else
                read_clock(id, &t);
        return (uint64_t)t.tv_sec * 1000000000ull + (uint64_t)t.tv_nsec;
}

uint64_t clock_monotonic_ns(void)
{
        return read_ns(CLOCK_MONOTONIC);
}

/* A thread that is taken off the CPU between the two readings must not take that for sleep. */
bool clock_slept(uint64_t *slept_ns)
{
        for (int i = 0; i < 4 && call_allowed_sigsafe(SYS_clock_gettime); i++) {
                uint64_t before_ns = clock_monotonic_ns(), boot_ns = read_ns(CLOCK_BOOTTIME);
                if (clock_monotonic_ns() - before_ns > TOGETHER_NS)
                        continue;
                *slept_ns = boot_ns > before_ns ? boot_ns - before_ns : 0;
                return true;
        }
        return false;
}

uint64_t clock_realtime_ns(void)
{
        return read_ns(CLOCK_REALTIME);
}

uint64_t clock_realtime_of(uint64_t reading_ns)
{
        int64_t ago_ns = (int64_t)(clock_now_ns() - reading_ns);
        return clock_realtime_ns() - (uint64_t)ago_ns;
}

const char *clock_name(void)
{
        return atomic_load(&clock_rate)->scale_q64 ? "tsc" : "clock_gettime";
}

static bool kernel_trusts_tsc(void)
{
        char name[16] = "";
        if (!call_allowed_sigsafe(SYS_openat))
                return false;
        int fd = open("/sys/devices/system/clocksource/clocksource0/current_clocksource", O_RDONLY | O_CLOEXEC);
        if (fd < 0)
                return false;
        ssize_t n = read(fd, name, sizeof name - 1);
        close(fd);
        return n >= 3 && memcmp(name, "tsc", 3) == 0;
}

static bool find_out(void)
{
#if defined(__x86_64__)
        unsigned a, b, c, d;
        if (!__get_cpuid(0x80000007, &a, &b, &c, &d) || !(d & 1u << 8)) /* invariant TSC */
                return false;
        int mode = 0;
        if (prctl(PR_GET_TSC, &mode) == 0 && mode != PR_TSC_ENABLE) {
                clock_leave_tsc(); /* neither may libc's own function read it */
                return false;
        }
        return kernel_trusts_tsc();
#else
        return false;
#endif
}

bool clock_tsc_usable(void)
{
        static _Atomic int known; /* 1 no, 2 yes */
        if (atomic_load(&known) == 0)
                atomic_store(&known, find_out() ? 2 : 1);
        return atomic_load(&known) == 2;
}

/* Both clocks as nearly at once as can be: the reading with the shortest way between two TSC readings of four. */
static void read_both(uint64_t *ticks, uint64_t *ns)
{
        uint64_t best = UINT64_MAX;
        for (int i = 0; i < 4; i++) {
                uint64_t before = clock_ticks();
                uint64_t now_ns = clock_monotonic_ns();
                uint64_t after = clock_ticks();
                if (after - before < best) {
                        best = after - before;
                        *ticks = before + (after - before) / 2;
                        *ns = now_ns;
                }
        }
}

static void remember_pair(void)
{
        calibration.last_monotonic_ns = clock_monotonic_ns();
        calibration.last_reading_ns = clock_now_ns();
}

static void publish_tsc(void)
{
        uint64_t ticks, ns;
        read_both(&ticks, &ns);
        uint64_t passed_ticks = ticks - calibration.first_ticks;
        uint64_t passed_ns = ns - calibration.first_ns;
        if (passed_ns < CALIBRATE_NS)
                return;
        calibration.state = CLOCK_PLAIN;
        if (passed_ticks <=
            passed_ns) /* slower than 1 GHz: its scale would not fit, and no invariant TSC is that slow */
                return;
        rate_tsc.scale_q64 = (uint64_t)(((unsigned __int128)passed_ns << 64) / passed_ticks);
        rate_tsc.offset_ns = ns - (uint64_t)((unsigned __int128)ticks * rate_tsc.scale_q64 >> 64);
        atomic_store(&clock_rate, &rate_tsc);
        calibration.state = CLOCK_TSC;
        if (atomic_load(&tsc_left)) /* just now: it may have been published after that */
                atomic_store(&clock_rate, &rate_monotonic);
        remember_pair();
}

static bool drifted(void)
{
        uint64_t monotonic_ns = clock_monotonic_ns() - calibration.last_monotonic_ns;
        uint64_t reading_ns = clock_now_ns() - calibration.last_reading_ns;
        uint64_t apart_ns = monotonic_ns > reading_ns ? monotonic_ns - reading_ns : reading_ns - monotonic_ns;
        /* NTP slews CLOCK_MONOTONIC by up to 500 ppm; the TSC does not follow. */
        return apart_ns > DRIFT_NS + monotonic_ns / 1000;
}

void clock_leave_tsc(void)
{
        atomic_store(&tsc_left, true);
        atomic_store(&clock_rate, &rate_monotonic);
}

bool clock_tend(void)
{
        if (atomic_load(&tsc_left)) {
                bool was_tsc = calibration.state == CLOCK_TSC;
                atomic_store(&clock_rate, &rate_monotonic);
                calibration.state = CLOCK_PLAIN;
                return was_tsc;
        }
        switch (calibration.state) {
        case CLOCK_NEW:
                calibration.state = clock_tsc_usable() ? CLOCK_MEASURING : CLOCK_PLAIN;
                if (calibration.state == CLOCK_MEASURING) /* a process that may not read the TSC would die of it */
                        read_both(&calibration.first_ticks, &calibration.first_ns);
                return false;
        case CLOCK_MEASURING:
                publish_tsc();
                return false;
        case CLOCK_TSC:
                /* Twice, because this thread may be taken off the CPU between the two readings. */
                if (drifted() && drifted()) {
                        atomic_store_explicit(&clock_rate, &rate_monotonic, memory_order_release);
                        calibration.state = CLOCK_PLAIN;
                        return true;
                }
                remember_pair();
                return false;
        case CLOCK_PLAIN:
                return false;
        }
        return false;
}

void clock_after_fork(void)
{
        /* The rate stays true in the child; a measurement under way would have to begin again. */
        if (calibration.state == CLOCK_MEASURING)
                calibration.state = CLOCK_NEW;
        if (calibration.state == CLOCK_TSC)
                remember_pair();
}
