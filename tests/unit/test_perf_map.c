/* SPDX-License-Identifier: Apache-2.0
 *
 * test_perf_map.c - tools/symbolize: names out of perf maps
 *
 * Context: unit test
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "symbolize/perf_map.h"

static struct perf_map *map;

static void release(void)
{
        perf_map_free(map);
}

TestSuite(perf_map, .fini = release);

static void parse(const char *text)
{
        map = perf_map_parse(text, strlen(text));
}

/* Its function; "" where nothing is known. */
static const char *name(uint64_t address, struct record_frame *frame)
{
        *frame = (struct record_frame){ .lang = RECORD_JIT };
        return perf_map_name(map, address, frame) ? frame->function : "";
}

Test(perf_map, knows_the_code_between_begin_and_end)
{
        struct record_frame frame;
        parse("1000 10 one\n0x2000 0x20 two words\n");
        cr_expect_str_eq(name(0xfff, &frame), "");
        cr_expect_str_eq(name(0x1000, &frame), "one");
        cr_expect_str_eq(name(0x100f, &frame), "one");
        cr_expect_str_eq(name(0x1010, &frame), "");
        cr_expect_str_eq(name(0x201f, &frame), "two words");
        cr_expect_eq(frame.lang, RECORD_JIT);
        cr_expect_null(frame.module);
}

Test(perf_map, believes_the_later_line_where_memory_was_used_again)
{
        struct record_frame frame;
        parse("1000 1000 old\n1800 100 new\n1400 10 newest\n1000 8 first\n");
        cr_expect_str_eq(name(0x1004, &frame), "first");
        cr_expect_str_eq(name(0x1010, &frame), "old");
        cr_expect_str_eq(name(0x1408, &frame), "newest");
        cr_expect_str_eq(name(0x1880, &frame), "new");
        cr_expect_str_eq(name(0x1900, &frame), "old");
}

Test(perf_map, passes_over_what_is_no_line_of_a_map)
{
        struct record_frame frame;
        parse("\n# comment\n1000\n1000 \n1000 10\n1000 10 \n1000 0 none\nffffffffffffffff 10 beyond\n"
              "12345678901234567890 1 long\n2000 10 good\n3000 10 cut");
        cr_expect_str_eq(name(0x1000, &frame), "");
        cr_expect_str_eq(name(0x2000, &frame), "good");
        cr_expect_str_eq(name(0x3000, &frame), "cut");
        perf_map_free(map);
        map = perf_map_parse("", 0);
        cr_expect_str_eq(name(0, &frame), "");
}

Test(perf_map, takes_the_names_of_v8_apart)
{
        static const struct {
                const char *function, *file;
                uint32_t line;
        } wanted[] = { { "tick", "/srv/app.js", 5 },
                       { "block", "/srv/a b/app.mjs", 12 },
                       { "(anonymous)", "/srv/app.js", 1 },
                       { "listOnTimeout", "node:internal/timers", 524 },
                       { "eval", NULL, 0 },
                       { "Class.method", "/srv/app.js", 7 } };
        parse("1000 10 JS:~tick /srv/app.js:5:26\n1010 10 LazyCompile:*block file:///srv/a b/app.mjs:12:1\n"
              "1020 10 Function: /srv/app.js:1:1\n1030 10 JS:^listOnTimeout node:internal/timers:524:25\n"
              "1040 10 Eval:eval\n1050 10 JS:+Class.method /srv/app.js:7\n");
        for (size_t i = 0; i < sizeof(wanted) / sizeof(*wanted); i++) {
                struct record_frame frame;
                cr_expect_str_eq(name(0x1000 + 16 * i, &frame), wanted[i].function);
                cr_expect_str_eq(name(0x1000 + 16 * i, &frame), wanted[i].function, "the second time, too");
                cr_expect_eq(frame.lang, RECORD_JAVASCRIPT);
                cr_expect_eq(frame.line, wanted[i].line);
                cr_expect(wanted[i].file ? frame.file && strcmp(frame.file, wanted[i].file) == 0 : !frame.file);
        }
}

Test(perf_map, gives_the_runtimes_own_code_to_nobody)
{
        struct record_frame frame;
        parse("1000 10 Builtin:RegExpPrototypeExec\n2000 10 py::block:/srv/app.py\n3000 10 Lcom/shop/Order;::total\n");
        cr_expect_str_eq(name(0x1000, &frame), "Builtin:RegExpPrototypeExec");
        cr_expect_eq(record_frame_owner(&frame, NULL), RECORD_RUNTIME);
        name(0x2000, &frame);
        cr_expect_eq(record_frame_owner(&frame, NULL), RECORD_RUNTIME);
        cr_expect_str_eq(name(0x3000, &frame), "Lcom/shop/Order;::total");
        cr_expect_eq(record_frame_owner(&frame, NULL), RECORD_OWN);
}

Test(perf_map, opens_regular_files_only)
{
        char path[] = "/tmp/loopdog-perf-map.XXXXXX", link[sizeof(path) + 5];
        struct record_frame frame;
        int fd = mkstemp(path);
        cr_assert_eq(write(fd, "1000 10 one\n", 12), 12);
        close(fd);
        map = perf_map_read(path, true);
        cr_expect_str_eq(name(0x1000, &frame), "one");
        snprintf(link, sizeof(link), "%s.link", path);
        cr_assert_eq(symlink(path, link), 0);
        cr_expect_null(perf_map_read(link, false));
        unlink(link);
        cr_assert_eq(mkfifo(link, 0600), 0);
        cr_expect_null(perf_map_read(link, false));
        unlink(link);
        if (geteuid() == 0) {
                cr_assert_eq(chown(path, 65534, 65534), 0);
                cr_expect_null(perf_map_read(path, true), "it is another user's");
        }
        unlink(path);
        cr_expect_null(perf_map_read(path, false));
}
