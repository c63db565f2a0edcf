/* SPDX-License-Identifier: Apache-2.0
 *
 * loopframe.h - is the loop's own frame still on the stack?
 *
 * Context: watchdog
 */
#ifndef LOOPDOG_EXPLAIN_LOOPFRAME_H
#define LOOPDOG_EXPLAIN_LOOPFRAME_H

#include <stdint.h>

#include "unwind/stack.h"

enum loopframe {
        LOOPFRAME_UNKNOWN, /* the stack is not complete, or an interpreter runs the loop */
        LOOPFRAME_PRESENT,
        LOOPFRAME_GONE,
};

/* Where the loop waits: return address of its wait and stack pointer of the wait's caller. */
struct loopframe_wait {
        uint64_t site;
        uint64_t cfa;
};

/* `index`: of the loop frame where it is present, else the number of frames. */
enum loopframe loopframe_find(const struct stack *stack, const struct loopframe_wait *wait, unsigned *index);

#endif
