/* SPDX-License-Identifier: Apache-2.0
 *
 * frame.h - what `top` shows at one moment, as lines of text or as JSON
 *
 * The same lines go to the screen and, with --batch, to a log; only the screen marks, colours and cuts them.
 *
 * Context: reader
 */
#ifndef LOOPDOG_TOP_FRAME_H
#define LOOPDOG_TOP_FRAME_H

#include <stdio.h>

#include "top/rows.h"

struct frame {
        const struct top_model *model;
        const struct rows_view *view;
        const struct rows *rows; /* of both panes */
        uint64_t now_ns;         /* CLOCK_REALTIME */
        unsigned columns;        /* 0: unlimited */
        bool screen;             /* columns keep a least width, and the one that is sorted by is marked */
};

/* What stands for a row besides its text. */
enum frame_row {
        FRAME_ROW_PLAIN,
        FRAME_ROW_STALLING, /* now */
        FRAME_ROW_OVER,     /* of a process that has ended */
};

enum frame_row frame_row(const struct row *row);

/* Two lines: when and how much of what; what stalls now and what has been lost so far. */
void frame_head(const struct frame *frame, FILE *out);

/* A line with the columns' names and one for each of `count` rows from row `from` on. */
void frame_table(const struct frame *frame, enum rows_pane pane, size_t from, size_t count, FILE *out);

/* All of it, for a log. */
void frame_text(const struct frame *frame, FILE *out);

/* One line of JSON (docs/top-json.md) with all rows. */
void frame_json(const struct frame *frame, FILE *out);

#endif
