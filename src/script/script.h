/* SPDX-License-Identifier: Apache-2.0
 *
 * script.h - the frames of scripts in a sample
 *
 * A runtime's frames are copied together with the native stack, understood afterwards, and put where the native frames
 * of its interpreter were.
 *
 * Context: watchdog, except script_copy_sigsafe()
 */
#ifndef LOOPDOG_SCRIPT_SCRIPT_H
#define LOOPDOG_SCRIPT_SCRIPT_H

#include <stddef.h>

#include "script/functions.h"
#include "unwind/stack.h"

/* The copy of a native stack that a sample has. */
struct script_memory {
        uint64_t address;
        const uint8_t *bytes;
        size_t length;
};

/* What a thread was doing, beyond its frames. Strings are valid until the next call of script_merge(). */
struct script_context {
        const char *called;    /* what the innermost script frame has called, if that is native: "time.sleep" */
        const char *task;      /* asyncio: the name of the task */
        const char *coroutine; /* and its coroutine */
        bool ends;             /* the interpreter is being ended, and no loop runs within that */
        const char *lost;      /* why there are no script frames where there should be some; NULL */
};

/* A sample of the thread with this pthread_t is about to be taken. */
void script_prepare(uint64_t pthread);

/* Now: on that thread in the signal handler, or on the watchdog while it sleeps. */
void script_copy_sigsafe(void);

/* Understand what was copied: soon, because a running thread frees what its frames point at. `memory` is NULL where the
 * sample has no native stack. */
void script_read(const struct script_memory *memory);

/* Put the script frames that script_read() has understood into the sample's native stack. Where that is empty, the
 * stack becomes that of the script alone. */
void script_merge(struct stack *stack, const struct script_memory *memory, struct script_context *context);

/* Does the thread of the last script_prepare(), which sleeps in futex(`address`), wait for its interpreter's lock? Then
 * the thread that holds it: its id and its pthread_t, both 0 where nobody does or it is not known. */
bool script_waits_for_lock(uint64_t address, int32_t *tid, uint64_t *pthread);

/* A stall begins: if the table of functions is nearly full it is emptied. */
void script_forget_if_full(void);

#endif
