/* SPDX-License-Identifier: Apache-2.0
 *
 * called.h - which native function the innermost Python frame has called
 *
 * Context: watchdog
 */
#ifndef LOOPDOG_SCRIPT_PYTHON_CALLED_H
#define LOOPDOG_SCRIPT_PYTHON_CALLED_H

#include "script/python/copy.h"
#include "script/python/runtime.h"
#include "unwind/stack.h"

/* "time.sleep" into `text`, or "ctypes usleep". The first `count` frames of `native` are those above the innermost
 * Python frame: only what one of them executes is believed. False: not known. */
bool python_called(const struct python_runtime *runtime, const struct python_copy *copy, const struct stack *native,
                   unsigned count, char *text, size_t capacity);

#endif
