/* SPDX-License-Identifier: Apache-2.0
 *
 * test_analyse.c - tools/analyse: what records add up to
 *
 * Context: unit test
 */
#include <criterion/criterion.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "alloc.h"
#include "analyse/analysis.h"
#include "analyse/group.h"
#include "analyse/idset.h"
#include "analyse/spread.h"
#include "read/parse.h"

#define MS UINT64_C(1000000)
#define SECOND UINT64_C(1000000000)
#define BEGIN_NS UINT64_C(1795378503000000000) /* 2026-11-22T20:15:03Z */

static struct analysis analysis;

static void forget(void)
{
        analysis_free(&analysis);
}

TestSuite(analysis, .fini = forget);

/* ---- feeding ---- */

/* Add a record: the fields of all types, and those given. */
static void add(const char *type, const char *run, const char *format, ...)
{
        struct parsed parsed;
        char why[256], *fields, *line;
        va_list arguments;
        va_start(arguments, format);
        cr_assert_geq(vasprintf(&fields, format, arguments), 0);
        va_end(arguments);
        const char *time = strstr(fields, "\"time\"") ? "" : "\"time\":\"2026-11-22T20:15:04Z\",";
        line = alloc_format("{\"v\":1,\"type\":\"%s\",%s\"host\":\"web1\",\"pid\":42,\"program\":\"app\",\"run\":\"%s\""
                            "%s%s}",
                            type, time, run, fields[0] ? "," : "", fields);
        cr_assert_eq(parse_record(&parsed, line, strlen(line), why, sizeof(why)), 0, "%s in %s", why, line);
        analysis_add(&analysis, &parsed.record, line, strlen(line));
        parsed_free(&parsed);
        free(line);
        free(fields);
}

#define STALL "\"id\":%d,\"begin\":\"2026-11-22T20:15:03Z\",\"tid\":1,\"loop\":\"epoll:5\",\"duration_ns\":%llu"
#define BLOCKED "\"cause\":\"blocked\",\"detail\":{\"call\":\"read\"}"

/* The end of a stall in the Python function `name`; its signature is an argument. */
#define CULPRIT(name, line)                                                                                            \
        "{\"lang\":\"python\",\"function\":\"" name "\",\"file\":\"/srv/" name ".py\",\"line\":" #line "}"
#define STACK(name, line)                                                                                              \
        ",\"signature\":\"%016x\",\"culprit\":" CULPRIT(name, line) ",\"stacks\":[{\"count\":1,\"complete\":true,"     \
                                                                    "\"frames\":[" CULPRIT(name, line) "]}]"

static void add_stall(const char *run, int id, uint64_t duration_ns)
{
        add("stall", run, STALL "," BLOCKED STACK("block", 8), id, (unsigned long long)duration_ns, 5);
}

static struct groups group(enum group_by by)
{
        struct groups groups;
        struct symbolizer *symbolizer = symbolizer_new(NULL);
        analysis_finish(&analysis);
        groups_make(&groups, &analysis, by, KIND_STALL, symbolizer);
        symbolizer_free(symbolizer);
        return groups;
}

/* ---- stalls ---- */

Test(analysis, counts_a_stall_once_with_its_begin)
{
        add("stall-begin", "a", STALL "," BLOCKED, 1, 100 * MS);
        add_stall("a", 1, 500 * MS);
        analysis_finish(&analysis);
        cr_expect_eq(analysis.stalls.count, 1);
        cr_expect_eq(analysis.stalls.total_ns, 500 * MS);
        cr_expect_eq(analysis.never_ended, 0);
}

/* It went on, and was told again with more evidence; then the older line is read once more. */
Test(analysis, counts_a_stall_once_with_the_later_of_its_begins)
{
        add("stall-begin", "a", STALL "," BLOCKED, 1, 100 * MS);
        add("stall-begin", "a", STALL "," BLOCKED, 1, 1000 * MS);
        add("stall-begin", "a", STALL "," BLOCKED, 1, 100 * MS);
        const struct analysed_process *process = analysis.processes.entries[0].value;
        cr_assert_eq(process->open_count, 1);
        cr_expect_eq(process->open[0].duration_ns, 1000 * MS);
        cr_expect_not_null(strstr(process->open[0].begin.line, "\"duration_ns\":1000000000"));
        analysis_finish(&analysis);
        cr_expect_eq(analysis.stalls.count, 1);
        cr_expect_eq(analysis.never_ended, 1);
}

Test(analysis, counts_a_stall_once_if_its_begin_comes_later)
{
        add_stall("a", 1, 500 * MS);
        add("stall-begin", "a", STALL "," BLOCKED, 1, 100 * MS);
        analysis_finish(&analysis);
        cr_expect_eq(analysis.stalls.count, 1);
        cr_expect_eq(analysis.never_ended, 0);
}

/* Announced, and then found to be none: the thread had left its loop. */
Test(analysis, does_not_count_what_was_no_stall_after_all)
{
        add("stall-begin", "a", STALL "," BLOCKED, 1, 100 * MS);
        add("stall", "a", STALL ",\"end\":\"left\"," BLOCKED, 1, 400 * MS);
        add("stall-begin", "a", STALL "," BLOCKED, 1, 100 * MS); /* the file is read twice */
        add("stall", "a", STALL ",\"end\":\"exit\"," BLOCKED, 2, 300 * MS);
        struct groups groups = group(GROUP_CULPRIT);
        const struct analysed_process *process = analysis.processes.entries[0].value;
        cr_expect_eq(analysis.stalls.count, 1);
        cr_expect_eq(analysis.stalls.total_ns, 300 * MS);
        cr_expect_eq(analysis.never_ended, 0);
        cr_expect_eq(process->stalls, 1);
        cr_assert_eq(groups.count, 1);
        cr_expect_eq(groups.items[0].stalls.count, 1);
        groups_free(&groups);
}

/* Stopped by a debugger: recorded, but none. */
Test(analysis, does_not_count_what_was_suspended)
{
        add("stall-begin", "a", STALL ",\"cause\":\"suspended\"", 1, 100 * MS);
        add("stall", "a", STALL ",\"cause\":\"suspended\",\"suspended_ns\":390000000", 1, 400 * MS);
        analysis_finish(&analysis);
        cr_expect_eq(analysis.stalls.count, 0);
        cr_expect_eq(analysis.suspended.count, 1);
        cr_expect_eq(analysis.never_ended, 0);
}

/* Stopped for a part of the time: the rest counts. */
Test(analysis, counts_a_stall_without_the_time_that_it_was_stopped)
{
        add("stall", "a", STALL ",\"suspended_ns\":300000000," BLOCKED, 1, 500 * MS);
        analysis_finish(&analysis);
        cr_expect_eq(analysis.stalls.total_ns, 200 * MS);
        cr_expect_eq(analysis.stalls.longest_ns, 200 * MS);
}

Test(analysis, counts_a_stall_once_if_its_file_is_read_twice)
{
        for (int i = 0; i < 2; i++) {
                add("stall-begin", "a", STALL "," BLOCKED, 1, 100 * MS);
                add_stall("a", 1, 500 * MS);
                add("stall-begin", "a", STALL "," BLOCKED, 2, 100 * MS);
                add("exit", "a", "\"lost\":{\"samples\":3,\"reasons\":{\"torn\":3}}");
        }
        analysis_finish(&analysis);
        cr_expect_eq(analysis.stalls.count, 2);
        cr_expect_eq(analysis.never_ended, 1);
        cr_expect_eq(((struct analysed_loss *)map_find_string(&analysis.losses, "torn"))->count, 3);
}

/* An exec has failed: the process goes on behind its exit line, and its counts with it. */
Test(analysis, takes_the_last_exit_of_a_process)
{
        static const char first[] = "\"reason\":\"exec\",\"captures\":10,"
                                    "\"lost\":{\"samples\":1,\"reasons\":{\"torn\":1}}";
        static const char last[] = "\"reason\":\"exit\",\"captures\":25,\"time\":\"2026-11-22T20:15:06Z\","
                                   "\"lost\":{\"samples\":4,\"reasons\":{\"torn\":3,\"late\":1}}";
        add("exit", "a", "%s", first);
        const struct analysed_process *process = analysis.processes.entries[0].value;
        cr_expect(process->exited);
        add("loop", "a", "\"tid\":1,\"loop\":\"epoll:5\",\"time\":\"2026-11-22T20:15:05Z\"");
        cr_expect_not(process->exited, "it goes on");
        add("exit", "a", "%s", last);
        add("exit", "a", "%s", first); /* the file is read twice */
        add("loop", "a", "\"tid\":1,\"loop\":\"epoll:5\",\"time\":\"2026-11-22T20:15:05Z\"");
        add("exit", "a", "%s", last);
        analysis_finish(&analysis);
        cr_expect(process->exited);
        cr_expect_eq(process->exit.captures, 25);
        cr_expect_eq(((struct analysed_loss *)map_find_string(&analysis.losses, "torn"))->count, 3);
        cr_expect_eq(((struct analysed_loss *)map_find_string(&analysis.losses, "late"))->count, 1);
}

Test(analysis, tells_processes_apart_that_write_alternately)
{
        add("stall-begin", "a", STALL "," BLOCKED, 1, 100 * MS);
        add("stall-begin", "b", STALL "," BLOCKED, 1, 100 * MS);
        add_stall("b", 1, 300 * MS);
        analysis_finish(&analysis);
        cr_expect_eq(analysis.processes.count, 2);
        cr_expect_eq(analysis.loops.count, 2);
        cr_expect_eq(analysis.stalls.count, 2);
        cr_expect_eq(analysis.never_ended, 1);
}

Test(analysis, gives_a_stall_that_never_ended_the_time_that_is_known)
{
        add("stall-begin", "a", STALL "," BLOCKED, 1, 100 * MS);
        add("loop", "a", "\"tid\":2,\"loop\":\"epoll:9\",\"time\":\"2026-11-22T20:16:03Z\"");
        analysis_finish(&analysis);
        cr_expect_eq(analysis.never_ended, 1);
        cr_expect_eq(analysis.stalls.longest_ns, 60 * SECOND, "another loop wrote a minute after the stall's begin");
}

Test(analysis, keeps_startup_apart)
{
        add("stall", "a", STALL ",\"phase\":\"startup\"," BLOCKED STACK("block", 8), 1, 2 * SECOND, 5);
        add_stall("a", 2, 500 * MS);
        struct groups groups = group(GROUP_CULPRIT);
        cr_expect_eq(analysis.startup.count, 1);
        cr_expect_eq(analysis.stalls.count, 1);
        cr_assert_eq(groups.count, 1);
        cr_expect_eq(groups.items[0].stalls.count, 1);
        groups_free(&groups);
}

Test(analysis, keeps_apart_what_was_suspended)
{
        add("stall", "a", STALL ",\"cause\":\"suspended\"", 1, 2 * SECOND);
        add_stall("a", 2, 500 * MS);
        struct groups groups = group(GROUP_CULPRIT);
        cr_expect_eq(analysis.suspended.count, 1);
        cr_expect_eq(analysis.stalls.count, 1);
        cr_expect_eq(groups.total_ns, 500 * MS);
        groups_free(&groups);
}

static void note(void *context, const struct record *record, const struct counted *counted)
{
        uint64_t *ids = context;
        ids[record->stall.id] += counted->ended ? 1 : 100;
}

Test(analysis, tells_of_each_stall_once)
{
        uint64_t ids[4] = { 0 };
        analysis.on_stall = note;
        analysis.context = ids;
        for (int i = 0; i < 2; i++) {
                add("stall-begin", "a", STALL "," BLOCKED, 1, 100 * MS);
                add_stall("a", 1, 500 * MS);
                add("stall-begin", "a", STALL "," BLOCKED, 2, 100 * MS);
                add("stall", "a", STALL ",\"end\":\"left\"," BLOCKED, 3, 400 * MS);
        }
        analysis_finish(&analysis);
        cr_expect_eq(ids[1], 1);
        cr_expect_eq(ids[2], 100);
        cr_expect_eq(ids[3], 0);
}

Test(analysis, finds_percentiles_of_a_loops_histogram)
{
        add("loop", "a",
            "\"tid\":1,\"loop\":\"epoll:5\",\"iterations\":1000,\"longest_ns\":7000000,\"buckets\":["
            "{\"from_ns\":0,\"count\":990},{\"from_ns\":1048576,\"count\":9},{\"from_ns\":6815744,\"count\":1}]");
        const struct analysed_loop *loop = analysis.loops.entries[0].value;
        cr_expect_eq(analysed_loop_permille_ns(loop, 990), 512);
        cr_expect_eq(analysed_loop_permille_ns(loop, 999), 1048576 + 65536 / 2);
        cr_expect_eq(analysed_loop_permille_ns(loop, 1000), 7000000, "never more than the longest");
}

Test(analysis, tells_how_much_of_a_run_names_it)
{
        add_stall("b1946ac92492d234", 1, 100 * MS);
        cr_expect_eq(analysis_run_digits(&analysis), 4);
        add_stall("b1947ac92492d234", 1, 100 * MS);
        add_stall("c", 1, 100 * MS);
        cr_expect_eq(analysis_run_digits(&analysis), 5);
}

Test(analysis, leaves_out_what_is_too_short_or_too_old)
{
        analysis.filter.min_ns = 300 * MS;
        analysis.filter.since_ns = BEGIN_NS + 350 * MS;
        add_stall("a", 1, 299 * MS);
        add_stall("a", 2, 349 * MS);
        add_stall("a", 3, 350 * MS);
        analysis_finish(&analysis);
        cr_expect_eq(analysis.stalls.count, 1);
        cr_expect_eq(analysis.left_out, 2);
}

Test(analysis, takes_the_latest_of_a_loops_totals)
{
        add("loop", "a", "\"tid\":1,\"loop\":\"epoll:5\",\"iterations\":10,\"busy_ns\":1,\"idle_ns\":9,\"stalls\":1");
        add("loop", "a", "\"tid\":1,\"loop\":\"epoll:5\",\"iterations\":30,\"busy_ns\":2,\"idle_ns\":18,\"stalls\":4");
        add("loop", "a", "\"tid\":1,\"loop\":\"epoll:5\",\"iterations\":20,\"busy_ns\":3,\"idle_ns\":17,\"stalls\":2");
        add("loop", "a", "\"tid\":2,\"loop\":\"epoll:5\",\"iterations\":1,\"stalls\":1");
        cr_assert_eq(analysis.loops.count, 2);
        const struct analysed_loop *loop = analysis.loops.entries[0].value;
        cr_expect_eq(loop->iterations, 30);
        cr_expect_eq(loop->busy_ns, 2);
        cr_expect_eq(loop->process->stalls_counted, 5);
}

Test(analysis, remembers_what_processes_said_once)
{
        add("process", "a", "\"notices\":[\"x\",\"y\"]");
        add("process", "b", "\"notices\":[\"y\"]");
        cr_expect_eq(analysis.notices.count, 2);
}

/* ---- groups ---- */

Test(analysis, groups_by_culprit_whatever_the_line_and_the_process)
{
        add("stall", "a", STALL "," BLOCKED STACK("block", 8), 1, 300 * MS, 1);
        add("stall", "b", STALL "," BLOCKED STACK("block", 9), 1, 500 * MS, 2);
        add("stall", "b", STALL ",\"cause\":\"cpu\"" STACK("other", 1), 2, 400 * MS, 3);
        struct groups groups = group(GROUP_CULPRIT);
        cr_assert_eq(groups.count, 2);
        cr_expect_str_eq(groups.items[0].culprit.function, "block", "most time first");
        cr_expect_eq(groups.items[0].culprit.line, 9, "of the stack that lost most");
        cr_expect_eq(groups.items[0].stalls.count, 2);
        cr_expect_eq(groups.items[0].stalls.total_ns, 800 * MS);
        cr_expect_eq(groups.items[0].stacks, 2);
        cr_expect_str_eq(groups.items[1].culprit.function, "other");
        cr_expect_eq(groups.total_ns, 1200 * MS);
        groups_free(&groups);
}

Test(analysis, groups_by_cause_and_call)
{
        add_stall("a", 1, 300 * MS);
        add("stall", "a", STALL ",\"cause\":\"blocked\",\"detail\":{\"call\":\"write\"}", 2, 200 * MS);
        add("stall", "a", STALL ",\"cause\":\"cpu\"", 3, 100 * MS);
        add_stall("a", 4, 300 * MS);
        struct groups groups = group(GROUP_CAUSE);
        cr_assert_eq(groups.count, 3);
        cr_expect_str_eq(groups.items[0].causes[0].call, "read");
        cr_expect_eq(groups.items[0].stalls.count, 2);
        cr_expect_str_eq(groups.items[1].causes[0].call, "write");
        cr_expect_eq(groups.items[2].causes[0].cause, RECORD_CPU);
        groups_free(&groups);
}

Test(analysis, groups_by_loop)
{
        add_stall("a", 1, 300 * MS);
        add_stall("b", 1, 200 * MS);
        struct groups groups = group(GROUP_LOOP);
        cr_assert_eq(groups.count, 2);
        cr_expect_str_eq(groups.items[0].loop->process->run, "a");
        cr_expect_str_eq(groups.items[1].loop->process->run, "b");
        groups_free(&groups);
}

Test(analysis, joins_repeats_without_stacks_by_their_signature)
{
        for (int by = GROUP_CULPRIT; by <= GROUP_STACK; by++) {
                add("stall", "a",
                    STALL "," BLOCKED
                          ",\"signature\":\"%016x\",\"stacks_omitted\":true,\"culprit\":" CULPRIT("block", 8),
                    1, 900 * MS, 5);
                add_stall("a", 2, 300 * MS);
                struct groups groups = group((enum group_by)by);
                cr_assert_eq(groups.count, 1, "by %s", group_by_name((enum group_by)by));
                cr_expect_eq(groups.items[0].stalls.count, 2);
                cr_expect(groups.items[0].example->example_framed, "the example is one that has frames");
                cr_expect_eq(groups.items[0].example->example_ns, 300 * MS);
                groups_free(&groups);
                analysis_free(&analysis);
        }
}

/* As a reader adds it that has not parsed the stacks: the line has them. */
static void add_unread(int id, uint64_t duration_ns, const char *stacks)
{
        char *line =
                alloc_format("{\"v\":1,\"type\":\"stall\",\"time\":\"2026-11-22T20:15:04Z\",\"pid\":42,"
                             "\"run\":\"a\",\"id\":%d,\"tid\":1,\"loop\":\"epoll:5\",\"duration_ns\":%llu," BLOCKED
                             ",\"signature\":\"0000000000000005\",\"culprit\":" CULPRIT("block", 8) ",\"stacks\":%s}",
                             id, (unsigned long long)duration_ns, stacks);
        struct parsed parsed;
        char why[256];
        cr_assert_eq(parse_record(&parsed, line, strlen(line), why, sizeof(why)), 0, "%s", why);
        parsed.record.stall.stacks_count = 0;
        cr_expect_not(analysis_wants_stacks(&analysis, &parsed.record), "its signature is known");
        analysis_add(&analysis, &parsed.record, line, strlen(line));
        parsed_free(&parsed);
        free(line);
}

/* ---- code made at run time ---- */

static char folder[] = "/tmp/loopdog-analyse.XXXXXX";

static char *map_path(void)
{
        return alloc_format("%s/perf-42.map", folder);
}

static void begin_made(void)
{
        cr_assert_not_null(mkdtemp(folder));
        char *path = map_path(), *records = alloc_format("%s/a.jsonl", folder);
        FILE *file = fopen(path, "w");
        cr_assert_not_null(file);
        fputs("1000 100 JS:*busyParse /srv/shop.js:3:1\n2000 100 JS:*busyRender /srv/shop.js:9:1\n", file);
        fclose(file);
        analysis.filter.symbolizer = symbolizer_new(NULL);
        symbolizer_add_file(analysis.filter.symbolizer, records);
        free(records);
        free(path);
}

static void end_made(void)
{
        char *path = map_path();
        struct symbolizer *symbolizer = analysis.filter.symbolizer;
        analysis_free(&analysis);
        symbolizer_free(symbolizer);
        unlink(path);
        rmdir(folder);
        free(path);
}

TestSuite(made, .init = begin_made, .fini = end_made);

#define NODE "{\"lang\":\"native\",\"function\":\"main\",\"module\":\"/none/node\",\"offset\":\"0x100\"}"

/* Node that was busy in the function at `address`: the agent knows of its caller only. */
static void add_made(int id, uint64_t duration_ns, const char *address)
{
        add("stall", "a",
            STALL ",\"cause\":\"cpu\",\"signature\":\"0000000000000005\",\"culprit\":" NODE
                  ",\"stacks\":[{\"count\":1,\"complete\":true,\"frames\":[{\"lang\":\"jit\",\"offset\":\"%s\"}," NODE
                  "]}]",
            id, (unsigned long long)duration_ns, address);
}

static void add_both(void)
{
        add_made(1, 401 * MS, "0x1010");
        for (int id = 2; id < 6; id++)
                add_made(id, 150 * MS, "0x2010");
}

Test(made, two_functions_of_one_signature_are_two_culprits)
{
        struct groups groups;
        add_both();
        analysis_finish(&analysis);
        groups_make(&groups, &analysis, GROUP_CULPRIT, KIND_STALL, analysis.filter.symbolizer);
        cr_assert_eq(groups.count, 2);
        cr_expect_str_eq(groups.items[0].culprit.function, "busyRender");
        cr_expect_eq(groups.items[0].stalls.count, 4);
        cr_expect_eq(groups.items[0].stalls.total_ns, 600 * MS);
        cr_expect_str_eq(groups.items[1].culprit.function, "busyParse");
        cr_expect_eq(groups.items[1].stalls.total_ns, 401 * MS);
        groups_free(&groups);
}

Test(made, each_stall_of_such_a_signature_or_process_is_asked_for_its_stacks)
{
        const struct record same = { .type = RECORD_STALL, .run = "b", .stall = { .signature = 5 } };
        const struct record other = { .type = RECORD_STALL, .run = "b", .stall = { .signature = 6 } };
        const struct record of_process = { .type = RECORD_STALL, .run = "a", .stall = { .signature = 6 } };
        add_made(1, 401 * MS, "0x1010");
        cr_expect(analysis_wants_stacks(&analysis, &same));
        add("stall", "b", STALL "," BLOCKED STACK("block", 8), 2, (unsigned long long)(500 * MS), 6);
        cr_expect_not(analysis_wants_stacks(&analysis, &other), "its signature says all");
        cr_expect(analysis_wants_stacks(&analysis, &of_process), "beneath the same frames may be such code");
}

Test(made, a_culprit_that_is_asked_for_is_not_that_of_the_signatures_first)
{
        analysis.filter.culprit = "busyRender";
        add_both();
        cr_expect_eq(analysis.stalls.count, 4);
        cr_expect_eq(analysis.stalls.total_ns, 600 * MS);
        cr_expect_eq(analysis.left_out, 1);
}

Test(analysis, has_the_longest_as_example_though_its_stacks_were_passed_over)
{
        static const char frames[] = "[{\"count\":1,\"frames\":[" CULPRIT("block", 8) "]}]";
        add_stall("a", 1, 100 * MS);
        add_unread(2, 300 * MS, frames);
        add_unread(3, 200 * MS, frames);
        analysis_finish(&analysis);
        const struct analysed_stack *stack = analysis.stacks.entries[0].value;
        cr_assert_eq(analysis.stacks.count, 1);
        cr_expect_eq(stack->example_id, 2);
        cr_expect_eq(stack->example_ns, 300 * MS);
        cr_expect(stack->example_framed);
}

Test(analysis, keeps_its_example_where_the_longest_has_no_frames_after_all)
{
        add_stall("a", 1, 100 * MS);
        add_unread(2, 300 * MS, "[{\"count\":1,\"missing\":\"torn\"}]");
        analysis_finish(&analysis);
        const struct analysed_stack *stack = analysis.stacks.entries[0].value;
        cr_expect_eq(stack->example_id, 1);
        cr_expect(stack->example_framed);
}

Test(analysis, counts_the_causes_of_one_culprit)
{
        add_stall("a", 1, 300 * MS);
        add("stall", "a", STALL ",\"cause\":\"cpu\"" STACK("block", 8), 2, 700 * MS, 6);
        struct groups groups = group(GROUP_CULPRIT);
        cr_assert_eq(groups.count, 1);
        cr_assert_eq(groups.items[0].causes_count, 2);
        cr_expect_eq(groups.items[0].causes[0].cause, RECORD_CPU, "the longest first");
        groups_free(&groups);
}

Test(analysis, groups_what_has_no_stack)
{
        add("stall", "a", STALL ",\"cause\":\"cpu\",\"stacks\":[{\"count\":1,\"missing\":\"no signal\"}]", 1, 300 * MS);
        add("stall", "a", STALL ",\"cause\":\"cpu\",\"stacks\":[{\"count\":1,\"missing\":\"no signal\"}]", 2, 200 * MS);
        struct groups groups = group(GROUP_CULPRIT);
        cr_assert_eq(groups.count, 1);
        cr_expect_null(groups.items[0].culprit.function);
        cr_expect_eq(groups.items[0].stacks, 1);
        groups_free(&groups);
}

Test(analysis, keeps_nothing_of_a_single_stall)
{
        for (int id = 1; id <= 5000; id++) {
                add("stall-begin", "a", STALL "," BLOCKED, id, 100 * MS);
                add_stall("a", id, 100 * MS + (unsigned)id);
        }
        const struct analysed_process *process = analysis.processes.entries[0].value;
        cr_expect_eq(analysis.stalls.count, 5000);
        cr_expect_eq(analysis.stacks.count, 1);
        cr_expect_eq(analysis.units.count, 1);
        cr_expect_eq(process->open_count, 0);
        cr_expect_eq(process->ended.count, 1);
}

/* ---- ranges and medians ---- */

Test(idset, holds_a_run_of_numbers_as_one_range)
{
        struct idset set = { 0 };
        const uint64_t ids[] = { 5, 1, 3, 2, UINT64_MAX, 4 };
        for (size_t i = 0; i < sizeof(ids) / sizeof(*ids); i++) {
                cr_expect_not(idset_has(&set, ids[i]));
                cr_expect(idset_add(&set, ids[i]));
                cr_expect_not(idset_add(&set, ids[i]), "twice");
        }
        cr_assert_eq(set.count, 2);
        cr_expect_eq(set.ranges[0].from, 1);
        cr_expect_eq(set.ranges[0].to, 5);
        cr_expect_not(idset_has(&set, 6));
        cr_expect_not(idset_has(&set, 0));
        idset_free(&set);
}

Test(spread, gives_the_exact_median_of_a_few)
{
        struct spread spread = { 0 };
        cr_expect_eq(spread_median_ns(&spread), 0);
        spread_add(&spread, 700);
        cr_expect_eq(spread_median_ns(&spread), 700);
        spread_add(&spread, 100);
        cr_expect_eq(spread_median_ns(&spread), 400);
        spread_add(&spread, 150);
        cr_expect_eq(spread_median_ns(&spread), 150);
        cr_expect_eq(spread.longest_ns, 700);
        cr_expect_eq(spread.total_ns, 950);
        spread_free(&spread);
}

Test(spread, gives_the_median_of_many_within_two_percent)
{
        struct spread spread = { 0 }, other = { 0 }, few = { 0 };
        for (uint64_t i = 1; i <= 9999; i++)
                spread_add(i % 2 ? &spread : &other, i * MS);
        spread_add(&few, 20000 * MS);
        spread_merge(&spread, &other);
        spread_merge(&spread, &few);
        cr_expect_eq(spread.count, 10000);
        cr_expect_eq(spread.longest_ns, 20000 * MS);
        uint64_t median_ns = spread_median_ns(&spread);
        cr_expect(median_ns > 4900 * MS && median_ns < 5100 * MS, "%llu", (unsigned long long)median_ns);

        struct spread empty = { 0 };
        spread_merge(&empty, &spread);
        cr_expect_eq(spread_median_ns(&empty), median_ns);
        spread_free(&spread);
        spread_free(&other);
        spread_free(&few);
        spread_free(&empty);
}

Test(spread, gives_percentiles_by_nearest_rank)
{
        struct spread spread = { 0 };
        cr_expect_eq(spread_permille_ns(&spread, 990), 0);
        for (uint64_t i = 50; i > 0; i--)
                spread_add(&spread, i * MS);
        cr_expect_eq(spread_permille_ns(&spread, 500), 25 * MS);
        cr_expect_eq(spread_permille_ns(&spread, 980), 49 * MS);
        cr_expect_eq(spread_permille_ns(&spread, 990), 50 * MS);
        cr_expect_eq(spread_permille_ns(&spread, 0), 1 * MS);
        for (uint64_t i = 51; i <= 1000; i++)
                spread_add(&spread, i * MS);
        uint64_t p99_ns = spread_permille_ns(&spread, 990);
        cr_expect(p99_ns > 970 * MS && p99_ns < 1000 * MS, "%llu", (unsigned long long)p99_ns);
        cr_expect_eq(spread_permille_ns(&spread, 1000), 1000 * MS);
        spread_free(&spread);
}

Test(spread, takes_any_duration)
{
        struct spread spread = { 0 };
        for (int i = 0; i < 200; i++)
                spread_add(&spread, i % 2 ? UINT64_MAX : 0);
        cr_expect_eq(spread_median_ns(&spread), 0);
        spread_add(&spread, UINT64_MAX);
        spread_add(&spread, UINT64_MAX);
        cr_expect_gt(spread_median_ns(&spread), UINT64_MAX / 100 * 98);
        spread_free(&spread);
}
