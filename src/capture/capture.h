/* SPDX-License-Identifier: Apache-2.0
 *
 * capture.h - take one sample of one thread without changing what it sees
 *
 * A thread that sleeps in a system call is copied from outside (blocked.c); one that runs gets one signal whose handler
 * copies itself (signal.c, handler.c). Which of the two is decided here, from /proc/self/task/TID/syscall.
 *
 * Context: watchdog unless a function says otherwise
 */
#ifndef LOOPDOG_CAPTURE_CAPTURE_H
#define LOOPDOG_CAPTURE_CAPTURE_H

#include <stdatomic.h>
#include <stdbool.h>

#include "capture/sample.h"

/* The /proc files of one thread, kept open from the moment it becomes a loop, because after setuid they can be read
 * but no longer opened. All -1 when closed. */
struct capture_task {
        int32_t tid;
        int syscall_fd;
        int status_fd;
        int stat_fd;
        bool on_demand;     /* there are so many loops that its files are opened for each sample only */
        int open_error;     /* why syscall_fd could not be opened: -EACCES is CAPTURE_NOT_DUMPABLE */
        uint64_t stack_low; /* the mapping that holds its stack, from maps; 0: not known yet */
        uint64_t stack_high;
        bool stack_grows;             /* it is the first thread's, which the kernel makes larger where it must */
        const _Atomic uint64_t *mark; /* of its loop; read together with the stack. NULL: none */
        uint64_t stack_hint;          /* an address on its stack, given by the loop stage */
        uint64_t stack_bound;  /* its thread pointer, above which there is no stack of it; 0: not known. libc puts a
                                  thread's data above its stack, other memory may follow without a gap. Learned from
                                  signals; the loop stage may set it earlier. */
        uint64_t was_pointer;  /* its stack pointer when it was last captured; 0: not known */
        bool was_running;      /* then; else it slept */
        uint64_t was_switches; /* its voluntary switches */
        uint64_t was_cpu_ns;   /* and CPU time then; 0: not known */
        const _Atomic uint64_t *alternate_bytes; /* size of its alternate signal stack; NULL: not known */
        uint64_t least_alternate_bytes; /* where it is not: the smallest that a thread of the program has; 0: none */
        uint64_t usually_blocked;       /* signals that it blocks outside of its handlers, where that is known */
        bool knows_blocked;
        unsigned blocked_tries; /* to get to know it */
        bool own_filter;        /* it was then under another number of filters than we are */
};

void capture_task_open(struct capture_task *task, int32_t tid, uint64_t stack_hint);
void capture_task_close(struct capture_task *task);
bool capture_task_gone(struct capture_task *task); /* the thread has ended (ESRCH) */

/* It is in its own wait: if it sleeps there, in a call that lends it no mask, what it blocks it blocks as a rule. */
void capture_task_note_blocked(struct capture_task *task);

/* The calling thread of the host is about to give up its rights: open its `syscall` file now (keep.c), because it may
 * be read but no longer opened afterwards. capture_task_open() then uses it. Keeps errno. */
void capture_keep(void);

/* A descriptor for reading the kept file of this thread, the caller's to close; -1 where none was kept. */
int capture_kept_syscall(int32_t tid);

/* The watchdog begins: what was kept until now stands in its table too. Right after descriptors_unshare(). */
void capture_kept_begin(void);

/* Make and touch the buffers; choose the signal: `wanted` from the settings, 0, or negative for none, which is no
 * error. Returns 0; -EBUSY where no signal is free (then only sleeping threads are captured; *why says so in words);
 * another -errno where nothing works. */
int capture_start(int wanted, const char **why);

/* Give the signal's action back where it is still ours. For tests: the agent never does, its handler stays. */
void capture_stop(void);

/* Take one sample. `may_signal` is false before the threshold is reached. `mark` is the loop's mark word and
 * `expected` its value: where it differs afterwards, the iteration has ended and the loss is CAPTURE_ENDED. State, CPU
 * time and system call are filled even where there is no stack. The sample's stack is valid until the next call. */
void capture_take(struct capture_task *task, bool may_signal, const _Atomic uint64_t *mark, uint64_t expected,
                  struct sample *sample);

/* The same of whatever iteration goes on: `sample->mark` is the mark at the very moment. */
void capture_take_any(struct capture_task *task, bool may_signal, const _Atomic uint64_t *mark, struct sample *sample);

/* Does the thread sleep in the very call of this sample still, not having run since? */
bool capture_stays(struct capture_task *task, const struct sample *sample);

/* Somebody who copies more of a thread at the moment at which its stack is copied (interpreter frames). `copy_sigsafe`
 * runs in the handler, or on the watchdog while the thread sleeps; it may be called several times for one sample, the
 * last one counts. NULL: nobody. */
struct capture_companion {
        void (*prepare)(const struct capture_task *task); /* watchdog, just before the thread is looked at */
        void (*copy_sigsafe)(void);
};
void capture_accompany(const struct capture_companion *companion);

/* The first argument of the system call that the thread sleeps in, or was just leaving when it took the signal: what
 * waits by time-outs (CPython for its lock) is awake for a moment every few milliseconds. False: it is in none. */
bool capture_first_argument(const struct sample *sample, uint64_t *argument);

/* Totals for the exit record. */
struct capture_totals {
        uint64_t captures;
        uint64_t by_signal;
        uint64_t mended;   /* system calls that our signal interrupted and that went on as if it had not */
        uint64_t unmended; /* that failed with EINTR instead */
        uint64_t losses[CAPTURE_LOSSES];
};
const struct capture_totals *capture_totals(void);

/* exec: stop asking, and return when no signal of ours can still arrive at the calling thread. Any thread of the host.
 * capture_allow() undoes it where exec failed. */
void capture_forbid_and_drain(void);
void capture_allow(void);

/* Is this the signal that captures running threads, with our handler? Any thread of the host. */
bool capture_owns_signal(int number);

/* The program has given a coroutine a stack of so many bytes. Any thread of the host. */
void capture_note_stack(uint64_t bytes);

/* The program is about to use it: stop asking, and return when none of ours is on its way to any thread, or when that
 * takes too long. capture_allow() afterwards. Any thread of the host. */
void capture_give_signal_up(void);

/* In the child. The capture_tasks of the parent must be forgotten, not closed. */
void capture_after_fork(void);

#endif
