/* SPDX-License-Identifier: Apache-2.0
 *
 * test_json.c - record/json.c and record/names.c
 *
 * What is written is read back with jansson, which knows nothing of our writer, and compared field by field.
 *
 * Context: unit test
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/limits.h"
#include "record/record.h"
#include "record_samples.h"

static char output[2 * LIMIT_LINE_BYTES];

static const char *write_line(const struct record *record)
{
        struct text text = TEXT_IN(output);
        text_clear(&text);
        cr_assert_eq(record_write_json(&text, record), 0);
        cr_assert_eq(text.length, strlen(output));
        cr_assert_leq(text.length, LIMIT_LINE_BYTES);
        cr_assert_eq(strchr(output, '\n'), output + text.length - 1, "one line, with its newline at the end");
        return output;
}

static json_t *parse(const char *line)
{
        json_error_t error;
        json_t *root = json_loads(line, JSON_REJECT_DUPLICATES, &error);
        cr_assert_not_null(root, "%s in %s", error.text, line);
        return root;
}

static json_t *round_trip(const struct record *record)
{
        return parse(write_line(record));
}

/* ---- comparing ---- */

static void expect_string(const json_t *object, const char *name, const char *wanted)
{
        const json_t *value = json_object_get(object, name);
        if (!wanted) {
                cr_expect_null(value, "%s must be left out", name);
                return;
        }
        cr_assert(json_is_string(value), "%s", name);
        cr_expect_str_eq(json_string_value(value), wanted, "%s", name);
}

static void expect_number(const json_t *object, const char *name, uint64_t wanted)
{
        const json_t *value = json_object_get(object, name);
        cr_assert(json_is_integer(value), "%s", name);
        cr_expect_eq((uint64_t)json_integer_value(value), wanted, "%s is %" JSON_INTEGER_FORMAT, name,
                     json_integer_value(value));
}

/* Left out where it is 0. */
static void expect_known(const json_t *object, const char *name, uint64_t wanted)
{
        if (wanted)
                expect_number(object, name, wanted);
        else
                cr_expect_null(json_object_get(object, name), "%s must be left out", name);
}

static void expect_flag(const json_t *object, const char *name, bool wanted)
{
        const json_t *value = json_object_get(object, name);
        cr_expect(wanted ? json_is_true(value) : !value, "%s", name);
}

static void expect_hex(const json_t *object, const char *name, const char *format, uint64_t wanted)
{
        char text[32];
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        snprintf(text, sizeof(text), format, wanted);
#pragma GCC diagnostic pop
        expect_string(object, name, wanted ? text : NULL);
}

static void expect_frame(const json_t *object, const struct record_frame *frame)
{
        cr_assert(json_is_object(object));
        expect_string(object, "lang", record_lang_name(frame->lang));
        expect_string(object, "function", frame->function);
        expect_string(object, "file", frame->file);
        expect_known(object, "line", frame->line);
        expect_string(object, "module", frame->module);
        expect_string(object, "build_id", frame->build_id);
        expect_hex(object, "offset", "0x%" PRIx64, frame->offset);
        expect_flag(object, "caller", frame->caller);
        expect_flag(object, "inlined", frame->inlined);
}

static void expect_stack(const json_t *object, const struct record_stack *stack)
{
        char state[2] = { stack->state, '\0' };
        const json_t *frames = json_object_get(object, "frames");
        expect_number(object, "count", stack->count);
        expect_number(object, "first_ns", stack->first_ns);
        expect_number(object, "last_ns", stack->last_ns);
        expect_string(object, "state", stack->state ? state : NULL);
        expect_string(object, "missing", stack->missing);
        expect_flag(object, "truncated", stack->truncated);
        cr_assert_eq(json_array_size(frames), stack->frames_count);
        if (stack->frames_count)
                cr_expect_eq(json_is_true(json_object_get(object, "complete")), stack->complete);
        for (size_t i = 0; i < stack->frames_count; i++)
                expect_frame(json_array_get(frames, i), &stack->frames[i]);
}

static void expect_lost(const json_t *object, uint64_t samples, const struct record_loss *losses, size_t count)
{
        const json_t *lost = json_object_get(object, "lost");
        expect_number(lost, "samples", samples);
        cr_expect_eq(json_object_size(json_object_get(lost, "reasons")), count);
        for (size_t i = 0; i < count; i++)
                expect_number(json_object_get(lost, "reasons"), losses[i].reason, losses[i].count);
}

static void expect_common(const json_t *root, const struct record *record, const char *time)
{
        expect_number(root, "v", 1);
        expect_string(root, "type", record_type_name(record->type));
        expect_string(root, "time", time);
        expect_string(root, "host", record->host);
        expect_number(root, "pid", (uint64_t)record->pid);
        expect_string(root, "run", record->run);
        expect_string(root, "program", record->program);
}

static void expect_detail(const json_t *root, const struct record_detail *detail)
{
        const json_t *object = json_object_get(root, "detail");
        if (!detail->call && !detail->reason && !detail->cpu_known) {
                cr_expect_null(object);
                return;
        }
        expect_string(object, "call", detail->call);
        expect_string(object, "reason", detail->reason);
        if (detail->cpu_known)
                expect_number(object, "cpu_percent", detail->cpu_percent);
        else
                cr_expect_null(json_object_get(object, "cpu_percent"));
}

static void expect_stall(const json_t *root, const struct record_stall *stall, const char *begin)
{
        expect_number(root, "id", stall->id);
        expect_string(root, "begin", begin);
        expect_number(root, "tid", (uint64_t)stall->tid);
        expect_string(root, "thread", stall->thread);
        expect_string(root, "loop", stall->loop);
        expect_number(root, "threshold_ns", stall->threshold_ns);
        expect_number(root, "duration_ns", stall->duration_ns);
        if (stall->detail.cpu_known)
                expect_number(root, "cpu_ns", stall->cpu_ns);
        else
                cr_expect_null(json_object_get(root, "cpu_ns"));
        expect_number(root, "late_ns", stall->late_ns);
        expect_number(root, "yields", stall->yields);
        expect_string(root, "phase", stall->phase);
        expect_string(root, "end", stall->end);
        expect_string(root, "cause", record_cause_name(stall->cause));
        expect_detail(root, &stall->detail);
        expect_hex(root, "signature", "%016" PRIx64, stall->signature);
        expect_number(root, "repeats", stall->repeats);
        expect_flag(root, "stacks_omitted", stall->stacks_omitted);
        expect_number(root, "samples", stall->samples);
        expect_number(root, "stacks_dropped", stall->stacks_dropped);
        expect_lost(root, stall->samples_lost, stall->losses, stall->losses_count);
        if (stall->culprit)
                expect_frame(json_object_get(root, "culprit"), stall->culprit);
        else
                cr_expect_null(json_object_get(root, "culprit"));
        const json_t *stacks = json_object_get(root, "stacks");
        cr_assert_eq(json_array_size(stacks), stall->stacks_count);
        for (size_t i = 0; i < stall->stacks_count; i++)
                expect_stack(json_array_get(stacks, i), &stall->stacks[i]);
}

/* ---- every type ---- */

static void expect_stall_record(const struct record *record, const char *time, const char *begin)
{
        json_t *root = round_trip(record);
        expect_common(root, record, time);
        expect_stall(root, &record->stall, begin);
        json_decref(root);
}

Test(json, writes_stalls)
{
        expect_stall_record(&uvicorn_stall, "2026-11-22T20:15:03.620700Z", "2026-11-22T20:15:03.120456Z");
        expect_stall_record(&redis_stall, "2026-11-22T20:15:03.620700Z", "2026-11-22T20:15:01.270700Z");
        expect_stall_record(&haproxy_stall, "2026-11-22T20:15:03.620700Z", "2026-11-22T20:15:03.520700Z");
        expect_stall_record(&uvicorn_repeat, "2026-11-22T20:16:03.000000Z", "2026-11-22T20:16:02.499786Z");
        expect_stall_record(&unseen_stall, "2026-11-22T20:15:03.620700Z", "2026-11-22T20:15:03.500000Z");
        expect_stall_record(&symbolized_stall, "2026-11-22T20:15:03.620700Z", "2026-11-22T20:15:03.500000Z");
        expect_stall_record(&memcached_begin, "2026-11-22T20:15:03.220700Z", "2026-11-22T20:15:03.120456Z");
}

Test(json, writes_the_process)
{
        const struct record_process *process = &process_record.process;
        json_t *root = round_trip(&process_record);
        expect_common(root, &process_record, "2026-11-22T20:15:00.000001Z");
        expect_string(root, "command", process->command);
        expect_string(root, "executable", process->executable);
        expect_string(root, "agent_version", process->agent_version);
        expect_number(root, "ppid", (uint64_t)process->ppid);
        expect_number(root, "threshold_ns", process->threshold_ns);
        expect_number(root, "interval_ns", process->interval_ns);
        expect_string(root, "clock", process->clock);
        expect_string(root, "begin", "2026-11-22T20:14:59.000000Z");
        const json_t *notices = json_object_get(root, "notices");
        cr_assert_eq(json_array_size(notices), process->notices_count);
        for (size_t i = 0; i < process->notices_count; i++)
                cr_expect_str_eq(json_string_value(json_array_get(notices, i)), process->notices[i]);
        json_decref(root);
}

Test(json, writes_loops)
{
        const struct record_loop *loop = &loop_record.loop;
        json_t *root = round_trip(&loop_record);
        expect_common(root, &loop_record, "2026-11-22T20:15:10.000000Z");
        expect_number(root, "tid", (uint64_t)loop->tid);
        expect_string(root, "thread", loop->thread);
        expect_string(root, "loop", loop->loop);
        expect_number(root, "iterations", loop->iterations);
        expect_number(root, "busy_ns", loop->busy_ns);
        expect_number(root, "idle_ns", loop->idle_ns);
        expect_number(root, "outside_ns", 0);
        expect_number(root, "stalls", loop->stalls);
        expect_number(root, "stall_ns", loop->stall_ns);
        expect_number(root, "longest_ns", loop->longest_ns);
        const json_t *buckets = json_object_get(root, "buckets");
        cr_assert_eq(json_array_size(buckets), loop->buckets_count);
        for (size_t i = 0; i < loop->buckets_count; i++) {
                expect_number(json_array_get(buckets, i), "from_ns", loop->buckets[i].from_ns);
                expect_number(json_array_get(buckets, i), "count", loop->buckets[i].count);
        }
        json_decref(root);
}

Test(json, writes_the_exit)
{
        const struct record_exit *at_exit = &exit_record.exit;
        json_t *root = round_trip(&exit_record);
        expect_common(root, &exit_record, "2026-11-22T20:15:20.000000Z");
        expect_string(root, "reason", at_exit->reason);
        expect_number(root, "loops", at_exit->loops);
        expect_number(root, "stalls", at_exit->stalls);
        expect_number(root, "stalls_startup", at_exit->stalls_startup);
        expect_number(root, "stalls_crowded", 0);
        expect_number(root, "captures", at_exit->captures);
        expect_number(root, "captures_signal", at_exit->captures_signal);
        expect_number(root, "candidates_dropped", at_exit->candidates_dropped);
        expect_number(root, "iterations_lost", 0);
        expect_number(root, "loops_unwatched", 0);
        expect_number(root, "records_dropped", 0);
        expect_number(root, "bytes_dropped", 0);
        expect_number(root, "reopened", at_exit->reopened);
        expect_number(root, "watchdog_cpu_ns", at_exit->watchdog_cpu_ns);
        expect_number(root, "wakeups", at_exit->wakeups);
        expect_number(root, "latest_ns", at_exit->latest_ns);
        expect_lost(root, 3, at_exit->losses, at_exit->losses_count);
        json_decref(root);
}

/* ---- what is not known, and what is 0 ---- */

Test(json, leaves_out_what_is_not_known)
{
        static const enum record_type types[] = { RECORD_PROCESS, RECORD_STALL, RECORD_STALL_BEGIN, RECORD_LOOP,
                                                  RECORD_EXIT };
        for (size_t i = 0; i < COUNT(types); i++) {
                struct record empty = { .type = types[i] };
                const char *line = write_line(&empty);
                cr_expect_null(strstr(line, "null"), "%s", line);
                cr_expect_null(strstr(line, "\"\""), "%s", line);
                json_decref(parse(line));
        }
}

Test(json, takes_an_empty_string_for_not_known)
{
        struct record record = uvicorn_stall;
        record.program = "";
        record.stall.thread = "";
        json_t *root = round_trip(&record);
        expect_string(root, "program", NULL);
        expect_string(root, "thread", NULL);
        json_decref(root);
}

Test(json, writes_cpu_time_of_zero_where_it_was_measured)
{
        struct record record = uvicorn_stall;
        record.stall.cpu_ns = 0;
        json_t *root = round_trip(&record);
        expect_number(root, "cpu_ns", 0);
        json_decref(root);
}

Test(json, writes_the_largest_values)
{
        struct record record = uvicorn_stall;
        const struct record_frame frame = { .function = "f", .offset = UINT64_MAX, .line = UINT32_MAX };
        record.stall.culprit = &frame;
        record.stall.signature = UINT64_MAX;
        record.pid = INT32_MAX;
        const char *line = write_line(&record);
        cr_expect_not_null(strstr(line, "\"signature\":\"ffffffffffffffff\""));
        json_t *root = parse(line);
        expect_frame(json_object_get(root, "culprit"), &frame);
        json_decref(root);
}

static void expect_order(const char *line, const char *const *names, size_t count)
{
        const char *at = line;
        for (size_t i = 0; i < count; i++) {
                char quoted[64];
                snprintf(quoted, sizeof(quoted), "\"%s\":", names[i]);
                at = strstr(at, quoted);
                cr_assert_not_null(at, "%s is not where it must be", names[i]);
        }
}

Test(json, writes_scalars_before_stacks)
{
        static const char *const names[] = {
                "v",      "type",  "time",   "host",      "pid",     "run",          "program",
                "id",     "begin", "tid",    "thread",    "loop",    "threshold_ns", "duration_ns",
                "cpu_ns", "cause", "detail", "signature", "culprit", "lost",         "stacks_dropped",
                "stacks"
        };
        const char *line = write_line(&uvicorn_stall);
        expect_order(line, names, COUNT(names));
        cr_expect_eq(strncmp(line, "{\"v\":1,\"type\":\"stall\",", 22), 0);
        cr_expect_str_eq(line + strlen(line) - 5, "]}]}\n");
}

/* ---- strings ---- */

Test(json, escapes_what_json_and_terminals_need)
{
        struct record record = uvicorn_stall;
        record.program = "\"\\/\b\f\n\r\t\x01\x1f\x7f\xc2\x9b\xc2\xa0\xf0\x9f\x90\x95";
        const char *line = write_line(&record);
        cr_expect_not_null(strstr(line, "\"program\":\"\\\"\\\\/\\b\\f\\n\\r\\t\\u0001\\u001f\\u007f\\u009b\xc2\xa0"
                                        "\xf0\x9f\x90\x95\""));
        json_t *root = parse(line);
        expect_string(root, "program", record.program);
        json_decref(root);
}

Test(json, replaces_what_is_not_utf8)
{
        struct record record = uvicorn_stall;
        record.program = "a\xff\xc3(\xed\xa0\x80z";
        json_t *root = round_trip(&record);
        expect_string(root, "program", "a\xef\xbf\xbd\xef\xbf\xbd(\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbdz");
        json_decref(root);
}

/* `bytes` without what is not UTF-8, or, of what was written, without U+FFFD. */
static void keep_valid(char *into, const char *bytes)
{
        size_t available = strlen(bytes);
        while (available > 0) {
                size_t length = text_utf8_length(bytes, available);
                if (length && !(length == 3 && memcmp(bytes, "\xef\xbf\xbd", 3) == 0)) {
                        memcpy(into, bytes, length);
                        into += length;
                }
                bytes += length ? length : 1;
                available -= length ? length : 1;
        }
        *into = '\0';
}

Test(json, survives_random_bytes_in_every_string)
{
        srand(3);
        for (int round = 0; round < 4000; round++) {
                char raw[64], wanted[256], got[256];
                size_t length = (size_t)rand() % 40 + 1;
                for (size_t i = 0; i < length; i++) /* every second round is mostly ASCII */
                        raw[i] = (char)(1 + rand() % (round % 2 && rand() % 8 ? 127 : 255));
                raw[length] = '\0';
                struct record_frame frame = { .lang = RECORD_PYTHON, .function = raw, .file = raw, .module = raw };
                struct record_stack stack = { .count = 1, .frames = &frame, .frames_count = 1, .missing = raw };
                struct record_loss loss = { raw, 1 };
                struct record record = { .type = RECORD_STALL, .host = raw, .run = raw, .program = raw };
                record.stall = (struct record_stall){ .thread = raw,
                                                      .loop = raw,
                                                      .phase = raw,
                                                      .end = raw,
                                                      .detail = { .call = raw, .reason = raw },
                                                      .culprit = &frame,
                                                      .stacks = &stack,
                                                      .stacks_count = 1,
                                                      .losses = &loss,
                                                      .losses_count = 1 };
                json_t *root = round_trip(&record);
                keep_valid(wanted, raw);
                keep_valid(got, json_string_value(json_object_get(json_object_get(root, "culprit"), "file")));
                cr_assert_str_eq(got, wanted);
                cr_assert_str_eq(json_string_value(json_object_get(root, "host")),
                                 json_string_value(json_object_get(json_object_get(root, "culprit"), "file")));
                json_decref(root);
        }
}

Test(json, cuts_a_string_that_is_too_long_between_characters)
{
        static char longer[LIMIT_STRING + 64];
        memset(longer, 'x', LIMIT_STRING - 1);
        struct record record = process_record;
        record.process.command = longer;
        json_t *root = round_trip(&record);
        expect_string(root, "command", longer);
        json_decref(root);
        strcat(longer, "\xf0\x9f\x90\x95");
        root = round_trip(&record);
        const char *command = json_string_value(json_object_get(root, "command"));
        cr_expect_eq(strlen(command), LIMIT_STRING - 1 + 3);
        cr_expect_str_eq(command + LIMIT_STRING - 3, "xx...");
        json_decref(root);
}

/* ---- limits ---- */

#define MANY 20
#define DEEP 100

static struct record_frame many_frames[MANY][DEEP];
static struct record_stack many_stacks[MANY];

/* MANY stacks of about 20 KB each with different counts; number 3 is rarer than most but has the culprit. */
static struct record large_record(void)
{
        static char path[181];
        memset(path, 'p', sizeof(path) - 1);
        for (size_t i = 0; i < MANY; i++) {
                for (size_t j = 0; j < DEEP; j++)
                        many_frames[i][j] = (struct record_frame){ .module = path, .offset = 1 + j };
                many_stacks[i] = (struct record_stack){ .count = i == 3 ? 1 : 2 + (uint32_t)(i * 7 % MANY),
                                                        .frames = many_frames[i],
                                                        .frames_count = DEEP };
        }
        many_frames[3][0].function = "culprit";
        struct record record = uvicorn_stall;
        record.stall.culprit = &many_frames[3][0];
        record.stall.stacks = many_stacks;
        record.stall.stacks_count = MANY;
        record.stall.stacks_dropped = 5;
        return record;
}

static bool has_culprit(const json_t *stack)
{
        const json_t *first = json_array_get(json_object_get(stack, "frames"), 0);
        return json_object_get(first, "function") != NULL;
}

/* What was kept: the culprit's stack, and of the others no one rarer than any that was dropped. */
static void expect_rarest_dropped(const json_t *root, size_t given)
{
        const json_t *stacks = json_object_get(root, "stacks"), *stack;
        size_t kept = json_array_size(stacks), index, culprits = 0;
        json_int_t rarest_kept = INT64_MAX;
        json_array_foreach(stacks, index, stack)
        {
                json_int_t count = json_integer_value(json_object_get(stack, "count"));
                culprits += has_culprit(stack);
                if (!has_culprit(stack) && count < rarest_kept)
                        rarest_kept = count;
        }
        expect_number(root, "stacks_dropped", given - kept + 5);
        cr_expect(kept == 0 || culprits == 1, "the culprit's stack is kept longest");
        size_t more_frequent = 0;
        for (size_t i = 0; i < given; i++)
                more_frequent += i != 3 && many_stacks[i].count >= rarest_kept;
        cr_expect_eq(more_frequent, kept > 0 ? kept - 1 : 0, "%zu of %zu", kept, given);
}

Test(json, drops_the_rarest_stacks_of_a_long_line_and_counts_them)
{
        struct record record = large_record();
        const char *line = write_line(&record);
        cr_expect_gt(strlen(line), LIMIT_LINE_BYTES - 30 * 1024, "no more than needed is dropped");
        json_t *root = parse(line);
        cr_expect_lt(json_array_size(json_object_get(root, "stacks")), MANY);
        expect_rarest_dropped(root, MANY);
        json_decref(root);
}

Test(json, fits_into_whatever_there_is_room_for)
{
        struct record record = large_record();
        size_t kept_before = 0, too_small = 0;
        for (size_t capacity = 1; capacity <= LIMIT_LINE_BYTES + 100; capacity += 1 + capacity / 50) {
                struct text text = { .bytes = output, .capacity = capacity };
                int status = record_write_json(&text, &record);
                cr_assert_lt(text.length, capacity);
                if (status == -EMSGSIZE) {
                        too_small++;
                        cr_assert_eq(text.length, 0);
                        cr_assert_eq(output[0], '\0');
                        cr_assert_eq(kept_before, 0);
                        continue;
                }
                cr_assert_eq(status, 0);
                cr_assert_eq(strlen(output), text.length);
                json_t *root = parse(output);
                size_t kept = json_array_size(json_object_get(root, "stacks"));
                cr_assert_geq(kept, kept_before, "more room, fewer stacks");
                expect_rarest_dropped(root, MANY);
                kept_before = kept;
                json_decref(root);
        }
        cr_expect_gt(too_small, 10);
        cr_expect_gt(kept_before, 5);
}

/* A stack that could never fit must not push out others that do. */
Test(json, drops_a_stack_that_can_not_fit_before_all_others)
{
        struct record record = large_record();
        many_stacks[0].count = 100;
        struct record_stack stacks[] = { many_stacks[0], { .count = 1, .missing = "none" } };
        record.stall.culprit = NULL;
        record.stall.stacks = stacks;
        record.stall.stacks_count = 2;
        size_t both = strlen(write_line(&record));
        for (size_t capacity = both - 300; capacity <= both; capacity++) {
                struct text text = { .bytes = output, .capacity = capacity };
                cr_assert_eq(record_write_json(&text, &record), 0);
                json_t *root = parse(output);
                const json_t *left = json_object_get(root, "stacks");
                cr_assert_eq(json_array_size(left), 1, "at %zu of %zu", capacity, both);
                json_decref(root);
        }
}

Test(json, keeps_what_stands_in_the_text_already)
{
        char small[256] = "";
        struct text text = TEXT_IN(small);
        text_string(&text, "before");
        cr_expect_eq(record_write_json(&text, &uvicorn_stall), -EMSGSIZE);
        cr_expect_str_eq(small, "before");
        cr_expect(!text.cut);

        text = TEXT_IN(output);
        cr_expect_eq(record_write_json(&text, &loop_record), 0);
        size_t first = text.length;
        cr_expect_eq(record_write_json(&text, &exit_record), 0);
        json_decref(parse(output + first));
        output[first] = '\0';
        json_decref(parse(output));
}

Test(json, writes_nothing_after_a_cut)
{
        char small[16];
        struct text text = TEXT_IN(small);
        text_string(&text, "0123456789012345");
        cr_expect_eq(record_write_json(&text, &exit_record), -EMSGSIZE);
        cr_expect_str_eq(small, "012345678901234");
}

Test(json, limits_the_number_of_stacks)
{
        static struct record_stack stacks[LIMIT_STACKS + 10];
        for (size_t i = 0; i < COUNT(stacks); i++)
                stacks[i].count = 1;
        struct record record = { .type = RECORD_STALL, .stall = { .stacks = stacks, .stacks_count = COUNT(stacks) } };
        json_t *root = round_trip(&record);
        cr_expect_eq(json_array_size(json_object_get(root, "stacks")), LIMIT_STACKS);
        expect_number(root, "stacks_dropped", 10);
        json_decref(root);
}

/* ---- names ---- */

Test(json, has_a_name_for_every_value)
{
        for (int i = RECORD_PROCESS; i <= RECORD_DUMP; i++)
                cr_expect_eq(record_type_from_name(record_type_name((enum record_type)i)), i);
        for (int i = RECORD_NATIVE; i <= RECORD_JIT; i++)
                cr_expect_eq(record_lang_from_name(record_lang_name((enum record_lang)i)), i);
        for (int i = RECORD_UNKNOWN; i <= RECORD_SUSPENDED; i++)
                cr_expect_eq(record_cause_from_name(record_cause_name((enum record_cause)i)), i);
        cr_expect_str_eq(record_type_name((enum record_type)99), "?");
        cr_expect_str_eq(record_lang_name((enum record_lang) - 1), "?");
        cr_expect_eq(record_cause_from_name("?"), -1);
        cr_expect_eq(record_cause_from_name(""), -1);
        cr_expect_eq(record_type_from_name(NULL), -1);
}

/* ---- golden files ---- */

static void expect_golden(const char *name, const struct record *record, int line_number)
{
        char path[256];
        static char wanted[LIMIT_LINE_BYTES + 2];
        snprintf(path, sizeof(path), TESTS_DIR "/golden/v1/%s.jsonl", name);
        FILE *file = fopen(path, "r");
        cr_assert_not_null(file, "%s", path);
        for (int i = 0; i < line_number; i++)
                cr_assert_not_null(fgets(wanted, sizeof(wanted), file), "%s has no line %d", path, line_number);
        fclose(file);
        cr_expect_str_eq(write_line(record), wanted);
}

Test(json, writes_what_it_always_wrote)
{
        expect_golden("process", &process_record, 1);
        expect_golden("stall-begin", &memcached_begin, 1);
        expect_golden("stall", &uvicorn_stall, 1);
        expect_golden("stall", &redis_stall, 2);
        expect_golden("stall", &haproxy_stall, 3);
        expect_golden("stall", &uvicorn_repeat, 4);
        expect_golden("stall", &unseen_stall, 5);
        expect_golden("stall", &symbolized_stall, 6);
        expect_golden("stall", &blocked_stall, 7);
        expect_golden("stall", &nested_stall, 8);
        expect_golden("loop", &loop_record, 1);
        expect_golden("exit", &exit_record, 2);
        expect_golden("whom", &deadlock_begin, 1);
        expect_golden("whom", &starved_stall, 2);
        expect_golden("fault", &fault_stall, 1);
        expect_golden("dump", &busy_dump, 1);
        expect_golden("dump", &idle_dump, 2);

        struct record crowded_stall = starved_stall;
        crowded_stall.stall.detail.others_cpu_ns = 170000000;
        expect_golden("starved", &crowded_stall, 1);
}
