/* SPDX-License-Identifier: Apache-2.0
 *
 * report_text.c - the report for people
 *
 * What to fix first stands first: totals, who lost how much time, the loops; of the worst what one stall looked like.
 *
 * Context: reader
 * Limits:  LOOPS_SHOWN, GROUPS_SHOWN, EXAMPLES_SHOWN; the report in JSON has everything
 */
#include <stdlib.h>

#include "alloc.h"
#include "render/example.h"
#include "render/overview.h"
#include "render/report.h"
#include "render/table.h"
#include "render/tree_text.h"
#include "render/words.h"

#define LOOPS_SHOWN 10
#define GROUPS_SHOWN 20
#define EXAMPLES_SHOWN 5

/* "2026-11-22 20:15:03 to 2026-11-22 20:20:06 UTC (5 min 3 s)" */
static void write_span(const struct analysis *analysis, FILE *out)
{
        uint64_t first_ns, last_ns;
        if (!analysis_span(analysis, &first_ns, &last_ns))
                return;
        char *first = words_date(first_ns);
        char *last = words_date(last_ns);
        char *span = words_duration(last_ns - first_ns);
        fprintf(out, "%s to %s UTC (%s)\n", first, last, span);
        free(first);
        free(last);
        free(span);
}

static int loop_by_time(const void *a, const void *b)
{
        const struct analysed_loop *left = *(const struct analysed_loop *const *)a;
        const struct analysed_loop *right = *(const struct analysed_loop *const *)b;
        if (left->stalls.total_ns != right->stalls.total_ns)
                return left->stalls.total_ns < right->stalls.total_ns ? 1 : -1;
        return (left->busy_ns < right->busy_ns) - (left->busy_ns > right->busy_ns);
}

static void add_loop(struct table *table, const struct analysed_loop *loop)
{
        const struct analysed_process *process = loop->process;
        const struct spread *stalls = &loop->stalls;
        table_cell(table,
                   loop->counted ? words_share(loop->busy_ns, loop->busy_ns + loop->idle_ns) : alloc_string("?"));
        table_cell(table, loop->counted ? words_count(loop->iterations) : alloc_string("?"));
        bool measured = loop->buckets_count > 0;
        uint64_t longest_ns = loop->longest_ns > stalls->longest_ns ? loop->longest_ns : stalls->longest_ns;
        table_cell(table, measured ? words_duration(analysed_loop_permille_ns(loop, 500)) : alloc_string("?"));
        table_cell(table, measured ? words_duration(analysed_loop_permille_ns(loop, 990)) : alloc_string("?"));
        table_cell(table, longest_ns ? words_duration(longest_ns) : alloc_string("-"));
        table_cell(table, words_count(stalls->count));
        table_cell(table, stalls->count ? words_duration(stalls->total_ns) : alloc_string("-"));
        table_cell(table, alloc_string(loop->name));
        table_cell(table, alloc_format("%s %d%s%s", process->program, process->pid, process->host[0] ? " on " : "",
                                       process->host));
}

static void write_loops(const struct analysis *analysis, const struct overview *view)
{
        size_t count = analysis->loops.count;
        struct table table = { 0 };
        const struct analysed_loop **sorted = alloc_zeroed(count, sizeof(*sorted));
        for (size_t i = 0; i < count; i++)
                sorted[i] = analysis->loops.entries[i].value;
        qsort(sorted, count, sizeof(*sorted), loop_by_time);
        table_column(&table, "busy", true);
        table_column(&table, "iterations", true);
        table_spare(&table, 2);
        table_column(&table, "p50", true);
        table_spare(&table, 3);
        table_column(&table, "p99", true);
        table_column(&table, "longest", true);
        table_column(&table, "stalls", true);
        table_column(&table, "lost", true);
        table_column(&table, "loop", false);
        table_column(&table, "process", false);
        for (size_t i = 0; i < count && i < LOOPS_SHOWN; i++)
                add_loop(&table, sorted[i]);
        fputc('\n', view->out);
        table_write(&table, view->out, view->columns, view->colour);
        if (count > LOOPS_SHOWN)
                fprintf(view->out, "  ... and %zu more\n", count - LOOPS_SHOWN);
        free(sorted);
}

static void write_examples(const struct report *report, FILE *out, const struct record_style *style)
{
        struct source_lines sources = { 0 };
        for (size_t i = 0; i < report->groups->count && i < EXAMPLES_SHOWN; i++) {
                char *text = example_of_stack(report->groups->items[i].example, report->symbolizer, &sources, style);
                if (text)
                        fprintf(out, "\n%s", text);
                free(text);
        }
        source_lines_free(&sources);
}

static void write_notices(const struct analysis *analysis, FILE *out)
{
        for (size_t i = 0; i < analysis->notices.count; i++) {
                char *notice = words_printable(analysis->notices.entries[i].key);
                fprintf(out, "notice: %s\n", notice);
                free(notice);
        }
}

void report_text(const struct report *report, FILE *out, const struct record_style *style)
{
        const struct overview view = {
                .out = out,
                .columns = style->columns,
                .colour = style->colour,
                .run_digits = analysis_run_digits(report->analysis),
        };
        const struct input *input = report->input;
        overview_totals(&view, report->analysis);
        write_span(report->analysis, out);
        if (input->skipped > 0)
                fprintf(out, "skipped as unreadable: %llu of %llu lines\n", (unsigned long long)input->skipped,
                        (unsigned long long)input->lines);
        overview_losses(&view, report->analysis);
        write_notices(report->analysis, out);
        if (report->diff) {
                diff_text(report, out, style);
        } else if (report->tree) {
                tree_text(report->tree, out, style);
        } else if (report->groups->count > 0) {
                fputc('\n', out);
                overview_groups(&view, report->groups, report->by, GROUPS_SHOWN);
        }
        if (report->analysis->loops.count > 0)
                write_loops(report->analysis, &view);
        if (report->diff)
                return;
        if (report->suspended->count > 0) {
                fputs("\nsuspended from outside, not counted:\n", out);
                overview_groups(&view, report->suspended, GROUP_LOOP, GROUPS_SHOWN);
        }
        if (!report->tree)
                write_examples(report, out, style);
}
