/* SPDX-License-Identifier: Apache-2.0
 *
 * forget.h - what `top` lets go of
 *
 * Context: reader
 */
#ifndef LOOPDOG_TOP_FORGET_H
#define LOOPDOG_TOP_FORGET_H

#include "top/model.h"

/* Of processes, loops and culprits keep as many as model.h allows: those heard of last, and of culprits those that lost
 * most. What else there was is counted. */
void top_forget(struct top_model *model);

/* All of them. */
void top_forget_all(struct top_model *model);

/* Free what a stall in progress holds. */
void top_open_release(struct top_open *open);

#endif
