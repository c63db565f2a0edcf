/* SPDX-License-Identifier: Apache-2.0
 *
 * test_render.c - record/text.c
 *
 * The exact shape is compared with tests/golden/text/NAME.txt, which people have read.
 *
 * Context: unit test
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "record/frame.h"
#include "record_samples.h"

static char output[64 * 1024];

static const char *render(const struct record *record, const struct record_style *style)
{
        struct text text = TEXT_IN(output);
        text_clear(&text);
        record_write_text(&text, record, style);
        cr_assert(!text.cut);
        return output;
}

static const char *source_line(void *context, const char *file, uint32_t line)
{
        cr_assert_eq(context, &output);
        cr_assert_not_null(file);
        if (strcmp(file, "/srv/app.py") == 0 && line == 8)
                return "time.sleep(0.5)";
        if (strcmp(file, "/srv/redis/src/debug.c") == 0 && line == 560)
                return "usleep(utime);\t/*\twait\x1b */";
        return NULL;
}

static const struct record_style plain = { .source_line = source_line, .source_context = &output };

static void expect_golden(const char *name, const struct record *record, const struct record_style *style)
{
        char path[256];
        static char wanted[sizeof(output)];
        snprintf(path, sizeof(path), TESTS_DIR "/golden/text/%s.txt", name);
        FILE *file = fopen(path, "r");
        cr_assert_not_null(file, "%s", path);
        size_t length = fread(wanted, 1, sizeof(wanted) - 1, file);
        fclose(file);
        wanted[length] = '\0';
        cr_expect_str_eq(render(record, style), wanted, "%s is now:\n%s", name, output);
}

static size_t count_lines(const char *text)
{
        size_t lines = 0;
        for (; *text; text++)
                lines += *text == '\n';
        return lines;
}

/* ---- the shape ---- */

Test(render, shows_a_blocked_python_server)
{
        expect_golden("uvicorn", &uvicorn_stall, &plain);
}

Test(render, shows_a_busy_native_server)
{
        expect_golden("redis", &redis_stall, &plain);
}

Test(render, shows_that_a_stall_has_begun)
{
        expect_golden("memcached", &memcached_begin, &plain);
}

Test(render, shows_what_a_call_waits_for_and_what_was_served)
{
        expect_golden("blocked", &blocked_stall, &plain);
        expect_golden("nested", &nested_stall, &plain);
}

Test(render, says_why_there_is_no_stack_and_what_to_do)
{
        expect_golden("haproxy", &haproxy_stall, &plain);
        expect_golden("unseen", &unseen_stall, &plain);
}

Test(render, shows_what_a_loop_is_doing)
{
        expect_golden("dump-busy", &busy_dump, &plain);
        expect_golden("dump-idle", &idle_dump, &plain);
}

Test(render, does_not_repeat_the_stacks_of_a_repeat)
{
        expect_golden("repeat", &uvicorn_repeat, &plain);
}

Test(render, shows_all_frames_when_asked)
{
        struct record_style style = plain;
        style.all_frames = true;
        expect_golden("uvicorn-all", &uvicorn_stall, &style);
        expect_golden("memcached-all", &memcached_begin, &style);
}

Test(render, colours_for_terminals)
{
        struct record_style style = plain;
        style.colour = true;
        expect_golden("uvicorn-colour", &uvicorn_stall, &style);
}

Test(render, fits_narrow_terminals)
{
        struct record_style style = plain;
        style.columns = 60;
        expect_golden("uvicorn-60", &uvicorn_stall, &style);
        style.columns = 40;
        style.all_frames = true;
        expect_golden("uvicorn-40-all", &uvicorn_stall, &style);
}

Test(render, shows_symbolized_native_frames)
{
        expect_golden("symbolized", &symbolized_stall, &plain);
}

Test(render, folds_deep_recursion)
{
        struct record_frame frames[230];
        for (size_t i = 0; i < COUNT(frames); i++)
                frames[i] = (struct record_frame)PYTHON("parse", "/srv/app/parser.py", 10 + (uint32_t)i);
        struct record_stack stack = { .count = 3, .complete = true, .frames = frames, .frames_count = COUNT(frames) };
        struct record record = uvicorn_stall;
        record.stall.culprit = &frames[0];
        record.stall.stacks = &stack;
        record.stall.cause = RECORD_CPU;
        const char *text = render(&record, &plain);
        cr_expect_not_null(strstr(text, "    /srv/app/parser.py:25       parse\n"
                                        "    ... 210 frames of parser.py\n"
                                        "    /srv/app/parser.py:236      parse\n"),
                           "%s", text);
        cr_expect_eq(count_lines(text), 1 + 16 + 1 + 4 + 2);
}

/* A run of somebody else's frames of every length: folded from four on, both ends kept. */
Test(render, folds_four_foreign_frames_and_more)
{
        for (size_t between = 0; between < 10; between++) {
                struct record_frame frames[12];
                size_t count = 0;
                frames[count++] = (struct record_frame)PYTHON("mine", "/srv/app.py", 1);
                for (size_t i = 0; i < between; i++)
                        frames[count++] =
                                (struct record_frame)PYTHON("theirs", PACKAGES "django/a.py", 10 + (uint32_t)i);
                frames[count++] = (struct record_frame)PYTHON("outer", "/srv/app.py", 2);
                struct record_stack stack = { .count = 41, .complete = true, .frames = frames, .frames_count = count };
                struct record record = uvicorn_stall;
                record.stall.culprit = &frames[0];
                record.stall.stacks = &stack;
                const char *text = render(&record, &plain);
                char folded[64], last[64];
                snprintf(folded, sizeof(folded), "\n    ... %zu frames of django\n", between - 2);
                snprintf(last, sizeof(last), "\n    django/a.py:%zu", 9 + between);
                cr_expect_eq(strstr(text, folded) != NULL, between >= 4, "%zu: %s", between, text);
                cr_expect_eq(strstr(text, "\n    django/a.py:10 ") != NULL, between >= 1);
                cr_expect(between == 0 || strstr(text, last), "%zu: %s", between, text);
                cr_expect_not_null(strstr(text, "\n    /srv/app.py:2 "));
        }
}

/* Where nothing is the user's own the runtime's frames are all that there is to go by. */
Test(render, shows_more_of_a_stack_that_is_all_somebody_elses)
{
        struct record_frame frames[12];
        for (size_t i = 0; i < COUNT(frames); i++)
                frames[i] = (struct record_frame)CALLER("f", "/usr/bin/node", NULL, 1 + i);
        struct record_stack stack = { .count = 41, .complete = true, .frames = frames, .frames_count = COUNT(frames) };
        struct record record = uvicorn_stall;
        record.stall.stacks = &stack;
        record.stall.culprit = &frames[0];
        cr_expect_not_null(strstr(render(&record, &plain), "\n    f  (node+0x6)\n    ... 6 frames of node\n    cpu "),
                           "%s", output);
        stack.frames_count = 7; /* a fold of one frame saves nothing */
        cr_expect_not_null(strstr(render(&record, &plain), "\n    f  (node+0x6)\n    f  (node+0x7)\n    cpu "), "%s",
                           output);
}

Test(render, leaves_out_what_starts_every_thread)
{
        static const struct record_frame frames[] = {
                CALLER("work", "/srv/server", NULL, 0x1000), CALLER("start_thread", LIBC, NULL, 0x2000),
                CALLER(NULL, LIBC, NULL, 0x3000), /* clone3, for which Debian's libc has no name */
        };
        struct record_stack stack = { .count = 41, .complete = true, .frames = frames, .frames_count = COUNT(frames) };
        struct record record = uvicorn_stall;
        record.stall.stacks = &stack;
        record.stall.culprit = &frames[0];
        cr_expect_not_null(strstr(render(&record, &plain), "\n    work  (server+0x1000)\n    cpu "), "%s", output);
        stack.complete = false;
        cr_expect_not_null(strstr(render(&record, &plain), "\n    libc.so.6+0x3000\n    ... the stack could not be "
                                                           "followed further\n"),
                           "%s", output);
        stack.complete = true;
        stack.frames++;
        stack.frames_count--;
        cr_expect_not_null(strstr(render(&record, &plain), "\n    start_thread  (libc.so.6+0x2000)\n"), "%s", output);
}

Test(render, names_four_packages_at_most)
{
        static const struct record_frame frames[] = {
                PYTHON("f", "/srv/app.py", 1),     PYTHON("f", PACKAGES "a/x.py", 1), PYTHON("f", PACKAGES "b/x.py", 1),
                PYTHON("f", PACKAGES "c/x.py", 1), PYTHON("f", PACKAGES "b/x.py", 2), PYTHON("f", PACKAGES "d/x.py", 1),
                PYTHON("f", PACKAGES "e/x.py", 1), PYTHON("f", PACKAGES "f/x.py", 1),
        };
        struct record_stack stack = { .count = 41, .complete = true, .frames = frames, .frames_count = COUNT(frames) };
        struct record record = uvicorn_stall;
        record.stall.stacks = &stack;
        record.stall.culprit = &frames[0];
        cr_expect_not_null(strstr(render(&record, &plain), "\n    ... 6 frames of b, c, d, e and others\n"), "%s",
                           output);
        stack.frames_count--;
        cr_expect_not_null(strstr(render(&record, &plain), "\n    ... 5 frames of b, c, d, e\n"), "%s", output);
}

Test(render, obeys_the_users_prefixes)
{
        struct record_style style = plain;
        style.own_prefixes = PACKAGES "uvicorn/";
        const char *text = render(&uvicorn_stall, &style);
        cr_expect_not_null(strstr(text, "\n    uvicorn/main.py:568         run\n"), "%s", text);
        cr_expect_null(strstr(text, "of starlette, uvicorn"), "%s", text);
}

Test(render, names_the_threads_of_a_deadlock)
{
        expect_golden("deadlock", &deadlock_begin, &plain);
}

Test(render, says_who_took_the_cpu_and_what_the_parts_were)
{
        expect_golden("starved", &starved_stall, &plain);
}

Test(render, says_which_memory_was_waited_for)
{
        struct record record = fault_stall;
        expect_golden("fault", &fault_stall, &plain);
        record.stall.detail.what = "swap";
        record.stall.detail.file_offset = 0;
        const char *text = render(&record, &plain);
        cr_expect_not_null(strstr(text, "waiting for memory (page faults) in swap   ["), "%s", text);
        cr_expect_not_null(strstr(text, "    2 pages were read by the last sample\n"), "%s", text);
        cr_expect_not_null(strstr(text, "hint: its memory was swapped out"), "%s", text);
}

Test(render, says_why_it_is_not_known_which_memory)
{
        struct record record = fault_stall;
        record.stall.detail.what = "";
        record.stall.detail.reason = "it is not permitted";
        const char *text = render(&record, &plain);
        cr_expect_not_null(
                strstr(text, "\n    2 pages were read by the last sample from a file or swap; which is not known: it "
                             "is not permitted\n"),
                "%s", text);
        record.stall.detail.major_faults = 0;
        record.stall.detail.wchan = "rwsem_down_read_slowpath";
        text = render(&record, &plain);
        cr_expect_not_null(strstr(text, "hint: another thread changes the process's mappings"), "%s", text);
        cr_expect_not_null(strstr(text, "\n    no page was read by the last sample; which is"), "%s", text);
}

Test(render, says_that_the_programs_own_threads_took_the_cpu)
{
        struct record record = starved_stall;
        record.stall.detail.throttled_ns = 0;
        record.stall.detail.delay_ns = 180000000;
        record.stall.detail.others_cpu_ns = 30000000;
        const char *text = render(&record, &plain);
        cr_expect_not_null(strstr(text, "\n    it waited for a CPU 180 ms of 300 ms, 9 runnable threads on 2 CPUs; the "
                                        "program's other threads used 30 ms of CPU time meanwhile; the watchdog"),
                           "%s", text);
        cr_expect_not_null(strstr(text, "hint: give the program a CPU of its own"), "%s", text);
        record.stall.detail.others_cpu_ns = 150000000;
        cr_expect_not_null(strstr(render(&record, &plain), "hint: let fewer of its threads compute at a time"), "%s",
                           output);
        record.stall.detail.others_cpu_ns = 20000000;
        cr_expect_not_null(strstr(render(&record, &plain), "\n    the program is not to blame: it waited"), "%s",
                           output);
}

Test(render, says_how_a_computing_thread_spent_the_rest)
{
        struct record record = starved_stall;
        record.stall.cause = RECORD_CPU;
        record.stall.suspended_ns = record.stall.detail.throttled_ns = 0;
        record.stall.cpu_ns = 120000000;
        record.stall.detail.system_ns = 90000000;
        record.stall.detail.delay_ns = 170000000;
        const char *text = render(&record, &plain);
        cr_expect_not_null(strstr(text, "\n    cpu 120 ms of 300 ms (90 ms of it in the kernel), 6 of 10"), "%s", text);
        cr_expect_not_null(strstr(text, "\n    it waited for a CPU 170 ms of 300 ms, 9 runnable threads on 2 CPUs\n"),
                           "%s", text);
        cr_expect_not_null(strstr(text, ", busy on the CPU, and waiting for it   ["), "%s", text);
        record.stall.detail.system_ns = 10000000;
        record.stall.detail.delay_ns = 20000000;
        text = render(&record, &plain);
        cr_expect_null(strstr(text, "in the kernel"), "%s", text);
        cr_expect_null(strstr(text, "it waited for a CPU"), "%s", text);
}

Test(render, words_what_a_thread_waits_for)
{
        static const struct {
                const char *object, *words;
        } objects[] = {
                { "rwlock, to write", "waiting for an rwlock (to write) held by journal (5002)" },
                { "error-checking mutex", "waiting for an error-checking mutex held by journal (5002)" },
                { "GIL", "waiting for the GIL held by journal (5002)" },
        };
        struct record record = deadlock_begin;
        record.stall.detail.deadlock = false;
        for (size_t i = 0; i < COUNT(objects); i++) {
                record.stall.detail.object = objects[i].object;
                cr_expect_not_null(strstr(render(&record, &plain), objects[i].words), "%s", output);
        }
        record.stall.detail.object = "rwlock, to write, held by readers";
        record.stall.detail.owner = 0;
        record.stall.others_count = 0;
        cr_expect_not_null(strstr(render(&record, &plain), "waiting for an rwlock (to write), held by readers   ["),
                           "%s", output);
        record.stall.cause = RECORD_BLOCKED;
        record.stall.detail.object = "end of a thread";
        record.stall.detail.owner = 5002;
        cr_expect_not_null(strstr(render(&record, &plain), "blocked in futex, waiting for the end of a thread: thread "
                                                           "5002   ["),
                           "%s", output);
}

Test(render, does_not_call_it_a_stall_when_the_program_was_stopped)
{
        struct record record = starved_stall;
        record.stall.cause = RECORD_SUSPENDED;
        const char *text = render(&record, &plain);
        cr_expect_not_null(strstr(text, "suspended 300 ms in handle_a() at bank+0x2000, stopped by a signal"), "%s",
                           text);
        cr_expect_not_null(strstr(text, "stopped for 100 ms of 300 ms: not counted as a stall"), "%s", text);
        record.stall.detail.reason = "the machine slept";
        cr_expect_not_null(strstr(render(&record, &plain), "in handle_a() at bank+0x2000, the machine slept   ["), "%s",
                           output);
}

/* ---- words ---- */

static void expect_head(const struct record *record, const char *wanted)
{
        render(record, &plain);
        *strchr(output, '\n') = '\0';
        cr_expect_str_eq(output, wanted);
}

Test(render, says_the_cause_in_words)
{
        static const struct {
                enum record_cause cause;
                const char *words;
        } causes[] = {
                { RECORD_CPU, "busy on the CPU" },
                { RECORD_BLOCKED, "blocked in clock_nanosleep" },
                { RECORD_LOCK, "waiting for a lock" },
                { RECORD_GIL, "waiting for the GIL" },
                { RECORD_PAGE_FAULT, "waiting for memory (page faults)" },
                { RECORD_STARVED, "ready to run but without a CPU" },
                { RECORD_UNKNOWN, "cause unknown" },
                { (enum record_cause)77, "cause unknown" },
        };
        for (size_t i = 0; i < COUNT(causes); i++) {
                char wanted[256];
                struct record record = uvicorn_stall;
                record.stall.cause = causes[i].cause;
                snprintf(wanted, sizeof(wanted),
                         "loopdog: stall 500 ms in block() at /srv/app.py:8, %s   [uvicorn 4242, loop epoll:5, #7]",
                         causes[i].words);
                expect_head(&record, wanted);
        }
}

Test(render, makes_a_head_of_whatever_is_known)
{
        struct record record = { .type = RECORD_STALL };
        expect_head(&record, "loopdog: stall 0 ns, cause unknown   [0, #0]");
        struct record_frame culprit = {
                .function = "<module>", .file = "/srv/app.py", .line = 3, .lang = RECORD_PYTHON
        };
        record.stall.culprit = &culprit;
        expect_head(&record, "loopdog: stall 0 ns in <module> at /srv/app.py:3, cause unknown   [0, #0]");
        culprit.function = NULL;
        culprit.line = 0;
        expect_head(&record, "loopdog: stall 0 ns in /srv/app.py, cause unknown   [0, #0]");
        culprit = (struct record_frame){ .function = "A::b(int)", .module = "/srv/server", .offset = 0x123 };
        expect_head(&record, "loopdog: stall 0 ns in A::b(int) at server+0x123, cause unknown   [0, #0]");
        culprit = (struct record_frame){ .function = "handle" };
        expect_head(&record, "loopdog: stall 0 ns in handle(), cause unknown   [0, #0]");
        culprit = (struct record_frame){ .offset = 0x7f00 };
        expect_head(&record, "loopdog: stall 0 ns in 0x7f00, cause unknown   [0, #0]");
        culprit = (struct record_frame){ 0 };
        expect_head(&record, "loopdog: stall 0 ns in ?, cause unknown   [0, #0]");
}

Test(render, never_cuts_the_head)
{
        struct record record = uvicorn_stall;
        struct record_style style = { .columns = 30 };
        struct record_frame culprit =
                PYTHON("a_function_of_a_reasonable_length", "/srv/a/rather/long/path/app.py", 812);
        record.stall.culprit = &culprit;
        cr_expect_eq(
                strncmp(render(&record, &style),
                        "loopdog: stall 500 ms in a_function_of_a_reasonable_length() at /srv/a/rather/long/path/app.py"
                        ":812, blocked in clock_nanosleep   [uvicorn 4242, loop epoll:5, #7]\n",
                        160),
                0, "%s", output);
}

Test(render, says_nothing_about_other_types)
{
        cr_expect_str_eq(render(&process_record, &plain), "");
        cr_expect_str_eq(render(&loop_record, &plain), "");
        cr_expect_str_eq(render(&exit_record, &plain), "");
}

/* ---- hostile strings ---- */

#define HOSTILE "\x1b[2J\nloopdog: stall\r\xff\xe2\x80\xae\xc2\x9b"

Test(render, is_safe_on_a_terminal)
{
        static const struct record_frame frames[] = {
                { .lang = RECORD_PYTHON, .function = HOSTILE, .file = HOSTILE, .line = 8 },
                { .function = HOSTILE, .module = "/srv/" HOSTILE, .offset = 1 },
                { .module = "/srv/" HOSTILE, .offset = 1 },
                PYTHON("f", PACKAGES HOSTILE "/x.py", 1),
                PYTHON("f", PACKAGES HOSTILE "/x.py", 2),
                PYTHON("f", PACKAGES HOSTILE "/x.py", 3),
                PYTHON("f", PACKAGES HOSTILE "/x.py", 4),
        };
        static const struct record_stack stack = { .count = 1, .frames = frames, .frames_count = COUNT(frames) };
        static const struct record_loss loss = { HOSTILE, 1 };
        struct record record = { .type = RECORD_STALL, .program = HOSTILE };
        record.stall = (struct record_stall){ .thread = HOSTILE "2",
                                              .loop = HOSTILE,
                                              .end = HOSTILE,
                                              .phase = HOSTILE,
                                              .cause = RECORD_BLOCKED,
                                              .detail = { .call = HOSTILE, .reason = HOSTILE },
                                              .culprit = &frames[0],
                                              .stacks = &stack,
                                              .stacks_count = 1,
                                              .samples = 2,
                                              .losses = &loss,
                                              .losses_count = 1,
                                              .samples_lost = 1 };
        for (int kind = 0; kind < 3; kind++) {
                record.stall.cause = kind == 1 ? RECORD_UNKNOWN : RECORD_BLOCKED;
                record.stall.stacks_count = kind == 2 ? 0 : 1;
                const char *text = render(&record, &plain);
                for (const char *at = text; *at; at++)
                        cr_assert((unsigned char)*at >= 0x20 || *at == '\n');
                cr_expect_null(strstr(text, "\xc2\x9b"));
                cr_expect_null(strstr(text, "\xe2\x80\xae"));
                cr_expect_null(strstr(text + 1, "\nloopdog:"));
        }
}

static size_t columns_of_line(const char *line)
{
        size_t columns = 0;
        for (; *line && *line != '\n'; line++)
                columns += ((unsigned char)*line & 0xc0) != 0x80;
        return columns;
}

/* Frames of random names and paths at every width: no line of a frame is wider, each is valid UTF-8. */
Test(render, keeps_to_the_width_with_random_strings)
{
        srand(5);
        for (unsigned columns = 20; columns < 200; columns++) {
                char strings[8][900];
                struct record_frame frames[4];
                for (int i = 0; i < 8; i++) {
                        size_t length = (size_t)rand() % (i % 2 ? 890 : 60);
                        for (size_t j = 0; j < length; j++)
                                strings[i][j] = (char)(1 + rand() % (rand() % 4 ? 126 : 255));
                        strings[i][length] = '\0';
                }
                for (int i = 0; i < 4; i++)
                        frames[i] = (struct record_frame){ .lang = (enum record_lang)(i % 3),
                                                           .function = strings[2 * i],
                                                           .file = i % 2 ? strings[2 * i + 1] : NULL,
                                                           .module = strings[2 * i + 1],
                                                           .line = (uint32_t)rand(),
                                                           .offset = (uint64_t)rand() };
                struct record_stack stack = { .count = 41, .complete = true, .frames = frames, .frames_count = 4 };
                struct record record = uvicorn_stall;
                struct record_style style = { .columns = columns, .all_frames = columns % 2 };
                record.stall.stacks = &stack;
                record.stall.culprit = &frames[1];
                const char *line = render(&record, &style);
                for (size_t left = strlen(line), at = 0; at < left;) {
                        size_t length = text_utf8_length(line + at, left - at);
                        cr_assert_gt(length, 0);
                        at += length;
                }
                for (int i = 0; i < 4; i++) {
                        line = strchr(line, '\n') + 1;
                        if (strncmp(line, "    cpu ", 8) == 0)
                                break;
                        cr_assert_leq(columns_of_line(line), columns, "%s", line);
                }
        }
}

Test(render, keeps_the_end_of_a_long_path)
{
        char path[3000];
        memset(path, 'd', sizeof(path));
        strcpy(path + sizeof(path) - 12, "/handler.py");
        struct record_frame frame = PYTHON("f", path, 77);
        struct record_stack stack = { .count = 41, .complete = true, .frames = &frame, .frames_count = 1 };
        struct record record = uvicorn_stall;
        record.stall.stacks = &stack;
        record.stall.culprit = &frame;
        cr_expect_not_null(strstr(render(&record, &plain), "ddd/handler.py:77, blocked"));
        struct record_style narrow = { .columns = 80 };
        cr_expect_not_null(strstr(render(&record, &narrow), "\n    ...ddddd"));
        cr_expect_not_null(strstr(output, "ddd/handler.py:77  f\n"));
}

Test(render, is_cut_where_the_text_ends)
{
        for (size_t capacity = 0; capacity < 700; capacity++) {
                char *bytes = malloc(capacity + 1);
                struct text text = { .bytes = bytes, .capacity = capacity };
                record_write_text(&text, &uvicorn_stall, &plain);
                cr_assert(capacity == 0 || strlen(bytes) < capacity);
                free(bytes);
        }
}
