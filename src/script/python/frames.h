/* SPDX-License-Identifier: Apache-2.0
 *
 * frames.h - what was copied of a thread's Python frames, understood
 *
 * Context: watchdog
 */
#ifndef LOOPDOG_SCRIPT_PYTHON_FRAMES_H
#define LOOPDOG_SCRIPT_PYTHON_FRAMES_H

#include "script/python/copy.h"
#include "script/python/runtime.h"

struct python_frame {
        uint64_t address;
        uint64_t anchor; /* with `last`: an address within the native frame that executes these; 0: not known */
        uint32_t line;
        uint16_t function; /* number */
        bool last;         /* the outermost of those that one native frame executes */
};

struct python_stack {
        struct python_frame frames[PYTHON_FRAMES]; /* innermost first */
        unsigned count;
        bool cut;         /* there are more */
        const char *lost; /* why there are none; NULL: the thread executes no Python code, or there are some */
};

/* The words of a stack: what is at `address` of the thread's copied stack, or in memory. False: unreadable. */
typedef bool python_stack_word(void *context, uint64_t address, uint64_t *word);

void python_frames(const struct python_runtime *runtime, const struct python_copy *copy, python_stack_word *word,
                   void *context, struct python_stack *stack);

#endif
