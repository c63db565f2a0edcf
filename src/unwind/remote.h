/* SPDX-License-Identifier: Apache-2.0
 *
 * remote.h - libunwind, used as if this process were another one
 *
 * Context: watchdog, except remote_load()
 */
#ifndef LOOPDOG_UNWIND_REMOTE_H
#define LOOPDOG_UNWIND_REMOTE_H

#include <stdbool.h>
#include <stdint.h>

#include <libunwind.h>

#include "unwind/arch.h"
#include "unwind/fde.h"

/* Open libunwind; see unwind_load(). */
int remote_load(const char **why);
bool remote_ready(void);

/* Before each walk, on the watchdog: what libunwind does once at its first use, and what a change of modules needs. */
void remote_prepare(void);

/* Begin at the frame with these registers, which must stay where they are while the cursor is used: it asks for them
 * when it needs them. */
bool remote_start(unw_cursor_t *cursor, struct registers *registers);

/* Go to the caller by the unwind information, which remote_function() must have found. 1; 0: that says that the stack
 * ends here; -ENODATA: it needs a register that is not known; -EINVAL: it failed. The cursor is then unusable. */
int remote_step(unw_cursor_t *cursor);

/* A register of the frame at the cursor; false: not known. */
bool remote_register(unw_cursor_t *cursor, unsigned number, uint64_t *value);

/* The function at `pc` by its unwind information; false: there is none. */
bool remote_function(uint64_t pc, struct fde *fde);

/* Forget everything cached of code. */
void remote_flush(void);

/* In a forked child. `busy`: the parent was in the middle of a walk, which leaves libunwind's locks taken for ever. */
void remote_after_fork(bool busy);

#endif
