/* SPDX-License-Identifier: Apache-2.0
 *
 * work.h - what a program said of one iteration of its loop, as a value
 *
 * Stands here because it is handed through from the loop's slot to the record without any stage between looking at it.
 *
 * Context: app thread writes, watchdog reads a copy
 */
#ifndef LOOPDOG_BASE_WORK_H
#define LOOPDOG_BASE_WORK_H

#include <stdint.h>

#include "base/limits.h"

struct work_label {
        char key[LIMIT_LABEL_KEY];
        char value[LIMIT_LABEL_VALUE];
};

/* The callback that took most of the iteration, and the labels that were set longest in it. */
struct work {
        uint64_t callback_ns; /* how long it took of the iteration; 0: none took long enough to be kept */
        uint64_t begin_ns;    /* when it began, or the iteration where that was later: clock_now_ns() */
        uint64_t function;    /* address; 0: not told */
        int64_t number;       /* the object's; below 0: none */
        char name[LIMIT_SAID_NAME];
        char object[LIMIT_SAID_NAME];
        uint32_t callbacks; /* how many began in the iteration */
        uint32_t labels_count;
        uint64_t labels_ns; /* how long they were as they are here */
        struct work_label labels[LIMIT_LABELS];
};

#endif
