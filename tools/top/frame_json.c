/* SPDX-License-Identifier: Apache-2.0
 *
 * frame_json.c - what `top` shows at one moment, as a line of JSON
 *
 * Context: reader
 */
#include "render/json_set.h"
#include "top/frame.h"

static const char *state_of(const struct top_process *process)
{
        static const char *const names[] = {
                [TOP_RUNS] = "running", [TOP_ENDED_WELL] = "ended", [TOP_GONE] = "gone", [TOP_SILENT] = "silent"
        };
        return names[process->state];
}

static json_t *process_json(const struct top_process *process)
{
        json_t *object = json_object();
        json_set_string(object, "run", process->run);
        json_set_string(object, "host", process->host);
        json_set(object, "pid", json_integer(process->pid));
        json_set_string(object, "program", process->program);
        json_set_string(object, "state", state_of(process));
        json_set_time(object, "last", process->last_ns);
        return object;
}

/* What it did between its last two records. */
static void set_span(json_t *object, const struct top_loop *loop)
{
        const struct top_span *span = &loop->span;
        uint64_t known_ns = span->busy_ns + span->idle_ns;
        json_set_time(object, "told", loop->told_ns);
        json_set_number(object, "span_ns", span->length_ns);
        json_set_number(object, "iterations", span->iterations);
        if (known_ns > 0)
                json_set(object, "utilisation", json_real((double)span->busy_ns / (double)known_ns));
        json_set_number(object, "p99_ns",
                        buckets_permille_ns(loop->buckets, loop->buckets_count, loop->all.longest_ns, 990));
}

static json_t *loop_json(const struct top_loop *loop, uint64_t now_ns)
{
        json_t *object = json_object();
        bool rests = top_loop_rests_ns(loop, now_ns) > 0;
        bool runs = loop->process->state == TOP_RUNS;
        json_set_string(object, "run", loop->process->run);
        json_set(object, "tid", json_integer(loop->tid));
        json_set_string(object, "thread", loop->thread);
        json_set_string(object, "loop", loop->name);
        json_set(object, "stalled", json_boolean(loop->stalling_ns > 0));
        json_set(object, "idle", json_boolean(rests));
        if (runs && (loop->counted || loop->stalling_ns > 0))
                json_set_number(object, "lag_ns", row_lag_ns(loop, now_ns));
        json_set_number(object, "stalls", loop->stalls);
        json_set_number(object, "stalled_ns", loop->lost_ns);
        if (loop->counted)
                set_span(object, loop);
        return object;
}

static json_t *open_json(const struct row *row, uint64_t now_ns)
{
        const struct top_open *open = row->open;
        json_t *object = json_object();
        json_set_string(object, "run", row->process->run);
        json_set_number(object, "id", open->id);
        json_set_time(object, "begin", open->begin_ns);
        json_set_number(object, "duration_ns", top_open_ns(open, now_ns));
        json_set(object, "startup", json_boolean(open->startup));
        json_set(object, "tid", json_integer(open->tid));
        json_set_string(object, "loop", open->loop);
        json_set_cause(object, open->cause, open->call);
        json_set_string(object, "culprit", open->culprit);
        return object;
}

static json_t *culprit_json(const struct top_culprit *culprit)
{
        json_t *object = json_object();
        if (culprit->frame.function || culprit->frame.file || culprit->frame.module)
                json_set(object, "culprit", json_frame(&culprit->frame));
        json_set_spread(object, &culprit->stalls);
        json_set_number(object, "never_ended", culprit->never_ended);
        json_set_time(object, "last", culprit->last_ns);
        json_set_cause(object, culprit->cause, culprit->call);
        return object;
}

static json_t *stalls_json(const struct top_model *model)
{
        json_t *object = json_object();
        json_set_spread(object, &model->stalls);
        json_set_number(object, "open", top_model_open(model));
        json_set_number(object, "never_ended", model->never_ended);
        json_set_number(object, "startup", model->startup);
        json_set_number(object, "suspended", model->suspended);
        return object;
}

static json_t *forgotten_json(const struct top_forgotten *forgotten)
{
        json_t *object = json_object();
        json_set_number(object, "processes", forgotten->processes);
        json_set_number(object, "loops", forgotten->loops);
        json_set_number(object, "culprits", forgotten->culprits);
        json_set_number(object, "stalls", forgotten->stalls);
        return object;
}

/* The rows in their order, in three lists. */
static void set_rows(json_t *document, const struct frame *frame)
{
        json_t *loops = json_array();
        json_t *open = json_array();
        json_t *culprits = json_array();
        for (size_t i = 0; i < frame->rows[ROWS_LOOPS].count; i++)
                json_array_append_new(loops, loop_json(frame->rows[ROWS_LOOPS].items[i].loop, frame->now_ns));
        for (size_t i = 0; i < frame->rows[ROWS_STALLS].count; i++) {
                const struct row *row = &frame->rows[ROWS_STALLS].items[i];
                if (row->open)
                        json_array_append_new(open, open_json(row, frame->now_ns));
                else
                        json_array_append_new(culprits, culprit_json(row->culprit));
        }
        json_set(document, "loops", loops);
        json_set(document, "open", open);
        json_set(document, "culprits", culprits);
}

void frame_json(const struct frame *frame, FILE *out)
{
        const struct top_model *model = frame->model;
        json_t *document = json_object();
        json_t *processes = json_array();
        for (size_t i = 0; i < model->processes.count; i++)
                json_array_append_new(processes, process_json(model->processes.entries[i].value));
        json_set_number(document, "v", 1);
        json_set_string(document, "type", "top");
        json_set_time(document, "time", frame->now_ns);
        json_set(document, "stalls", stalls_json(model));
        json_set(document, "processes", processes);
        set_rows(document, frame);
        json_set(document, "forgotten", forgotten_json(&model->forgotten));
        json_dumpf(document, out, JSON_COMPACT);
        fputc('\n', out);
        json_decref(document);
}
