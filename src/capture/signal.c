/* SPDX-License-Identifier: Apache-2.0
 *
 * signal.c - capture a running thread by a signal to itself
 *
 * A signal is sent only when everything says that it will be handled at once: the thread runs, does not block it, has
 * none of ours pending, and the action is still our handler (a program that resets all actions would die of the
 * signal). Still it may come late, or never; so a request can be taken back (handler.h), nothing waits without end, and
 * the handler stays installed as long as a signal may be on its way.
 *
 * Context: watchdog; what exec and the program's own actions need on any thread of the host
 */
#include "capture/signal.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/calls.h"
#include "base/clock.h"
#include "base/descriptors.h"
#include "base/limits.h"
#include "base/pause.h"
#include "base/proc.h"
#include "base/raw.h"
#include "base/text.h"
#include "capture/handler.h"
#include "capture/mend.h"

#define FIRST_CHOICE (SIGRTMAX - 5)
#define SPIN_NS 100000ull  /* yielding, because a running thread answers within some 15 us */
#define STEP_NS 50000      /* sleeping, from then on */
#define STALE_NS 200000ull /* the watchdog itself lost the processor: the thread may be in any call by now */
#define LOOK_NS 1000000ull /* between two looks at a thread that does not answer */
#define RED_ZONE 128       /* bytes below the stack pointer that the kernel's frame leaves alone (x86-64) */
#define AWAKE_NS 50000ull  /* CPU time from a thread's waking to the end of its own signal handler, if it is short */

static struct {
        uint32_t generation;
        bool unwanted;        /* the user wants none sent */
        uint64_t frame_bytes; /* of stack for the kernel's frame */
        _Atomic uint64_t sent;
        _Atomic int forbidden; /* threads of the host between capture_forbid_and_drain() and exec */
        _Atomic bool sending;
        _Atomic bool small_stacks; /* the program has coroutines on stacks below LIMIT_COROUTINE_BYTES */
} asking;

/* ---- choosing ---- */

static uint64_t bit_of(int number)
{
        return (uint64_t)1 << (number - 1);
}

static bool read_action(int number, struct kernel_action *action)
{
        return raw_syscall_sigsafe(SYS_rt_sigaction, (uint64_t)number, 0, (uintptr_t)action, sizeof(action->mask), 0,
                                   0) == 0;
}

static bool is_ours(int number)
{
        struct kernel_action action;
        return read_action(number, &action) && action.handler == (uintptr_t)handler_sigsafe;
}

static bool is_default(int number)
{
        struct kernel_action action;
        return read_action(number, &action) && action.handler == (uintptr_t)SIG_DFL;
}

/* A thread that blocks every real-time signal tells nothing about one of them; the watchdog itself is such a thread. */
static uint64_t blocked_by(const char *name)
{
        char bytes[64];
        struct text path = TEXT_IN(bytes);
        struct task_status status;
        uint64_t all = 0;
        text_format(&path, "self/task/%s/status", name);
        if (task_read_status_at(bytes, &status) != 0)
                return 0;
        for (int number = SIGRTMIN; number <= SIGRTMAX; number++)
                all |= bit_of(number);
        return (status.blocked & all) == all ? 0 : status.blocked;
}

/* The kernel's struct linux_dirent64: libc's opendir() allocates. */
struct entry {
        uint64_t inode;
        int64_t offset;
        uint16_t length;
        uint8_t type;
        char name[];
};

static uint64_t blocked_anywhere(void)
{
        _Alignas(struct entry) char bytes[1024];
        uint64_t blocked = 0;
        bool may_list = call_allowed_sigsafe(SYS_getdents64); /* else none is known to block anything */
        int fd = may_list ? proc_open("self/task") : -ENOTSUP, threads = 0;
        long n;
        if (fd < 0)
                return 0;
        while (threads < LIMIT_SIGNAL_THREADS &&
               (n = raw_syscall_sigsafe(SYS_getdents64, (uint64_t)fd, (uintptr_t)bytes, sizeof(bytes), 0, 0, 0)) > 0) {
                const struct entry *entry;
                for (long at = 0; at < n; at += entry->length, threads++) {
                        entry = (const struct entry *)(bytes + at);
                        if (entry->name[0] >= '1' && entry->name[0] <= '9')
                                blocked |= blocked_by(entry->name);
                }
        }
        descriptor_close(fd);
        return blocked;
}

static int choose(int wanted, const char **why)
{
        if (wanted != 0) {
                bool usable = wanted >= SIGRTMIN && wanted <= SIGRTMAX; /* from 34: 32 and 33 are libc's */
                if (usable && (is_default(wanted) || is_ours(wanted)))
                        return wanted;
                *why = usable ? "running threads have no stacks: the program uses the signal that LOOPDOG_SIGNAL names"
                              : "running threads have no stacks: LOOPDOG_SIGNAL is no real-time signal (34 to 64)";
                return 0;
        }
        int before = atomic_load(&handler.number);
        if (before != 0 && is_ours(before))
                return before;
        uint64_t blocked = blocked_anywhere();
        for (int number = FIRST_CHOICE; number >= SIGRTMIN; number--)
                if ((blocked & bit_of(number)) == 0 && is_default(number))
                        return number;
        *why = "running threads have no stacks: the program uses or blocks every real-time signal";
        return 0;
}

/* ---- installing ---- */

static bool write_action(int number, const struct kernel_action *action, struct kernel_action *before)
{
        return raw_syscall_sigsafe(SYS_rt_sigaction, (uint64_t)number, (uintptr_t)action, (uintptr_t)before,
                                   sizeof(action->mask), 0, 0) == 0;
}

/* Without libc, whose sigaction() may be somebody else's here, and keeps its own signals 32 and 33 out of the mask: a
 * thread that is cancelled must not unwind out of the middle of our handler. */
static bool install(int number)
{
        const uint64_t restorer_is_given = 0x04000000; /* SA_RESTORER */
        struct kernel_action before, action = {
                .handler = (uintptr_t)handler_sigsafe,
                .flags = (uint64_t)(SA_SIGINFO | SA_RESTART | SA_ONSTACK) | restorer_is_given,
                .restorer = (uintptr_t)mend_handler_return,
                .mask = HANDLER_MASK,
        };
        if (is_ours(number))
                return true;
        if (!write_action(number, &action, &before))
                return false;
        if (before.handler == (uintptr_t)SIG_DFL)
                return true;
        write_action(number, &before, NULL); /* the program was faster */
        return false;
}

static bool may_use_signals(void)
{
        return call_allowed_sigsafe(SYS_rt_tgsigqueueinfo) && call_allowed_sigsafe(SYS_rt_sigaction) &&
               call_allowed_sigsafe(SYS_rt_sigprocmask) && call_allowed_sigsafe(SYS_process_vm_readv) &&
               call_allowed_sigsafe(SYS_gettid) && call_allowed_sigsafe(SYS_openat) &&
               call_allowed_sigsafe(SYS_clock_gettime) && call_allowed_sigsafe(SYS_sched_yield) &&
               call_allowed_sigsafe(SYS_nanosleep);
}

/* Once a process: a signal of an earlier start may still be on its way and must be known as ours. */
static void introduce(void)
{
        int32_t pid = (int32_t)raw_syscall_sigsafe(SYS_getpid, 0, 0, 0, 0, 0, 0);
        if (atomic_load(&handler.pid) == pid)
                return;
        atomic_store(&handler.cookie, (uint32_t)(clock_monotonic_ns() >> 4) * 2654435761u ^ (uint32_t)pid);
        atomic_store(&handler.pid, pid);
}

int signal_start(int wanted, uint8_t *buffer, const char **why)
{
        asking.unwanted = wanted < 0;
        if (asking.unwanted)
                return 0;
        if (!may_use_signals()) {
                *why = "running threads have no stacks: a seccomp filter forbids the system calls needed";
                return -EBUSY;
        }
        int number = choose(wanted, why);
        if (number == 0)
                return -EBUSY;
        mend_start();
        asking.frame_bytes = mend_frame_bytes();
        handler.request.buffer = buffer;
        introduce();
        atomic_store(&handler.number, number);
        if (install(number))
                return 0;
        atomic_store(&handler.number, 0);
        *why = "running threads have no stacks: the signal handler could not be installed";
        return -EBUSY;
}

static void remove_handler(void)
{
        int number = atomic_load(&handler.number);
        struct kernel_action action = { .handler = (uintptr_t)SIG_DFL };
        if (number != 0 && is_ours(number))
                write_action(number, &action, NULL);
}

void signal_stop(void)
{
        if (asking.sent == atomic_load(&handler.arrived))
                remove_handler();
}

/* No signal that was sent to the parent is pending in the child. */
void signal_after_fork(void)
{
        remove_handler();
        atomic_store(&handler.number, 0);
        atomic_store(&handler.pid, 0);
        atomic_store(&handler.request.word, REQUEST_WORD(asking.generation, REQUEST_IDLE));
        handler.request.buffer = NULL;
        asking.sent = 0;
        atomic_store(&handler.arrived, 0);
        atomic_store(&handler.mended, 0);
        atomic_store(&handler.unmended, 0);
        atomic_store(&asking.forbidden, 0);
        atomic_store(&asking.sending, false);
}

/* ---- asking ---- */

static enum request_state state_now(void)
{
        return (enum request_state)(atomic_load(&handler.request.word) & 3);
}

static void prepare(const struct capture_task *task, uint64_t running_ns)
{
        struct request *request = &handler.request;
        struct sending *sending = &handler.sendings[++asking.generation % SENDINGS];
        atomic_store(&sending->generation, 0);
        atomic_store(&sending->running_ns, running_ns);
        atomic_store(&sending->sent_ns, 0);
        atomic_store(&sending->generation, asking.generation);
        request->stack_low = task->stack_low;
        request->stack_high = task->stack_high;
        request->mark = task->mark;
        request->no_room = false;
        atomic_store(&request->word, REQUEST_WORD(asking.generation, REQUEST_ASKED));
}

void signal_accompany(void (*companion_sigsafe)(void))
{
        handler.request.companion_sigsafe = companion_sigsafe;
}

bool signal_is_answering(void)
{
        return state_now() == REQUEST_COPYING;
}

/* false: too late, the handler is at work or has answered. */
static bool take_back(void)
{
        uint64_t asked = REQUEST_WORD(asking.generation, REQUEST_ASKED);
        return atomic_compare_exchange_strong(&handler.request.word, &asked,
                                              REQUEST_WORD(asking.generation, REQUEST_IDLE));
}

static long queue_signal(int32_t tid)
{
        siginfo_t info;
        int number = atomic_load(&handler.number);
        int32_t pid = atomic_load(&handler.pid);
        memset(&info, 0, sizeof(info));
        info.si_signo = number;
        info.si_code = SI_QUEUE;
        info.si_pid = pid;
        info.si_value.sival_ptr = (void *)((uint64_t)atomic_load(&handler.cookie) << 32 | asking.generation);
        return raw_syscall_sigsafe(SYS_rt_tgsigqueueinfo, (uint64_t)pid, (uint64_t)tid, (uint64_t)number,
                                   (uintptr_t)&info, 0, 0);
}

/* Between `sending` and its end no thread gets through capture_forbid_and_drain(). Only there is it certain whose the
 * action is: asked for earlier, the program may have taken it meanwhile, and be done with that. */
static long send_signal(int32_t tid)
{
        long r = -ECANCELED;
        atomic_store(&asking.sending, true);
        if (atomic_load(&asking.forbidden) == 0)
                r = is_ours(atomic_load(&handler.number)) ? queue_signal(tid) : -EBUSY;
        if (r == 0) {
                asking.sent++;
                atomic_store(&handler.sendings[asking.generation % SENDINGS].sent_ns, mend_now_ns_sigsafe());
        }
        atomic_store(&asking.sending, false);
        return r;
}

static enum capture_loss loss_of_error(long error)
{
        switch (error) {
        case -ESRCH:
                return CAPTURE_GONE;
        case -ECANCELED:
                return CAPTURE_FORBIDDEN;
        case -EBUSY:
                return CAPTURE_SIGNAL_TAKEN;
        case -EAGAIN: /* RLIMIT_SIGPENDING */
                return CAPTURE_SIGNAL_LATE;
        default:
                return CAPTURE_NO_SIGNAL;
        }
}

/* ---- waiting ---- */

static bool is_running(const struct capture_task *task)
{
        struct task_call call;
        char state;
        if (task->syscall_fd >= 0)
                return task_read_call(task, &call) == 0 && !call.asleep;
        return task_read_state(task, &state) == 0 && state == 'R';
}

static void pause_a_little(uint64_t waited_ns)
{
        struct timespec step = { 0, STEP_NS };
        if (waited_ns < SPIN_NS)
                raw_syscall_sigsafe(SYS_sched_yield, 0, 0, 0, 0, 0, 0);
        else
                raw_syscall_sigsafe(SYS_nanosleep, (uintptr_t)&step, 0, 0, 0, 0, 0);
}

/* May the answer still come? A thread that sleeps with our signal pending (in disk I/O, or it has blocked the signal)
 * won't give it, but can be captured as a sleeping one; one that is only waiting for a processor will, some time. */
static bool may_answer(const struct capture_task *task, uint64_t waited_ns)
{
        struct task_status status;
        if (atomic_load(&asking.forbidden) != 0 || !is_running(task))
                return false;
        if (waited_ns < LIMIT_SIGNAL_WAIT_NS)
                return true;
        return task_read_status(task, &status) == 0 && (status.blocked & bit_of(atomic_load(&handler.number))) == 0;
}

static void wait_for_answer(const struct capture_task *task)
{
        uint64_t begin_ns = mend_now_ns_sigsafe(), look_ns = LOOK_NS;
        for (;;) {
                enum request_state state = state_now();
                uint64_t waited_ns = mend_now_ns_sigsafe() - begin_ns;
                if (state == REQUEST_DONE || waited_ns > LIMIT_SIGNAL_STARVED_NS)
                        return;
                if (state == REQUEST_ASKED && waited_ns > look_ns) {
                        if (!may_answer(task, waited_ns))
                                return;
                        look_ns = waited_ns + LOOK_NS;
                }
                pause_a_little(waited_ns);
        }
}

static enum capture_loss take_answer(struct capture_task *task, struct sample *sample)
{
        const struct request *request = &handler.request;
        sample->time_ns = clock_now_ns();
        sample->by_signal = true;
        sample->registers_complete = true;
        memcpy(sample->registers, request->registers, sizeof(sample->registers));
        sample->stack = request->buffer;
        sample->stack_address = request->stack_address;
        sample->stack_length = request->stack_length;
        sample->truncated = request->truncated;
        sample->mark = request->mark_seen;
        sample->accompanied = request->companion_sigsafe != NULL;
        uint64_t stack_pointer = sample->registers[SAMPLE_SP];
        bool learned = task->stack_bound != request->bound;
        task->stack_bound = request->bound;
        if (learned || stack_pointer < task->stack_low || stack_pointer >= task->stack_high)
                task_find_stack(task, stack_pointer); /* for the next one */
        return sample->stack_length != 0 ? CAPTURE_OK : CAPTURE_UNREADABLE;
}

enum capture_loss signal_ask(struct capture_task *task, uint64_t running_ns, struct sample *sample)
{
        if (state_now() == REQUEST_COPYING) /* the handler of an earlier request has still not got through */
                return CAPTURE_SIGNAL_LATE;
        prepare(task, running_ns);
        long r = send_signal(task->tid);
        if (r != 0) {
                take_back();
                return loss_of_error(r);
        }
        wait_for_answer(task);
        if (take_back())
                return atomic_load(&asking.forbidden) != 0 ? CAPTURE_FORBIDDEN : CAPTURE_SIGNAL_LATE;
        if (state_now() != REQUEST_DONE)
                return CAPTURE_SIGNAL_LATE;
        return handler.request.no_room ? CAPTURE_NO_ROOM : take_answer(task, sample);
}

/* Did it lose its processor within the handler of the capture before, or on its way out of it? Only there a thread
 * blocks all but just these signals. */
static bool is_in_handler(const struct task_status *status)
{
        uint64_t never_blocked = bit_of(SIGKILL) | bit_of(SIGSTOP);
        return (status->blocked | never_blocked) == HANDLER_MASK;
}

/* A thread that a signal of the program's own wakes up runs its handler and then finds its call interrupted. If ours
 * came just when that handler returns, nothing would tell this EINTR from one of ours, and the mending would hide it
 * from the program. So a thread that has slept since it was last captured gets no signal before it has run for longer
 * than that takes. One that was captured running and has not slept since is at no such place. */
static bool has_just_woken(const struct capture_task *task, const struct task_status *status)
{
        if (task->was_running && status->switches == task->was_switches)
                return false;
        uint64_t cpu_ns = task_cpu_ns(task->tid);
        return cpu_ns != 0 && task->was_cpu_ns != 0 && cpu_ns - task->was_cpu_ns < AWAKE_NS;
}

static uint64_t alternate_bytes_of(const struct capture_task *task)
{
        return task->alternate_bytes != NULL ? atomic_load(task->alternate_bytes) : task->least_alternate_bytes;
}

/* Kernels take an alternate stack of 2048 bytes, whatever the processor's state in a frame amounts to, and end the
 * process when the frame does not fit: no handler gets to know. Where it just fits the handler looks for itself. */
static bool is_alternate_too_small(const struct capture_task *task)
{
        uint64_t alternate = alternate_bytes_of(task);
        return alternate != 0 && alternate < asking.frame_bytes + HANDLER_ENTRY_BYTES;
}

/* Does it run a handler of the program's, on an alternate stack of a few KB? Where a second signal's frame does not fit
 * the kernel ends the process. Signals that the processor raises are blocked by their handlers only, or together with
 * ours; others by handlers and for a moment, which can't be told apart. */
static bool may_lack_room(const struct capture_task *task, uint64_t blocked)
{
        const uint64_t raised = bit_of(SIGSEGV) | bit_of(SIGBUS) | bit_of(SIGFPE) | bit_of(SIGILL) | bit_of(SIGABRT);
        if (blocked & raised & ~task->usually_blocked)
                return true;
        uint64_t alternate = alternate_bytes_of(task);
        return alternate != 0 && alternate < LIMIT_ALTERNATE_BYTES && (blocked & ~task->usually_blocked) != 0;
}

/* Coroutines run on stacks that the program cuts to size, and where the kernel's frame does not fit it ends the
 * process, or the frame overwrites what lies below. On which stack a running thread is can't be seen; so none of the
 * process is sent a signal once one coroutine has a small stack. Of coroutines that are not made by makecontext() no
 * more is known than where the thread was when it was last captured, or waited. Where it has an alternate stack the
 * frame goes there. */
static bool may_be_on_small_stack(const struct capture_task *task)
{
        uint64_t pointer = task->was_pointer != 0 ? task->was_pointer : task->stack_hint;
        if (task->alternate_bytes != NULL && atomic_load(task->alternate_bytes) != 0)
                return false;
        if (atomic_load(&asking.small_stacks))
                return true;
        if (task->stack_grows || pointer < task->stack_low || pointer >= task->stack_high)
                return false;
        return pointer - task->stack_low < RED_ZONE + asking.frame_bytes + HANDLER_ROOM_BYTES;
}

void capture_note_stack(uint64_t bytes)
{
        if (bytes < LIMIT_COROUTINE_BYTES)
                atomic_store(&asking.small_stacks, true);
}

enum capture_loss signal_take(struct capture_task *task, struct sample *sample)
{
        int number = atomic_load(&handler.number);
        struct task_status status;
        if (asking.unwanted)
                return CAPTURE_SIGNAL_UNWANTED;
        if (!may_use_signals())
                return CAPTURE_FILTERED;
        if (number == 0)
                return CAPTURE_NO_SIGNAL;
        if (task->stack_high == 0 && task->stack_hint != 0)
                task_find_stack(task, task->stack_hint); /* takes its time: before looking at the thread */
        if (task_read_status(task, &status) != 0)
                return capture_task_gone(task) ? CAPTURE_GONE : CAPTURE_NO_PROC;
        sample->switches = status.switches;
        if (status.filters != 0 && status.filters != calls_filters())
                return CAPTURE_FILTERED_THREAD;
        /* gdb stops its program at a signal that it does not know and waits for somebody to type "continue". */
        if (status.tracer != 0)
                return CAPTURE_TRACED;
        if (status.pending & bit_of(number))
                return CAPTURE_SIGNAL_LATE;
        if (is_in_handler(&status))
                return CAPTURE_SIGNAL_LATE;
        if (status.blocked & bit_of(number))
                return CAPTURE_SIGNAL_BLOCKED;
        if (has_just_woken(task, &status))
                return CAPTURE_MOVED;
        if (is_alternate_too_small(task))
                return CAPTURE_NO_ROOM;
        if (may_be_on_small_stack(task))
                return CAPTURE_SMALL_STACK;
        if (may_lack_room(task, status.blocked))
                return CAPTURE_IN_HANDLER;
        uint64_t running_ns = mend_now_ns_sigsafe();
        if (!is_running(task))
                return CAPTURE_MOVED;
        if (mend_now_ns_sigsafe() - running_ns > STALE_NS)
                return CAPTURE_MOVED;
        return signal_ask(task, running_ns, sample);
}

/* ---- exec ---- */

static bool is_this_process(void)
{
        return raw_syscall_sigsafe(SYS_getpid, 0, 0, 0, 0, 0, 0) == atomic_load(&handler.pid);
}

/* A thread under a filter of its own is sent no signal (signal_take()), so none is pending there. */
static bool may_drain(void)
{
        return call_allowed_sigsafe(SYS_rt_sigtimedwait) && call_allowed_sigsafe(SYS_rt_sigprocmask) &&
               !calls_untried_here();
}

/* A signal that arrives after exec would kill the new program, whose action is the default again. One that is pending
 * here is taken from the queue; one of somebody else's is put back, because it would have killed it without us. */
static void drain(int number)
{
        struct timespec no_time = { 0, 0 };
        uint64_t set = bit_of(number), before;
        siginfo_t info;
        raw_syscall_sigsafe(SYS_rt_sigprocmask, SIG_BLOCK, (uintptr_t)&set, (uintptr_t)&before, sizeof(set), 0, 0);
        while (raw_syscall_sigsafe(SYS_rt_sigtimedwait, (uintptr_t)&set, (uintptr_t)&info, (uintptr_t)&no_time,
                                   sizeof(set), 0, 0) == number) {
                if (!handler_is_ours_sigsafe(&info)) {
                        long tid = raw_syscall_sigsafe(SYS_gettid, 0, 0, 0, 0, 0, 0);
                        raw_syscall_sigsafe(SYS_rt_tgsigqueueinfo, (uint64_t)atomic_load(&handler.pid), (uint64_t)tid,
                                            (uint64_t)number, (uintptr_t)&info, 0, 0);
                        break;
                }
                atomic_fetch_add(&handler.arrived, 1);
        }
        raw_syscall_sigsafe(SYS_rt_sigprocmask, SIG_SETMASK, (uintptr_t)&before, 0, sizeof(set), 0, 0);
}

void capture_forbid_and_drain(void)
{
        int number = atomic_load(&handler.number);
        /* A child of vfork: its parent's memory, but a thread of its own that no signal of ours was sent to. */
        if (!is_this_process())
                return;
        atomic_fetch_add(&asking.forbidden, 1);
        for (int i = 0; atomic_load(&asking.sending) && i < LIMIT_DRAIN_STEPS; i++)
                pause_ns_sigsafe(STEP_NS);
        if (number != 0 && atomic_load(&asking.sent) != atomic_load(&handler.arrived) && may_drain())
                drain(number);
}

bool capture_owns_signal(int number)
{
        return number != 0 && number == atomic_load(&handler.number) && is_this_process() && is_ours(number);
}

void capture_give_signal_up(void)
{
        capture_forbid_and_drain();
        for (int i = 0; atomic_load(&asking.sent) != atomic_load(&handler.arrived) && i < LIMIT_GIVE_UP_STEPS; i++)
                pause_ns_sigsafe(STEP_NS);
}

void capture_allow(void)
{
        /* Forbidden before the first start, it was not counted. */
        if (is_this_process() && atomic_load(&asking.forbidden) > 0)
                atomic_fetch_sub(&asking.forbidden, 1);
}
