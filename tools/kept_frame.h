/* SPDX-License-Identifier: Apache-2.0
 *
 * kept_frame.h - a frame that outlives its record
 *
 * Context: reader
 */
#ifndef LOOPDOG_TOOLS_KEPT_FRAME_H
#define LOOPDOG_TOOLS_KEPT_FRAME_H

#include "record/record.h"

/* Set `to`, which holds nothing, to a copy of `from` with strings of its own. */
void kept_frame_set(struct record_frame *to, const struct record_frame *from);

/* Free the strings; nothing is held then. */
void kept_frame_release(struct record_frame *frame);

#endif
