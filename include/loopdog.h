/* SPDX-License-Identifier: Apache-2.0
 *
 * loopdog.h - the public interface of libloopdog
 *
 * A program that links libloopdog gets what the preload gives without a single call. What only the program itself can
 * say stands here: where its loop waits, which callback runs, what request it serves, how long it may take.
 *
 * Every function is safe before the first loop, after loopdog_stop(), in the child of a fork and with NULL for any
 * pointer. What is misused is ignored and said once, on stderr or in the `process` record, as the other notices are.
 * None changes errno, ends the process or throws. Those that are called at each event (waits, callbacks, labels,
 * sections) cost a few nanoseconds with the detector off and some ten with it on. With LOOPDOG_DISABLE defined before
 * this header is included nothing is left of all of it, and no library is needed.
 *
 * Source: since 0.1.0 unless a function says otherwise. A loop watched by the hooks and one named here go through
 *         the same slots, so a stall is told the same way.
 *
 * Context: any program, C99 and later, C++11 and later; each function says in which thread
 */
#ifndef LOOPDOG_H
#define LOOPDOG_H

#include <stddef.h>
#include <stdint.h>

/* The version of this header. A new major version may break programs. */
#define LOOPDOG_VERSION_MAJOR 0
/* A new minor version adds functions. */
#define LOOPDOG_VERSION_MINOR 1
/* A new patch mends. */
#define LOOPDOG_VERSION_PATCH 0
/* All three. */
#define LOOPDOG_VERSION "0.1.0"
/* For comparisons: major * 1000000 + minor * 1000 + patch. */
#define LOOPDOG_VERSION_NUMBER (LOOPDOG_VERSION_MAJOR * 1000000 + LOOPDOG_VERSION_MINOR * 1000 + LOOPDOG_VERSION_PATCH)

#ifdef __cplusplus
extern "C" {
#endif

/* A loop, from loopdog_loop_open(). The value is a number in disguise: one that was closed, or never was one, is
 * recognized and ignored. */
typedef struct loopdog_loop loopdog_loop;

/* How loopdog_start() sets the detector up. */
struct loopdog_options {
        size_t size;     /* sizeof(struct loopdog_options) */
        unsigned flags;  /* LOOPDOG_START_... */
        unsigned unused; /* 0 */
        /* Settings as in the environment, "LOOPDOG_THRESHOLD=50ms", ended by NULL; NULL: none. libloopdog(7) lists
         * them. Copied. */
        const char *const *settings;
};
#define LOOPDOG_START_IGNORE_ENVIRONMENT                                                                               \
        1u /* else what stands in the environment counts more than the settings above */

/* What is particular to a loop. */
struct loopdog_loop_options {
        size_t size;           /* sizeof(struct loopdog_loop_options) */
        uint64_t threshold_ns; /* an iteration longer than this is a stall, 1 ms to 1 h; 0: LOOPDOG_THRESHOLD */
        unsigned flags;        /* LOOPDOG_LOOP_... */
        unsigned unused;       /* 0 */
};
/* The loop's waits are found by the hooks, in the thread that opened it: for a library that offers no place before and
 * after its wait. loopdog_wait_begin() and _end() are not to be called. */
#define LOOPDOG_LOOP_HOOKED 1u

/* A stall, as a handler is told of it. Strings live until the handler returns; NULL: not known. */
struct loopdog_stall {
        size_t size;           /* of the structure that the library filled */
        uint64_t id;           /* counts from 1 in each process; with the records' `run` it names the stall */
        uint64_t begin_ns;     /* CLOCK_REALTIME, nanoseconds since 1970 */
        uint64_t duration_ns;  /* from the return of the last wait to the next one */
        uint64_t threshold_ns; /* what it was measured by, with what its sections allowed */
        int32_t tid;           /* the loop's thread */
        int32_t startup;       /* 1: the loop had not slept yet */
        const char *loop;      /* its name, "epoll:5" where nobody named it */
        const char *cause;     /* "cpu", "blocked" ...: docs/records.md */
        const char *function;  /* the culprit's, as far as the symbols in memory tell */
        const char *file;      /* scripts only */
        uint32_t line;         /* in that file; 0: not known */
        uint32_t callbacks;    /* how many began in this iteration */
        const char *callback;  /* the one that took most of it, as loopdog_callback_begin() was told */
        const char *object;    /* what it worked on: "fd 12" */
        uint64_t callback_ns;  /* how long the callback took of the stall */
};

/* A loop's numbers since it was opened. Times are nanoseconds. */
struct loopdog_statistics {
        size_t size;               /* sizeof(struct loopdog_statistics), set by the caller */
        uint64_t iterations;       /* waits that ended */
        uint64_t busy_ns;          /* spent between two waits */
        uint64_t idle_ns;          /* spent waiting */
        uint64_t outside_ns;       /* after the loop was left: neither busy nor idle */
        uint64_t percentile50_ns;  /* of the iterations' busy time, 6 % too high at most */
        uint64_t percentile90_ns;  /* nine of ten took no longer */
        uint64_t percentile99_ns;  /* 99 of 100 took no longer */
        uint64_t percentile999_ns; /* 999 of 1,000 took no longer */
        uint64_t longest_ns;       /* the longest iteration, as exact as the percentiles */
        double utilisation;        /* busy / (busy + idle), 0 to 1 */
};

/* One bucket of a loop's histogram of busy time. */
struct loopdog_bucket {
        uint64_t from_ns; /* lower bound, inclusive; the next bucket's is the upper one */
        uint64_t count;   /* iterations */
};
#define LOOPDOG_BUCKETS 512 /* of a whole histogram */

/* Called for each stall that has ended. It runs in the watchdog's thread, with that thread's own table of descriptors
 * and all signals blocked: it must not use a descriptor of the program, wait for a lock that a loop may hold, fork,
 * throw or call this interface (loopdog_version() excepted). To count in atomic variables or to copy into a queue of
 * the program's is what it is for. While it runs no loop is watched. */
typedef void loopdog_handler(const struct loopdog_stall *stall, void *context);

#ifndef LOOPDOG_DISABLE

/* ---- the library ---- */

/* The version of the library that runs, which may be newer than this header: "0.1.0". Static.
 *
 * Context: any thread, async-signal-safe
 */
const char *loopdog_version(void);

/* Switch the detector on, with these settings. Without this call it is on from the beginning, with the settings of the
 * environment. The thread of its own begins with the first loop.
 *
 * options: NULL: as the environment says. Copied
 * Errors:  -EINVAL: a setting is wrong, said once; nothing has changed. -EALREADY: loops are watched already, so the
 *          settings stay as they are; call it before the first loop or after loopdog_stop()
 * Context: any thread
 */
int loopdog_start(const struct loopdog_options *options);

/* Switch it off: open stalls are ended and written, the watchdog's thread ends. loopdog_start() switches it on again.
 *
 * Errors:  -ETIMEDOUT: the watchdog did not end within 1 s; it ends when it can
 * Context: any thread; waits up to 1 s
 */
int loopdog_stop(void);

/* Write what is not written yet: stalls that have ended, and the numbers of each loop.
 *
 * Errors:  -ESRCH: nothing is watched; -ETIMEDOUT: not within 1 s
 * Context: any thread; waits up to 1 s
 */
int loopdog_flush(void);

/* Capture each loop of this process as it is now, stalled or not, and write it: what its thread is doing and for how
 * long, with its stack, callback and labels. With LOOPDOG_OUTPUT as `dump` records, which "loopdog show d1" shows, else
 * as text on stderr. A loop that computes is interrupted once, as in a stall; meanwhile no loop is watched, so what
 * takes more than 0.8 s (hundreds of loops on a busy machine) is left out, which is said once.
 *
 * Returns: how many loops were written
 * Errors:  -ESRCH: nothing is watched; -ETIMEDOUT: not within 1 s, it is written when it can
 * Context: any thread, a loop's own too; async-signal-safe, so a handler of SIGUSR1 may call it; waits up to 1 s
 */
int loopdog_dump(void);

/* Have each stall told to a function.
 *
 * handler: NULL: no longer. It may run once more while this call returns
 * context: handed to it
 * Context: any thread
 */
void loopdog_set_handler(loopdog_handler *handler, void *context);

/* ---- loops ---- */

/* Name a loop. It belongs to the thread of its first wait (LOOPDOG_LOOP_HOOKED: to this one), whose other waits count
 * as part of callbacks from then on. A thread may have several, one run from within another or one after the other.
 *
 * name:    shown in records; copied, up to 47 bytes
 * options: NULL: none
 * Returns: NULL where there is no room (1024 loops) or the detector is off for good (LOOPDOG_THRESHOLD=0); every
 *          function takes it and does nothing
 * Context: any thread
 */
loopdog_loop *loopdog_loop_open(const char *name, const struct loopdog_loop_options *options);

/* The loop is over. A loop around it goes on.
 *
 * loop:    NULL and one that was closed before are ignored
 * Context: the loop's thread; another one only when the loop has not waited, or its thread has ended
 */
void loopdog_loop_close(loopdog_loop *loop);

/* This thread is about to wait for events: the iteration ends here. A second call without loopdog_wait_end() counts
 * once.
 *
 * loop:    NULL is ignored
 * Context: the loop's thread; async-signal-safe but for the first one; never blocks
 */
void loopdog_wait_begin(loopdog_loop *loop);

/* The wait is over: the next iteration begins. As loopdog_wait_begin(). */
void loopdog_wait_end(loopdog_loop *loop);

/* From now on nothing of the loop counts, until loopdog_resume(): for a debugger's prompt, or an operator's command.
 * What the iteration has taken so far is judged.
 *
 * loop:    NULL: the loop of this thread
 * Context: the loop's thread
 */
void loopdog_pause(loopdog_loop *loop);

/* The loop counts again, and a callback goes on. As loopdog_pause(). */
void loopdog_resume(loopdog_loop *loop);

/* An iteration longer than this is a stall.
 *
 * loop:         NULL: the loop of this thread
 * threshold_ns: 1 ms to 1 h; 0: LOOPDOG_THRESHOLD again
 * Errors:       -EINVAL: out of range, or no such loop
 * Context:      any thread; the next iteration is measured by it for sure
 */
int loopdog_set_threshold(loopdog_loop *loop, uint64_t threshold_ns);

/* ---- what the loop of this thread is doing: without a loop here these do nothing ---- */

/* A callback begins, perhaps within another. It is timed: where an iteration is a stall, its record names the
 * callback that took most of it, and how long, however many others there were. Those shorter than 1 ms are only
 * counted.
 *
 * name:     shown; must live until the callback ends. NULL: the function's name alone
 * function: its address, which becomes a name too; NULL is allowed
 * object:   what it works on: "fd", "timer"; must live until the callback ends. NULL: nothing
 * number:   the object's number: "fd 12"; below 0: none
 * Context:  the loop's thread; async-signal-safe; at most 16 within each other, further ones are counted only
 */
void loopdog_callback_begin(const char *name, void (*function)(void), const char *object, long number);

/* The callback begun last ends, and with it the labels that were set in it. */
void loopdog_callback_end(void);

/* Say what is being served: "request", "GET /users/42". It holds until the end of the callback in which it was set, of
 * the iteration, or until it is set anew. LOOPDOG_REDACT=labels keeps values out of records.
 *
 * key:     copied, up to 15 bytes; at most 4 keys at a time
 * value:   copied, up to 127 bytes; NULL or "" takes the label away
 * Context: the loop's thread
 */
void loopdog_label(const char *key, const char *value);

/* What follows may take so long: it counts towards a stall only beyond this. A wait ends it.
 *
 * allowed_ns: up to 1 h; more counts as that
 * Context:    the loop's thread; async-signal-safe; at most 8 within each other
 */
void loopdog_section_begin(uint64_t allowed_ns);

/* It is over: what it took of its allowance does not count, and the rest is nobody's. */
void loopdog_section_end(void);

/* ---- numbers ---- */

/* Read a loop's numbers.
 *
 * loop:    NULL: the loop of this thread
 * into:    its `size` is set by the caller; as much as that is filled
 * Errors:  -EINVAL: no such loop, or `size` is too small; -ESRCH: it has not waited yet
 * Context: any thread; takes about 1 us
 */
int loopdog_read_statistics(loopdog_loop *loop, struct loopdog_statistics *into);

/* Read its histogram: the buckets that are not empty, ascending.
 *
 * Returns: how many there are, of which at most `count` were stored; -EINVAL, -ESRCH as above
 * Context: any thread
 */
int loopdog_read_histogram(loopdog_loop *loop, struct loopdog_bucket *into, size_t count);

#else /* LOOPDOG_DISABLE: the arguments are still checked by the compiler, and not evaluated twice */

#if defined(__GNUC__)
#define LOOPDOG_NOTHING static inline __attribute__((unused))
#else
#define LOOPDOG_NOTHING static inline
#endif

LOOPDOG_NOTHING const char *loopdog_version(void)
{
        return LOOPDOG_VERSION;
}

LOOPDOG_NOTHING int loopdog_start(const struct loopdog_options *options)
{
        (void)options;
        return 0;
}

LOOPDOG_NOTHING int loopdog_stop(void)
{
        return 0;
}

LOOPDOG_NOTHING int loopdog_flush(void)
{
        return 0;
}

LOOPDOG_NOTHING int loopdog_dump(void)
{
        return 0;
}

LOOPDOG_NOTHING void loopdog_set_handler(loopdog_handler *handler, void *context)
{
        (void)handler;
        (void)context;
}

LOOPDOG_NOTHING loopdog_loop *loopdog_loop_open(const char *name, const struct loopdog_loop_options *options)
{
        (void)name;
        (void)options;
        return NULL;
}

LOOPDOG_NOTHING void loopdog_loop_close(loopdog_loop *loop)
{
        (void)loop;
}

LOOPDOG_NOTHING void loopdog_wait_begin(loopdog_loop *loop)
{
        (void)loop;
}

LOOPDOG_NOTHING void loopdog_wait_end(loopdog_loop *loop)
{
        (void)loop;
}

LOOPDOG_NOTHING void loopdog_pause(loopdog_loop *loop)
{
        (void)loop;
}

LOOPDOG_NOTHING void loopdog_resume(loopdog_loop *loop)
{
        (void)loop;
}

LOOPDOG_NOTHING int loopdog_set_threshold(loopdog_loop *loop, uint64_t threshold_ns)
{
        (void)loop;
        (void)threshold_ns;
        return 0;
}

LOOPDOG_NOTHING void loopdog_callback_begin(const char *name, void (*function)(void), const char *object, long number)
{
        (void)name;
        (void)function;
        (void)object;
        (void)number;
}

LOOPDOG_NOTHING void loopdog_callback_end(void)
{
}

LOOPDOG_NOTHING void loopdog_label(const char *key, const char *value)
{
        (void)key;
        (void)value;
}

LOOPDOG_NOTHING void loopdog_section_begin(uint64_t allowed_ns)
{
        (void)allowed_ns;
}

LOOPDOG_NOTHING void loopdog_section_end(void)
{
}

LOOPDOG_NOTHING int loopdog_read_statistics(loopdog_loop *loop, struct loopdog_statistics *into)
{
        (void)loop;
        (void)into;
        return -3; /* -ESRCH */
}

LOOPDOG_NOTHING int loopdog_read_histogram(loopdog_loop *loop, struct loopdog_bucket *into, size_t count)
{
        (void)loop;
        (void)into;
        (void)count;
        return -3; /* -ESRCH */
}

#undef LOOPDOG_NOTHING
#endif

#ifdef __cplusplus
}
#endif

#endif
