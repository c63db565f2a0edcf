/* SPDX-License-Identifier: Apache-2.0
 *
 * rows.h - the rows of the two tables of `top`, in order
 *
 * Context: reader
 */
#ifndef LOOPDOG_TOP_ROWS_H
#define LOOPDOG_TOP_ROWS_H

#include "top/model.h"

#define ROWS_FILTER_BYTES 128

enum rows_pane {
        ROWS_LOOPS,
        ROWS_STALLS,
        ROWS_PANES,
};

/* What the loops can be sorted by. */
enum rows_loops_by {
        LOOPS_BY_LAG,
        LOOPS_BY_BUSY,
        LOOPS_BY_P99,
        LOOPS_BY_STALLS,
        LOOPS_BY_LOST,
        LOOPS_BY_NAME,
        LOOPS_ORDERS,
};

/* What the culprits can be sorted by; stalls in progress stand first in any order, the longest before the others. */
enum rows_stalls_by {
        STALLS_BY_LOST,
        STALLS_BY_COUNT,
        STALLS_BY_LONGEST,
        STALLS_BY_P99,
        STALLS_BY_LAST,
        STALLS_BY_NAME,
        STALLS_ORDERS,
};

/* What is shown, and in which order. All zero: all, the worst first. */
struct rows_view {
        int order[ROWS_PANES]; /* enum rows_loops_by, enum rows_stalls_by */
        bool reversed[ROWS_PANES];
        char filter[ROWS_FILTER_BYTES]; /* rows that have this in their names, whatever its case; "": all */
};

/* Of the stalls either a stall in progress or a culprit. */
struct row {
        const struct top_loop *loop;
        const struct top_process *process; /* of a loop or of a stall in progress */
        const struct top_open *open;
        const struct top_culprit *culprit;
};

struct rows {
        struct row *items;
        size_t count;
};

/* Both lists as of `now_ns` (CLOCK_REALTIME), to be given to rows_free(); good until the model changes. */
void rows_make(struct rows rows[static ROWS_PANES], const struct top_model *model, const struct rows_view *view,
               uint64_t now_ns);
void rows_free(struct rows rows[static ROWS_PANES]);

/* For how long the loop keeps events waiting now: how long it has been stalling, or its longest iteration between its
 * last two records; 0 where it rests, or nothing is known. */
uint64_t row_lag_ns(const struct top_loop *loop, uint64_t now_ns);

/* "uvicorn 4242, epoll:5", with the host where it is another, and "uvicorn 4242" of a stall in progress; to be freed.
 */
char *row_loop_name(const struct top_loop *loop);
char *row_process_name(const struct top_process *process);

/* Is it on another machine? */
bool row_is_elsewhere(const struct top_process *process);

/* "lag" and so on, as options and documentation have it; NULL behind the last. And back: -1 for another word. */
const char *rows_order_name(enum rows_pane pane, int order);
int rows_order_from_name(enum rows_pane pane, const char *name);

#endif
