/* SPDX-License-Identifier: Apache-2.0
 *
 * heads.h - the beginnings of what the outer frames' code objects point at
 *
 * Context: watchdog
 */
#ifndef LOOPDOG_SCRIPT_PYTHON_HEADS_H
#define LOOPDOG_SCRIPT_PYTHON_HEADS_H

#include "script/python/copy.h"

/* Read those that were not copied with the frames. A frame whose code object is not any more what was copied loses it
 * (`code_read`). */
void python_heads_complete(const struct python_layout *layout, struct python_copy *copy);

/* Those of frame `index`. Valid until the next python_heads_complete(). */
const struct python_heads *python_heads_of(const struct python_copy *copy, unsigned index);

#endif
