/* SPDX-License-Identifier: Apache-2.0
 *
 * rows.c - the rows of the two tables of `top`, in order
 *
 * Context: reader
 */
#include "top/rows.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "alloc.h"

static const char *const order_names[ROWS_PANES][8] = {
        [ROWS_LOOPS] = { [LOOPS_BY_LAG] = "lag",
                         [LOOPS_BY_BUSY] = "busy",
                         [LOOPS_BY_P99] = "p99",
                         [LOOPS_BY_STALLS] = "stalls",
                         [LOOPS_BY_LOST] = "lost",
                         [LOOPS_BY_NAME] = "name" },
        [ROWS_STALLS] = { [STALLS_BY_LOST] = "lost",
                          [STALLS_BY_COUNT] = "count",
                          [STALLS_BY_LONGEST] = "longest",
                          [STALLS_BY_P99] = "p99",
                          [STALLS_BY_LAST] = "last",
                          [STALLS_BY_NAME] = "culprit" },
};

const char *rows_order_name(enum rows_pane pane, int order)
{
        return order_names[pane][order];
}

int rows_order_from_name(enum rows_pane pane, const char *name)
{
        for (int i = 0; order_names[pane][i]; i++)
                if (strcmp(order_names[pane][i], name) == 0)
                        return i;
        return -1;
}

/* ----------------------------------------------------------------------------------------------------------- names */

bool row_is_elsewhere(const struct top_process *process)
{
        static char here[HOST_NAME_MAX + 1];
        if (!here[0] && gethostname(here, sizeof(here) - 1) < 0)
                here[0] = '?';
        return process->host[0] && strcmp(process->host, here) != 0;
}

char *row_process_name(const struct top_process *process)
{
        bool elsewhere = row_is_elsewhere(process);
        return alloc_format("%s %d%s%s", process->program, process->pid, elsewhere ? " on " : "",
                            elsewhere ? process->host : "");
}

char *row_loop_name(const struct top_loop *loop)
{
        char *process = row_process_name(loop->process);
        char *name = alloc_format("%s, %s", process, loop->name);
        free(process);
        return name;
}

static bool has(const char *name, const char *part)
{
        return name && strcasestr(name, part);
}

static bool shows_loop(const struct rows_view *view, const struct top_loop *loop)
{
        if (!view->filter[0])
                return true;
        char *name = row_loop_name(loop);
        bool shows = has(name, view->filter) || has(loop->process->host, view->filter);
        free(name);
        return shows;
}

static bool shows_open(const struct rows_view *view, const struct top_process *process, const struct top_open *open)
{
        return !view->filter[0] || has(open->culprit, view->filter) || has(process->program, view->filter) ||
               has(open->call, view->filter) || has(record_cause_name(open->cause), view->filter);
}

static bool shows_culprit(const struct rows_view *view, const struct top_culprit *culprit)
{
        return !view->filter[0] || has(culprit->name, view->filter) || has(culprit->frame.file, view->filter) ||
               has(culprit->call, view->filter) || has(record_cause_name(culprit->cause), view->filter);
}

/* --------------------------------------------------------------------------------------------------------- sorting */

/* A row with what it is sorted by. */
struct sorted {
        struct row row;
        int group;    /* the lower one first, also in reverse */
        double value; /* the greater one first; */
        char *name;   /* then by name, as in a dictionary */
        bool by_name;
        bool reversed;
};

static int compare(const void *a, const void *b)
{
        const struct sorted *left = a;
        const struct sorted *right = b;
        int sign = left->reversed ? -1 : 1;
        if (left->group != right->group)
                return left->group - right->group;
        if (!left->by_name && left->value != right->value)
                return left->value < right->value ? sign : -sign;
        int names = strcmp(left->name, right->name);
        return left->by_name ? names * sign : names;
}

struct sorting {
        struct sorted *items;
        size_t count;
        size_t capacity;
};

/* Takes the name. */
static void add(struct sorting *sorting, const struct sorted *item)
{
        if (sorting->count == sorting->capacity) {
                sorting->capacity = sorting->capacity ? 2 * sorting->capacity : 64;
                sorting->items = alloc_resize(sorting->items, sorting->capacity, sizeof(*sorting->items));
        }
        sorting->items[sorting->count++] = *item;
}

static void finish(struct sorting *sorting, struct rows *rows)
{
        if (sorting->count > 0)
                qsort(sorting->items, sorting->count, sizeof(*sorting->items), compare);
        rows->count = sorting->count;
        rows->items = alloc_zeroed(rows->count, sizeof(*rows->items));
        for (size_t i = 0; i < rows->count; i++) {
                rows->items[i] = sorting->items[i].row;
                free(sorting->items[i].name);
        }
        free(sorting->items);
}

/* ----------------------------------------------------------------------------------------------------------- loops */

uint64_t row_lag_ns(const struct top_loop *loop, uint64_t now_ns)
{
        if (loop->stalling_ns > 0)
                return now_ns > loop->stalling_ns ? now_ns - loop->stalling_ns : 0;
        return top_loop_rests_ns(loop, now_ns) > 0 ? 0 : loop->span.longest_ns;
}

static double loop_value(const struct top_loop *loop, int order, uint64_t now_ns)
{
        uint64_t time_ns = loop->span.busy_ns + loop->span.idle_ns;
        bool rests = top_loop_rests_ns(loop, now_ns) > 0;
        switch (order) {
        case LOOPS_BY_LAG:
                return (double)row_lag_ns(loop, now_ns);
        case LOOPS_BY_BUSY:
                if (loop->stalling_ns > 0)
                        return 2;
                return time_ns > 0 && !rests ? (double)loop->span.busy_ns / (double)time_ns : 0;
        case LOOPS_BY_P99:
                return (double)buckets_permille_ns(loop->buckets, loop->buckets_count, loop->all.longest_ns, 990);
        case LOOPS_BY_STALLS:
                return (double)loop->stalls;
        case LOOPS_BY_LOST:
                return (double)loop->lost_ns;
        default:
                return 0;
        }
}

static void make_loops(struct rows *rows, const struct top_model *model, const struct rows_view *view, uint64_t now_ns)
{
        struct sorting sorting = { 0 };
        for (size_t i = 0; i < model->loops.count; i++) {
                const struct top_loop *loop = model->loops.entries[i].value;
                if (!shows_loop(view, loop))
                        continue;
                add(&sorting, &(struct sorted){
                                      .row = { .loop = loop, .process = loop->process },
                                      .group = loop->process->state != TOP_RUNS,
                                      .value = loop_value(loop, view->order[ROWS_LOOPS], now_ns),
                                      .name = row_loop_name(loop),
                                      .by_name = view->order[ROWS_LOOPS] == LOOPS_BY_NAME,
                                      .reversed = view->reversed[ROWS_LOOPS],
                              });
        }
        finish(&sorting, rows);
}

/* ---------------------------------------------------------------------------------------------------------- stalls */

static double culprit_value(const struct top_culprit *culprit, int order)
{
        switch (order) {
        case STALLS_BY_LOST:
                return (double)culprit->stalls.total_ns;
        case STALLS_BY_COUNT:
                return (double)culprit->stalls.count;
        case STALLS_BY_LONGEST:
                return (double)culprit->stalls.longest_ns;
        case STALLS_BY_P99:
                return (double)spread_permille_ns(&culprit->stalls, 990);
        case STALLS_BY_LAST:
                return (double)culprit->last_ns;
        default:
                return 0;
        }
}

static void add_open(struct sorting *sorting, const struct top_process *process, const struct rows_view *view,
                     uint64_t now_ns)
{
        for (size_t i = 0; i < process->open_count; i++) {
                const struct top_open *open = &process->open[i];
                if (!shows_open(view, process, open))
                        continue;
                add(sorting, &(struct sorted){
                                     .row = { .process = process, .open = open },
                                     .group = 0,
                                     .value = (double)top_open_ns(open, now_ns),
                                     .name = alloc_format("%s-%llu", process->run, (unsigned long long)open->id),
                             });
        }
}

static void make_stalls(struct rows *rows, const struct top_model *model, const struct rows_view *view, uint64_t now_ns)
{
        struct sorting sorting = { 0 };
        for (size_t i = 0; i < model->processes.count; i++)
                add_open(&sorting, model->processes.entries[i].value, view, now_ns);
        for (size_t i = 0; i < model->culprits.count; i++) {
                const struct top_culprit *culprit = model->culprits.entries[i].value;
                if (!shows_culprit(view, culprit))
                        continue;
                add(&sorting, &(struct sorted){
                                      .row = { .culprit = culprit },
                                      .group = 1,
                                      .value = culprit_value(culprit, view->order[ROWS_STALLS]),
                                      .name = alloc_string(culprit->name),
                                      .by_name = view->order[ROWS_STALLS] == STALLS_BY_NAME,
                                      .reversed = view->reversed[ROWS_STALLS],
                              });
        }
        finish(&sorting, rows);
}

void rows_make(struct rows rows[static ROWS_PANES], const struct top_model *model, const struct rows_view *view,
               uint64_t now_ns)
{
        make_loops(&rows[ROWS_LOOPS], model, view, now_ns);
        make_stalls(&rows[ROWS_STALLS], model, view, now_ns);
}

void rows_free(struct rows rows[static ROWS_PANES])
{
        for (int i = 0; i < ROWS_PANES; i++)
                free(rows[i].items);
}
