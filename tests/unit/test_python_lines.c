/* SPDX-License-Identifier: Apache-2.0
 *
 * test_python_lines.c - the lines of bytecode are those that CPython itself tells
 *
 * Context: unit test
 */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "script/python/layout.h"
#include "script/python/lines.h"
#include "vectors/python_lines.h"

#define VECTORS (sizeof python_lines_vectors / sizeof *python_lines_vectors)

static enum python_lines kind_of(unsigned minor)
{
        return python_layout_of(minor)->lines;
}

static uint32_t line_at(const struct python_lines_vector *vector, size_t length, int64_t position)
{
        return python_line(kind_of(vector->minor), vector->table, length, vector->first_line, position);
}

/* A copy that ends where its memory ends, so that a sanitizer sees each byte read too much. */
static uint8_t *exact_copy(const uint8_t *bytes, size_t length)
{
        uint8_t *copy = malloc(length != 0 ? length : 1);
        cr_assert(copy != NULL);
        memcpy(copy, bytes, length);
        return copy;
}

Test(python_lines, are_those_that_cpython_tells)
{
        unsigned looked_at = 0;
        for (size_t i = 0; i < VECTORS; i++) {
                const struct python_lines_vector *vector = &python_lines_vectors[i];
                for (uint32_t r = 0; r < vector->runs_count; r++)
                        for (uint32_t at = vector->runs[r].begin; at < vector->runs[r].end; at += 2, looked_at++)
                                cr_expect(line_at(vector, vector->table_length, at) == vector->runs[r].line,
                                          "3.%u %s: byte %u is line %u, not %u", vector->minor, vector->name, at,
                                          vector->runs[r].line, line_at(vector, vector->table_length, at));
        }
        cr_expect(looked_at > 5000, "only %u places", looked_at);
}

Test(python_lines, are_the_first_line_before_the_function_has_begun)
{
        for (size_t i = 0; i < VECTORS; i++) {
                const struct python_lines_vector *vector = &python_lines_vectors[i];
                static const int64_t before[] = { -1, -2, -1000, INT64_MIN };
                for (unsigned n = 0; n < sizeof before / sizeof *before; n++)
                        cr_expect_eq(line_at(vector, vector->table_length, before[n]), vector->first_line);
        }
}

/* lnotab says nothing of where the bytecode ends; the others do. */
Test(python_lines, are_none_behind_the_end_of_the_bytecode)
{
        for (size_t i = 0; i < VECTORS; i++) {
                const struct python_lines_vector *vector = &python_lines_vectors[i];
                const struct python_lines_run *last = &vector->runs[vector->runs_count - 1];
                uint32_t expected = kind_of(vector->minor) == PYTHON_LNOTAB ? last->line : 0;
                cr_expect_eq(line_at(vector, vector->table_length, last->end + 2), expected);
                cr_expect_eq(line_at(vector, vector->table_length, INT64_MAX), expected);
        }
}

/* Of a table that was cut every line before the cut is still right, and nothing behind it is read. */
Test(python_lines, of_a_cut_table_are_right_or_none)
{
        for (size_t i = 0; i < VECTORS; i++) {
                const struct python_lines_vector *vector = &python_lines_vectors[i];
                uint32_t end = vector->runs[vector->runs_count - 1].end;
                if (kind_of(vector->minor) == PYTHON_LNOTAB)
                        continue;
                /* All cuts of all but the longest table, whose positions are looked at in strides. */
                uint32_t stride = vector->table_length > 300 ? 61 : 1;
                for (uint32_t length = 0; length < vector->table_length; length += stride) {
                        uint8_t *table = exact_copy(vector->table, length);
                        for (uint32_t at = 0; at < end; at += 2 * stride) {
                                uint32_t line =
                                        python_line(kind_of(vector->minor), table, length, vector->first_line, at);
                                uint32_t whole = line_at(vector, vector->table_length, at);
                                /* The last entry's varint may be cut itself: its line is then that of fewer bits. */
                                bool last_entry = line_at(vector, length > 6 ? length - 6 : 0, at) == 0;
                                cr_expect(line == whole || line == 0 || last_entry, "3.%u %s", vector->minor,
                                          vector->name);
                        }
                        free(table);
                }
        }
}

Test(python_lines, of_senseless_tables_end)
{
        srandom(20261122);
        for (unsigned round = 0; round < 20000; round++) {
                uint8_t bytes[200];
                size_t length = (size_t)random() % sizeof bytes;
                for (size_t i = 0; i < length; i++)
                        bytes[i] = (uint8_t)(random() >> 7);
                uint8_t *table = exact_copy(bytes, length);
                uint32_t first = (uint32_t)random() * 2u + (uint32_t)(random() & 1);
                for (int kind = PYTHON_LNOTAB; kind <= PYTHON_LOCATIONS; kind++)
                        for (int64_t at = -2; at < 600; at += 14)
                                cr_expect(python_line(kind, table, length, first, at) <= INT32_MAX);
                free(table);
        }
}

Test(python_lines, below_one_are_none)
{
        static const uint8_t lnotab[] = { 0, 0x81, 0, 0x81 }; /* -127 twice */
        static const uint8_t locations[] = { 0x80 | 13 << 3, 0x40 | 0x3f, 0x1f };
        cr_expect_eq(python_line(PYTHON_LNOTAB, lnotab, sizeof lnotab, 10, 0), 0);
        cr_expect_eq(python_line(PYTHON_LINETABLE, (const uint8_t[]){ 8, 0x81 }, 2, 10, 0), 0);
        cr_expect_eq(python_line(PYTHON_LOCATIONS, locations, sizeof locations, 10, 0), 0);
        cr_expect_eq(python_line(PYTHON_LNOTAB, NULL, 0, 0, -1), 0);
        cr_expect_eq(python_line(PYTHON_LNOTAB, NULL, 0, UINT32_MAX, 0), 0);
}
