/* SPDX-License-Identifier: Apache-2.0
 *
 * closed.h - a loop ends when its instance is closed
 *
 * What the hooks tell stands in loop.h.
 *
 * Context: app thread
 */
#ifndef LOOPDOG_LOOP_CLOSED_H
#define LOOPDOG_LOOP_CLOSED_H

#include <stdbool.h>
#include <stdint.h>

/* This key's descriptor is the own instance of a loop; other keys have none. */
void closed_expect(uint64_t key);

/* This process's descriptors are meant, not those of a child of vfork() that runs in its memory. Is it another one than
 * when it was noted before? */
bool closed_note_process(void);
int32_t closed_process(void); /* as it was noted */

/* How many candidates were dropped because their instance was closed. */
uint64_t closed_candidates(void);

void closed_after_fork(void);

#endif
