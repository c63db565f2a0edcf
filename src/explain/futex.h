/* SPDX-License-Identifier: Apache-2.0
 *
 * futex.h - what a thread that sleeps in futex() waits for, and who holds it
 *
 * Context: watchdog
 */
#ifndef LOOPDOG_EXPLAIN_FUTEX_H
#define LOOPDOG_EXPLAIN_FUTEX_H

#include <stdbool.h>
#include <stdint.h>

#include "unwind/unwind.h"

enum futex_kind {
        FUTEX_UNKNOWN, /* of the program's own making, or of a libc that is not known */
        FUTEX_LOCK,
        FUTEX_END,     /* of the thread `owner` */
        FUTEX_NO_LOCK, /* condition variable, semaphore, barrier: nobody holds it */
};

struct futex_wait {
        enum futex_kind kind;
        const char *object; /* "mutex", "robust mutex", "condition variable" ...; NULL: not known */
        int32_t owner;      /* a living thread of this process; 0: not known */
};

/* Does the sample sleep in a futex call that waits? */
bool futex_waits(const struct sample *sample);

/* `stack` may be NULL; then less is known. */
struct futex_wait futex_find(const struct sample *sample, const struct stack *stack);

#endif
