/* SPDX-License-Identifier: Apache-2.0
 *
 * callback.h - which frame has the loop called?
 *
 * Context: watchdog
 */
#ifndef LOOPDOG_EXPLAIN_CALLBACK_H
#define LOOPDOG_EXPLAIN_CALLBACK_H

#include "explain/loopframe.h"

/* Index of the callback's frame: the first within the loop that is not the loop's own; -1: not known. */
int callback_find(const struct stack *stack, const struct loopframe_wait *wait);

#endif
