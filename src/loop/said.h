/* SPDX-License-Identifier: Apache-2.0
 *
 * said.h - what a program says of its own work: callbacks, labels, sections
 *
 * It is kept beside the slots, in memory that is mapped when a loop first says something. Only the loop's thread
 * writes; the watchdog copies and takes the copy only where the sequence was even and the same before and after. Names
 * are pointers while a callback runs and are copied when it ends after SAID_LEAST_NS or the watchdog looks: a callback
 * that is short costs two readings of the clock and a few stores.
 *
 * Context: each function says which
 */
#ifndef LOOPDOG_LOOP_SAID_H
#define LOOPDOG_LOOP_SAID_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/work.h"

struct slot;

#define SAID_LEAST_NS 1000000 /* of callbacks and labels that are shorter nothing is kept but the count */

/* ---- the loop's thread. Without a loop here they do nothing; false: it makes no sense, an end without a begin. ----
 */

bool said_callback_begin(const char *name, uint64_t function, const char *object, int64_t number);
bool said_callback_end(void);
void said_callback_unseen(void); /* one begins while the detector is off: its end is no misuse */
void said_label(const char *key, const char *value);
bool said_section_begin(uint64_t allowed_ns);
bool said_section_end(void);

/* The thread's loop has just got its slot: nothing was said of it. */
void said_forget(struct slot *slot);

/* A long iteration ends at `now_ns`: keep what was said of it. Returns its number, 0 where nothing was. */
uint32_t said_keep(struct slot *slot, uint64_t mark, uint64_t now_ns);

/* How long this iteration may take: the slot's threshold and what its sections allow. Also watchdog. */
uint64_t said_limit_ns(const struct slot *slot, uint64_t mark);

/* ---- watchdog ---- */

/* Copy what was kept under this number. False where it has been overwritten. */
bool said_read_kept(const struct slot *slot, uint32_t number, struct work *into);

/* Copy what is known now of an iteration that goes on. False where nothing is. */
bool said_read_now(const struct slot *slot, uint64_t mark, uint64_t now_ns, struct work *into);

/* Copy what goes on at this moment: the innermost callback, whatever took longer before it, and the labels as they are
 * now. False where nothing is known. */
bool said_read_present(const struct slot *slot, uint64_t mark, uint64_t now_ns, struct work *into);

/* In the child after fork, in its only thread. */
void said_after_fork(void);

#endif
