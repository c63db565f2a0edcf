/* SPDX-License-Identifier: Apache-2.0
 *
 * session.h - `loopdog top` from its first frame to its last
 *
 * Context: reader
 */
#ifndef LOOPDOG_TOP_SESSION_H
#define LOOPDOG_TOP_SESSION_H

#include <stdbool.h>
#include <stdint.h>

#include "analyse/filter.h"
#include "render/terminal.h"
#include "top/rows.h"

struct session_options {
        uint64_t delay_ns; /* between two frames */
        uint64_t frames;   /* 0: until it is ended */
        bool batch;        /* plain frames instead of a screen */
        bool json;         /* likewise, as JSON */
        enum colour_choice colour;
        struct rows_view view;
        struct filter filter; /* with its symbolizer */
        char *const *names;   /* what to follow, see feed_open() */
        int names_count;
};

/* Returns the exit code. */
int session_run(const struct session_options *options);

#endif
