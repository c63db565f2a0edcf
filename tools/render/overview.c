/* SPDX-License-Identifier: Apache-2.0
 *
 * overview.c - the parts that the summary of `run` and the text of `report` share
 *
 * Context: reader
 */
#include "render/overview.h"

#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "render/example.h"
#include "render/table.h"
#include "render/words.h"

#define LOSSES_NAMED 3

/* --------------------------------------------------------------------------------------------------------- totals */

void overview_spread(FILE *out, const struct spread *stalls)
{
        char *count = words_count(stalls->count);
        char *total = words_duration(stalls->total_ns);
        char *longest = words_duration(stalls->longest_ns);
        fprintf(out, "%s stall%s, %s lost, longest %s", count, words_plural(stalls->count), total, longest);
        free(count);
        free(total);
        free(longest);
}

static void write_apart(FILE *out, const char *what, const struct spread *stalls)
{
        if (stalls->count == 0)
                return;
        fprintf(out, "%s, not counted above: ", what);
        overview_spread(out, stalls);
        fputc('\n', out);
}

void overview_totals(const struct overview *view, const struct analysis *analysis)
{
        FILE *out = view->out;
        size_t processes = analysis->processes.count;
        if (analysis->stalls.count > 0)
                overview_spread(out, &analysis->stalls);
        else
                fputs("no stalls", out);
        if (analysis->loops.count > 0)
                fprintf(out, "; %zu loop%s in %zu process%s\n", analysis->loops.count,
                        words_plural(analysis->loops.count), processes, processes == 1 ? "" : "es");
        else
                fprintf(out, "; %zu process%s\n", processes, processes == 1 ? "" : "es");
        write_apart(out, "during start-up", &analysis->startup);
        write_apart(out, "suspended from outside (stopped, or the machine slept)", &analysis->suspended);
        if (analysis->never_ended > 0)
                fprintf(out, "%llu of them never ended: their time is what is known of it\n",
                        (unsigned long long)analysis->never_ended);
        if (analysis->left_out > 0)
                fprintf(out, "left out by --since, --until, --min, --cause or --culprit: %llu stall%s\n",
                        (unsigned long long)analysis->left_out, words_plural(analysis->left_out));
}

/* --------------------------------------------------------------------------------------------------------- groups */

/* Why a cause is unknown is a sentence: it stands where it is what the groups are about, and with each stall. */
static char *cause_cell(const struct group *group, enum group_by by)
{
        const struct group_cause *most = &group->causes[0];
        bool brief = most->cause == RECORD_UNKNOWN && by != GROUP_CAUSE;
        char *cause = words_cause(most->cause, brief ? NULL : most->call);
        if (group->causes_count == 1)
                return cause;
        char *more = alloc_format("%s (+%zu)", cause, group->causes_count - 1);
        free(cause);
        return more;
}

static bool has_culprit(const struct group *group)
{
        return group->culprit.function || group->culprit.file || group->culprit.module;
}

/* Process and loop: "redis-server 4242, epoll:5"; or thread; or the host. */
static char *loop_cell(const struct analysed_loop *loop, enum group_by by)
{
        const struct analysed_process *process = loop->process;
        if (by == GROUP_THREAD)
                return alloc_format("%s %d, thread %s %d", process->program, process->pid, loop->thread, loop->tid);
        if (by == GROUP_PROCESS)
                return alloc_format("%s %d%s%s", process->program, process->pid, process->host[0] ? " on " : "",
                                    process->host);
        return alloc_format("%s %d, %s", process->program, process->pid, loop->name);
}

static const char *said_or_none(const struct group *group, enum group_by by)
{
        if (group->said && group->said[0])
                return group->said;
        return by == GROUP_LABEL ? "(no label)" : "(no callback)";
}

/* Not the key of a stack without one, which has words; behind a signature may stand what tells its stacks apart. */
static bool is_signature(const char *key)
{
        return strspn(key, "0123456789abcdef") == 16;
}

static char *where_cell(const struct group *group, enum group_by by)
{
        char *culprit = has_culprit(group) ? words_frame(&group->culprit) : alloc_string("(no stack)");
        if (by == GROUP_CULPRIT || (by == GROUP_CAUSE && group->stacks == 1))
                return culprit;
        char *cell;
        if (by == GROUP_LABEL || by == GROUP_CALLBACK) {
                cell = alloc_format("%s: %s", said_or_none(group, by), culprit);
        } else if (by == GROUP_CAUSE) {
                cell = alloc_format("%s (+%zu stacks)", culprit, group->stacks - 1);
        } else if (by == GROUP_STACK) {
                cell = alloc_format("%s  [%.16s]", culprit, is_signature(group->key) ? group->key : "no signature");
        } else {
                char *loop = loop_cell(group->loop, by);
                cell = alloc_format("%s: %s", loop, culprit);
                free(loop);
        }
        free(culprit);
        return cell;
}

static char *count_cell(const struct group *group)
{
        char *count = words_count(group->stalls.count);
        if (group->never_ended == 0)
                return count;
        char *more = alloc_format("%s (%llu never ended)", count, (unsigned long long)group->never_ended);
        free(count);
        return more;
}

/* "b194-7: hint: ...": what `loopdog show` takes, and what to do. */
static char *example_note(const struct overview *view, const struct group *group)
{
        const char *hint = example_hint(group->example);
        return alloc_format("%.*s-%llu%s%s", view->run_digits, group->example_process->run,
                            (unsigned long long)group->example_id, hint ? ": hint: " : "", hint ? hint : "");
}

static void add_group(struct table *table, const struct overview *view, const struct group *group,
                      const struct groups *groups, enum group_by by)
{
        table_cell(table, words_duration(group->stalls.total_ns));
        table_cell(table, words_share(group->stalls.total_ns, groups->total_ns));
        table_cell(table, count_cell(group));
        table_cell(table, words_duration(group->stalls.longest_ns));
        table_cell(table, words_duration(spread_median_ns(&group->stalls)));
        table_cell(table, words_duration(spread_permille_ns(&group->stalls, 990)));
        table_cell(table, cause_cell(group, by));
        table_cell(table, where_cell(group, by));
        if (view->run_digits > 0)
                table_note(table, example_note(view, group));
}

void overview_groups(const struct overview *view, const struct groups *groups, enum group_by by, size_t most)
{
        static const char *const heads[] = {
                [GROUP_CULPRIT] = "culprit",
                [GROUP_CAUSE] = "culprit of the most",
                [GROUP_STACK] = "culprit",
                [GROUP_LOOP] = "loop: culprit of the most",
                [GROUP_THREAD] = "thread: culprit of the most",
                [GROUP_PROCESS] = "process: culprit of the most",
                [GROUP_LABEL] = "label: culprit of the most",
                [GROUP_CALLBACK] = "callback: culprit of the most",
        };
        struct table table = { 0 };
        if (groups->count == 0)
                return;
        table_column(&table, "lost", true);
        table_column(&table, "share", true);
        table_spare(&table, 1);
        table_column(&table, "count", true);
        table_column(&table, "longest", true);
        table_column(&table, "p50", true);
        table_spare(&table, 3);
        table_column(&table, "p99", true);
        table_spare(&table, 2);
        table_column(&table, "cause", false);
        table_column(&table, heads[by], false);
        for (size_t i = 0; i < groups->count && i < most; i++)
                add_group(&table, view, &groups->items[i], groups, by);
        table_write(&table, view->out, view->columns, view->colour);
        if (groups->count <= most)
                return;
        uint64_t rest_ns = 0;
        for (size_t i = most; i < groups->count; i++)
                rest_ns += groups->items[i].stalls.total_ns;
        char *rest = words_duration(rest_ns);
        fprintf(view->out, "  ... and %zu more with %s\n", groups->count - most, rest);
        free(rest);
}

/* --------------------------------------------------------------------------------------------------------- losses */

static int by_count(const void *a, const void *b)
{
        const struct analysed_loss *left = *(const struct analysed_loss *const *)a;
        const struct analysed_loss *right = *(const struct analysed_loss *const *)b;
        return (left->count < right->count) - (left->count > right->count);
}

static void write_samples(FILE *out, const struct analysis *analysis, uint64_t captures)
{
        size_t count = analysis->losses.count;
        const struct analysed_loss **sorted = alloc_zeroed(count, sizeof(*sorted));
        uint64_t lost = 0;
        for (size_t i = 0; i < count; i++) {
                sorted[i] = analysis->losses.entries[i].value;
                lost += sorted[i]->count;
        }
        qsort(sorted, count, sizeof(*sorted), by_count);
        if (lost > 0) {
                char *share = words_share(lost, captures);
                fprintf(out, "samples without a stack: %llu (%s):", (unsigned long long)lost, share);
                free(share);
                for (size_t i = 0; i < count && i < LOSSES_NAMED; i++) {
                        char *reason = words_printable(sorted[i]->reason);
                        fprintf(out, "%s %s (%llu)", i ? "," : "", reason, (unsigned long long)sorted[i]->count);
                        free(reason);
                }
                fputs(count > LOSSES_NAMED ? " and others\n" : "\n", out);
        }
        free(sorted);
}

static void write_count(FILE *out, uint64_t count, const char *words)
{
        if (count > 0)
                fprintf(out, "%llu %s\n", (unsigned long long)count, words);
}

/* What the program has asked for is no stall; where there is any, how to see the last of them. */
static void write_dumps(const struct overview *view, const struct analysis *analysis)
{
        for (size_t i = 0; i < analysis->processes.count; i++) {
                const struct analysed_process *process = analysis->processes.entries[i].value;
                unsigned long long dumps = process->dumps;
                if (dumps > 0)
                        fprintf(view->out, "%s %d dumped its loops %llu time%s: \"loopdog show %.*s-d%llu\"\n",
                                process->program, process->pid, dumps, words_plural(dumps),
                                view->run_digits > 0 ? view->run_digits : 16, process->run, dumps);
        }
}

void overview_losses(const struct overview *view, const struct analysis *analysis)
{
        struct record_exit sum = { 0 };
        uint64_t unwritten = 0; /* stalls that the agents have counted, but that are in no record */
        for (size_t i = 0; i < analysis->processes.count; i++) {
                const struct analysed_process *process = analysis->processes.entries[i].value;
                const struct record_exit *exit = &process->exit;
                if (process->stalls_counted > process->stalls)
                        unwritten += process->stalls_counted - process->stalls;
                sum.captures += exit->captures;
                sum.stalls_crowded += exit->stalls_crowded;
                sum.iterations_lost += exit->iterations_lost;
                sum.loops_unwatched += exit->loops_unwatched;
                sum.records_dropped += exit->records_dropped;
                sum.bytes_dropped += exit->bytes_dropped;
        }
        write_dumps(view, analysis);
        write_samples(view->out, analysis, sum.captures);
        write_count(view->out, sum.stalls_crowded, "stalls have no stacks: too many loops stalled at the same time");
        write_count(view->out, sum.iterations_lost, "long iterations ended unseen, while the watchdog had no CPU");
        write_count(view->out, sum.loops_unwatched, "loops were not watched: there were too many at the same time");
        write_count(view->out, sum.records_dropped, "records could not be written, or were too long");
        write_count(view->out, sum.bytes_dropped, "bytes of records could not be written");
        write_count(view->out, unwritten,
                    "more stalls were counted than are recorded: LOOPDOG_LIMIT was reached, or a file is missing");
}
