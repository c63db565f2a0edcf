/* SPDX-License-Identifier: Apache-2.0
 *
 * show_text.h - one stall whole, for people
 *
 * Context: reader
 */
#ifndef LOOPDOG_RENDER_SHOW_TEXT_H
#define LOOPDOG_RENDER_SHOW_TEXT_H

#include <stdio.h>

#include "analyse/analysis.h"
#include "render/source.h"
#include "symbolize/symbolize.h"

struct show {
        const struct record *record;            /* a stall, or a stall-begin of one that has not ended */
        const struct analysed_process *process; /* its own */
        const struct record *stacks_of;         /* of a repeat: the stall that has its stacks; NULL: none was read */
        struct symbolizer *symbolizer;
};

/* When and where; when each of its stacks was seen; the stall as everywhere, with every frame and its source; its other
 * stacks. */
void show_text(const struct show *show, FILE *out, const struct record_style *style);

#endif
