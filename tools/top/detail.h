/* SPDX-License-Identifier: Apache-2.0
 *
 * detail.h - the stall that was opened, as `loopdog show` tells it
 *
 * Context: reader
 */
#ifndef LOOPDOG_TOP_DETAIL_H
#define LOOPDOG_TOP_DETAIL_H

#include "top/model.h"

/* The text of the stall that the model watches, as of `now_ns`: one in progress has lasted until then. To be freed;
 * NULL where none is watched. `columns`: of the terminal. With colour it has its escape sequences and no others. */
char *detail_text(const struct top_model *model, uint64_t now_ns, unsigned columns, bool colour);

#endif
