/* SPDX-License-Identifier: Apache-2.0
 *
 * kept_frame.c - a frame that outlives its record
 *
 * Context: reader
 */
#include "kept_frame.h"

#include <stdlib.h>

#include "alloc.h"

void kept_frame_set(struct record_frame *to, const struct record_frame *from)
{
        *to = *from;
        to->function = alloc_string(from->function);
        to->file = alloc_string(from->file);
        to->module = alloc_string(from->module);
        to->build_id = alloc_string(from->build_id);
}

void kept_frame_release(struct record_frame *frame)
{
        free((char *)frame->function);
        free((char *)frame->file);
        free((char *)frame->module);
        free((char *)frame->build_id);
        *frame = (struct record_frame){ 0 };
}
