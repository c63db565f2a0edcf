/* SPDX-License-Identifier: Apache-2.0
 *
 * blocked.h - capture a thread that sleeps, without a signal
 *
 * Context: watchdog
 */
#ifndef LOOPDOG_CAPTURE_BLOCKED_H
#define LOOPDOG_CAPTURE_BLOCKED_H

#include "capture/sample.h"
#include "capture/task.h"

/* `before` has just been read and says that the thread sleeps. `buffer` holds LIMIT_STACK_BYTES. `companion_sigsafe`,
 * if not NULL, copies more of the thread meanwhile. CAPTURE_MOVED: it has run meanwhile; try again. Fills state,
 * switches, system call, and with CAPTURE_OK the stack. */
enum capture_loss blocked_take(struct capture_task *task, const struct task_call *before, uint8_t *buffer,
                               void (*companion_sigsafe)(void), struct sample *sample);

/* Has the thread stayed in the very call of this sample, which was taken without a signal? */
bool blocked_stays(const struct capture_task *task, const struct sample *sample);

#endif
