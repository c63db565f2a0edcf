/* SPDX-License-Identifier: Apache-2.0
 *
 * test_journal.c - the order of a file's lines, and the account of those that are in no file
 *
 * Context: unit test; Criterion gives each test a process of its own
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/limits.h"
#include "output.h"
#include "record/journal.h"

TestSuite(journal, .init = output_begin, .fini = output_remove);

/* The line with this number, from 0, as JSON. */
static json_t *line_of(const char *name, unsigned number)
{
        static char bytes[LIMIT_LINE_BYTES + 2];
        FILE *file = fopen(name, "r");
        cr_assert(not(zero(ptr, file)), "no file %s", name);
        for (unsigned i = 0; i <= number; i++)
                cr_assert(not(zero(ptr, fgets(bytes, sizeof bytes, file))), "no line %u in %s", number, name);
        fclose(file);
        json_t *line = json_loads(bytes, 0, NULL);
        cr_assert(not(zero(ptr, line)), "%s", bytes);
        return line;
}

static void expect_type(const char *name, unsigned number, const char *type)
{
        json_t *line = line_of(name, number);
        cr_expect_str_eq(json_string_value(json_object_get(line, "type")), type);
        json_decref(line);
}

static void expect_number(unsigned line_number, const char *field, json_int_t value)
{
        json_t *line = line_of(output_path, line_number);
        cr_expect(eq(i64, json_integer_value(json_object_get(line, field)), value), "%s", field);
        json_decref(line);
}

static void write_loop(size_t buckets_count)
{
        static struct record_bucket buckets[LIMIT_LINE_BYTES / 20];
        cr_assert(buckets_count <= sizeof buckets / sizeof *buckets);
        journal_loop(&(struct record_loop){ .loop = "epoll:5", .buckets = buckets, .buckets_count = buckets_count });
}

Test(journal, begins_a_file_with_the_process)
{
        write_loop(1);
        journal_exit(&(struct record_exit){ .reason = "exit" });
        expect_type(output_path, 0, "process");
        expect_type(output_path, 1, "loop");
        expect_type(output_path, 2, "exit");
        expect_number(2, "records_dropped", 0);
        expect_number(2, "reopened", 0);
}

Test(journal, begins_with_the_process_again_where_its_file_was_rotated)
{
        char old[sizeof output_path + 2];
        write_loop(1);
        snprintf(old, sizeof old, "%s.1", output_path);
        rename(output_path, old);
        write_loop(2);
        journal_exit(&(struct record_exit){ .reason = "exit" });
        expect_type(old, 1, "loop");
        expect_type(output_path, 0, "process");
        expect_type(output_path, 1, "loop");
        expect_number(2, "records_dropped", 0);
        expect_number(2, "reopened", 1);
}

Test(journal, counts_a_record_that_is_longer_than_a_line_may_be)
{
        write_loop(LIMIT_LINE_BYTES / 20);
        unlink(output_path);
        write_loop(LIMIT_LINE_BYTES / 20); /* no file is made for it */
        cr_expect(ne(int, access(output_path, F_OK), 0));
        journal_exit(&(struct record_exit){ .reason = "exit" });
        expect_type(output_path, 0, "process");
        expect_number(1, "records_dropped", 2);
        expect_number(1, "bytes_dropped", 0);
}

Test(journal, counts_what_does_not_fit_the_file)
{
        config.limit_bytes = 3000;
        journal_setup();
        for (int i = 0; i < 100; i++)
                write_loop(1);
        json_int_t written = 0;
        FILE *file = fopen(output_path, "r");
        for (int c; (c = getc(file)) != EOF;)
                written += c == '\n';
        fclose(file);
        unlink(output_path);
        journal_exit(&(struct record_exit){ .reason = "exit" });
        cr_assert(written > 2 && written < 20);
        expect_number(1, "records_dropped", 100 - (written - 1));
}

Test(journal, tells_of_a_stall_that_was_one_too_many_how_often_it_was_looked_at)
{
        static const char reason[] = "too many loops stalled at the same time, or no memory was left";
        struct explained explained = { .ended = true, .id = 1, .crowded = 5, .loop = "epoll:5" };
        journal_stall(&explained, JOURNAL_ENDED);
        json_t *line = line_of(output_path, 1);
        json_t *lost = json_object_get(line, "lost");
        cr_expect(eq(i64, json_integer_value(json_object_get(line, "samples")), 5));
        cr_expect(eq(i64, json_integer_value(json_object_get(lost, "samples")), 5));
        cr_expect(eq(i64, json_integer_value(json_object_get(json_object_get(lost, "reasons"), reason)), 5));
        json_decref(line);
}
