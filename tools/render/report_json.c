/* SPDX-License-Identifier: Apache-2.0
 *
 * report_json.c - the report for programs
 *
 * docs/report-json.md describes every field; this file and that page change together.
 *
 * Context: reader
 */
#include <jansson.h>
#include <stdlib.h>

#include "alloc.h"
#include "now.h"
#include "render/example.h"
#include "render/json_set.h"
#include "render/report.h"

#define REPORT_VERSION 1

static json_t *spread_json(const struct spread *stalls)
{
        json_t *object = json_object();
        json_set_spread(object, stalls);
        return object;
}

static json_t *input_json(const struct input *input)
{
        json_t *object = json_object();
        json_set_number(object, "files", input->files);
        json_set_number(object, "files_unreadable", input->files_bad);
        json_set_number(object, "files_empty", input->files_empty);
        json_set_number(object, "lines", input->lines);
        json_set_number(object, "records", input->records);
        json_set_number(object, "skipped", input->skipped);
        return object;
}

static json_t *process_json(const struct analysed_process *process)
{
        json_t *object = json_object();
        json_set_string(object, "run", process->run);
        json_set_string(object, "host", process->host);
        json_set_number(object, "pid", (uint64_t)(process->pid > 0 ? process->pid : 0));
        json_set_string(object, "program", process->program);
        json_set_string(object, "executable", process->executable);
        json_set_string(object, "agent_version", process->agent_version);
        if (process->threshold_ns)
                json_set_number(object, "threshold_ns", process->threshold_ns);
        json_set_time(object, "first", process->first_ns);
        json_set_time(object, "last", process->last_ns);
        json_set(object, "exited", json_boolean(process->exited));
        json_set_number(object, "stalls", process->stalls);
        return object;
}

static json_t *loop_json(const struct analysed_loop *loop)
{
        json_t *object = json_object();
        json_set_string(object, "run", loop->process->run);
        json_set(object, "tid", json_integer(loop->tid));
        json_set_string(object, "thread", loop->thread);
        json_set_string(object, "loop", loop->name);
        if (loop->counted) {
                uint64_t known_ns = loop->busy_ns + loop->idle_ns;
                json_set_number(object, "iterations", loop->iterations);
                json_set_number(object, "busy_ns", loop->busy_ns);
                json_set_number(object, "idle_ns", loop->idle_ns);
                json_set_number(object, "outside_ns", loop->outside_ns);
                if (known_ns > 0)
                        json_set(object, "utilisation", json_real((double)loop->busy_ns / (double)known_ns));
                if (loop->longest_ns)
                        json_set_number(object, "longest_iteration_ns", loop->longest_ns);
                if (loop->buckets_count > 0) {
                        json_set_number(object, "p50_ns", analysed_loop_permille_ns(loop, 500));
                        json_set_number(object, "p90_ns", analysed_loop_permille_ns(loop, 900));
                        json_set_number(object, "p99_ns", analysed_loop_permille_ns(loop, 990));
                        json_set_number(object, "p999_ns", analysed_loop_permille_ns(loop, 999));
                }
        }
        json_set(object, "stalls", spread_json(&loop->stalls));
        return object;
}

static json_t *causes_json(const struct group *group)
{
        json_t *list = json_array();
        for (size_t i = 0; i < group->causes_count; i++) {
                const struct group_cause *cause = &group->causes[i];
                json_t *object = json_object();
                json_set_cause(object, cause->cause, cause->call);
                json_set_number(object, "count", cause->count);
                json_set_number(object, "total_ns", cause->total_ns);
                json_array_append_new(list, object);
        }
        return list;
}

static json_t *group_json(const struct report *report, const struct group *group)
{
        json_t *object = json_object();
        const struct record_frame *culprit = &group->culprit;
        if (culprit->function || culprit->file || culprit->module)
                json_set(object, "culprit", json_frame(culprit));
        if (group->said && group->said[0])
                json_set_string(object, group_by_name(report->by), group->said);
        if (group_by_is_of_run(report->by))
                json_set_string(object, "run", group->loop->process->run);
        if (report->by == GROUP_LOOP || report->by == GROUP_THREAD)
                json_set(object, "tid", json_integer(group->loop->tid));
        if (report->by == GROUP_LOOP)
                json_set_string(object, "loop", group->loop->name);
        json_set_spread(object, &group->stalls);
        json_set_number(object, "never_ended", group->never_ended);
        json_set(object, "share",
                 json_real(report->groups->total_ns ? (double)group->stalls.total_ns / (double)report->groups->total_ns
                                                    : 0.0));
        json_set_number(object, "stacks", group->stacks);
        json_set(object, "causes", causes_json(group));
        char *id = alloc_format("%s-%llu", group->example_process->run, (unsigned long long)group->example_id);
        json_set_string(object, "example_id", id);
        json_set_string(object, "hint", example_hint(group->example));
        free(id);
        char *line = example_json(group->example, report->symbolizer);
        json_t *example = line ? json_loads(line, 0, NULL) : NULL;
        if (example)
                json_set(object, "example", example);
        free(line);
        return object;
}

static json_t *stalls_json(const struct analysis *analysis)
{
        json_t *object = spread_json(&analysis->stalls);
        json_set_number(object, "never_ended", analysis->never_ended);
        json_set_number(object, "left_out", analysis->left_out);
        json_set(object, "startup", spread_json(&analysis->startup));
        json_set(object, "suspended", spread_json(&analysis->suspended));
        return object;
}

static json_t *tree_json(const struct calltree *tree)
{
        json_t *list = json_array();
        for (size_t i = 0; i < tree->nodes_count; i++) {
                const struct calltree_node *node = &tree->nodes[i];
                const struct record_frame *frame = &tree->frames[node->frame];
                json_t *object = json_object();
                if (i > 0) {
                        json_set_number(object, "parent", node->parent);
                        json_set(object, "frame", json_frame(frame));
                }
                json_set_number(object, "total_ns", node->total_ns);
                json_set_number(object, "own_ns", node->own_ns);
                json_array_append_new(list, object);
        }
        return list;
}

static json_t *diff_side_json(const struct group *group, uint64_t per_hour_ns)
{
        json_t *object = spread_json(&group->stalls);
        json_set_number(object, "per_hour_ns", per_hour_ns);
        return object;
}

static json_t *diff_json(const struct diff *diff)
{
        json_t *object = json_object();
        json_t *rows = json_array();
        json_set_number(object, "before_watched_ns", diff->before_watched_ns);
        json_set_number(object, "after_watched_ns", diff->after_watched_ns);
        json_set_number(object, "before_per_hour_ns", diff->before_per_hour_ns);
        json_set_number(object, "after_per_hour_ns", diff->after_per_hour_ns);
        for (size_t i = 0; i < diff->count; i++) {
                const struct diff_row *row = &diff->rows[i];
                json_t *item = json_object();
                json_set_string(item, "change", diff_change_name(row->change));
                json_set(item, "culprit", json_frame(&(row->after ? row->after : row->before)->culprit));
                if (row->before)
                        json_set(item, "before", diff_side_json(row->before, row->before_per_hour_ns));
                if (row->after)
                        json_set(item, "after", diff_side_json(row->after, row->after_per_hour_ns));
                json_array_append_new(rows, item);
        }
        json_set(object, "changes", rows);
        return object;
}

static json_t *losses_json(const struct analysis *analysis)
{
        json_t *object = json_object();
        for (size_t i = 0; i < analysis->losses.count; i++) {
                const struct analysed_loss *loss = analysis->losses.entries[i].value;
                json_set_number(object, loss->reason, loss->count);
        }
        return object;
}

void report_json(const struct report *report, FILE *out)
{
        const struct analysis *analysis = report->analysis;
        json_t *root = json_object();
        json_t *processes = json_array();
        json_t *loops = json_array();
        json_t *notices = json_array();
        json_t *groups = json_array();
        for (size_t i = 0; i < analysis->processes.count; i++)
                json_array_append_new(processes, process_json(analysis->processes.entries[i].value));
        for (size_t i = 0; i < analysis->loops.count; i++)
                json_array_append_new(loops, loop_json(analysis->loops.entries[i].value));
        for (size_t i = 0; i < analysis->notices.count; i++)
                json_array_append_new(notices, json_safe_string(analysis->notices.entries[i].key));
        for (size_t i = 0; i < report->groups->count; i++)
                json_array_append_new(groups, group_json(report, &report->groups->items[i]));
        json_set_number(root, "v", REPORT_VERSION);
        json_set_string(root, "type", "report");
        json_set_time(root, "time", now_ns(CLOCK_REALTIME));
        json_set(root, "input", input_json(report->input));
        json_set(root, "stalls", stalls_json(analysis));
        json_set_string(root, "by", group_by_name(report->by));
        json_set(root, "groups", groups);
        if (report->diff)
                json_set(root, "diff", diff_json(report->diff));
        if (report->tree)
                json_set(root, "tree", tree_json(report->tree));
        json_set(root, "loops", loops);
        json_set(root, "processes", processes);
        json_set(root, "samples_lost", losses_json(analysis));
        json_set(root, "notices", notices);
        json_dumpf(root, out, JSON_INDENT(2) | JSON_PRESERVE_ORDER | JSON_REAL_PRECISION(6));
        fputc('\n', out);
        json_decref(root);
}
