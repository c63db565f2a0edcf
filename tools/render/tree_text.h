/* SPDX-License-Identifier: Apache-2.0
 *
 * tree_text.h - a tree of calls for people
 *
 * Context: reader
 */
#ifndef LOOPDOG_RENDER_TREE_TEXT_H
#define LOOPDOG_RENDER_TREE_TEXT_H

#include <stdio.h>

#include "analyse/calltree.h"

/* A line a frame, outermost first, indented where callers fork; long runs of somebody else's frames are folded unless
 * the style has all_frames. What lost less than a hundredth is left out and counted. */
void tree_text(const struct calltree *tree, FILE *out, const struct record_style *style);

#endif
