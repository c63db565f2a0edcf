/* SPDX-License-Identifier: Apache-2.0
 *
 * calls.c - find out which system calls a seccomp filter lets us make
 *
 * What a filter does to a call is known only by making it, and the answer may be the end of the process. So a child
 * makes them: it tries one call after the other with arguments that do nothing, and writes down how far it has come.
 * The call that it dies of is refused, and another child goes on behind it. The host does not see these children: they
 * are made without its handlers of fork and without a signal for their end, so its wait() does not find them either.
 *
 * Making a child is a call of its own that a filter may punish. libc made the watchdog's thread by clone3(), whose
 * arguments no filter can look at: where that went well, clone3() can make a child too. Where it is refused (ENOSYS, so
 * that libc takes clone()), clone() is tried only under filters that were there before the program: those are for
 * ordinary programs, which have children. A program that locks itself up may forbid just that, and then everything on
 * the list is refused untried. The same holds for a filter that comes when the watchdog is already at work.
 *
 * Context: watchdog; calls_load() in the constructor, call_refuse() and calls_untried_here() anywhere
 */
#include "base/calls.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/membarrier.h>
#include <linux/sched.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#include "base/clock.h"
#include "base/notice.h"
#include "base/number.h"
#include "base/pause.h"
#include "base/proc.h"
#include "base/raw.h"

#define STEP_NS 500000
#define PATIENCE_STEPS 4000 /* for one child */
#define ALL UINT64_MAX
#define COUNT_EVERY_NS 20000000ull

_Atomic uint64_t calls_refused[CALLS_KNOWN / 64];

static const struct timespec no_time;

/* Of what every program does (read, write, close, futex, exit) nothing is listed. The first lets a child be reaped at
 * all, the second keeps it from leaving a core file. */
static const struct call {
        short number;
        uint64_t arguments[6];
} calls[] = {
        { SYS_wait4, { ALL, 0, WNOHANG | __WALL } },
        { SYS_prctl, { PR_SET_DUMPABLE, 0 } },
        { SYS_tgkill, { ALL, ALL, 0 } },
        { SYS_pread64, { ALL } },
        { SYS_openat, { (uint64_t)AT_FDCWD, (uintptr_t) "", O_RDONLY | O_CLOEXEC } },
        { SYS_newfstatat, { (uint64_t)AT_FDCWD, (uintptr_t) "", 0, 0 } },
        { SYS_fstat, { ALL } },
        { SYS_readlinkat, { ALL, (uintptr_t) "", 0, 0 } },
        { SYS_getdents64, { ALL } },
        { SYS_fcntl, { ALL, F_GETFD } },
        { SYS_fcntl, { ALL, F_DUPFD_CLOEXEC } },
        { SYS_fcntl, { ALL, F_OFD_GETLK } }, /* whether a reader looks on; some filters go by the second argument */
        { SYS_prlimit64, { 0, RLIMIT_NOFILE, 0, 0 } },
        { SYS_close_range, { ALL >> 32, ALL >> 32, CLOSE_RANGE_UNSHARE } },
        { SYS_mq_getsetattr, { ALL } },
        { SYS_pidfd_open, { 0 } },
        { SYS_pidfd_getfd, { ALL, ALL } },
        { SYS_pipe2, { 0 } },
        { SYS_mincore, { 1, 1, 0 } },
        { SYS_mmap, { 0 } },
        { SYS_splice, { ALL, 0, ALL, 0, 1 } },
        { SYS_sendto, { ALL } },
        { SYS_uname, { 0 } },
        { SYS_geteuid, { 0 } },
        { SYS_membarrier, { MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED } },
        { SYS_nanosleep, { 0 } },
        { SYS_sched_yield, { 0 } },
        { SYS_sched_getparam, { 0 } },
        { SYS_sched_getscheduler, { 0 } },
        { SYS_sched_setscheduler, { 0, ALL } },
        { SYS_sched_getaffinity, { 0 } },
        { SYS_sched_setaffinity, { 0 } },
        { SYS_clock_gettime, { CLOCK_THREAD_CPUTIME_ID, 0 } },
        { SYS_process_vm_readv, { ALL } },             /* without it nothing is captured */
        { SYS_rt_tgsigqueueinfo, { ALL, ALL, 0, 0 } }, /* without one of these no signal is sent */
        { SYS_rt_sigaction, { 0 } },
        { SYS_rt_sigprocmask, { 0 } },
        { SYS_rt_sigtimedwait, { 0 } }, /* without it none is taken back before exec */
        { SYS_gettid, { 0 } },
        { SYS_getppid, { 0 } },
        { SYS_getpid, { 0 } }, /* that it is refused counts for a filter that comes later */
        { SYS_sigaltstack, { 0 } },
        { SYS_get_robust_list, { ALL } },
        { SYS_getresuid, { 0 } },
        { SYS_getresgid, { 0 } },
        { SYS_capget, { 0 } },
        { SYS_getrusage, { ALL } },
        { SYS_process_vm_writev, { ALL } }, /* without these, less of an interrupted call can be mended */
        { SYS_rt_sigpending, { 0, ALL } },
        { SYS_epoll_pwait, { ALL } },
        { SYS_ppoll, { 0, 0, (uintptr_t)&no_time, 0, 8 } },
        { SYS_getsockopt, { ALL } }, /* with the next three: without them less is known of descriptors */
        { SYS_getsockname, { ALL } },
        { SYS_getpeername, { ALL } },
        { SYS_kcmp, { 0, 0, ALL } },
        { SYS_perf_event_open, { 0 } },
        { SYS_lseek, { ALL } },
        { SYS_recvfrom, { ALL } },
        { SYS_ioctl, { ALL, FIONREAD } },
};
#define COUNT (sizeof calls / sizeof *calls)

/* What a child writes for us to read. */
struct progress {
        _Atomic unsigned at; /* the call that is being tried; COUNT: done */
        _Atomic bool refused[COUNT];
};

static struct {
        bool before_program; /* a filter was there when we were loaded */
        _Atomic bool known;
        _Atomic unsigned filters;
        uint64_t counted_ns;
} state;

void call_refuse(int number)
{
        if (number >= 0 && number < CALLS_KNOWN)
                atomic_fetch_or(&calls_refused[number / 64], (uint64_t)1 << number % 64);
}

static void allow(int number)
{
        atomic_fetch_and(&calls_refused[number / 64], ~((uint64_t)1 << number % 64));
}

static void refuse_from(unsigned first)
{
        for (unsigned i = first; i < COUNT; i++)
                call_refuse(calls[i].number);
}

static long make(const struct call *call)
{
        const uint64_t *a = call->arguments;
        return raw_syscall_sigsafe(call->number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

/* ---- the child ---- */

/* No function of libc may be called here, and none of the host's memory changed. */
static _Noreturn void try_all(struct progress *progress, unsigned first)
{
        if (first > 1 && call_allowed_sigsafe(SYS_prctl))
                make(&calls[1]);
        for (unsigned i = first; i < COUNT; i++) {
                atomic_store(&progress->at, i);
                long r = make(&calls[i]);
                atomic_store(&progress->refused[i], r == -ENOSYS || r == -EPERM || r == -EACCES);
        }
        atomic_store(&progress->at, COUNT);
        for (;;)
                raw_syscall_sigsafe(SYS_exit_group, 0, 0, 0, 0, 0, 0);
}

static long make_child(void)
{
        struct clone_args arguments;
        memset(&arguments, 0, sizeof arguments);
        long r = raw_syscall_sigsafe(SYS_clone3, (uintptr_t)&arguments, sizeof arguments, 0, 0, 0, 0);
        if (r != -ENOSYS && r != -EPERM)
                return r;
        return state.before_program ? raw_syscall_sigsafe(SYS_clone, 0, 0, 0, 0, 0, 0) : r;
}

/* ---- waiting for it ---- */

/* Has it survived the call by which we are going to ask for its end? */
static bool may_be_reaped(const struct progress *progress)
{
        for (int i = 0; i < PATIENCE_STEPS && atomic_load(&progress->at) == 0; i++)
                pause_ns_sigsafe(STEP_NS);
        return atomic_load(&progress->at) != 0;
}

/* False where it does not end: a supervisor that is asked about a call may never answer. */
static bool reap(long child)
{
        for (int i = 0; i < PATIENCE_STEPS; i++) {
                long r = raw_syscall_sigsafe(SYS_wait4, (uint64_t)child, 0, WNOHANG | __WALL, 0, 0, 0);
                if (r != 0 && r != -EINTR) /* -ECHILD: the host asked for children of every kind */
                        return true;
                pause_ns_sigsafe(STEP_NS);
        }
        return false;
}

static void end_child(long child)
{
        if (!call_allowed_sigsafe(SYS_tgkill))
                return;
        raw_syscall_sigsafe(SYS_tgkill, (uint64_t)child, (uint64_t)child, SIGKILL, 0, 0, 0);
        reap(child);
}

/* One child, from the call `first` on. Returns where the next one begins: COUNT is the end. */
static unsigned try_from(struct progress *progress, unsigned first)
{
        atomic_store(&progress->at, first);
        long child = make_child();
        if (child == 0)
                try_all(progress, first);
        if (child < 0 || (first == 0 && !may_be_reaped(progress))) {
                refuse_from(first);
                return COUNT;
        }
        bool ended = reap(child);
        unsigned at = atomic_load(&progress->at);
        for (unsigned i = first; i < at; i++)
                if (atomic_load(&progress->refused[i]))
                        call_refuse(calls[i].number);
        if (!ended) {
                refuse_from(at);
                end_child(child);
                return COUNT;
        }
        if (at < COUNT)
                call_refuse(calls[at].number);
        return at + 1;
}

static void try_calls(void)
{
        struct progress *progress =
                mmap(NULL, sizeof *progress, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        if (progress == MAP_FAILED) {
                refuse_from(0);
                return;
        }
        for (unsigned i = 0; i < COUNT; i++)
                allow(calls[i].number);
        for (unsigned next = 0; next < COUNT;)
                next = try_from(progress, next);
        munmap(progress, sizeof *progress);
}

/* ---- filters ---- */

/* Of all that could be asked, what the fewest filters forbid. */
static bool is_filtered(void)
{
        long mode = raw_syscall_sigsafe(SYS_prctl, PR_GET_SECCOMP, 0, 0, 0, 0, 0);
        return mode != 0 && mode != -EINVAL; /* this kernel has no filters */
}

static bool read_number(const char *text, const char *name, unsigned *value)
{
        const char *at = strstr(text, name);
        uint64_t number;
        if (at == NULL)
                return false;
        at += strlen(name);
        *value = number_take(&at, 10, &number) ? (unsigned)number : 0;
        return true;
}

/* Of the calling thread; `otherwise` where that is not to be found out. Before Linux 5.9 they are not counted. */
static unsigned count_filters(unsigned otherwise)
{
        char text[4096];
        unsigned mode, count;
        if (!call_allowed_sigsafe(SYS_openat) || !call_allowed_sigsafe(SYS_pread64) ||
            proc_read("thread-self/status", text, sizeof text) <= 0 || !read_number(text, "\nSeccomp:\t", &mode))
                return otherwise;
        return mode != 0 && read_number(text, "\nSeccomp_filters:\t", &count) ? count : mode != 0;
}

bool calls_load(void)
{
        state.before_program = is_filtered();
        return state.before_program;
}

void calls_find_out(void)
{
        bool was_known = state.known;
        unsigned before = state.filters;
        state.known = true;
        state.filters = 0;
        if (!is_filtered())
                return;
        /* After a fork there are the same filters as a rule, and children of a large process are no small matter. */
        state.filters = was_known && before != 0 ? count_filters(0) : 0;
        if (state.filters != 0 && state.filters == before)
                return;
        try_calls();
        state.filters = count_filters(1);
}

/* To count them takes some 30 us: not for each millisecond's look at the loops. */
static bool has_another_filter(void)
{
        uint64_t now_ns = clock_monotonic_ns();
        if (now_ns - state.counted_ns < COUNT_EVERY_NS)
                return false;
        state.counted_ns = now_ns;
        return count_filters(state.filters) != state.filters;
}

void calls_look_again(void)
{
        if (!state.known)
                return;
        if (state.filters == 0 ? !is_filtered() : !has_another_filter())
                return;
        refuse_from(0);
        state.filters = count_filters(state.filters + 1);
        notice("no stacks from now on: a seccomp filter was installed after loopdog had started, and calls can't be"
               " tried any more");
}

/* Where filters were tried, a thread with one more is taken for tried, too: to count them takes calls that may be
 * forbidden. */
bool calls_untried_here(void)
{
        bool tried = atomic_load(&state.known) && atomic_load(&state.filters) != 0;
        return !tried && is_filtered();
}

unsigned calls_filters(void)
{
        if (!state.known) {
                state.filters = is_filtered() ? count_filters(1) : 0;
                state.known = true;
        }
        return state.filters;
}
