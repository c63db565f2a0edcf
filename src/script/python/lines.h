/* SPDX-License-Identifier: Apache-2.0
 *
 * lines.h - from a place in the bytecode to a line of the source
 *
 * Context: watchdog
 */
#ifndef LOOPDOG_SCRIPT_PYTHON_LINES_H
#define LOOPDOG_SCRIPT_PYTHON_LINES_H

#include <stddef.h>

#include "script/python/layout.h"

/* The line at byte `position` of the bytecode, by the code object's table, which may be cut or senseless. A negative
 * position is that of a function not begun: `first_line`. Pure. Returns the line, or 0 where there is none. */
uint32_t python_line(enum python_lines kind, const uint8_t *table, size_t length, uint32_t first_line,
                     int64_t position);

#endif
