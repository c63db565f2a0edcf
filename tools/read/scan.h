/* SPDX-License-Identifier: Apache-2.0
 *
 * scan.h - where the stacks of a record begin, without parsing it
 *
 * Nine tenths of a stall's line are its stacks, which come last. A reader that has seen a signature before needs what
 * stands in front of them only.
 *
 * Context: reader
 */
#ifndef LOOPDOG_READ_SCAN_H
#define LOOPDOG_READ_SCAN_H

#include <stdbool.h>
#include <stddef.h>

/* The offset of the comma before `"stacks":[...]}` where that is the end of the object in `line`, and its strings and
 * brackets are closed; else 0. What stands in the stacks is not looked at any further. */
size_t scan_stacks(const char *line, size_t length);

/* Has a record, of which scan_stacks() is not 0, a stack with frames, as the agent writes them? */
bool scan_frames(const char *line, size_t length);

#endif
