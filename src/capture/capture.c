/* SPDX-License-Identifier: Apache-2.0
 *
 * capture.c - decide how a thread is captured
 *
 * A signal is the last resort: only a thread that was seen running twice in a row gets one. A thread that changes
 * quickly between running and sleeping is tried both ways again and again, for a fraction of a millisecond.
 *
 * Context: watchdog
 */
#include "capture/capture.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "base/calls.h"
#include "base/clock.h"
#include "base/limits.h"
#include "base/memory.h"
#include "base/proc.h"
#include "capture/blocked.h"
#include "capture/handler.h"
#include "capture/mend.h"
#include "capture/signal.h"
#include "capture/task.h"
#include "capture/usage.h"

#define RUNNING_READINGS 2 /* in a row, before a signal is sent; signal_take() looks once more */
#define PAIR_NS 200000     /* two readings that lie so far apart are not of one moment */
#define PAIR_TRIES 3
#define LATE_NS 5000000 /* a capture that took so long: what was counted before it is out of date */
#define TRIES_LEAST 8   /* also where the watchdog itself got no processor in LIMIT_CAPTURE_NS */

static struct capture_totals totals;
static const struct capture_companion *companion;
static uint8_t *buffers; /* LIMIT_STACK_BYTES for blocked.c, the same again for the handler */

/* ---- start and stop ---- */

/* Touched now, so that the handler takes no page faults. Not for a child of fork: writing to a buffer that is shared
 * with one would copy each page. */
static int make_buffers(void)
{
        size_t length = 2 * LIMIT_STACK_BYTES;
        if (buffers != NULL)
                return 0;
        void *memory = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
        if (memory == MAP_FAILED)
                return -errno;
        madvise(memory, length, MADV_DONTFORK);
        buffers = memory;
        return 0;
}

static int try_reading(void)
{
        uint64_t there = 42, copy = 0;
        ssize_t n = memory_read_sigsafe((uintptr_t)&there, &copy, sizeof(copy));
        return n < 0 ? (int)n : 0;
}

int capture_start(int wanted, const char **why)
{
        *why = NULL;
        int r = make_buffers();
        if (r < 0) {
                *why = "no stacks: no memory for the buffers";
                return r;
        }
        r = try_reading();
        if (r == PROC_FILTERED || !call_allowed_sigsafe(SYS_openat)) {
                *why = "no stacks: a seccomp filter forbids system calls that they need (process_vm_readv, openat)";
                return PROC_FILTERED;
        }
        if (r < 0) {
                *why = "no stacks: process_vm_readv() is refused here (seccomp, or a kernel without it)";
                return r;
        }
        return signal_start(wanted, buffers + LIMIT_STACK_BYTES, why);
}

void capture_stop(void)
{
        signal_stop();
}

void capture_accompany(const struct capture_companion *who)
{
        companion = who;
        signal_accompany(who != NULL ? who->copy_sigsafe : NULL);
}

void capture_after_fork(void)
{
        signal_after_fork();
        task_after_fork();
        buffers = NULL; /* not mapped in the child */
        memset(&totals, 0, sizeof(totals));
}

const struct capture_totals *capture_totals(void)
{
        totals.mended = atomic_load(&handler.mended);
        totals.unmended = atomic_load(&handler.unmended);
        return &totals;
}

/* ---- one capture ---- */

struct attempt {
        struct capture_task *task;
        struct sample *sample;
        bool may_signal;
        int running; /* readings in a row that found the thread running */
        int tries;
        int late; /* signals that got no answer in time */
};

static enum capture_loss take_running(struct attempt *attempt)
{
        attempt->sample->state = 'R';
        attempt->sample->syscall = -1;
        if (++attempt->running < RUNNING_READINGS || !attempt->may_signal)
                return CAPTURE_RUNNING;
        return signal_take(attempt->task, attempt->sample);
}

static enum capture_loss loss_of_open_error(int error)
{
        switch (error) {
        case -EACCES:
        case -EPERM:
                return CAPTURE_NOT_DUMPABLE;
        case PROC_FILTERED:
                return CAPTURE_FILTERED;
        case -EMFILE:
        case -ENFILE:
                return CAPTURE_NO_FILES;
        default:
                return CAPTURE_NO_PROC;
        }
}

/* Without `syscall`, which could not be opened, only the state is known. */
static enum capture_loss take_by_state(struct attempt *attempt)
{
        enum capture_loss closed = loss_of_open_error(attempt->task->open_error);
        char state;
        int r = task_read_state(attempt->task, &state);
        if (r == -ESRCH)
                return CAPTURE_GONE;
        if (r != 0)
                return capture_task_gone(attempt->task) ? CAPTURE_GONE : closed;
        attempt->sample->state = state;
        switch (state) {
        case 'R':
                return take_running(attempt);
        case 'T':
        case 't':
                return CAPTURE_STOPPED;
        case 'Z':
        case 'X':
                return CAPTURE_GONE;
        default:
                attempt->running = 0;
                return closed;
        }
}

/* A handler that came late owns what its companion copies. */
static bool copies_more(void)
{
        return companion != NULL && !signal_is_answering();
}

static enum capture_loss take_once(struct attempt *attempt)
{
        struct task_call call;
        attempt->tries++;
        int r = task_read_call(attempt->task, &call);
        if (r == -ESRCH)
                return CAPTURE_GONE;
        if (r != 0)
                return take_by_state(attempt);
        attempt->sample->syscall_known = true;
        if (!call.asleep)
                return take_running(attempt);
        attempt->running = 0;
        return blocked_take(attempt->task, &call, buffers, copies_more() ? companion->copy_sigsafe : NULL,
                            attempt->sample);
}

/* Is it worth another try? What the thread does may be over in a microsecond. */
static bool try_again(struct attempt *attempt, enum capture_loss loss, uint64_t end_ns)
{
        switch (loss) {
        case CAPTURE_RUNNING: /* before the threshold it may go on running for long */
                if (!attempt->may_signal && attempt->tries >= TRIES_LEAST)
                        return false;
                break;
        case CAPTURE_MOVED:
        case CAPTURE_SIGNAL_BLOCKED:
                break;
        case CAPTURE_SIGNAL_LATE: /* this took its time; but the thread may sleep now */
                return ++attempt->late < 2;
        default:
                return false;
        }
        return attempt->tries < TRIES_LEAST || mend_now_ns_sigsafe() < end_ns;
}

/* The iteration that is wanted; any, where `mark` is NULL. */
struct wanted {
        const _Atomic uint64_t *mark;
        uint64_t expected;
};

static bool has_ended(const struct wanted *wanted)
{
        return wanted->mark != NULL && atomic_load(wanted->mark) != wanted->expected;
}

/* That a thread runs before the threshold is no loss. */
static void count(const struct sample *sample)
{
        totals.captures++;
        if (sample->loss != CAPTURE_OK && sample->loss != CAPTURE_RUNNING)
                totals.losses[sample->loss]++;
        if (sample->loss == CAPTURE_OK && sample->by_signal)
                totals.by_signal++;
}

/* The time and the CPU time must be of one moment: a watchdog that loses its own CPU between the two would take what
 * the thread has used meanwhile for used before. */
static void read_cpu_time(const struct capture_task *task, struct sample *sample)
{
        for (int i = 0; i < PAIR_TRIES; i++) {
                sample->counted_ns = clock_now_ns();
                sample->cpu_ns = task_cpu_ns(task->tid);
                if (clock_now_ns() - sample->counted_ns < PAIR_NS)
                        return;
        }
}

/* Of a loop's thread; the others' are not compared with anything. */
static void read_counters(const struct capture_task *task, struct sample *sample)
{
        read_cpu_time(task, sample);
        if (task->mark != NULL && call_allowed_sigsafe(SYS_pread64))
                capture_usage(task, &sample->usage);
}

/* By this signal.c tells whether it has just woken up when its stack is wanted the next time. */
static void remember(struct capture_task *task, const struct sample *sample)
{
        if (sample->loss != CAPTURE_OK)
                return;
        task->was_pointer = sample->registers[SAMPLE_SP];
        task->was_running = sample->by_signal;
        task->was_switches = sample->switches;
        task->was_cpu_ns = sample->cpu_ns;
}

static void take(struct capture_task *task, bool may_signal, const struct wanted *wanted, struct sample *sample)
{
        struct attempt attempt = { .task = task, .sample = sample, .may_signal = may_signal };
        uint64_t end_ns = mend_now_ns_sigsafe() + LIMIT_CAPTURE_NS;
        memset(sample, 0, sizeof(*sample));
        sample->syscall = -1;
        sample->time_ns = clock_now_ns();
        task_begin(task);
        read_counters(task, sample);
        bool filtered = !call_allowed_sigsafe(SYS_pread64); /* then nothing at all is known of the thread */
        if (buffers == NULL || filtered) {
                sample->loss = filtered ? CAPTURE_FILTERED : CAPTURE_NO_MEMORY;
                task_end(task);
                count(sample);
                return;
        }
        if (copies_more())
                companion->prepare(task);
        do {
                sample->loss = has_ended(wanted) ? CAPTURE_ENDED : take_once(&attempt);
        } while (try_again(&attempt, sample->loss, end_ns));
        if (sample->loss == CAPTURE_OK && wanted->mark != NULL && sample->mark != wanted->expected)
                sample->loss = CAPTURE_ENDED;
        if (sample->loss == CAPTURE_RUNNING &&
            may_signal) /* it never ran twice in a row, and never slept long enough */
                sample->loss = CAPTURE_MOVED;
        remember(task, sample);
        if (clock_now_ns() - sample->counted_ns > LATE_NS)
                read_counters(task, sample);
        task_end(task);
        count(sample);
}

void capture_take(struct capture_task *task, bool may_signal, const _Atomic uint64_t *mark, uint64_t expected,
                  struct sample *sample)
{
        task->mark = mark;
        take(task, may_signal, &(struct wanted){ mark, expected }, sample);
}

void capture_take_any(struct capture_task *task, bool may_signal, const _Atomic uint64_t *mark, struct sample *sample)
{
        task->mark = mark;
        take(task, may_signal, &(struct wanted){ NULL, 0 }, sample);
        if (sample->loss != CAPTURE_OK)
                sample->mark = atomic_load(mark);
}

bool capture_stays(struct capture_task *task, const struct sample *sample)
{
        if (sample->loss != CAPTURE_OK || sample->by_signal || !sample->syscall_known)
                return false;
        task_begin(task);
        bool stays = blocked_stays(task, sample);
        task_end(task);
        return stays;
}

bool capture_first_argument(const struct sample *sample, uint64_t *argument)
{
        if (sample->loss == CAPTURE_OK && sample->by_signal)
                return mend_leaves_call(sample->registers, argument);
        *argument = sample->arguments[0];
        return sample->syscall_known && sample->syscall >= 0;
}

/* ---- words ---- */

static const char *const texts[CAPTURE_LOSSES] = {
        [CAPTURE_OK] = "captured",
        [CAPTURE_ENDED] = "the callback ended while it was captured",
        [CAPTURE_MOVED] = "the thread ran while its stack was copied, time after time",
        [CAPTURE_NOT_DUMPABLE] =
                "not dumpable: the process changed its user and may not read /proc/self/task/*/syscall;"
                " start it as that user",
        [CAPTURE_NO_PROC] = "no /proc here (chroot or container)",
        [CAPTURE_NO_SIGNAL] = "running threads: no real-time signal is free",
        [CAPTURE_SIGNAL_UNWANTED] = "the thread runs, and LOOPDOG_SIGNAL=none lets no signal be sent",
        [CAPTURE_SIGNAL_BLOCKED] = "the thread runs and blocks loopdog's signal",
        [CAPTURE_SIGNAL_TAKEN] = "running threads: the program changed the action of loopdog's signal",
        [CAPTURE_SIGNAL_LATE] = "the thread did not run its signal handler in time",
        [CAPTURE_STOPPED] = "the thread is stopped (SIGSTOP or a debugger)",
        [CAPTURE_NO_MEMORY] = "the process has no memory left for it (RLIMIT_AS, or RLIMIT_MEMLOCK and mlockall)",
        [CAPTURE_UNREADABLE] = "its memory could not be read (seccomp, or a kernel without process_vm_readv)",
        [CAPTURE_GONE] = "the thread has ended",
        [CAPTURE_FORBIDDEN] = "the process was about to become another program",
        [CAPTURE_NO_FILES] = "no descriptor is left to open its files in /proc (RLIMIT_NOFILE)",
        [CAPTURE_FILTERED] = "a seccomp filter forbids the system calls that a stack needs",
        [CAPTURE_FILTERED_THREAD] = "the thread runs and has a seccomp filter of its own: loopdog sends it no signal,"
                                    " whose handler it might not survive",
        [CAPTURE_TRACED] = "the thread runs under a debugger or tracer, which a signal of loopdog's would stop",
        [CAPTURE_IN_HANDLER] = "the thread runs a signal handler, whose stack may have no room for loopdog's",
        [CAPTURE_NO_ROOM] = "the thread runs, and its alternate signal stack has no room for loopdog's handler",
        [CAPTURE_SMALL_STACK] =
                "the thread runs, and may be on a stack (a coroutine's) with no room for a signal's frame",
        [CAPTURE_RUNNING] = "the thread ran, and no signal is sent before the threshold",
};

const char *capture_loss_text(enum capture_loss loss)
{
        return (unsigned)loss < CAPTURE_LOSSES ? texts[loss] : "unknown";
}
