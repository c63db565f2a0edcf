/* SPDX-License-Identifier: Apache-2.0
 *
 * text_stack.h - the frames of a stall as people read them
 *
 * record_write_stack() (record.h) is here too.
 *
 * Context: watchdog, reader
 */
#ifndef LOOPDOG_RECORD_TEXT_STACK_H
#define LOOPDOG_RECORD_TEXT_STACK_H

#include "record/record.h"

/* The threads that are to blame, each with its stack. */
void text_write_others(struct text *text, const struct record_stall *stall, const struct record_style *style);

#endif
