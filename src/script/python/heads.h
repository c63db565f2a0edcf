/* SPDX-License-Identifier: Apache-2.0
 *
 * heads.h - the beginnings of the outer frames' tables of lines
 *
 * Context: watchdog
 */
#ifndef LOOPDOG_SCRIPT_PYTHON_HEADS_H
#define LOOPDOG_SCRIPT_PYTHON_HEADS_H

#include "script/python/copy.h"

/* Read the beginnings of those tables of lines that were not copied with the frames. Where a code object is not any
 * more what was copied, there is none (`code_gone`). Best done as soon as the copy is made. */
void python_heads_complete(const struct python_layout *layout, struct python_copy *copy);

#endif
