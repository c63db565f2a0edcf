/* SPDX-License-Identifier: Apache-2.0
 *
 * mend_run.c - make an interrupted call again, as if nothing had happened
 *
 * The table says for each call that fails with EINTR, SA_RESTART or not, where its time limit and its signal mask are.
 * What is left of the time: some calls leave it in the program's memory (ppoll, select, nanosleep's `rem`); for the
 * others the limit is shortened by the time since the signal was sent, as the call must have begun before that. So a
 * wait may end later than without us by the time between our look at the running thread and the signal (some 5 us),
 * and never earlier.
 *
 * A signal of the program's own that came together with ours is still pending here, because the handler's mask is in
 * force. Calls that take a signal mask (ppoll, epoll_pwait ...) are made with everything blocked: the kernel puts the
 * mask in force and waits in one step, so that the signal ends the wait as it would have done without us. For the
 * others it is looked for, and if there is one the program gets its handler called and its EINTR; one that comes in
 * the 200 ns between that look and the call is handled, but ends no wait.
 *
 * This code runs between two instructions of the program, whose vector registers hold live values: it must not touch
 * them, so it is compiled without, and calls nothing that is compiled otherwise.
 *
 * Context: on a thread of the host, outside of the handler; mend_knows also within it
 */
#pragma GCC target("general-regs-only")

#include "capture/mend.h"

#include <errno.h>
#include <linux/futex.h>
#include <linux/io_uring.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>

#include "base/calls.h"
#include "base/clock.h"
#include "base/memory.h"
#include "base/raw.h"
#include "capture/handler.h"

#define NS_PER_S 1000000000ull
#define NS_PER_MS 1000000ull
#define DEFAULT_SLACK_NS 50000
#define LONGEST_S 1000000000ull /* longer limits are left as they are */
#define RING_FLAGS                                                                                                     \
        (uint64_t)(IORING_ENTER_GETEVENTS | IORING_ENTER_SQ_WAKEUP | IORING_ENTER_SQ_WAIT | IORING_ENTER_EXT_ARG |     \
                   IORING_ENTER_REGISTERED_RING)

enum time {
        TIME_NONE,      /* no time limit, an absolute one, or one that the kernel keeps for the socket (SO_RCVTIMEO) */
        TIME_MS,        /* int, negative: none */
        TIME_SPEC,      /* const struct timespec *, never written by the kernel */
        TIME_SPEC_LEFT, /* struct timespec * that the kernel has replaced by what is left */
        TIME_VAL_LEFT,  /* struct timeval *, the same */
        TIME_SLEEP,     /* const struct timespec *req, struct timespec *rem: what is left is in `rem` */
        TIME_SLEEP_UNTIL, /* clockid_t, int flags, req, rem */
        TIME_FUTEX,       /* relative or absolute: depends on the operation */
        TIME_RING,        /* inside of io_uring_enter's argument */
};

enum mask {
        MASK_NONE,
        MASK_PLAIN, /* const sigset_t *, NULL: none */
        MASK_PAIR,  /* pointer to (const sigset_t *, size) */
        MASK_RING,
};

struct row {
        uint16_t number;
        uint8_t time;
        uint8_t time_at; /* index of the argument */
        uint8_t mask;
        uint8_t mask_at;
};

static const struct row rows[] = {
        /* Never started again by the kernel, as a second call would wait for the whole time again. */
        { SYS_poll, TIME_MS, 2, MASK_NONE, 0 },
        { SYS_ppoll, TIME_SPEC_LEFT, 2, MASK_PLAIN, 3 },
        { SYS_select, TIME_VAL_LEFT, 4, MASK_NONE, 0 }, /* the sets are written on success only */
        { SYS_pselect6, TIME_SPEC_LEFT, 4, MASK_PAIR, 5 },
        { SYS_epoll_wait, TIME_MS, 3, MASK_NONE, 0 },
        { SYS_epoll_pwait, TIME_MS, 3, MASK_PLAIN, 4 },
        { SYS_epoll_pwait2, TIME_SPEC, 3, MASK_PLAIN, 4 },
        { SYS_nanosleep, TIME_SLEEP, 0, MASK_NONE, 0 },
        { SYS_clock_nanosleep, TIME_SLEEP_UNTIL, 2, MASK_NONE, 0 },
        { SYS_futex, TIME_FUTEX, 3, MASK_NONE, 0 }, /* waits with a time limit; one that was woken gives EAGAIN */
        { SYS_rt_sigtimedwait, TIME_SPEC, 2, MASK_NONE, 0 }, /* waits for its set, fails for any other signal */
        { SYS_semtimedop, TIME_SPEC, 3, MASK_NONE, 0 },      /* EINTR: no operation was done */
        { SYS_io_getevents, TIME_SPEC, 4, MASK_NONE, 0 },    /* EINTR: no event was taken */
        { SYS_io_pgetevents, TIME_SPEC, 4, MASK_PAIR, 5 },
        { SYS_io_uring_enter, TIME_RING, 4, MASK_RING, 4 }, /* EINTR: nothing was submitted */
        /* Without a time limit, and still never started again. */
        { SYS_semop, TIME_NONE, 0, MASK_NONE, 0 },
        { SYS_msgrcv, TIME_NONE, 0, MASK_NONE, 0 }, /* EINTR: no message was taken */
        { SYS_msgsnd, TIME_NONE, 0, MASK_NONE, 0 },
        { SYS_pause, TIME_NONE, 0, MASK_NONE, 0 }, /* ends with a handler of the program's only */
        { SYS_rt_sigsuspend, TIME_NONE, 0, MASK_PLAIN, 0 },
        /* Started again by the kernel unless the socket has SO_RCVTIMEO or SO_SNDTIMEO. EINTR: nothing was moved. The
         * time limit belongs to the socket and begins anew. */
        { SYS_read, TIME_NONE, 0, MASK_NONE, 0 },
        { SYS_readv, TIME_NONE, 0, MASK_NONE, 0 },
        { SYS_recvfrom, TIME_NONE, 0, MASK_NONE, 0 },
        { SYS_recvmsg, TIME_NONE, 0, MASK_NONE, 0 },
        { SYS_recvmmsg, TIME_NONE, 0, MASK_NONE, 0 },
        { SYS_write, TIME_NONE, 0, MASK_NONE, 0 },
        { SYS_writev, TIME_NONE, 0, MASK_NONE, 0 },
        { SYS_sendto, TIME_NONE, 0, MASK_NONE, 0 },
        { SYS_sendmsg, TIME_NONE, 0, MASK_NONE, 0 },
        { SYS_sendmmsg, TIME_NONE, 0, MASK_NONE, 0 },
        { SYS_sendfile, TIME_NONE, 0, MASK_NONE, 0 },
        { SYS_accept, TIME_NONE, 0, MASK_NONE, 0 },
        { SYS_accept4, TIME_NONE, 0, MASK_NONE, 0 },
        { SYS_connect, TIME_NONE, 0, MASK_NONE, 0 }, /* goes on with the connection that was begun: see finish() */
        /* tmpfs undoes what it has allocated. */
        { SYS_fallocate, TIME_NONE, 0, MASK_NONE, 0 },
        { SYS_ioctl, TIME_NONE, 0, MASK_NONE, 0 }, /* tcdrain() only */
};

/* The call as it is made again, with the memory that its changed arguments point to. */
struct again {
        struct mend_call call;
        const struct row *row;
        uint64_t deadline_ns; /* CLOCK_MONOTONIC; 0: the limit is left as it is */
        struct timespec spec;
        struct timespec left;  /* stands for the program's `rem`, which it sees only if its own signal ends the call */
        uint64_t left_address; /* of that; 0: none */
        struct timeval val;
        struct io_uring_getevents_arg ring;
        struct {
                uint64_t address;
                uint64_t length;
        } pair;
};

/* ---- clock, mask ---- */

uint64_t mend_now_ns_sigsafe(void)
{
        struct timespec t = { 0, 0 };
        if (!call_allowed_sigsafe(SYS_clock_gettime)) /* libc's own way needs none, as a rule */
                return clock_monotonic_ns();
        raw_syscall_sigsafe(SYS_clock_gettime, CLOCK_MONOTONIC, (uintptr_t)&t, 0, 0, 0, 0);
        return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

static void set_mask_sigsafe(uint64_t mask)
{
        raw_syscall_sigsafe(SYS_rt_sigprocmask, SIG_SETMASK, (uintptr_t)&mask, 0, sizeof(mask), 0, 0);
}

static bool is_ignored_sigsafe(int number)
{
        struct kernel_action action = { .handler = 0 };
        raw_syscall_sigsafe(SYS_rt_sigaction, (uint64_t)number, 0, (uintptr_t)&action, sizeof(action.mask), 0, 0);
        if (action.handler != (uintptr_t)SIG_DFL)
                return action.handler == (uintptr_t)SIG_IGN;
        switch (number) {
        case SIGCHLD:
        case SIGURG:
        case SIGWINCH:
        case SIGCONT:
        case SIGTSTP: /* these three stop the process, and when it goes on the kernel starts the call again */
        case SIGTTIN:
        case SIGTTOU:
                return true;
        default:
                return false;
        }
}

/* Does a signal wait that the program does not block, whose arrival ends a call, and that is no further one of ours? */
static bool signal_waits_sigsafe(const struct mend_frame *frame)
{
        uint64_t pending = 0;
        if (!call_allowed_sigsafe(SYS_rt_sigpending))
                return false;
        raw_syscall_sigsafe(SYS_rt_sigpending, (uintptr_t)&pending, sizeof(pending), 0, 0, 0, 0);
        pending &= ~frame->mask;
        for (int number = 1; pending != 0; number++, pending >>= 1)
                if ((pending & 1) != 0 && number != atomic_load(&handler.number) && !is_ignored_sigsafe(number))
                        return true;
        return false;
}

bool mend_unblock_sigsafe(const struct mend_frame *frame)
{
        bool waits = signal_waits_sigsafe(frame);
        set_mask_sigsafe(frame->mask); /* its handler runs here */
        return !waits;
}

/* ---- the table ---- */

static const struct row *find_sigsafe(int64_t number)
{
        for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
                if (rows[i].number == number)
                        return &rows[i];
        return NULL;
}

/* What an ioctl has done when it fails is its driver's business. This one waits and fails even if all has drained. */
static bool is_drain_sigsafe(const uint64_t arguments[6])
{
        return (uint32_t)arguments[1] == TCSBRK && arguments[2] != 0;
}

bool mend_knows_sigsafe(int64_t number, const uint64_t arguments[6], int64_t result)
{
        if (result >= 0)
                return mend_is_short_sigsafe(number, arguments, result);
        return result == -EINTR && find_sigsafe(number) != NULL && (number != SYS_ioctl || is_drain_sigsafe(arguments));
}

static bool has_mask_sigsafe(const struct row *row, const uint64_t arguments[6])
{
        uint64_t address = arguments[row->mask_at];
        struct io_uring_getevents_arg ring;
        switch (row->mask) {
        case MASK_PLAIN:
                return address != 0;
        case MASK_PAIR:
                return address != 0 && memory_get_sigsafe(address, &address, sizeof(address)) && address != 0;
        case MASK_RING:
                if ((arguments[3] & IORING_ENTER_EXT_ARG) == 0)
                        return address != 0;
                return address != 0 && memory_get_sigsafe(address, &ring, sizeof(ring)) && ring.sigmask != 0;
        default:
                return false;
        }
}

/* A call that could have come with a mask, but has none, gets the program's own: the signals that are held back are
 * let in by the same step that begins the wait, so that none is handled in between, unseen by the call. */
static bool give_mask_sigsafe(struct again *again, const struct mend_frame *frame)
{
        uint64_t *arguments = again->call.arguments;
        unsigned at = again->row->mask_at;
        switch (again->row->mask) {
        case MASK_PLAIN:
                arguments[at] = (uintptr_t)&frame->mask;
                arguments[at + 1] = sizeof(frame->mask);
                return true;
        case MASK_PAIR:
                again->pair.address = (uintptr_t)&frame->mask;
                again->pair.length = sizeof(frame->mask);
                arguments[at] = (uintptr_t)&again->pair;
                return true;
        default:
                return false;
        }
}

/* The same wait by the call that takes a mask. */
static void take_newer_sigsafe(struct again *again)
{
        uint64_t *arguments = again->call.arguments;
        if (again->call.number == SYS_epoll_wait && call_allowed_sigsafe(SYS_epoll_pwait)) {
                again->call.number = SYS_epoll_pwait;
        } else if (again->call.number == SYS_poll && call_allowed_sigsafe(SYS_ppoll)) {
                again->call.number = SYS_ppoll;
                arguments[2] = again->deadline_ns != 0 ? (uintptr_t)&again->spec : 0;
        } else {
                return;
        }
        again->row = find_sigsafe(again->call.number);
        arguments[again->row->mask_at] = 0;
}

/* ---- time limits ---- */

static bool spec_ns_sigsafe(const struct timespec *spec, uint64_t *limit_ns)
{
        if ((uint64_t)spec->tv_sec >= LONGEST_S || (uint64_t)spec->tv_nsec >= NS_PER_S)
                return false;
        *limit_ns = (uint64_t)spec->tv_sec * NS_PER_S + (uint64_t)spec->tv_nsec;
        return true;
}

static uint64_t deadline_ns_sigsafe(const struct mend_frame *frame, uint64_t limit_ns)
{
        /* The call had begun when its signal was pending. */
        bool known = frame->sent_ns != 0 && frame->sent_ns < frame->handler_ns;
        return (known ? frame->sent_ns : frame->handler_ns) + limit_ns;
}

/* Can the kernel have stored what is left? The same bytes are written back. */
static bool is_writable_sigsafe(uint64_t address, const void *bytes, size_t length)
{
        return !call_allowed_sigsafe(SYS_process_vm_writev) || memory_put_sigsafe(address, bytes, length);
}

static void time_spec_sigsafe(struct again *again, const struct mend_frame *frame, unsigned at)
{
        uint64_t address = again->call.arguments[at], limit_ns;
        if (address == 0 || !memory_get_sigsafe(address, &again->spec, sizeof(again->spec)))
                return;
        if (again->row->time == TIME_SPEC_LEFT && is_writable_sigsafe(address, &again->spec, sizeof(again->spec)))
                return;
        if (!spec_ns_sigsafe(&again->spec, &limit_ns))
                return;
        again->deadline_ns = deadline_ns_sigsafe(frame, limit_ns);
        again->call.arguments[at] = (uintptr_t)&again->spec;
}

static void time_val_sigsafe(struct again *again, const struct mend_frame *frame, unsigned at)
{
        uint64_t address = again->call.arguments[at];
        if (address == 0 || !memory_get_sigsafe(address, &again->val, sizeof(again->val)))
                return;
        if (is_writable_sigsafe(address, &again->val, sizeof(again->val)))
                return;
        if ((uint64_t)again->val.tv_sec >= LONGEST_S)
                return;
        uint64_t limit_ns = (uint64_t)again->val.tv_sec * NS_PER_S + (uint64_t)again->val.tv_usec * 1000;
        again->deadline_ns = deadline_ns_sigsafe(frame, limit_ns);
        again->call.arguments[at] = (uintptr_t)&again->val;
}

/* The program gave the same memory for `req` and `rem`, so the kernel has overwritten the length of the sleep, which
 * the program may use again. It lies between what is left and that plus the time since the thread was seen running
 * (some 50 us): the roundest number between them is what people write. */
static uint64_t guess_ns_sigsafe(const struct mend_frame *frame, uint64_t left_ns)
{
        if (frame->running_ns == 0 || frame->running_ns > frame->handler_ns)
                return left_ns;
        uint64_t most_ns = left_ns + (frame->handler_ns - frame->running_ns);
        for (uint64_t step_ns = NS_PER_S; step_ns > 1; step_ns /= 10) {
                uint64_t round_ns = (left_ns + step_ns - 1) / step_ns * step_ns;
                if (round_ns <= most_ns)
                        return round_ns;
        }
        return left_ns;
}

/* The kernel counts what is left of a sleep up to the latest moment that the thread's timer slack allows. */
static uint64_t without_slack_sigsafe(uint64_t left_ns)
{
        long slack_ns = DEFAULT_SLACK_NS;
        if (call_allowed_sigsafe(SYS_prctl))
                slack_ns = raw_syscall_sigsafe(SYS_prctl, PR_GET_TIMERSLACK, 0, 0, 0, 0, 0);
        return slack_ns > 0 && (uint64_t)slack_ns < left_ns ? left_ns - (uint64_t)slack_ns : left_ns;
}

static void time_sleep_sigsafe(struct again *again, const struct mend_frame *frame, unsigned at)
{
        uint64_t request = again->call.arguments[at], left = again->call.arguments[at + 1], limit_ns;
        if (!memory_get_sigsafe(left != 0 ? left : request, &again->spec, sizeof(again->spec)) ||
            !spec_ns_sigsafe(&again->spec, &limit_ns))
                return;
        again->call.arguments[at] = (uintptr_t)&again->spec;
        if (left == 0) {
                again->deadline_ns = deadline_ns_sigsafe(frame, limit_ns);
                return;
        }
        limit_ns = without_slack_sigsafe(limit_ns);
        again->deadline_ns = frame->handler_ns + limit_ns;
        again->call.arguments[at + 1] = (uintptr_t)&again->left;
        again->left_address = left;
        if (left == request) {
                uint64_t whole_ns = guess_ns_sigsafe(frame, limit_ns);
                struct timespec whole = { (time_t)(whole_ns / NS_PER_S), (long)(whole_ns % NS_PER_S) };
                memory_put_sigsafe(request, &whole, sizeof(whole));
        }
}

static void time_sleep_until_sigsafe(struct again *again, const struct mend_frame *frame)
{
        uint64_t clock = again->call.arguments[0];
        if ((again->call.arguments[1] & TIMER_ABSTIME) != 0)
                return;
        time_sleep_sigsafe(again, frame, 2);
        if ((int32_t)clock < 0 || clock == CLOCK_PROCESS_CPUTIME_ID || clock == CLOCK_THREAD_CPUTIME_ID)
                again->deadline_ns = 0; /* CPU time: what the kernel has left is as it should be */
}

static void time_futex_sigsafe(struct again *again, const struct mend_frame *frame)
{
        if ((again->call.arguments[1] & FUTEX_CMD_MASK) == FUTEX_WAIT)
                time_spec_sigsafe(again, frame, 3);
}

static void time_ring_sigsafe(struct again *again, const struct mend_frame *frame)
{
        uint64_t flags = again->call.arguments[3], address = again->call.arguments[4], limit_ns;
        if ((flags & IORING_ENTER_EXT_ARG) == 0 || (flags & ~RING_FLAGS) != 0)
                return; /* no limit, or flags that this code does not know: an absolute one, another layout */
        if (again->call.arguments[5] != sizeof(again->ring) ||
            !memory_get_sigsafe(address, &again->ring, sizeof(again->ring)) || again->ring.ts == 0 ||
            !memory_get_sigsafe(again->ring.ts, &again->spec, sizeof(again->spec)) ||
            !spec_ns_sigsafe(&again->spec, &limit_ns))
                return;
        again->deadline_ns = deadline_ns_sigsafe(frame, limit_ns);
        again->ring.ts = (uintptr_t)&again->spec;
        again->call.arguments[4] = (uintptr_t)&again->ring;
}

static void time_sigsafe(struct again *again, const struct mend_frame *frame)
{
        unsigned at = again->row->time_at;
        int32_t limit_ms;
        switch (again->row->time) {
        case TIME_MS:
                limit_ms = (int32_t)again->call.arguments[at];
                if (limit_ms >= 0)
                        again->deadline_ns = deadline_ns_sigsafe(frame, (uint64_t)limit_ms * NS_PER_MS);
                break;
        case TIME_SPEC:
        case TIME_SPEC_LEFT:
                time_spec_sigsafe(again, frame, at);
                break;
        case TIME_VAL_LEFT:
                time_val_sigsafe(again, frame, at);
                break;
        case TIME_SLEEP:
                time_sleep_sigsafe(again, frame, at);
                break;
        case TIME_SLEEP_UNTIL:
                time_sleep_until_sigsafe(again, frame);
                break;
        case TIME_FUTEX:
                time_futex_sigsafe(again, frame);
                break;
        case TIME_RING:
                time_ring_sigsafe(again, frame);
                break;
        default:
                break;
        }
}

/* Store what is left until the deadline where the call will look for it. */
static void shorten_sigsafe(struct again *again)
{
        uint64_t now_ns = mend_now_ns_sigsafe();
        uint64_t left_ns = again->deadline_ns > now_ns ? again->deadline_ns - now_ns : 0;
        again->spec.tv_sec = (time_t)(left_ns / NS_PER_S);
        again->spec.tv_nsec = (long)(left_ns % NS_PER_S);
        again->val.tv_sec = again->spec.tv_sec;
        again->val.tv_usec = again->spec.tv_nsec / 1000;
        if (again->row->time == TIME_MS)
                again->call.arguments[again->row->time_at] = (left_ns + NS_PER_MS - 1) / NS_PER_MS;
}

/* ---- */

static void begin_sigsafe(struct again *again, const struct mend_frame *frame, const struct row *row)
{
        again->row = row;
        again->deadline_ns = 0;
        again->left_address = 0;
        again->call.number = frame->number;
        for (int i = 0; i < 6; i++)
                again->call.arguments[i] = frame->arguments[i];
        time_sigsafe(again, frame);
}

/* A connection that was begun answers EALREADY where the first call would have said EINPROGRESS. */
static long finish_sigsafe(const struct again *again, long result)
{
        if (result == -EINTR && again->left_address != 0)
                memory_put_sigsafe(again->left_address, &again->left, sizeof(again->left));
        return again->row->number == SYS_connect && result == -EALREADY ? -EINPROGRESS : result;
}

static long wait_sigsafe(struct again *again, struct mend_frame *frame)
{
        long result;
        do {
                if (again->deadline_ns != 0)
                        shorten_sigsafe(again);
                result = mend_call_sigsafe(&again->call, frame);
        } while (result == MEND_INTERRUPTED);
        return result;
}

long mend_wait_sigsafe(struct mend_frame *frame)
{
        struct again again;
        begin_sigsafe(&again, frame, find_sigsafe(SYS_io_uring_enter));
        again.call.arguments[1] = 0;
        return wait_sigsafe(&again, frame);
}

__attribute__((used)) long mend_run_sigsafe(struct mend_frame *frame)
{
        struct again again;
        const struct row *row = find_sigsafe(frame->number);
        if (frame->result >= 0)
                return mend_rest_sigsafe(frame);
        begin_sigsafe(&again, frame, row);
        take_newer_sigsafe(&again);
        bool with_mask = has_mask_sigsafe(again.row, again.call.arguments) || give_mask_sigsafe(&again, frame);
        if (!with_mask && !mend_unblock_sigsafe(frame))
                return -EINTR;
        long result = wait_sigsafe(&again, frame);
        if (with_mask)
                set_mask_sigsafe(frame->mask);
        return finish_sigsafe(&again, result);
}
