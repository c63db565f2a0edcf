/* SPDX-License-Identifier: Apache-2.0
 *
 * task.h - the asyncio task whose coroutine a thread runs
 *
 * Context: watchdog
 */
#ifndef LOOPDOG_SCRIPT_PYTHON_TASK_H
#define LOOPDOG_SCRIPT_PYTHON_TASK_H

#include "script/python/frames.h"

/* Find the task by `count` words of the native stack. Its name goes to `text`. Returns the index in `stack` of its
 * coroutine's frame, or -1: there is no task, or it is not known. */
int python_task(const struct python_runtime *runtime, const struct python_stack *stack, const uint64_t *words,
                size_t count, char *text, size_t capacity);

/* The same, if it is the task that was found last. */
int python_task_again(const struct python_runtime *runtime, const struct python_stack *stack, char *text,
                      size_t capacity);

#endif
