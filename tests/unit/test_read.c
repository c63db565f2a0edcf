/* SPDX-License-Identifier: Apache-2.0
 *
 * test_read.c - tools/read: lines, records out of lines, and files that grow
 *
 * Context: unit test
 */
#include <criterion/criterion.h>
#include <criterion/redirect.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/limits.h"
#include "read/follow.h"
#include "read/input.h"
#include "read/lines.h"
#include "read/parse.h"
#include "read/scan.h"
#include "record/record.h"

#define COMMON_OF(host)                                                                                                \
        "\"v\":1,\"time\":\"2026-11-22T20:15:03.620700Z\",\"host\":\"" host "\",\"pid\":42,"                           \
        "\"run\":\"b1946ac92492d234\",\"program\":\"uvicorn\""
#define COMMON COMMON_OF("web1")
#define PROCESS "{\"type\":\"process\"," COMMON "}"

static char folder[64];

static void make_folder(void)
{
        strcpy(folder, "/tmp/loopdog-read.XXXXXX");
        cr_assert_not_null(mkdtemp(folder));
}

static void remove_folder(void)
{
        char command[128];
        snprintf(command, sizeof(command), "rm -r %s", folder);
        cr_assert_eq(system(command), 0);
}

TestSuite(files, .init = make_folder, .fini = remove_folder);

static const char *path_of(const char *name)
{
        static char path[128];
        snprintf(path, sizeof(path), "%s/%s", folder, name);
        return path;
}

static void append(const char *name, const void *bytes, size_t length)
{
        int fd = open(path_of(name), O_WRONLY | O_CREAT | O_APPEND, 0600);
        cr_assert_geq(fd, 0);
        cr_assert_eq(write(fd, bytes, length), (ssize_t)length);
        close(fd);
}

static void append_string(const char *name, const char *string)
{
        append(name, string, strlen(string));
}

/* ---- lines ---- */

static int pipe_of(const char *bytes, size_t length, int *writer)
{
        int ends[2];
        cr_assert_eq(pipe(ends), 0);
        cr_assert_eq(write(ends[1], bytes, length), (ssize_t)length);
        if (writer)
                *writer = ends[1];
        else
                close(ends[1]);
        return ends[0];
}

Test(lines, keeps_half_a_line_until_its_rest_is_there)
{
        struct lines lines = { 0 };
        char *line;
        size_t length;
        int writer;
        int fd = pipe_of("one\ntw", 6, &writer);
        cr_assert_eq(lines_fill(&lines, fd), 6);
        cr_assert_eq(lines_next(&lines, &line, &length), LINES_LINE);
        cr_expect_str_eq(line, "one");
        cr_expect_eq(length, 3);
        cr_assert_eq(lines_next(&lines, &line, &length), LINES_NONE);
        cr_assert_eq(write(writer, "o\n", 2), 2);
        cr_assert_eq(lines_fill(&lines, fd), 2);
        cr_assert_eq(lines_next(&lines, &line, &length), LINES_LINE);
        cr_expect_str_eq(line, "two");
        cr_expect_eq(lines.number, 2);
        cr_expect_eq(lines_next(&lines, &line, &length), LINES_NONE);
        close(fd);
        close(writer);
        lines_free(&lines);
}

Test(lines, gives_what_stands_after_the_last_newline)
{
        struct lines lines = { 0 };
        char *line;
        size_t length;
        int fd = pipe_of("one\ntwo", 7, NULL);
        lines_fill(&lines, fd);
        cr_assert_eq(lines_next(&lines, &line, &length), LINES_LINE);
        cr_assert_eq(lines_next(&lines, &line, &length), LINES_NONE);
        cr_assert_eq(lines_last(&lines, &line, &length), LINES_LINE);
        cr_expect_str_eq(line, "two");
        cr_expect_eq(lines_last(&lines, &line, &length), LINES_NONE);
        close(fd);
        lines_free(&lines);
}

Test(files, gets_past_a_line_of_any_length_in_bounded_memory)
{
        char *block = malloc(1 << 20);
        memset(block, 'x', 1 << 20);
        for (int i = 0; i < 20; i++)
                append("long", block, 1 << 20);
        append_string("long", "\nafter\n");
        free(block);

        struct lines lines = { 0 };
        char *line = NULL;
        size_t length, most = 0;
        int fd = open(path_of("long"), O_RDONLY), too_long = 0, found = 0;
        while (lines_fill(&lines, fd) > 0) {
                most = lines.capacity > most ? lines.capacity : most;
                for (enum lines_result result; (result = lines_next(&lines, &line, &length)) != LINES_NONE;) {
                        too_long += result == LINES_TOO_LONG;
                        if (result == LINES_LINE) {
                                found++;
                                cr_expect_str_eq(line, "after");
                                cr_expect_eq(lines.number, 2);
                        }
                }
        }
        cr_expect_eq(too_long, 1, "said once");
        cr_expect_eq(found, 1);
        cr_expect_lt(most, 4 * LIMIT_LINE_BYTES);
        close(fd);
        lines_free(&lines);
}

Test(files, takes_a_line_of_exactly_the_limit)
{
        char *block = malloc(LIMIT_LINE_BYTES);
        memset(block, 'x', LIMIT_LINE_BYTES);
        append("limit", block, LIMIT_LINE_BYTES);
        append_string("limit", "\n");
        append("limit", block, LIMIT_LINE_BYTES);
        append_string("limit", "y\n");
        free(block);

        struct lines lines = { 0 };
        char *line;
        size_t length;
        int fd = open(path_of("limit"), O_RDONLY), whole = 0, too_long = 0;
        while (lines_fill(&lines, fd) > 0) {
                for (enum lines_result result; (result = lines_next(&lines, &line, &length)) != LINES_NONE;) {
                        whole += result == LINES_LINE && length == LIMIT_LINE_BYTES;
                        too_long += result == LINES_TOO_LONG;
                }
        }
        cr_expect_eq(whole, 1);
        cr_expect_eq(too_long, 1);
        close(fd);
        lines_free(&lines);
}

/* ---- records ---- */

/* Parse a line that must be a record. */
static struct parsed parse(const char *line)
{
        struct parsed parsed;
        char why[256];
        int status = parse_record(&parsed, line, strlen(line), why, sizeof(why));
        cr_assert_eq(status, 0, "%s", why);
        return parsed;
}

/* Parse a line that must not be one, with `words` in the reason. */
static void refuse(const char *line, const char *words)
{
        struct parsed parsed;
        char why[256];
        int status = parse_record(&parsed, line, strlen(line), why, sizeof(why));
        cr_expect_eq(status, -EBADMSG, "%s", line);
        cr_expect(strstr(why, words), "\"%s\" of %s", why, line);
}

Test(parse, reads_every_field_of_a_stall)
{
        struct parsed parsed = parse(
                "{\"type\":\"stall\"," COMMON ",\"id\":7,\"begin\":\"2026-11-22T20:15:03.120456Z\",\"tid\":43,"
                "\"thread\":\"worker\",\"loop\":\"epoll:5\",\"threshold_ns\":100000000,\"duration_ns\":500213441,"
                "\"cpu_ns\":310022,\"late_ns\":5,\"yields\":3,\"phase\":\"startup\",\"end\":\"exit\",\"cause\":\"gil\","
                "\"detail\":{\"call\":\"futex\",\"reason\":\"because\",\"cpu_percent\":1},"
                "\"signature\":\"9f2c1e77a0b3d415\",\"repeats\":2,\"culprit\":{\"lang\":\"python\",\"function\":"
                "\"block\",\"file\":\"/srv/app.py\",\"line\":8},\"samples\":41,\"lost\":{\"samples\":3,\"reasons\":"
                "{\"torn\":3}},\"stacks_dropped\":1,\"stacks\":[{\"count\":41,\"first_ns\":1,\"last_ns\":2,\"state\":"
                "\"S\",\"complete\":true,\"truncated\":true,\"frames\":[{\"lang\":\"native\",\"function\":\"nap\","
                "\"module\":\"/lib/libc.so.6\",\"build_id\":\"aa\",\"offset\":\"0xd5bfc\",\"caller\":true}]},"
                "{\"count\":1,\"first_ns\":1,\"last_ns\":1,\"missing\":\"not dumpable\"}]}");
        const struct record_stall *stall = &parsed.record.stall;
        cr_expect_eq(parsed.record.type, RECORD_STALL);
        cr_expect_eq(parsed.record.time_ns, UINT64_C(1795378503620700000));
        cr_expect_str_eq(parsed.record.host, "web1");
        cr_expect_eq(parsed.record.pid, 42);
        cr_expect_str_eq(parsed.record.run, "b1946ac92492d234");
        cr_expect_str_eq(parsed.record.program, "uvicorn");
        cr_expect_eq(stall->id, 7);
        cr_expect_eq(stall->begin_ns, UINT64_C(1795378503120456000));
        cr_expect_eq(stall->tid, 43);
        cr_expect_str_eq(stall->thread, "worker");
        cr_expect_str_eq(stall->loop, "epoll:5");
        cr_expect_eq(stall->threshold_ns, 100000000);
        cr_expect_eq(stall->duration_ns, 500213441);
        cr_expect_eq(stall->cpu_ns, 310022);
        cr_expect_eq(stall->late_ns, 5);
        cr_expect_eq(stall->yields, 3);
        cr_expect_str_eq(stall->phase, "startup");
        cr_expect_str_eq(stall->end, "exit");
        cr_expect_eq(stall->cause, RECORD_GIL);
        cr_expect_str_eq(stall->detail.call, "futex");
        cr_expect_str_eq(stall->detail.reason, "because");
        cr_expect(stall->detail.cpu_known && stall->detail.cpu_percent == 1);
        cr_expect_eq(stall->signature, UINT64_C(0x9f2c1e77a0b3d415));
        cr_expect_eq(stall->repeats, 2);
        cr_assert_not_null(stall->culprit);
        cr_expect_eq(stall->culprit->lang, RECORD_PYTHON);
        cr_expect_eq(stall->culprit->line, 8);
        cr_expect_eq(stall->samples, 41);
        cr_expect_eq(stall->samples_lost, 3);
        cr_assert_eq(stall->losses_count, 1);
        cr_expect_str_eq(stall->losses[0].reason, "torn");
        cr_expect_eq(stall->losses[0].count, 3);
        cr_expect_eq(stall->stacks_dropped, 1);
        cr_assert_eq(stall->stacks_count, 2);
        cr_expect_eq(stall->stacks[0].state, 'S');
        cr_expect(stall->stacks[0].complete && stall->stacks[0].truncated);
        cr_assert_eq(stall->stacks[0].frames_count, 1);
        cr_expect_eq(stall->stacks[0].frames[0].offset, 0xd5bfc);
        cr_expect(stall->stacks[0].frames[0].caller);
        cr_expect_str_eq(stall->stacks[1].missing, "not dumpable");
        parsed_free(&parsed);
}

Test(parse, reads_the_other_types)
{
        struct parsed process = parse("{\"type\":\"process\"," COMMON ",\"ppid\":1,\"clock\":\"tsc\",\"notices\":"
                                      "[\"a\",\"b\"],\"begin\":\"2026-11-22T20:14:59Z\"}");
        cr_assert_eq(process.record.process.notices_count, 2);
        cr_expect_str_eq(process.record.process.notices[1], "b");
        cr_expect_eq(process.record.process.begin_ns, UINT64_C(1795378499000000000));
        parsed_free(&process);

        struct parsed loop = parse("{\"type\":\"loop\"," COMMON ",\"tid\":1,\"iterations\":9,\"busy_ns\":5,\"idle_ns\":"
                                   "6,\"buckets\":[{\"from_ns\":1024,\"count\":77}]}");
        cr_expect_eq(loop.record.loop.iterations, 9);
        cr_assert_eq(loop.record.loop.buckets_count, 1);
        cr_expect_eq(loop.record.loop.buckets[0].count, 77);
        parsed_free(&loop);

        struct parsed end = parse("{\"type\":\"exit\"," COMMON ",\"reason\":\"exit\",\"captures\":790,\"lost\":"
                                  "{\"samples\":2,\"reasons\":{\"torn\":2}}}");
        cr_expect_eq(end.record.exit.captures, 790);
        cr_assert_eq(end.record.exit.losses_count, 1);
        cr_expect_eq(end.record.exit.losses[0].count, 2);
        parsed_free(&end);
}

Test(parse, ignores_what_later_agents_may_say)
{
        struct parsed parsed = parse("{\"type\":\"stall\"," COMMON ",\"id\":1,\"moon\":[1,{\"a\":null}],\"cause\":"
                                     "\"cosmic-ray\",\"phase\":null,\"stacks\":[{\"count\":1,\"frames\":[{\"lang\":"
                                     "\"cobol\",\"function\":\"f\",\"moon\":1}]}]}");
        cr_expect_eq(parsed.record.stall.cause, RECORD_UNKNOWN);
        cr_expect_null(parsed.record.stall.phase);
        cr_expect_str_eq(parsed.record.stall.stacks[0].frames[0].function, "f");
        parsed_free(&parsed);
}

Test(parse, says_what_is_wrong_with_a_line)
{
        refuse("hello", "not JSON");
        refuse("{\"v\":1,", "cut off");
        refuse("[1,2]", "no record of loopdog");
        refuse("{}", "no record of loopdog");
        refuse("{\"v\":\"1\",\"type\":\"stall\"}", "no record of loopdog");
        refuse("{\"v\":2,\"type\":\"stall\"}", "version 2");
        refuse("{\"type\":\"moon\"," COMMON "}", "unknown type of record \"moon\"");
        refuse("{\"v\":1,\"type\":\"process\",\"time\":\"2026-11-22T20:15:03Z\"}", "without \"run\"");
        refuse("{\"v\":1,\"type\":\"process\",\"run\":\"a\"}", "without \"time\"");
        refuse("{\"v\":1,\"type\":\"process\",\"run\":\"a\",\"time\":\"yesterday\"}", "\"time\" is not a time");
        refuse("{\"v\":1,\"type\":\"process\",\"run\":\"a\",\"time\":\"2026-11-22T20:15:03+01:00\"}", "\"time\"");
        refuse("{\"type\":\"stall\"," COMMON "}", "without \"id\"");
        refuse("{\"type\":\"stall\"," COMMON ",\"id\":-1}", "\"id\" is not a whole number");
        refuse("{\"type\":\"stall\"," COMMON ",\"id\":1.5}", "\"id\" is not a whole number");
        refuse("{\"type\":\"stall\"," COMMON ",\"id\":1,\"yields\":4294967296}", "\"yields\" is not");
        refuse("{\"type\":\"stall\"," COMMON ",\"id\":99999999999999999999}", "too large");
        refuse("{\"type\":\"stall\"," COMMON ",\"id\":1,\"signature\":12}", "\"signature\" is not");
        refuse("{\"type\":\"stall\"," COMMON ",\"id\":1,\"signature\":\"0xg\"}", "\"signature\" is not");
        refuse("{\"type\":\"stall\"," COMMON ",\"id\":1,\"detail\":[]}", "\"detail\" is not an object");
        refuse("{\"type\":\"stall\"," COMMON ",\"id\":1,\"stacks\":{}}", "\"stacks\" is not a list");
        refuse("{\"type\":\"stall\"," COMMON ",\"id\":1,\"stacks\":[3]}", "\"stacks[0]\" is not an object");
        refuse("{\"type\":\"stall\"," COMMON ",\"id\":1,\"stacks\":[{\"frames\":[{},{\"line\":\"8\"}]}]}",
               "\"stacks[0].frames[1].line\" is not");
        refuse("{\"type\":\"stall\"," COMMON ",\"id\":1,\"lost\":{\"reasons\":{\"torn\":-1}}}", "\"lost.reasons\"");
        refuse("{\"type\":\"process\"," COMMON ",\"notices\":[1]}", "\"notices[0]\" is not a string");
        refuse("{\"type\":\"loop\"," COMMON ",\"buckets\":[{\"count\":-1}]}", "\"buckets[0].count\" is not");
        refuse(PROCESS PROCESS, "more than one record");
        refuse("{\"type\":\"process\"," COMMON ",\"host\":\"a\",\"host\":\"b\"}", "two members of one name");
        refuse("{\"type\":\"process\"," COMMON_OF("\xff") "}", "UTF-8");
}

Test(parse, takes_blank_lines_for_nothing)
{
        struct parsed parsed;
        char why[64];
        cr_expect_eq(parse_record(&parsed, "", 0, why, sizeof(why)), PARSE_BLANK);
        cr_expect_eq(parse_record(&parsed, " \t\r", 3, why, sizeof(why)), PARSE_BLANK);
}

Test(parse, refuses_nesting_that_would_exhaust_the_stack)
{
        char deep[20000];
        memset(deep, '[', sizeof(deep));
        struct parsed parsed;
        char why[64];
        cr_expect_eq(parse_record(&parsed, deep, sizeof(deep), why, sizeof(why)), -EBADMSG);
        cr_expect_str_eq(why, "nested too deeply");
}

/* ---- input ---- */

static int taken;
static char last_host[64];

static void take(void *context, const struct parsed *parsed, const char *line, size_t length)
{
        cr_assert_eq(context, &taken);
        cr_assert_eq(strlen(line), length);
        taken++;
        snprintf(last_host, sizeof(last_host), "%s", parsed->record.host);
}

/* stderr of what `input` reads. */
static char *read_all(struct input *input, const char *path)
{
        static char said[8192];
        FILE *err = cr_get_redirected_stderr();
        *input = (struct input){ .take = take, .context = &taken };
        taken = 0;
        input_read(input, path);
        fflush(stderr);
        size_t length = 0;
        fcntl(fileno(err), F_SETFL, O_NONBLOCK);
        ssize_t got;
        while (length < sizeof(said) - 1 && (got = read(fileno(err), said + length, sizeof(said) - 1 - length)) > 0)
                length += (size_t)got;
        said[length] = '\0';
        return said;
}

Test(files, names_the_line_that_is_no_record_and_reads_the_rest)
{
        struct input input;
        cr_redirect_stderr();
        append_string("mixed", PROCESS "\nnonsense\n\n" PROCESS "\n");
        char *said = read_all(&input, path_of("mixed"));
        cr_expect(strstr(said, "/mixed:2: skipped: not JSON"), "%s", said);
        cr_expect_eq(input.records, 2);
        cr_expect_eq(input.skipped, 1);
        cr_expect_eq(input.lines, 3, "the blank one does not count");
        cr_expect_eq(taken, 2);
}

Test(files, knows_a_file_that_was_cut_in_half)
{
        struct input input;
        cr_redirect_stderr();
        append_string("half", PROCESS "\n");
        append("half", PROCESS, strlen(PROCESS) / 2);
        char *said = read_all(&input, path_of("half"));
        cr_expect(strstr(said, "/half:2: skipped: the file ends in the middle of this line"), "%s", said);
        cr_expect_eq(taken, 1);
}

Test(files, takes_a_last_line_without_newline_that_is_whole)
{
        struct input input;
        cr_redirect_stderr();
        append_string("whole", PROCESS "\n" PROCESS);
        char *said = read_all(&input, path_of("whole"));
        cr_expect_str_eq(said, "");
        cr_expect_eq(taken, 2);
}

Test(files, says_a_few_times_only_that_a_binary_file_is_one)
{
        struct input input;
        char bytes[200];
        cr_redirect_stderr();
        for (size_t i = 0; i < sizeof(bytes); i++)
                bytes[i] = i % 10 == 9 ? '\n' : (char)(i * 7 + 1);
        append("binary", bytes, sizeof(bytes));
        char *said = read_all(&input, path_of("binary"));
        int lines = 0;
        for (char *at = said; (at = strchr(at, '\n')); at++)
                lines++;
        cr_expect_eq(lines, 6, "%s", said);
        cr_expect(strstr(said, "more lines skipped"), "%s", said);
        for (char *at = said; *at; at++)
                cr_expect(*at == '\n' || (*at >= ' ' && *at <= '~'), "nothing of the file reaches the terminal");
        cr_expect_eq(taken, 0);
        cr_expect_gt(input.skipped, 5);
}

Test(files, says_that_a_file_is_empty_missing_or_unreadable)
{
        struct input input;
        cr_redirect_stderr();
        append("empty", "", 0);
        cr_expect(strstr(read_all(&input, path_of("empty")), "/empty: empty: its process ended before its first"));
        cr_expect_eq(input.files_empty, 1);
        cr_expect_eq(input.files_bad, 0);
        cr_expect(strstr(read_all(&input, "/dev/null"), "/dev/null: empty\n"));
        cr_expect_eq(input.files_empty, 0, "nobody's file");
        cr_expect(strstr(read_all(&input, path_of("missing")), "No such file"));
        cr_expect_eq(input.files_bad, 1);
}

Test(files, reads_a_folder_in_order_and_passes_over_what_is_no_file)
{
        struct input input;
        cr_redirect_stderr();
        append_string("b.jsonl", "{\"type\":\"process\"," COMMON_OF("second") "}\n");
        append_string("a.jsonl", "{\"type\":\"process\"," COMMON_OF("first") "}\n");
        append_string(".hidden", "nonsense\n");
        cr_assert_eq(mkdir(path_of("below"), 0700), 0);
        cr_assert_eq(mkfifo(path_of("fifo"), 0600), 0);
        char *said = read_all(&input, folder);
        cr_expect_str_eq(said, "");
        cr_expect_eq(input.files, 2);
        cr_expect_str_eq(last_host, "second");
}

/* ---- following ---- */

Test(files, follows_a_file_from_its_end_and_new_ones_from_their_beginning)
{
        struct input input = { .take = take, .context = &taken };
        struct follow follow;
        append_string("loopdog.a.1.jsonl", PROCESS "\n");
        cr_assert_eq(follow_open(&follow, &input, folder, "loopdog.*.jsonl", 0), 0);
        taken = 0;
        follow_scan(&follow);
        cr_expect_eq(taken, 0, "what was there before is none of our business");

        append("loopdog.a.1.jsonl", PROCESS, 20);
        append_string("loopdog.b.2.jsonl", PROCESS "\n" PROCESS "\n");
        append_string("other", PROCESS "\n");
        follow_scan(&follow);
        cr_expect_eq(taken, 2);

        append("loopdog.a.1.jsonl", PROCESS + 20, strlen(PROCESS) - 20);
        follow_scan(&follow);
        cr_expect_eq(taken, 2, "half a line is none");
        append_string("loopdog.a.1.jsonl", "\n");
        follow_scan(&follow);
        cr_expect_eq(taken, 3);

        append_string("loopdog.a.1.jsonl", PROCESS);
        follow_close(&follow, true);
        cr_expect_eq(taken, 4, "at the end, a whole line without newline counts");
        cr_expect_eq(input.skipped, 0);
}

Test(files, begins_anew_where_a_file_was_rotated_or_cut)
{
        struct input input = { .take = take, .context = &taken };
        struct follow follow;
        taken = 0;
        cr_assert_eq(follow_open(&follow, &input, folder, NULL, 0), 0);
        append_string("a", PROCESS "\n" PROCESS "\n");
        follow_scan(&follow);
        cr_expect_eq(taken, 2);

        cr_assert_eq(truncate(path_of("a"), 0), 0);
        append_string("a", PROCESS "\n");
        follow_scan(&follow);
        cr_expect_eq(taken, 3);

        char old[128], aside[128];
        snprintf(old, sizeof(old), "%s", path_of("a"));
        snprintf(aside, sizeof(aside), "%s", path_of(".aside"));
        cr_assert_eq(rename(old, aside), 0);
        append_string("a", PROCESS "\n" PROCESS "\n");
        follow_scan(&follow);
        cr_expect_eq(taken, 5);
        follow_close(&follow, true);
}

Test(files, follows_what_files_hold_already_and_folders_below)
{
        struct input input = { .take = take, .context = &taken };
        struct follow follow;
        taken = 0;
        append_string("a.jsonl", PROCESS "\n");
        cr_assert_eq(mkdir(path_of("web1"), 0700), 0);
        append_string("web1/b.jsonl", PROCESS "\n" PROCESS "\n");
        append_string("web1/other", PROCESS "\n");
        cr_assert_eq(follow_open(&follow, &input, folder, "*.jsonl", FOLLOW_FROM_BEGIN | FOLLOW_DEEP), 0);
        cr_expect_eq(taken, 3);

        cr_assert_eq(mkdir(path_of("web2"), 0700), 0);
        append_string("web2/c.jsonl", PROCESS "\n");
        append_string("web1/b.jsonl", PROCESS "\n");
        cr_expect_eq(follow_scan(&follow), 0);
        cr_expect_eq(taken, 5);
        append_string("web2/c.jsonl", PROCESS "\n");
        struct pollfd news = { .fd = follow_descriptor(&follow), .events = POLLIN };
        cr_expect_eq(poll(&news, 1, 10000), 1, "a folder that came later is watched, too");
        follow_close(&follow, false);
}

Test(files, forgets_files_that_are_gone)
{
        struct input input = { .take = take, .context = &taken };
        struct follow follow;
        char name[16];
        taken = 0;
        cr_assert_eq(follow_open(&follow, &input, folder, NULL, FOLLOW_FROM_BEGIN), 0);
        for (int i = 0; i < 100; i++) {
                snprintf(name, sizeof(name), "%d", i);
                append_string(name, PROCESS "\n");
                follow_scan(&follow);
                cr_expect_eq(follow.files.count, 1);
                cr_assert_eq(unlink(path_of(name)), 0);
        }
        cr_expect_eq(taken, 100);
        cr_assert_eq(rmdir(folder), 0);
        cr_expect_eq(follow_scan(&follow), -ENOENT);
        follow_close(&follow, false);
        cr_assert_eq(mkdir(folder, 0700), 0);
}

/* What the agent asks: is there a reader? */
static bool is_read(const char *name)
{
        struct flock lock = { .l_type = F_WRLCK, .l_start = RECORD_READER_BYTE, .l_len = 1 };
        int fd = open(path_of(name), O_WRONLY);
        cr_assert_eq(fcntl(fd, F_OFD_GETLK, &lock), 0);
        close(fd);
        return lock.l_type == F_RDLCK;
}

Test(files, tells_agents_of_itself_where_it_is_live)
{
        struct input input = { .take = take, .context = &taken };
        struct follow follow, quiet;
        append_string("a", PROCESS "\n");
        cr_assert_eq(follow_open(&quiet, &input, folder, NULL, FOLLOW_FROM_BEGIN), 0);
        cr_expect(!is_read("a"));
        cr_assert_eq(follow_open(&follow, &input, folder, NULL, FOLLOW_FROM_BEGIN | FOLLOW_LIVE), 0);
        cr_expect(is_read("a"));
        cr_expect_eq(follow.live, 1);
        append_string("a", PROCESS "\n");
        follow_scan(&follow);
        cr_expect_eq(follow.live, 1);
        follow_close(&follow, false);
        cr_expect(!is_read("a"));
        follow_close(&quiet, false);
}

Test(files, never_opens_a_link_or_a_pipe_in_a_followed_folder)
{
        struct input input = { .take = take, .context = &taken };
        struct follow follow;
        taken = 0;
        cr_assert_eq(follow_open(&follow, &input, folder, NULL, 0), 0);
        append_string(".target", PROCESS "\n");
        cr_assert_eq(symlink(".target", path_of("link")), 0);
        cr_assert_eq(mkfifo(path_of("pipe"), 0600), 0);
        follow_scan(&follow);
        follow_close(&follow, true);
        cr_expect_eq(taken, 0);
}

Test(files, says_that_a_folder_can_not_be_followed)
{
        struct input input = { .take = take, .context = &taken };
        struct follow follow;
        cr_expect_eq(follow_open(&follow, &input, path_of("missing"), NULL, 0), -ENOENT);
}

/* ---- scan ---- */

Test(scan, finds_where_the_stacks_begin)
{
        static const struct {
                const char *line;
                size_t at; /* 0: not found */
        } cases[] = {
                { "{\"a\":1,\"stacks\":[]}", 6 },
                { "{\"a\":{\"stacks\":[1]},\"stacks\":[{\"frames\":[{\"f\":\"]}\"}]}]}", 19 },
                { "{\"a\":\"\\\",\\\"stacks\\\":[\",\"stacks\":[{}]}", 22 },
                { "{\"a\":\"x\\\\\",\"stacks\":[\"\\\\\"]}", 10 },
                { "{\"stacks\":[]}", 0 },                 /* nothing stands in front of them */
                { "{\"a\":1,\"stacks\":[],\"b\":2}", 0 }, /* something stands behind them */
                { "{\"a\":1,\"stacks\":[]} ", 0 },
                { "{\"a\":1,\"stacks\":[}", 0 },
                { "{\"a\":1,\"stacks\":[\"]}", 0 },
                { "{\"a\":1,\"stacks\":[{\"f\":[]}", 0 },
                { "{\"a\":1,\"stacks\":null}", 0 },
                { "{\"a\":[1,\"stacks\":[]]}", 0 },
                { "[1,\"stacks\":[]}", 0 },
                { "{\"a\":\"b", 0 },
                { "{}}},\"stacks\":[]}", 0 },
                { "", 0 },
        };
        for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
                char *copy = strdup(cases[i].line); /* so that ASan sees a byte too far */
                size_t at = scan_stacks(copy, strlen(copy));
                cr_expect_eq(at, cases[i].at, "%s: %zu", cases[i].line, at);
                free(copy);
        }
}

static bool wants_none(void *context, const struct record *record)
{
        (*(size_t *)context)++;
        return false;
}

static void expect_scalars(void *context, const struct parsed *parsed, const char *line, size_t length)
{
        cr_expect_eq(parsed->record.stall.id, 7);
        cr_expect_eq(parsed->record.stall.stacks_count, 0);
        cr_expect_eq(length, strlen(line));
        cr_expect_not_null(strstr(line, "\"stacks\""), "the line is whole");
}

Test(files, passes_over_stacks_that_nobody_wants)
{
        static const char stall[] = "{\"type\":\"stall\"," COMMON ",\"id\":7,\"stacks\":[{\"count\":1,"
                                    "\"frames\":[{\"lang\":\"python\",\"function\":\"f\"}]}]}\n";
        size_t asked = 0;
        struct input input = { .take = expect_scalars, .wants_stacks = wants_none, .context = &asked };
        append("a", stall, strlen(stall));
        append("a", stall, strlen(stall));
        input_read(&input, path_of("a"));
        cr_expect_eq(input.records, 2);
        cr_expect_eq(input.lines, 2);
        cr_expect_eq(asked, 2);
}
