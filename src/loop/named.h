/* SPDX-License-Identifier: Apache-2.0
 *
 * named.h - loops that the API names
 *
 * Such a loop has a slot as any other, from its first wait on. A thread with several has one slot for each: the one in
 * use stands in loop_slot_here, the others are idle. The hooks compare their waits with its key, which none of theirs
 * can equal, so everything else the thread waits for is part of a callback.
 *
 * Context: each function says which
 */
#ifndef LOOPDOG_LOOP_NAMED_H
#define LOOPDOG_LOOP_NAMED_H

#include <stdbool.h>
#include <stdint.h>

#include "loop/slot.h"

/* What is wrong with a call; misuse is the caller's to say. */
enum named_misuse {
        NAMED_OK,
        NAMED_UNKNOWN,   /* closed, or never opened */
        NAMED_FOREIGN,   /* belongs to another thread */
        NAMED_NOT_BEGUN, /* the end of a wait that did not begin */
        NAMED_HOOKED,    /* its waits are the hooks' to find */
        NAMED_NOT_PAUSED,
};

/* Handles are numbers, never 0, that are not used twice within 4 million openings. 0: there is no room. */
uintptr_t named_open(const char *name, uint64_t threshold_ns, bool hooked);
enum named_misuse named_close(uintptr_t handle);

/* app thread, on the path of a wait. */
enum named_misuse named_wait_begin(uintptr_t handle, uint64_t cfa);
enum named_misuse named_wait_end(uintptr_t handle);

/* 0 is the loop of this thread, whoever found it. */
enum named_misuse named_pause(uintptr_t handle);
enum named_misuse named_resume(uintptr_t handle);
enum named_misuse named_set_threshold(uintptr_t handle, uint64_t threshold_ns);

/* The slot behind a handle, or NULL: it has not waited yet. Any thread. */
enum named_misuse named_slot(uintptr_t handle, struct slot **slot);

/* The hooks have found a loop in this thread: it may have a name already. */
void named_by_thread(struct slot *slot);

/* In the child, in its only thread: all loops are open, and none has waited. */
void named_after_fork(void);

#endif
