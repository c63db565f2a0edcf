/* SPDX-License-Identifier: Apache-2.0
 *
 * frame.c - what `top` shows at one moment, as lines of text
 *
 * Context: reader
 * Limits:  LOOPS_SHOWN, STALLS_SHOWN in a log; the screen has what fits
 */
#include "top/frame.h"

#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "render/overview.h"
#include "render/table.h"
#include "render/terminal.h"
#include "render/words.h"

#define LOOPS_SHOWN 10
#define STALLS_SHOWN 20
#define CAUSE_CHARACTERS 20 /* on a terminal of less than */
#define CAUSE_COLUMNS 110   /* this */
#define SECOND_NS UINT64_C(1000000000)

enum frame_row frame_row(const struct row *row)
{
        if (row->open || (row->loop && row->loop->stalling_ns > 0))
                return FRAME_ROW_STALLING;
        return row->process && row->process->state != TOP_RUNS ? FRAME_ROW_OVER : FRAME_ROW_PLAIN;
}

/* ------------------------------------------------------------------------------------------------------------ head */

static size_t count_processes(const struct top_model *model, bool running)
{
        size_t count = 0;
        for (size_t i = 0; i < model->processes.count; i++)
                count +=
                        (((const struct top_process *)model->processes.entries[i].value)->state == TOP_RUNS) == running;
        return count;
}

static void write_first(const struct frame *frame, FILE *out)
{
        const struct top_model *model = frame->model;
        char *date = words_date(frame->now_ns);
        size_t running = count_processes(model, true);
        size_t ended = count_processes(model, false);
        fprintf(out, "loopdog top  %s UTC  %zu process%s, %zu loop%s", date, running, running == 1 ? "" : "es",
                model->loops.count, words_plural(model->loops.count));
        if (ended > 0)
                fprintf(out, ", %zu ended", ended);
        fputc('\n', out);
        free(date);
}

static void write_apart(FILE *out, uint64_t count, const char *what)
{
        if (count > 0)
                fprintf(out, ", %llu %s", (unsigned long long)count, what);
}

static void write_second(const struct frame *frame, FILE *out)
{
        const struct top_model *model = frame->model;
        const struct top_forgotten *forgotten = &model->forgotten;
        size_t open = top_model_open(model);
        if (open > 0)
                fprintf(out, "%zu STALLED NOW; ", open);
        if (model->stalls.count > 0)
                overview_spread(out, &model->stalls);
        else
                fputs(model->processes.count == 0 ? "no records yet" : open > 0 ? "no others" : "no stalls", out);
        write_apart(out, model->never_ended, "never ended");
        write_apart(out, model->startup, "at start-up");
        write_apart(out, model->suspended, "suspended");
        write_apart(out, forgotten->processes + forgotten->loops + forgotten->culprits + forgotten->stalls,
                    "rows too many");
        fputc('\n', out);
}

void frame_head(const struct frame *frame, FILE *out)
{
        write_first(frame, out);
        write_second(frame, out);
}

/* --------------------------------------------------------------------------------------------------------- columns */

struct column {
        const char *head;
        const char *wide; /* with its least width on a screen */
        int order;        /* that sorts by it; -1: none does */
        int spare;        /* see table_spare() */
        bool right;
};

static const struct column loop_columns[] = {
        { "busy", "  busy", LOOPS_BY_BUSY, 0, true },  { "lag", "    lag", LOOPS_BY_LAG, 0, true },
        { "p99", "    p99", LOOPS_BY_P99, 2, true },   { "stalls", "stalls", LOOPS_BY_STALLS, 0, true },
        { "lost", "   lost", LOOPS_BY_LOST, 3, true }, { "told", " told", -1, 4, true },
        { "loop", "loop", LOOPS_BY_NAME, 0, false },   { 0 },
};

static const struct column stall_columns[] = {
        { "lost", "   lost", STALLS_BY_LOST, 0, true },       { "count", "count", STALLS_BY_COUNT, 0, true },
        { "longest", "longest", STALLS_BY_LONGEST, 3, true }, { "p99", "    p99", STALLS_BY_P99, 4, true },
        { "last", " last", STALLS_BY_LAST, 2, true },         { "cause", "cause", -1, 1, false },
        { "culprit", "culprit", STALLS_BY_NAME, 0, false },   { 0 },
};

/* The heads are borrowed by the table until it is written. */
static void add_columns(struct table *table, const struct frame *frame, enum rows_pane pane,
                        char *heads[static TABLE_COLUMNS])
{
        const struct column *columns = pane == ROWS_LOOPS ? loop_columns : stall_columns;
        for (size_t i = 0; columns[i].head; i++) {
                bool marked = frame->screen && columns[i].order == frame->view->order[pane];
                const char *head = frame->screen ? columns[i].wide : columns[i].head;
                const char *mark = !marked ? "" : frame->view->reversed[pane] ? "\xe2\x86\x91" : "\xe2\x86\x93";
                head += marked && head[0] == ' '; /* the arrow has its place */
                heads[i] = alloc_format("%s%s", head, mark);
                table_column(table, heads[i], columns[i].right);
                if (columns[i].spare > 0)
                        table_spare(table, columns[i].spare);
        }
}

/* ------------------------------------------------------------------------------------------------------------ rows */

/* "3 s", "12 min": how long ago, in one unit. */
static char *words_age(uint64_t then_ns, uint64_t now_ns)
{
        uint64_t seconds = now_ns > then_ns ? (now_ns - then_ns) / SECOND_NS : 0;
        if (then_ns == 0)
                return alloc_string("-");
        if (seconds < 100)
                return alloc_format("%llu s", (unsigned long long)seconds);
        if (seconds < 100 * 60)
                return alloc_format("%llu min", (unsigned long long)seconds / 60);
        if (seconds < 48 * 3600)
                return alloc_format("%llu h", (unsigned long long)seconds / 3600);
        return alloc_format("%llu d", (unsigned long long)seconds / 86400);
}

static char *words_or_none(uint64_t duration_ns)
{
        return duration_ns > 0 ? words_duration(duration_ns) : alloc_string("-");
}

static char *busy_cell(const struct top_loop *loop, uint64_t now_ns)
{
        static const char *const over[] = { [TOP_ENDED_WELL] = "ended", [TOP_GONE] = "gone", [TOP_SILENT] = "silent" };
        if (loop->process->state != TOP_RUNS)
                return alloc_string(over[loop->process->state]);
        if (loop->stalling_ns > 0)
                return alloc_string("STALL");
        if (!loop->counted)
                return alloc_string("?");
        if (top_loop_rests_ns(loop, now_ns) > 0)
                return alloc_string("idle");
        return words_share(loop->span.busy_ns, loop->span.busy_ns + loop->span.idle_ns);
}

static void add_loop(struct table *table, const struct top_loop *loop, uint64_t now_ns)
{
        uint64_t p99_ns = buckets_permille_ns(loop->buckets, loop->buckets_count, loop->all.longest_ns, 990);
        bool over = loop->process->state != TOP_RUNS;
        table_cell(table, busy_cell(loop, now_ns));
        table_cell(table, words_or_none(over ? 0 : row_lag_ns(loop, now_ns)));
        table_cell(table, words_or_none(p99_ns));
        table_cell(table, words_count(loop->stalls));
        table_cell(table, words_or_none(loop->lost_ns));
        table_cell(table, words_age(loop->told_ns, now_ns));
        table_cell(table, row_loop_name(loop));
}

/* A sentence stands with the stall; here is room for a few words. */
static char *cause_cell(const struct frame *frame, enum record_cause cause, const char *call)
{
        bool narrow = frame->columns > 0 && frame->columns < CAUSE_COLUMNS;
        bool brief = narrow && cause == RECORD_BLOCKED && call;
        char *words = brief ? alloc_format("in %s", call) : words_cause(cause, cause == RECORD_UNKNOWN ? NULL : call);
        char *cell = words_printable(words);
        size_t characters = 0;
        free(words);
        for (char *at = cell; narrow && *at; at++) {
                characters += (*at & 0xc0) != 0x80;
                if (characters <= CAUSE_CHARACTERS)
                        continue;
                char *cut = alloc_format("%.*s%s", (int)(at - cell - 1), cell, terminal_ellipsis());
                free(cell);
                return cut;
        }
        return cell;
}

static void add_open(struct table *table, const struct frame *frame, const struct row *row)
{
        const struct top_open *open = row->open;
        char *process = row_process_name(row->process);
        table_cell(table, words_duration(top_open_ns(open, frame->now_ns)));
        table_cell(table, alloc_string(open->startup ? "start" : "NOW"));
        table_cell(table, alloc_string("-"));
        table_cell(table, alloc_string("-"));
        table_cell(table, row_is_elsewhere(row->process) ? words_age(row->process->last_ns, frame->now_ns)
                                                         : alloc_string("now"));
        table_cell(table, cause_cell(frame, open->cause, open->call));
        table_cell(table, alloc_format("%s, %s", open->culprit, process));
        free(process);
}

static void add_culprit(struct table *table, const struct frame *frame, const struct top_culprit *culprit)
{
        table_cell(table, words_duration(culprit->stalls.total_ns));
        table_cell(table, words_count(culprit->stalls.count));
        table_cell(table, words_duration(culprit->stalls.longest_ns));
        table_cell(table, words_duration(spread_permille_ns(&culprit->stalls, 990)));
        table_cell(table, words_age(culprit->last_ns, frame->now_ns));
        table_cell(table, cause_cell(frame, culprit->cause, culprit->call));
        table_cell(table, alloc_string(culprit->name));
}

static void add_row(struct table *table, const struct frame *frame, const struct row *row)
{
        if (row->loop)
                add_loop(table, row->loop, frame->now_ns);
        else if (row->open)
                add_open(table, frame, row);
        else
                add_culprit(table, frame, row->culprit);
}

void frame_table(const struct frame *frame, enum rows_pane pane, size_t from, size_t count, FILE *out)
{
        struct table table = { 0 };
        char *heads[TABLE_COLUMNS] = { 0 };
        const struct rows *rows = &frame->rows[pane];
        add_columns(&table, frame, pane, heads);
        table.cut_end = true; /* names and functions stand first */
        for (size_t i = from; i < rows->count && i < from + count; i++)
                add_row(&table, frame, &rows->items[i]);
        table_write(&table, out, frame->columns, false);
        for (size_t i = 0; i < TABLE_COLUMNS; i++)
                free(heads[i]);
}

static void write_most(const struct frame *frame, enum rows_pane pane, size_t most, FILE *out)
{
        size_t count = frame->rows[pane].count;
        if (count == 0)
                return;
        frame_table(frame, pane, 0, most, out);
        if (count > most)
                fprintf(out, "  ... and %zu more\n", count - most);
}

void frame_text(const struct frame *frame, FILE *out)
{
        frame_head(frame, out);
        write_most(frame, ROWS_LOOPS, LOOPS_SHOWN, out);
        write_most(frame, ROWS_STALLS, STALLS_SHOWN, out);
        fputc('\n', out);
}
