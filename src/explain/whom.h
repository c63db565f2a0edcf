/* SPDX-License-Identifier: Apache-2.0
 *
 * whom.h - whom does a sleeping thread wait for?
 *
 * One answer for all that one thread can hold and another want: Python's global lock, libc's mutexes and rwlocks,
 * locks of the kernel with priority inheritance, libc's own locks, and the end of a thread.
 *
 * Context: watchdog
 */
#ifndef LOOPDOG_EXPLAIN_WHOM_H
#define LOOPDOG_EXPLAIN_WHOM_H

#include <stdbool.h>
#include <stdint.h>

#include "script/script.h"
#include "unwind/unwind.h"

enum whom_kind {
        WHOM_NOBODY, /* it waits for no thread in particular, as far as can be told */
        WHOM_LOCK,
        WHOM_GIL,
        WHOM_END, /* of a thread: pthread_join() */
};

struct whom {
        enum whom_kind kind;
        const char *object; /* what it waits for: "mutex", "condition variable"; NULL: not known */
        int32_t tid;        /* the thread that holds it, 0: not known, or nobody */
        uint64_t pthread;   /* and its pthread_t, 0: not known */
};

/* `address` is the first argument of the system call that the thread of `sample` sleeps in, or was just leaving;
 * `stack` its stack, or NULL. The thread must be the one of the last script_prepare(). */
struct whom whom_find(const struct sample *sample, uint64_t address, const struct stack *stack);

/* One thread of a chain: it holds what the one before it waits for. */
struct whom_link {
        enum whom_kind holds;
        int32_t tid;
        char thread[16]; /* its name, read now: it may have ended when the stall does */
        char state;
        int call;           /* the system call that it sleeps in itself; -1: none */
        const char *object; /* what it waits for in that, and who holds it; 0: nobody known */
        int32_t waits_for;
        uint16_t frames_count;
        struct frame frames[LIMIT_OTHER_FRAMES];
};

/* From the stalled thread to who is to blame in the end. */
struct whom_chain {
        struct whom first; /* what the stalled thread waits for */
        bool cycle;        /* the last one waits for another of the chain, or for the stalled thread */
        uint32_t count;
        struct whom_link links[LIMIT_CHAIN];
};

/* Take a sample of this thread, unwind it, and find the first argument of its call. False: no stack. The stack is valid
 * until the next call. */
struct whom_look {
        const struct sample *sample;
        const struct stack *stack; /* NULL: none */
        uint64_t address;
        bool in_call; /* `address` is valid */
};
typedef struct whom_look whom_looker(int32_t tid, uint64_t pthread, void *context);

/* Follow the chain that begins with what `tid`, the stalled thread, waits for: chain->first is given. */
void whom_follow(struct whom_chain *chain, int32_t tid, whom_looker *look, void *context);

/* Are these the same threads that wait for each other? */
bool whom_same_chain(const struct whom_chain *a, const struct whom_chain *b);

#endif
