/* SPDX-License-Identifier: Apache-2.0
 *
 * survivors.h - processes that go on after the command has ended
 *
 * Context: reader
 */
#ifndef LOOPDOG_LAUNCH_SURVIVORS_H
#define LOOPDOG_LAUNCH_SURVIVORS_H

#include "analyse/analysis.h"

/* Processes of `analysis` that have not said goodbye and still run, and those that were started with
 * LOOPDOG_OUTPUT=`output` and may not have waited yet. Returns how many; the first of them as words in `*names`, to
 * be freed. */
size_t survivors_find(const struct analysis *analysis, const char *output, char **names);

#endif
