/* SPDX-License-Identifier: Apache-2.0
 *
 * signal.h - capture a running thread by a signal to itself
 *
 * Context: watchdog
 */
#ifndef LOOPDOG_CAPTURE_SIGNAL_H
#define LOOPDOG_CAPTURE_SIGNAL_H

#include "capture/sample.h"
#include "capture/task.h"

/* Choose the signal and install the handler, or neither, where `wanted` is negative; the buffer is the handler's from
 * now on. 0; -EBUSY and the reason where no signal is free. Idempotent: after signal_stop() the same signal is taken
 * again where it can be. */
int signal_start(int wanted, uint8_t *buffer, const char **why);

/* Give the action back where it is still ours and no signal of ours is on its way. For tests: in a host the handler
 * stays. */
void signal_stop(void);

/* The thread has been seen running: look again, send the signal, wait for the answer. CAPTURE_MOVED: it does not run
 * any more. CAPTURE_SIGNAL_BLOCKED may be a matter of microseconds: try again. */
enum capture_loss signal_take(struct capture_task *task, struct sample *sample);

/* The same without looking first whether it runs or blocks the signal. */
enum capture_loss signal_ask(struct capture_task *task, uint64_t running_ns, struct sample *sample);

/* What the handler is to copy besides the stack; NULL: nothing. */
void signal_accompany(void (*companion_sigsafe)(void));

/* Is a handler at work that has not answered in time? Then what it copies is its own until it ends. */
bool signal_is_answering(void);

void signal_after_fork(void);

#endif
