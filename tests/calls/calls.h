/* SPDX-License-Identifier: Apache-2.0
 *
 * calls.h - calls that wait and that a signal can interrupt
 *
 * All that signal(7) lists and more, one row each: what the call needs, the call, what ends it unless its time limit
 * does, and what the program sees of it. unit_storm makes each of them under signals that are sent on purpose, the
 * victim `transparent` in callbacks of loops that a real agent watches. Both compare with what the call does alone.
 *
 * Context: tests; any thread
 */
#ifndef LOOPDOG_TESTS_CALLS_H
#define LOOPDOG_TESTS_CALLS_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/* What a signal of ours that is sent to the sleeping thread (which capture_take() never does) would make of it. */
enum how {
        RESTARTED, /* nothing: the kernel makes it go on */
        MENDED,    /* EINTR, but for the mending */
        ANEW,      /* the same; mended, the socket's time limit begins again with each signal */
        HIDDEN,    /* EINTR, but for the mending or libc, which tries again */
        SHORTENED, /* less than was asked for, but for the mending */
        LIMITED,   /* a difference that the README's limits name */
        BLOCKED,   /* it would take our signal for its own; it blocks it, so none is sent */
};

struct scene;

#define CALL_RUNS (-1)

struct call {
        const char *name;
        void (*prepare)(struct scene *scene); /* NULL: needs nothing */
        long (*make)(struct scene *scene);
        void (*end)(struct scene *scene); /* NULL: its time limit ends it */
        long result;
        int error;
        int number; /* of the system call in which it sleeps; CALL_RUNS: it does not sleep for long */
        enum how how;
};

/* One call that is made once. */
struct scene {
        const struct call *call;
        const char *skipped; /* why it can't be made here; set by prepare */
        /* What it works with. */
        int fds[2];
        int id;            /* of a semaphore, a queue, a ring, an epoll instance, a process */
        uint64_t context;  /* of asynchronous I/O */
        int orders;        /* to its child */
        void *object;      /* of its own kind, by malloc() unless it stays */
        bool object_stays; /* somebody else may still use it when the call is over */
        pthread_t partner;
        bool has_partner;
        /* What happened; the runner's part. */
        pthread_t caller;
        _Atomic uint64_t begin_ns; /* CLOCK_MONOTONIC; 0: not yet */
        _Atomic uint64_t end_ns;   /* 0: not yet */
        long result;
        int error;
        char seen[160]; /* what else the program sees: times left, events, statuses */
};

#define CALLS_MOST 256
extern const struct call *calls[CALLS_MOST];
extern size_t calls_count;

/* Before anything else: how long the calls last. The memory behind calls_limit() can't be written to. */
void calls_begin(unsigned lasts_ms);
unsigned calls_ms(void);
const struct timespec *calls_limit(void);
const struct timeval *calls_limit_val(void);

/* Now and `calls_ms()`. */
struct timespec calls_deadline(clockid_t clock);

/* Prepare a scene; false where the call can't be made here (`skipped`). Then, in a thread of its own: make it. After
 * that clean up. Who runs it calls `end` after calls_ms(). */
bool scene_prepare(struct scene *scene, const struct call *call);
void scene_make(struct scene *scene);
void scene_clean(struct scene *scene);

uint64_t scene_now_ns(void); /* CLOCK_MONOTONIC */

/* ---- for the rows ---- */

/* What a test can't do without. Ends the program. */
void scene_fail(const char *file, int line, const char *what) __attribute__((noreturn));
#define NEED(condition) ((condition) ? (void)0 : scene_fail(__FILE__, __LINE__, #condition))

/* In an `end`: what may fail because the call has ended meanwhile. Where it fails and hasn't, the call goes on and on.
 */
static inline void scene_try(bool worked)
{
        (void)worked;
}

/* One more thing that the program sees. */
void scene_saw(struct scene *scene, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* What is left of a time limit: does it fit with the time that has passed? */
void scene_saw_left(struct scene *scene, const char *name, int64_t seconds, int64_t ns);

/* How much of what was asked for: a short result is a short one, however short. */
long scene_share(long done, long whole);
#define SHARE_WHOLE 1000000
#define SHARE_PART 500000

/* A thread that does its part while the call is made. It is joined after it. */
void scene_partner(struct scene *scene, void *(*main)(void *scene));
void scene_pause(unsigned ms);

/* In the partner: until the call has lasted as long as it is to. */
void scene_await_end(struct scene *scene);

/* A process that has done `begin` (NULL: nothing) and ends with status 3 when it is told to: the row's `end`. `id` is
 * its number. */
void scene_child(struct scene *scene, void (*begin)(struct scene *scene));
void scene_end_child(struct scene *scene);

/* 0 or more as it is, else -1 and errno. For results that are the error itself, with the sign of `error`. */
long scene_answer(long result);

void scene_pipe(struct scene *scene);
void scene_terminal(struct scene *scene); /* fds[0] is the slave, which the call uses; fds[1] the other end */
void scene_fill(int fd);                  /* until it would block */

/* What a row's `end` is where a signal of the program's own ends the call: SIGUSR2, which is handled and restarts. */
void scene_send_signal(struct scene *scene);

/* How many of the program's signals the calling thread has handled since its call began. */
int scene_signals(void);

#define ROWS(name) extern const struct call name[]
ROWS(calls_sleeps);
ROWS(calls_polls);
ROWS(calls_locks);
ROWS(calls_queues);
ROWS(calls_sockets);
ROWS(calls_streams);
ROWS(calls_files);
ROWS(calls_events);
ROWS(calls_signals);
ROWS(calls_repeats);
ROWS(calls_rings); /* where liburing is */

/* The raw call, with its number right before it in the code, as compilers do; sets errno. */
#define RAW(number, a, b, c, d, e, f)                                                                                  \
        ({                                                                                                             \
                /* All are evaluated before the first register is set, which a function would change. */               \
                const uint64_t raw_arguments[6] = { (uint64_t)(a), (uint64_t)(b), (uint64_t)(c),                       \
                                                    (uint64_t)(d), (uint64_t)(e), (uint64_t)(f) };                     \
                register uint64_t r10 __asm__("r10") = raw_arguments[3];                                               \
                register uint64_t r8 __asm__("r8") = raw_arguments[4];                                                 \
                register uint64_t r9 __asm__("r9") = raw_arguments[5];                                                 \
                long raw_result;                                                                                       \
                __asm__ volatile("movl %1, %%eax\n\tsyscall"                                                           \
                                 : "=&a"(raw_result)                                                                   \
                                 : "i"(number), "D"(raw_arguments[0]), "S"(raw_arguments[1]), "d"(raw_arguments[2]),   \
                                   "r"(r10), "r"(r8), "r"(r9)                                                          \
                                 : "rcx", "r11", "memory");                                                            \
                scene_answer(raw_result);                                                                              \
        })

#endif
