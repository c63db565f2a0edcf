/* SPDX-License-Identifier: Apache-2.0
 *
 * test_top_model.c - tools/top without a terminal: what is known, rows in order, frames as text and JSON, keys
 *
 * Context: unit test
 */
#include <criterion/criterion.h>
#include <criterion/redirect.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "read/input.h"
#include "read/parse.h"
#include "top/detail.h"
#include "top/fold_lines.h"
#include "top/frame.h"
#include "top/ui.h"

#define MS UINT64_C(1000000)
#define SECOND (1000 * MS)
#define NOON UINT64_C(1795348800000000000) /* CLOCK_REALTIME at which all of it begins */

static struct top_model model;
static struct rows rows[ROWS_PANES];
static struct rows_view view;
static struct ui ui;
static const struct ui_room room = { .rows = { 5, 5 }, .lines = 20, .text_lines = 50 };

static bool gone; /* whether processes are */

static enum top_state state_of(void *context, const struct top_process *process)
{
        return gone ? TOP_GONE : TOP_RUNS;
}

static void begin(void)
{
        model.state_of = state_of;
        model.filter.symbolizer = symbolizer_new(NULL);
}

static void end(void)
{
        symbolizer_free(model.filter.symbolizer);
        rows_free(rows);
        top_model_free(&model);
}

TestSuite(top, .init = begin, .fini = end);

/* ---- records ---- */

/* A record of run `run`, written `at_ms` after noon, with these further fields. */
__attribute__((format(printf, 4, 5))) static void add(const char *type, const char *run, unsigned at_ms,
                                                      const char *fields, ...)
{
        char moment[40], more[4096], line[8192], why[256];
        struct text text = TEXT_IN(moment);
        struct parsed parsed;
        va_list arguments;
        text_time(&text, NOON + at_ms * MS);
        va_start(arguments, fields);
        vsnprintf(more, sizeof(more), fields, arguments);
        va_end(arguments);
        int length = snprintf(line, sizeof(line),
                              "{\"v\":1,\"type\":\"%s\",\"time\":\"%s\",\"host\":\"web1\",\"pid\":42,\"run\":\"%s\","
                              "\"program\":\"shop\"%s%s}",
                              type, moment, run, more[0] ? "," : "", more);
        cr_assert_eq(parse_record(&parsed, line, (size_t)length, why, sizeof(why)), 0, "%s: %s", why, line);
        top_model_add(&model, &parsed.record, line, (size_t)length);
        parsed_free(&parsed);
}

static void add_stall_of(const char *type, const char *run, unsigned begin_ms, unsigned duration_ms, unsigned id,
                         const char *function, const char *more)
{
        char moment[40];
        struct text text = TEXT_IN(moment);
        text_time(&text, NOON + begin_ms * MS);
        add(type, run, begin_ms + duration_ms,
            "\"id\":%u,\"begin\":\"%s\",\"tid\":7,\"thread\":\"main\",\"loop\":\"epoll:5\",\"threshold_ns\":100000000,"
            "\"duration_ns\":%llu,\"cause\":\"blocked\",\"detail\":{\"call\":\"read\"},\"culprit\":{\"lang\":"
            "\"python\","
            "\"function\":\"%s\",\"file\":\"/srv/shop/app.py\",\"line\":8}%s",
            id, moment, (unsigned long long)(duration_ms * MS), function, more);
}

static void add_stall(const char *run, unsigned begin_ms, unsigned duration_ms, unsigned id, const char *function)
{
        add_stall_of("stall", run, begin_ms, duration_ms, id, function, "");
}

static void add_begin(const char *run, unsigned begin_ms, unsigned id, const char *function)
{
        add_stall_of("stall-begin", run, begin_ms, 100, id, function, "");
}

/* A loop that has had so many iterations of 10 ms, and one of 1 s in each of `slow`. */
static void add_loop(const char *run, unsigned at_ms, const char *name, unsigned iterations, unsigned slow)
{
        unsigned busy_ms = iterations * 10 + slow * 1000;
        add("loop", run, at_ms,
            "\"tid\":7,\"thread\":\"main\",\"loop\":\"%s\",\"iterations\":%u,\"busy_ns\":%llu,\"idle_ns\":%llu,"
            "\"outside_ns\":0,\"stalls\":0,\"stall_ns\":0,\"longest_ns\":0,\"buckets\":[{\"from_ns\":9961472,\"count\":"
            "%u}"
            "%s",
            name, iterations + slow, (unsigned long long)(busy_ms * MS),
            (unsigned long long)((at_ms > busy_ms ? at_ms - busy_ms : 0) * MS), iterations,
            slow ? ",{\"from_ns\":973078528,\"count\":1}]" : "]");
}

static const struct top_loop *loop_named(const char *name)
{
        for (size_t i = 0; i < model.loops.count; i++) {
                const struct top_loop *loop = model.loops.entries[i].value;
                if (strcmp(loop->name, name) == 0)
                        return loop;
        }
        cr_assert(false, "no loop %s", name);
        abort();
}

static const struct top_process *process_of(const char *run)
{
        return map_find_string(&model.processes, run);
}

static void make_rows(unsigned now_ms)
{
        rows_free(rows);
        rows_make(rows, &model, &view, NOON + now_ms * MS);
}

static char *text_of(void (*write)(const struct frame *frame, FILE *out), unsigned now_ms, unsigned columns)
{
        static char *text;
        size_t length;
        free(text);
        make_rows(now_ms);
        const struct frame frame = {
                .model = &model, .view = &view, .rows = rows, .now_ns = NOON + now_ms * MS, .columns = columns
        };
        FILE *out = open_memstream(&text, &length);
        write(&frame, out);
        fclose(out);
        return text;
}

/* ---- stalls ---- */

Test(top, shows_a_stall_in_progress_as_it_grows_until_it_ends)
{
        add_begin("a", 1000, 1, "block");
        make_rows(1100);
        cr_assert_eq(rows[ROWS_STALLS].count, 1);
        const struct top_open *open = rows[ROWS_STALLS].items[0].open;
        cr_expect_eq(top_open_ns(open, NOON + 1100 * MS), 100 * MS);
        cr_expect_eq(top_open_ns(open, NOON + 4300 * MS), 3300 * MS);
        cr_expect_eq(top_open_ns(open, NOON), 100 * MS, "whatever the clocks say it was seen for so long");
        cr_expect_str_eq(open->culprit, "block() at app.py:8");
        cr_expect_eq(row_lag_ns(loop_named("epoll:5"), NOON + 4300 * MS), 3300 * MS);
        cr_expect_eq(top_model_open(&model), 1);
        cr_expect_eq(model.stalls.count, 0);

        add_stall("a", 1000, 3500, 1, "block");
        make_rows(4600);
        cr_assert_eq(rows[ROWS_STALLS].count, 1);
        cr_expect_null(rows[ROWS_STALLS].items[0].open);
        cr_expect_eq(rows[ROWS_STALLS].items[0].culprit->stalls.total_ns, 3500 * MS);
        cr_expect_eq(loop_named("epoll:5")->stalling_ns, 0);
        cr_expect_eq(top_model_open(&model), 0);
}

Test(top, counts_a_stall_once_however_often_and_in_which_order_it_is_read)
{
        for (int i = 0; i < 2; i++) {
                add_stall("a", 1000, 500, 1, "block");
                add_begin("a", 1000, 1, "block");
        }
        cr_expect_eq(model.stalls.count, 1);
        cr_expect_eq(top_model_open(&model), 0);
        add_stall("b", 1000, 500, 1, "block");
        cr_expect_eq(model.stalls.count, 2, "of another process");
}

Test(top, takes_back_what_was_no_stall_and_counts_the_start_up_and_suspensions_apart)
{
        add_begin("a", 1000, 1, "block");
        add_stall_of("stall", "a", 1000, 500, 1, "block", ",\"end\":\"left\"");
        add_stall_of("stall-begin", "a", 2000, 100, 2, "import", ",\"phase\":\"startup\"");
        cr_expect_eq(top_model_open(&model), 0);
        make_rows(2500);
        cr_assert_eq(rows[ROWS_STALLS].count, 1);
        cr_expect(rows[ROWS_STALLS].items[0].open->startup);
        add_stall_of("stall", "a", 2000, 900, 2, "import", ",\"phase\":\"startup\"");
        add("stall", "a", 5000, "\"id\":3,\"tid\":7,\"duration_ns\":1000000000,\"cause\":\"suspended\"");
        make_rows(5000);
        cr_expect_eq(rows[ROWS_STALLS].count, 0);
        cr_expect_eq(model.stalls.count, 0);
        cr_expect_eq(model.startup, 1);
        cr_expect_eq(model.suspended, 1);
        cr_expect(strstr(text_of(frame_text, 5000, 0), "no stalls, 1 at start-up, 1 suspended\n"));
}

Test(top, adds_up_by_culprit_and_keeps_the_longest_that_has_stacks)
{
        add_stall("a", 1000, 200, 1, "block");
        add_stall("b", 2000, 700, 1, "block");
        add_stall_of("stall", "a", 3000, 900, 2, "block", ",\"stacks_omitted\":true");
        add_stall("a", 4000, 300, 3, "spin");
        make_rows(5000);
        cr_assert_eq(rows[ROWS_STALLS].count, 2);
        const struct top_culprit *block = rows[ROWS_STALLS].items[0].culprit;
        cr_expect_str_eq(block->name, "block() at app.py:8");
        cr_expect_eq(block->stalls.count, 3);
        cr_expect_eq(block->stalls.longest_ns, 900 * MS);
        cr_expect_eq(block->last_ns, NOON + 3900 * MS);
        cr_expect_eq(block->example_ns, 700 * MS);
        cr_expect(strstr(block->example.line, "\"run\":\"b\""));
}

Test(top, leaves_out_what_the_filter_does_not_take)
{
        model.filter.culprit = "spin";
        model.filter.min_ns = 250 * MS;
        add_begin("a", 1000, 1, "block");
        add_begin("a", 1000, 2, "spin");
        cr_expect_eq(top_model_open(&model), 1, "it is not known yet whether it will be long enough");
        add_stall("a", 1000, 500, 1, "block");
        add_stall("a", 1000, 200, 2, "spin");
        cr_expect_eq(model.stalls.count, 0);
        add_stall("a", 2000, 300, 3, "spin");
        cr_expect_eq(model.stalls.count, 1);
}

Test(top, takes_only_the_processes_that_were_named)
{
        static const int32_t pids[] = { 41 };
        model.pids = pids;
        model.pids_count = 1;
        add_stall("a", 1000, 500, 1, "block");
        cr_expect_eq(model.processes.count, 0);
        cr_expect_eq(model.stalls.count, 0);
}

/* ---- processes that end ---- */

Test(top, counts_a_stall_of_a_killed_process_up_to_what_was_last_heard_of_it)
{
        add_begin("a", 1000, 1, "block");
        add_loop("a", 3000, "poll", 1, 0);
        top_model_tick(&model, NOON + 5000 * MS);
        cr_expect_eq(top_model_open(&model), 1, "it runs");
        gone = true;
        top_model_tick(&model, NOON + 3100 * MS);
        cr_expect_eq(top_model_open(&model), 1, "its last words may be on their way");
        top_model_tick(&model, NOON + 6000 * MS);
        cr_expect_eq(top_model_open(&model), 0);
        cr_expect_eq(process_of("a")->state, TOP_GONE);
        cr_expect_eq(model.never_ended, 1);
        cr_expect_eq(model.stalls.longest_ns, 2000 * MS);
        add_stall("a", 1000, 8000, 1, "block");
        cr_expect_eq(model.stalls.count, 1, "it has been counted");
}

/* In a container with our host's name, /proc shows other processes than those of the records. */
Test(top, believes_records_more_than_proc)
{
        gone = true;
        add_loop("a", 1000, "poll", 1, 0);
        top_model_tick(&model, NOON + 2000 * MS);
        cr_expect_eq(process_of("a")->state, TOP_GONE);
        add_loop("a", 3000, "poll", 2, 0);
        top_model_tick(&model, NOON + 9000 * MS);
        cr_expect_eq(process_of("a")->state, TOP_RUNS);
}

Test(top, knows_an_exit_from_one_behind_which_the_process_goes_on)
{
        add_begin("a", 1000, 1, "block");
        add("exit", "a", 2000, "\"reason\":\"exec\"");
        cr_expect_eq(process_of("a")->state, TOP_ENDED_WELL);
        cr_expect_eq(top_model_open(&model), 0);
        add_loop("a", 3000, "poll", 1, 0);
        cr_expect_eq(process_of("a")->state, TOP_RUNS);
        add("exit", "a", 500, "\"reason\":\"exec\"");
        cr_expect_eq(process_of("a")->state, TOP_RUNS, "an old line that is read late");
}

/* ---- loops ---- */

Test(top, tells_what_a_loop_did_between_its_last_two_records)
{
        add_loop("a", 10000, "poll", 100, 0);
        const struct top_loop *loop = loop_named("poll");
        cr_expect_eq(loop->span.busy_ns, 1000 * MS);
        add_loop("a", 12000, "poll", 150, 1);
        cr_expect_eq(loop->span.length_ns, 2 * SECOND);
        cr_expect_eq(loop->span.iterations, 51);
        cr_expect_eq(loop->span.busy_ns, 1500 * MS);
        cr_expect_eq(loop->span.idle_ns, 500 * MS);
        cr_expect_gt(row_lag_ns(loop, NOON + 12000 * MS), 970 * MS);
        add_loop("a", 13000, "poll", 151, 1);
        cr_expect_lt(row_lag_ns(loop, NOON + 13000 * MS), 11 * MS, "the long one was before");
        add_loop("a", 12500, "poll", 150, 1);
        cr_expect_eq(loop->told_ns, NOON + 13000 * MS, "older records say nothing new");
        add_loop("a", 14000, "poll", 2, 0);
        cr_expect_eq(loop->span.iterations, 2, "another loop of the same name");
}

Test(top, says_that_a_loop_rests_only_when_its_silence_says_so)
{
        add_loop("a", 10000, "poll", 100, 0);
        add_loop("a", 20000, "poll", 200, 0);
        const struct top_loop *loop = loop_named("poll");
        cr_expect_eq(top_loop_rests_ns(loop, NOON + 29000 * MS), 0, "the next record is not due yet");
        cr_expect_eq(top_loop_rests_ns(loop, NOON + 33000 * MS), 13 * SECOND);
        add_loop("a", 34000, "poll", 300, 0);
        add_loop("a", 35000, "poll", 310, 0);
        cr_expect_eq(top_loop_rests_ns(loop, NOON + 37000 * MS), 0);
        cr_expect_eq(top_loop_rests_ns(loop, NOON + 39000 * MS), 4 * SECOND, "they come every second");
        cr_expect(strstr(text_of(frame_text, 39000, 0), "  idle  "));
        gone = true;
        top_model_tick(&model, NOON + 40000 * MS);
        cr_expect_eq(top_loop_rests_ns(loop, NOON + 41000 * MS), 0);
        cr_expect(strstr(text_of(frame_text, 41000, 0), "  gone  "));
}

/* ---- limits ---- */

Test(top, forgets_what_was_silent_longest_and_says_how_much)
{
        char run[32];
        for (unsigned i = 0; i < TOP_ENDED + 50; i++) {
                snprintf(run, sizeof(run), "ended%u", i);
                add_loop(run, 1000 + i, "poll", 1, 0);
                add("exit", run, 2000 + i, "\"reason\":\"exit\"");
        }
        for (unsigned i = 0; i < TOP_PROCESSES + 10; i++) {
                snprintf(run, sizeof(run), "runs%u", i);
                add_loop(run, 5000 + i, "poll", 1, 0);
        }
        top_model_tick(&model, NOON + 10000 * MS);
        cr_expect_eq(model.processes.count, TOP_PROCESSES);
        cr_expect_eq(model.loops.count, TOP_PROCESSES);
        cr_expect_null(process_of("ended0"));
        cr_expect_null(process_of("runs9"));
        cr_expect_not_null(process_of("runs10"));
        cr_expect_eq(model.forgotten.processes, 10);
        cr_expect(strstr(text_of(frame_text, 10000, 0), ", 10 rows too many\n"));
}

Test(top, holds_a_limited_number_of_loops_culprits_and_stalls_in_progress)
{
        char name[32];
        for (unsigned i = 0; i < TOP_LOOPS + 10; i++) {
                snprintf(name, sizeof(name), "epoll:%u", i);
                add_loop("a", 1000 + i, name, 1, 0);
        }
        for (unsigned i = 0; i < TOP_CULPRITS + 10; i++) {
                snprintf(name, sizeof(name), "f%u", i);
                add_stall("a", 1000, 200 + i, i + 1, name);
        }
        for (unsigned i = 0; i < TOP_OPEN + 10; i++)
                add_begin("a", 1000, 10000 + i, "block");
        top_model_tick(&model, NOON + 2000 * MS);
        cr_expect_leq(model.loops.count, TOP_LOOPS);
        cr_expect_leq(model.culprits.count, TOP_CULPRITS);
        cr_expect_eq(top_model_open(&model), TOP_OPEN);
        cr_expect_eq(model.forgotten.stalls, 10);
        cr_expect_eq(model.stalls.count, TOP_CULPRITS + 10, "the sums stay");
        make_rows(2000);
        snprintf(name, sizeof(name), "f%u() at app.py:8", TOP_CULPRITS + 9);
        cr_expect_str_eq(rows[ROWS_STALLS].items[TOP_OPEN].culprit->name, name, "and what was worst");
}

Test(top, forgets_also_while_years_of_records_are_read)
{
        char run[32];
        for (unsigned i = 0; i < 5 * TOP_PROCESSES; i++) {
                snprintf(run, sizeof(run), "run%u", i);
                add_loop(run, 1000 + i, "poll", 1, 0);
        }
        cr_expect_leq(model.processes.count, 2 * TOP_PROCESSES);
        cr_expect_leq(model.loops.count, 2 * TOP_PROCESSES);
}

/* Code made at run time has no part in the signature: the next may be another function's. */
Test(top, asks_each_stall_in_code_made_at_run_time_for_its_stacks)
{
#define NODE "{\"lang\":\"native\",\"function\":\"main\",\"module\":\"/none/node\",\"offset\":\"0x100\"}"
#define SIGNED(id, signature, innermost)                                                                               \
        "\"id\":" #id ",\"begin\":\"2026-11-22T20:15:03Z\",\"tid\":7,\"thread\":\"main\",\"loop\":\"epoll:5\","        \
        "\"duration_ns\":200000000,\"cause\":\"cpu\",\"signature\":\"000000000000000" #signature                       \
        "\",\"culprit\":" NODE ",\"stacks\":[{\"count\":1,\"complete\":true,\"frames\":[" innermost NODE "]}]"
        struct record_frame culprit = { .lang = RECORD_NATIVE };
        struct record record = { .type = RECORD_STALL, .stall = { .culprit = &culprit } };
        add("stall", "a", 1000, SIGNED(1, 5, "{\"lang\":\"jit\",\"offset\":\"0x1010\"},"));
        add("stall", "b", 2000, SIGNED(2, 6, ""));
        record.stall.signature = 5;
        cr_expect(top_model_wants_stacks(&model, &record));
        record.stall.signature = 6;
        cr_expect_not(top_model_wants_stacks(&model, &record), "its culprit is remembered");
        record.stall.signature = 7;
        culprit.lang = RECORD_JIT;
        cr_expect(top_model_wants_stacks(&model, &record), "without a name it has to be asked for");
#undef SIGNED
#undef NODE
}

/* ---- rows ---- */

static void some_stalls(void)
{
        add_stall("a", 1000, 900, 1, "rare");
        for (unsigned i = 0; i < 5; i++)
                add_stall("a", 3000 + i * 1000, 200, 2 + i, "often");
        add_stall("a", 2000, 150, 20, "little");
        add_begin("b", 9000, 1, "now");
        add_begin("c", 8000, 1, "longer");
}

static const char *culprit_in(size_t row)
{
        static char name[64];
        const struct row *it = &rows[ROWS_STALLS].items[row];
        snprintf(name, sizeof(name), "%s", it->open ? it->open->culprit : it->culprit->name);
        name[strcspn(name, "(")] = '\0';
        return name;
}

static void expect_order(int order, bool reversed, const char *names)
{
        char got[256] = "";
        view.order[ROWS_STALLS] = order;
        view.reversed[ROWS_STALLS] = reversed;
        make_rows(10000);
        for (size_t i = 0; i < rows[ROWS_STALLS].count; i++) {
                strcat(got, i > 0 ? " " : "");
                strcat(got, culprit_in(i));
        }
        cr_expect_str_eq(got, names);
}

Test(top, sorts_stalls_with_those_in_progress_first)
{
        some_stalls();
        expect_order(STALLS_BY_LOST, false, "longer now often rare little");
        expect_order(STALLS_BY_LOST, true, "longer now little rare often");
        expect_order(STALLS_BY_COUNT, false, "longer now often little rare");
        expect_order(STALLS_BY_LONGEST, false, "longer now rare often little");
        expect_order(STALLS_BY_LAST, false, "longer now often little rare");
        expect_order(STALLS_BY_NAME, false, "longer now little often rare");
        expect_order(STALLS_BY_NAME, true, "longer now rare often little");
        strcpy(view.filter, "RARE");
        expect_order(STALLS_BY_LOST, false, "rare");
        strcpy(view.filter, "app.py");
        expect_order(STALLS_BY_LOST, false, "longer now often rare little");
        strcpy(view.filter, "no such");
        expect_order(STALLS_BY_LOST, false, "");
}

Test(top, sorts_loops_with_those_of_ended_processes_last)
{
        add_loop("a", 10000, "quick", 100, 0);
        add_loop("b", 10000, "slow", 10, 1);
        add_loop("c", 10000, "over", 10, 3);
        add("exit", "c", 10001, "\"reason\":\"exit\"");
        make_rows(10000);
        cr_assert_eq(rows[ROWS_LOOPS].count, 3);
        cr_expect_str_eq(rows[ROWS_LOOPS].items[0].loop->name, "slow");
        cr_expect_str_eq(rows[ROWS_LOOPS].items[2].loop->name, "over");
        add_begin("a", 9950, 1, "block"); /* on a loop called epoll:5 */
        view.order[ROWS_LOOPS] = LOOPS_BY_BUSY;
        make_rows(10000);
        cr_expect_str_eq(rows[ROWS_LOOPS].items[0].loop->name, "epoll:5");
        cr_expect_str_eq(rows[ROWS_LOOPS].items[1].loop->name, "slow");
        view.reversed[ROWS_LOOPS] = true;
        make_rows(10000);
        cr_expect_str_eq(rows[ROWS_LOOPS].items[3].loop->name, "over");
}

/* ---- frames ---- */

Test(top, writes_a_frame_for_a_log)
{
        add_loop("a", 10000, "epoll:5", 100, 0);
        add_loop("a", 12000, "epoll:5", 150, 0);
        add_stall("a", 8000, 620, 1, "block");
        add_begin("b", 11000, 3, "spin");
        cr_expect_str_eq(
                text_of(frame_text, 12500, 0),
                "loopdog top  2026-11-22 12:00:12 UTC  2 processes, 2 loops\n"
                "1 STALLED NOW; 1 stall, 620 ms lost, longest 620 ms\n"
                "    busy      lag      p99  stalls    lost  told  loop\n"
                "   STALL    1.5 s        -       0       -     -  shop 42 on web1, epoll:5\n"
                "  25.0 %  10.3 ms  10.3 ms       1  620 ms   0 s  shop 42 on web1, epoll:5\n"
                "    lost  count  longest     p99  last  cause            culprit\n"
                "   1.5 s    NOW        -       -   1 s  blocked in read  spin() at app.py:8, shop 42 on web1\n"
                "  620 ms      1   620 ms  620 ms   3 s  blocked in read  block() at app.py:8\n"
                "\n");
}

Test(top, fits_into_any_width)
{
        char *text;
        some_stalls();
        add_loop("a", 10000, "epoll:5", 100, 0);
        for (unsigned columns = 1; columns < 200; columns += 7) {
                text = text_of(frame_text, 12000, columns);
                for (char *line = strtok(text, "\n"); columns >= 60 && line; line = strtok(NULL, "\n")) {
                        size_t width = 0;
                        for (const char *at = line; *at; at++)
                                width += (*at & 0xc0) != 0x80;
                        cr_expect_leq(width, columns < 66 ? 66 : columns, "%u: %s", columns, line);
                }
        }
}

static void check_plain(const char *text)
{
        for (const char *at = text; *at; at++)
                cr_assert((unsigned char)*at >= ' ' || *at == '\n', "a control character in %s", text);
        cr_expect(!strstr(text, "\x7f"));
}

Test(top, shows_nothing_of_a_record_that_moves_the_cursor)
{
        static const char hostile[] = "\\u001b[2Jevil\\u0007\\r\\n\\u009b31m\\u202e";
        add_stall("a", 1000, 500, 1, hostile);
        add_begin("a\\u001b[1m", 1000, 2, hostile);
        add_loop("a", 2000, hostile, 10, 0);
        check_plain(text_of(frame_text, 3000, 80));
        check_plain(text_of(frame_text, 3000, 0));
        cr_expect(!strstr(text_of(frame_text, 3000, 0), "\xc2\x9b"), "CSI in one character");
        check_plain(text_of(frame_json, 3000, 0));
        make_rows(3000);
        top_model_watch(&model, &rows[ROWS_STALLS].items[0].open->line);
        char *detail = detail_text(&model, NOON + 3000 * MS, 80, false);
        check_plain(detail);
        free(detail);
}

Test(top, writes_a_frame_as_a_line_of_json)
{
        add_loop("a", 10000, "epoll:5", 100, 0);
        add_loop("a", 12000, "epoll:5", 150, 0);
        add_stall("a", 8000, 620, 1, "block");
        add_begin("b", 11000, 3, "spin");
        const char *text = text_of(frame_json, 12500, 0);
        cr_expect_eq(strchr(text, '\n'), text + strlen(text) - 1);
        json_t *frame = json_loads(text, 0, NULL), *open, *loop, *culprit;
        cr_assert_not_null(frame);
        cr_assert_eq(json_array_size(json_object_get(frame, "open")), 1);
        open = json_array_get(json_object_get(frame, "open"), 0);
        cr_expect_str_eq(json_string_value(json_object_get(open, "run")), "b");
        cr_expect_eq(json_integer_value(json_object_get(open, "duration_ns")), 1500 * MS);
        cr_expect_str_eq(json_string_value(json_object_get(open, "culprit")), "spin() at app.py:8");
        loop = json_array_get(json_object_get(frame, "loops"), 0);
        cr_expect(json_is_true(json_object_get(loop, "stalled")));
        loop = json_array_get(json_object_get(frame, "loops"), 1);
        cr_expect_float_eq(json_real_value(json_object_get(loop, "utilisation")), 0.25, 1e-9);
        culprit = json_array_get(json_object_get(frame, "culprits"), 0);
        cr_expect_eq(json_integer_value(json_object_get(culprit, "total_ns")), 620 * MS);
        json_decref(frame);
}

/* ---- the open stall ---- */

Test(top, keeps_the_stall_that_is_open_up_to_its_end)
{
        add_begin("a", 1000, 1, "block");
        make_rows(2000);
        top_model_watch(&model, &rows[ROWS_STALLS].items[0].open->line);
        char *text = detail_text(&model, NOON + 3000 * MS, 80, false);
        cr_expect(strstr(text, "still stalled after 2 s in block()"), "%s", text);
        cr_expect(strstr(text, "at least 2 s"));
        free(text);
        add_stall("a", 1000, 4000, 1, "block");
        add_stall("a", 6000, 500, 2, "block");
        text = detail_text(&model, NOON + 9000 * MS, 80, false);
        cr_expect(strstr(text, "stall 4 s in block()"), "%s", text);
        free(text);
}

Test(top, lets_the_open_stall_of_a_dead_process_grow_no_more)
{
        add_begin("a", 1000, 1, "block");
        add_loop("a", 1500, "poll", 1, 0);
        make_rows(2000);
        top_model_watch(&model, &rows[ROWS_STALLS].items[0].open->line);
        gone = true;
        top_model_tick(&model, NOON + 5000 * MS);
        char *text = detail_text(&model, NOON + 90000 * MS, 80, false);
        cr_expect(strstr(text, "at least 500 ms"), "%s", text);
        free(text);
}

/* ---- long lines ---- */

static void expect_wrapped(const char *text, unsigned columns, const char *expected)
{
        char *wrapped = fold_lines(text, columns);
        cr_expect_str_eq(wrapped, expected);
        free(wrapped);
}

Test(top, breaks_long_lines_between_words)
{
        expect_wrapped("short\n\n  indented\n", 20, "short\n\n  indented\n");
        expect_wrapped("exactly twenty chars\n", 20, "exactly twenty chars\n");
        expect_wrapped("one more than twenty c\n", 20, "one more than twenty\n        c\n");
        expect_wrapped("abcdefghijklmnopqrstuvwxyz\n", 20, "abcdefghijkl\n        mnopqrstuvwx\n        yz\n");
        expect_wrapped("a \033[1;31mred line of some words\033[0m end\n", 20,
                       "a \033[1;31mred line of some\033[0m\n        \033[1;31mwords\033[0m end\n");
        expect_wrapped("\xc3\xa4\xc3\xb6\xc3\xbc\xc3\xa4\xc3\xb6\xc3\xbc sixteen more ones\n", 20,
                       "\xc3\xa4\xc3\xb6\xc3\xbc\xc3\xa4\xc3\xb6\xc3\xbc sixteen more\n        ones\n");
        expect_wrapped("no room for words at all", 19, "no room for words at all");
        cr_expect_eq(count_lines("a\nb\n"), 2);
}

/* ---- keys ---- */

static enum ui_wish press(uint32_t key)
{
        enum ui_wish wish = ui_key(&ui, key, rows, &room);
        view = ui.view;
        make_rows(10000);
        ui_settle(&ui, rows, &room);
        return wish;
}

Test(top, selects_and_opens_a_stall_by_keys)
{
        some_stalls();
        ui.focus = ROWS_STALLS;
        make_rows(10000);
        ui_settle(&ui, rows, &room);
        press(UI_KEY_DOWN);
        press('j');
        cr_expect_str_eq(culprit_in(ui.selected[ROWS_STALLS]), "often");
        add_stall("a", 20000, 5000, 50, "rare"); /* now worse than the one that is selected */
        make_rows(10000);
        ui_settle(&ui, rows, &room);
        cr_expect_str_eq(culprit_in(ui.selected[ROWS_STALLS]), "often", "the same, wherever it stands");
        cr_expect_eq(press(UI_KEY_ENTER), UI_OPEN);
        cr_expect_eq(ui.mode, UI_STALL);
        press(UI_KEY_DOWN);
        cr_expect_eq(ui.scroll, 1);
        press(UI_KEY_END);
        cr_expect_eq(ui.scroll, 30);
        press('q');
        cr_expect_eq(ui.mode, UI_TABLES);
        cr_expect(!ui.quit);
        press('q');
        cr_expect(ui.quit);
}

static uint64_t selected_id(void)
{
        const struct row *row = ui_selected(&ui, rows);
        cr_assert(row && row->open, "no stall in progress is selected");
        return row->open->id;
}

Test(top, tells_the_stalls_in_progress_of_one_process_apart)
{
        for (unsigned id = 1; id <= 3; id++)
                add_begin("a", 1000 * id, id, "block");
        ui.focus = ROWS_STALLS;
        make_rows(10000);
        ui_settle(&ui, rows, &room);
        press(UI_KEY_DOWN);
        cr_expect_eq(selected_id(), 2);
        press(UI_KEY_DOWN);
        cr_expect_eq(selected_id(), 3);
        press(UI_KEY_UP);
        cr_expect_eq(selected_id(), 2);
        add_stall("a", 1000, 9500, 1, "block");
        make_rows(11000);
        ui_settle(&ui, rows, &room);
        cr_expect_eq(selected_id(), 2, "the same, though it is the first now");
}

Test(top, opens_no_stall_of_a_loop_that_has_none)
{
        add_loop("a", 10000, "poll", 100, 0);
        ui.focus = ROWS_LOOPS;
        make_rows(10000);
        cr_expect_eq(press(UI_KEY_ENTER), UI_NOTHING);
        cr_expect_eq(ui.mode, UI_TABLES);
        cr_expect_not_null(ui.message);
        press(UI_KEY_TAB);
        cr_expect_eq(ui.focus, ROWS_STALLS);
        cr_expect_null(ui.message);
        cr_expect_eq(press(UI_KEY_ENTER), UI_NOTHING, "there is no row");
}

Test(top, sorts_reverses_pauses_and_helps_by_keys)
{
        some_stalls();
        ui.focus = ROWS_STALLS;
        make_rows(10000);
        press('s');
        cr_expect_eq(ui.view.order[ROWS_STALLS], STALLS_BY_COUNT);
        cr_expect_eq(ui.view.order[ROWS_LOOPS], LOOPS_BY_LAG, "each table has its own");
        press('<');
        press('<');
        cr_expect_eq(ui.view.order[ROWS_STALLS], STALLS_BY_NAME);
        press('r');
        cr_expect(ui.view.reversed[ROWS_STALLS]);
        press('p');
        cr_expect(ui.paused);
        press('?');
        cr_expect_eq(ui.mode, UI_HELP);
        press('?');
        cr_expect_eq(ui.mode, UI_TABLES);
        press('p');
        cr_expect(!ui.paused);
        cr_expect_eq(press(UI_KEY_REDRAW), UI_REDRAW);
        press('x');
        cr_expect_not_null(ui.message);
}

Test(top, filters_while_it_is_typed)
{
        some_stalls();
        ui.focus = ROWS_STALLS;
        make_rows(10000);
        press('/');
        press('q'); /* a letter like any other */
        press(UI_KEY_BACKSPACE);
        press('r');
        press('a');
        cr_expect_eq(rows[ROWS_STALLS].count, 1);
        cr_expect_eq(ui.mode, UI_FILTER);
        press(UI_KEY_ENTER);
        cr_expect_eq(ui.mode, UI_TABLES);
        cr_expect_str_eq(ui.view.filter, "ra");
        press('/');
        press(0x20ac);
        press(0x1f600);
        cr_expect_str_eq(ui.view.filter, "ra\xe2\x82\xac\xf0\x9f\x98\x80");
        press(UI_KEY_BACKSPACE);
        press(UI_KEY_BACKSPACE);
        press(UI_KEY_BACKSPACE);
        cr_expect_str_eq(ui.view.filter, "r");
        press(UI_KEY_ESCAPE);
        cr_expect_str_eq(ui.view.filter, "ra", "as it was");
        press(UI_KEY_ESCAPE);
        cr_expect_str_eq(ui.view.filter, "");
        press('/');
        for (int i = 0; i < 2 * ROWS_FILTER_BYTES; i++)
                press('x');
        cr_expect_eq(strlen(ui.view.filter), ROWS_FILTER_BYTES - 1);
}

Test(top, divides_a_screen_of_any_height)
{
        struct rows many[ROWS_PANES] = { { .count = 100 }, { .count = 100 } };
        struct rows few[ROWS_PANES] = { { .count = 100 }, { .count = 2 } };
        struct ui_room got;
        for (size_t lines = 0; lines < 100; lines++) {
                ui_layout(&ui, lines, many, &got);
                size_t used = got.rows[0] + got.rows[1] + 2 + got.gap + 3;
                cr_expect(lines < 9 ? got.rows[0] + 4 <= lines || got.rows[0] == 0 : used == lines, "%zu", lines);
        }
        ui_layout(&ui, 24, many, &got);
        cr_expect_eq(got.rows[ROWS_LOOPS], 9);
        cr_expect_eq(got.rows[ROWS_STALLS], 9);
        ui_layout(&ui, 24, few, &got);
        cr_expect_eq(got.rows[ROWS_LOOPS], 16);
        cr_expect_eq(got.rows[ROWS_STALLS], 2);
}
