/* SPDX-License-Identifier: Apache-2.0
 *
 * test_python_layout.c - which offsets of CPython are believed
 *
 * Context: unit test
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "script/python/layout.h"

static uint64_t words[PYTHON_OFFSET_WORDS];
static struct python_layout layout;

/* Which word says what in 3.13 and in 3.14, and what it is there. */
static const struct {
        uint8_t in_313, in_314;
        uint16_t value;
} offsets[] = {
        { 5, 5, 632 },   { 8, 8, 7264 },  { 9, 9, 7344 },  { 14, 15, 16 }, { 21, 24, 8 },   { 23, 26, 72 },
        { 24, 27, 152 }, { 25, 28, 160 }, { 29, 32, 8 },   { 30, 33, 0 },  { 31, 34, 56 },  { 33, 36, 70 },
        { 35, 40, 112 }, { 37, 42, 128 }, { 38, 43, 136 }, { 39, 44, 68 }, { 43, 48, 200 },
};
#define OFFSETS (sizeof offsets / sizeof *offsets)

static void make_words(unsigned minor)
{
        memset(words, 0, sizeof words);
        memcpy(words, "xdebugpy", 8);
        words[1] = 3u << 24 | minor << 16;
        for (size_t i = 0; i < OFFSETS; i++)
                words[minor == 13 ? offsets[i].in_313 : offsets[i].in_314] = offsets[i].value;
}

static int read_words(unsigned minor)
{
        return python_layout_from_offsets(words, minor, &layout);
}

Test(python_layout, knows_every_version_from_8_to_13)
{
        for (unsigned minor = 0; minor < 40; minor++) {
                const struct python_layout *known = python_layout_of(minor);
                cr_expect((known != NULL) == (minor >= 8 && minor <= 13));
                cr_expect(known == NULL || known->minor == minor);
        }
}

/* What the handler copies of each object must hold all that is read of it afterwards. */
Test(python_layout, has_every_field_within_what_is_copied)
{
        for (unsigned minor = 8; minor <= 13; minor++) {
                const struct python_layout *l = python_layout_of(minor);
                cr_expect_leq(l->thread_frame, PYTHON_THREAD_BYTES - 8);
                cr_expect_leq(l->thread_next, PYTHON_THREAD_BYTES - 8);
                cr_expect_leq(l->frame_previous, PYTHON_FRAME_BYTES - 8);
                cr_expect_leq(l->frame_code, PYTHON_FRAME_BYTES - 8);
                cr_expect_leq(l->frame_position, PYTHON_FRAME_BYTES - 8);
                cr_expect(l->frame_end == PYTHON_NONE || l->frame_end < PYTHON_FRAME_BYTES);
                cr_expect_leq(l->code_first_line, PYTHON_CODE_BYTES - 4);
                cr_expect_leq(l->code_file, PYTHON_CODE_BYTES - 8);
                cr_expect_leq(python_name_offset(l), PYTHON_CODE_BYTES - 8);
                cr_expect_leq(l->code_lines, PYTHON_CODE_BYTES - 8);
        }
}

Test(python_layout, reads_the_offsets_that_3_13_tells)
{
        make_words(13);
        cr_assert_eq(read_words(13), 0);
        cr_expect(memcmp(&layout, python_layout_of(13), sizeof layout) == 0, "they are those of 3.13");
        words[23] = 80;
        words[38] = 120;
        cr_assert_eq(read_words(13), 0);
        cr_expect_eq(layout.thread_frame, 80);
        cr_expect_eq(layout.code_lines, 120);
}

Test(python_layout, reads_those_of_3_14_without_what_it_does_not_tell)
{
        make_words(14);
        cr_assert_eq(read_words(14), 0);
        cr_expect_eq(layout.minor, 14);
        cr_expect_eq(layout.gil, 16);
        cr_expect_eq(layout.code_file, 112);
        cr_expect_eq(layout.task_name, PYTHON_NONE);
        cr_expect_eq(layout.task_coroutine, PYTHON_NONE);
}

Test(python_layout, needs_the_cookie)
{
        make_words(13);
        words[0] ^= 1ull << 40;
        cr_expect_eq(read_words(13), -ENOENT);
        memset(words, 0, sizeof words);
        cr_expect_eq(read_words(13), -ENOENT);
}

Test(python_layout, refuses_builds_without_a_lock)
{
        make_words(13);
        words[2] = 1;
        cr_expect_eq(read_words(13), -ENOLCK);
        make_words(14);
        words[2] = 1;
        cr_expect_eq(read_words(14), -ENOLCK);
}

Test(python_layout, refuses_versions_that_it_does_not_know)
{
        static const unsigned minors[] = { 0, 8, 12, 15, 255 };
        for (size_t i = 0; i < sizeof minors / sizeof *minors; i++) {
                make_words(13);
                cr_expect_eq(read_words(minors[i]), -ENOTSUP);
        }
}

/* Any single offset that points out of what is copied is reason enough. */
Test(python_layout, refuses_each_offset_that_makes_no_sense)
{
        for (unsigned minor = 13; minor <= 14; minor++) {
                for (size_t i = 0; i < OFFSETS; i++) {
                        unsigned at = minor == 13 ? offsets[i].in_313 : offsets[i].in_314;
                        static const uint64_t senseless[] = { 40000, 65536, 1ull << 32, UINT64_MAX, 65536 + 8 };
                        for (size_t n = 0; n < sizeof senseless / sizeof *senseless; n++) {
                                make_words(minor);
                                words[at] = senseless[n];
                                cr_expect_eq(read_words(minor), -ENOTSUP, "3.%u word %u", minor, at);
                        }
                }
        }
}

/* Fields are words or ints: one that is out of line is none. */
Test(python_layout, refuses_offsets_that_are_out_of_line)
{
        for (size_t i = 0; i < OFFSETS; i++) {
                make_words(13);
                if (offsets[i].in_313 == 33) /* the owner is one byte */
                        continue;
                words[offsets[i].in_313] += 1;
                cr_expect_eq(read_words(13), -ENOTSUP, "word %u", offsets[i].in_313);
        }
}

/* 3.14 that has moved its words must not be read by 3.13's places, nor the other way round. */
Test(python_layout, refuses_two_fields_at_one_place)
{
        make_words(13);
        words[30] = words[29]; /* code where the link to the caller is */
        cr_expect_eq(read_words(13), -ENOTSUP);
        make_words(13);
        words[35] = words[38];
        cr_expect_eq(read_words(13), -ENOTSUP);
        make_words(14);
        cr_expect_eq(read_words(13), -ENOTSUP, "3.14's words are not 3.13's");
}
