/* SPDX-License-Identifier: Apache-2.0
 *
 * chrome.c - export: Chrome's trace events, a bar a stall on the line of its thread; read by Perfetto, too
 *
 * Processes of several hosts may have the same number, so each gets one of its own; its name has the real one.
 *
 * Context: reader
 */
#include <stdlib.h>

#include "alloc.h"
#include "export/export.h"
#include "render/json_set.h"

struct lines {
        struct map processes; /* run -> number, from 1 */
        struct map threads;   /* run and thread: named already */
};

static void put_event(struct export *export, json_t *event, bool first)
{
        fputs(first ? "\n" : ",\n", export->out);
        json_dumpf(event, export->out, JSON_COMPACT | JSON_PRESERVE_ORDER);
        json_decref(event);
}

static json_t *event_new(const char *phase, size_t process, int32_t tid)
{
        json_t *event = json_object();
        json_set_string(event, "ph", phase);
        json_set_number(event, "pid", process);
        json_set(event, "tid", json_integer(tid));
        return event;
}

static json_t *name_event(const char *what, const char *name, size_t process, int32_t tid)
{
        json_t *event = event_new("M", process, tid);
        json_t *arguments = json_object();
        json_set_string(event, "name", what);
        json_set_string(arguments, "name", name);
        json_set(event, "args", arguments);
        return event;
}

/* The process's number; names it and its thread where they are new. */
static size_t name_lines(struct export *export, const struct record *record)
{
        struct lines *lines = export->state;
        const struct record_stall *stall = &record->stall;
        char *key = alloc_format("%s\n%d", record->run, stall->tid);
        void **process = map_at_string(&lines->processes, record->run);
        bool is_new = !*process;
        if (is_new)
                *process = (void *)(uintptr_t)lines->processes.count;
        size_t number = (size_t)(uintptr_t)*process;
        if (is_new) {
                char *name = alloc_format("%s %d%s%s", record->program ? record->program : "?", record->pid,
                                          record->host ? " on " : "", record->host ? record->host : "");
                put_event(export, name_event("process_name", name, number, stall->tid), number == 1);
                free(name);
        }
        void **thread = map_at_string(&lines->threads, key);
        if (!*thread)
                put_event(export, name_event("thread_name", stall->thread ? stall->thread : "?", number, stall->tid),
                          false);
        *thread = lines;
        free(key);
        return number;
}

static json_t *arguments_json(const struct record *record, const struct counted *counted)
{
        const struct record_stall *stall = &record->stall;
        json_t *arguments = json_object();
        char *id = export_id(record);
        json_set_string(arguments, "id", id);
        json_set_string(arguments, "loop", stall->loop);
        json_set_string(arguments, "cause", record_cause_name(stall->cause));
        json_set_string(arguments, "call", stall->detail.call);
        json_set_string(arguments, "phase", stall->phase);
        json_set_number(arguments, "cpu_ns", stall->cpu_ns);
        json_set_string(arguments, "hint", record_hint(stall));
        if (!counted->ended)
                json_set(arguments, "never_ended", json_true());
        free(id);
        return arguments;
}

static void begin(struct export *export)
{
        export->state = alloc_zeroed(1, sizeof(struct lines));
        fputs("{\"displayTimeUnit\":\"ms\",\"traceEvents\":[", export->out);
}

static void add_stall(struct export *export, const struct record *record, const struct counted *counted)
{
        const struct record_stall *stall = &record->stall;
        json_t *event = event_new("X", name_lines(export, record), stall->tid);
        char *culprit = export_culprit(stall->culprit);
        json_set_string(event, "name", culprit);
        json_set_string(event, "cat", record_cause_name(stall->cause));
        json_set(event, "ts", json_real((double)stall->begin_ns / 1e3));
        json_set(event, "dur", json_real((double)stall->duration_ns / 1e3));
        json_set(event, "args", arguments_json(record, counted));
        put_event(export, event, false);
        free(culprit);
}

static void end(struct export *export)
{
        struct lines *lines = export->state;
        fputs("\n]}\n", export->out);
        map_free(&lines->processes, NULL);
        map_free(&lines->threads, NULL);
        free(lines);
}

const struct export_format export_chrome = {
        .name = "chrome",
        .help = "trace events, for chrome://tracing and Perfetto",
        .begin = begin,
        .stall = add_stall,
        .end = end,
};
