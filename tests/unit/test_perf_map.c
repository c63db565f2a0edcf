/* SPDX-License-Identifier: Apache-2.0
 *
 * test_perf_map.c - tools/symbolize: names out of perf maps
 *
 * Context: unit test
 */
#include <criterion/criterion.h>
#include <criterion/redirect.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "symbolize/perf_file.h"
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

/* ---- files ---- */

static char path[] = "/tmp/loopdog-perf-map.XXXXXX";
static int fd;
static struct perf_file *file;

static void begin_file(void)
{
        fd = mkstemp(path);
        cr_assert_geq(fd, 0);
        file = perf_file_new(path, true);
}

static void end_file(void)
{
        perf_file_free(file);
        close(fd);
        unlink(path);
}

TestSuite(perf_file, .init = begin_file, .fini = end_file);

static void append(const char *text)
{
        cr_assert_geq(lseek(fd, 0, SEEK_END), 0);
        cr_assert_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
}

/* What the file says of the address; "" where nothing is known. */
static const char *name_in_file(uint64_t address)
{
        struct record_frame frame = { .lang = RECORD_JIT };
        return perf_file_name(file, address, &frame) ? frame.function : "";
}

Test(perf_file, opens_regular_files_only)
{
        char link[sizeof(path) + 5];
        append("1000 10 one\n");
        cr_expect(perf_file_refresh(file));
        cr_expect_str_eq(name_in_file(0x1000), "one");
        snprintf(link, sizeof(link), "%s.link", path);
        cr_assert_eq(symlink(path, link), 0);
        cr_expect_lt(perf_file_open(link, false), 0);
        unlink(link);
        cr_assert_eq(mkfifo(link, 0600), 0);
        cr_expect_eq(perf_file_open(link, false), -EINVAL);
        unlink(link);
        cr_expect_eq(perf_file_open(link, false), -ENOENT);
}

Test(perf_file, reads_what_was_appended_and_nothing_twice)
{
        append("1000 10 one\n2000 10 two\n3000 10 th");
        cr_expect(perf_file_refresh(file));
        const char *one = name_in_file(0x1000);
        cr_expect_str_eq(name_in_file(0x3000), "th", "as far as it is written");
        cr_assert_eq(pwrite(fd, "1000 10 new", 11, 0), 11); /* a runtime does not: whoever reads it again sees it */
        append("ree\n2000 8 later\n");
        cr_expect(perf_file_refresh(file));
        cr_expect_eq((const void *)name_in_file(0x1000), (const void *)one, "the very same string");
        cr_expect_str_eq(one, "one");
        cr_expect_str_eq(name_in_file(0x2000), "later");
        cr_expect_str_eq(name_in_file(0x2008), "two");
        cr_expect_str_eq(name_in_file(0x3000), "three");
}

Test(perf_file, knows_all_of_a_file_that_grows_line_by_line)
{
        char line[64], wanted[32];
        for (unsigned i = 0; i < 1000; i++) {
                snprintf(line, sizeof(line), "%x 20 f%u\n", 0x1000 + 16 * i, i); /* half of it is used again */
                append(line);
                cr_assert(perf_file_refresh(file));
        }
        for (unsigned i = 0; i < 1000; i++) {
                snprintf(wanted, sizeof(wanted), "f%u", i);
                cr_assert_str_eq(name_in_file(0x1000 + 16 * i), wanted);
        }
        cr_expect_str_eq(name_in_file(0x1000 + 16 * 1000), "f999");
}

Test(perf_file, begins_anew_where_the_file_was_replaced)
{
        append("1000 10 one\n2000 10 two\n");
        cr_expect(perf_file_refresh(file));
        cr_assert_eq(ftruncate(fd, 0), 0);
        append("1000 10 other\n");
        cr_expect(perf_file_refresh(file));
        cr_expect_str_eq(name_in_file(0x1000), "other");
}

Test(perf_file, of_another_user_is_refused_where_anyone_could_have_put_it_and_that_is_said_once)
{
        char said[1024];
        if (geteuid() != 0)
                cr_skip_test("only root can give a file away");
        cr_redirect_stderr();
        append("1000 10 one\n");
        cr_assert_eq(chown(path, 65534, 65534), 0);
        for (unsigned i = 0; i < 3; i++)
                cr_expect_not(perf_file_refresh(file));
        FILE *err = cr_get_redirected_stderr();
        fcntl(fileno(err), F_SETFL, O_NONBLOCK);
        ssize_t length = read(fileno(err), said, sizeof(said) - 1);
        said[length > 0 ? length : 0] = '\0';
        cr_expect(strstr(said, "belongs to another user and is not used: copy it beside the records"), "%s", said);
        cr_expect_eq(strchr(said, '\n'), said + strlen(said) - 1, "one line: %s", said);
        perf_file_free(file);
        file = perf_file_new(path, false);
        cr_expect(perf_file_refresh(file), "where only we could have put it, it is believed");
        cr_expect_str_eq(name_in_file(0x1000), "one");
}
