/* SPDX-License-Identifier: Apache-2.0
 *
 * diff_text.c - what has changed since an earlier run, for people
 *
 * Context: reader
 * Limits:  ROWS_SHOWN of each kind of change
 */
#include <stdlib.h>

#include "alloc.h"
#include "render/report.h"
#include "render/table.h"
#include "render/words.h"

#define ROWS_SHOWN 20

static char *per_hour(uint64_t ns)
{
        char *duration = words_duration(ns);
        char *text = alloc_format("%s/h", duration);
        free(duration);
        return text;
}

static char *per_hour_or_none(const struct group *group, uint64_t ns)
{
        return group ? per_hour(ns) : alloc_string("-");
}

static char *counts(const struct diff_row *row)
{
        return alloc_format("%llu > %llu", row->before ? (unsigned long long)row->before->stalls.count : 0ull,
                            row->after ? (unsigned long long)row->after->stalls.count : 0ull);
}

static char *longest(const struct group *group)
{
        return group ? words_duration(group->stalls.longest_ns) : alloc_string("-");
}

static void add_row(struct table *table, const struct diff_row *row, int digits)
{
        const struct group *group = row->after ? row->after : row->before;
        bool known = group->culprit.function || group->culprit.file || group->culprit.module;
        table_cell(table, alloc_string(diff_change_name(row->change)));
        table_cell(table, per_hour_or_none(row->before, row->before_per_hour_ns));
        table_cell(table, per_hour_or_none(row->after, row->after_per_hour_ns));
        table_cell(table, counts(row));
        table_cell(table, longest(row->before));
        table_cell(table, longest(row->after));
        table_cell(table, words_cause(group->causes[0].cause,
                                      group->causes[0].cause == RECORD_UNKNOWN ? NULL : group->causes[0].call));
        char *culprit = known ? words_frame(&group->culprit) : alloc_string("(no stack)");
        table_cell(table, group->said && group->said[0] ? alloc_format("%s: %s", group->said, culprit)
                                                        : alloc_string(culprit));
        free(culprit);
        if (row->change <= DIFF_WORSE)
                table_note(table, alloc_format("%.*s-%llu", digits, group->example_process->run,
                                               (unsigned long long)group->example_id));
}

static void write_totals(const struct diff *diff, FILE *out)
{
        char *before = per_hour(diff->before_per_hour_ns);
        char *after = per_hour(diff->after_per_hour_ns);
        char *before_watched = words_duration(diff->before_watched_ns);
        char *after_watched = words_duration(diff->after_watched_ns);
        fprintf(out, "\nlost per hour of run: %s before (%s watched), %s now (%s watched)\n", before, before_watched,
                after, after_watched);
        fprintf(out, "%zu new, %zu worse, %zu about the same, %zu better, %zu gone\n", diff->changes[DIFF_NEW],
                diff->changes[DIFF_WORSE], diff->changes[DIFF_SAME], diff->changes[DIFF_BETTER],
                diff->changes[DIFF_GONE]);
        free(before);
        free(after);
        free(before_watched);
        free(after_watched);
}

void diff_text(const struct report *report, FILE *out, const struct record_style *style)
{
        const struct diff *diff = report->diff;
        struct table table = { 0 };
        size_t shown[DIFF_GONE + 1] = { 0 };
        size_t left = 0;
        write_totals(diff, out);
        if (diff->count == 0)
                return;
        table_column(&table, "", false);
        table_column(&table, "lost before", true);
        table_column(&table, "lost now", true);
        table_column(&table, "count", true);
        table_spare(&table, 1);
        table_column(&table, "longest", true);
        table_spare(&table, 3);
        table_column(&table, "longest now", true);
        table_spare(&table, 2);
        table_column(&table, "cause", false);
        table_spare(&table, 4);
        table_column(&table, "culprit", false);
        for (size_t i = 0; i < diff->count; i++) {
                if (shown[diff->rows[i].change]++ < ROWS_SHOWN)
                        add_row(&table, &diff->rows[i], analysis_run_digits(report->analysis));
                else
                        left++;
        }
        fputc('\n', out);
        table_write(&table, out, style->columns, style->colour);
        if (left > 0)
                fprintf(out, "  ... and %zu more\n", left);
}
