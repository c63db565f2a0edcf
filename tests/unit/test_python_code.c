/* SPDX-License-Identifier: Apache-2.0
 *
 * test_python_code.c - names and lines of copied frames, from objects that change, end too early or are none
 *
 * Context: unit test
 */
#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <string.h>

#include "base/memory.h"
#include "fake_python.h"
#include "script/functions.h"
#include "script/python/code.h"

static struct fake_python fake;
static struct python_copied copied;
static struct {
        uint8_t frame[PYTHON_FRAME_BYTES], code[PYTHON_CODE_BYTES], name[PYTHON_HEAD_BYTES], file[PYTHON_HEAD_BYTES],
                lines[PYTHON_HEAD_BYTES];
} bytes;

static const unsigned minors[] = { 8, 10, 11, 12, 13 };
#define FOR_EACH_VERSION(n)                                                                                            \
        for (unsigned n = 0; n < sizeof minors / sizeof *minors && (fake_start(&fake, minors[n]), 1); n++)

static const uint8_t *copy_to(uint8_t *to, uint64_t address, size_t length)
{
        return memory_get_sigsafe(address, to, length) ? to : NULL;
}

/* What the handler would have copied of this frame. */
static void copy_frame(uint64_t frame)
{
        const struct python_layout *layout = &fake.runtime.layout;
        memset(&bytes, 0, sizeof bytes);
        copied = (struct python_copied){ .address = frame };
        copied.frame = copy_to(bytes.frame, frame, sizeof bytes.frame);
        copied.code = python_word(copied.frame, layout->frame_code);
        copied.code_bytes = copy_to(bytes.code, copied.code, sizeof bytes.code);
        copied.name = copy_to(bytes.name, python_word(bytes.code, python_name_offset(layout)), sizeof bytes.name);
        copied.file = copy_to(bytes.file, python_word(bytes.code, layout->code_file), sizeof bytes.file);
        copied.lines = copy_to(bytes.lines, python_word(bytes.code, layout->code_lines), sizeof bytes.lines);
}

static const struct script_function *place_of(const struct python_copied *frame, struct python_place *place)
{
        memset(place, 0xa5, sizeof *place);
        if (python_place_of(&fake.runtime, frame, place) != 0)
                return NULL;
        return script_function_get(place->function);
}

static struct python_copied without_heads(void)
{
        struct python_copied frame = copied;
        frame.name = frame.file = frame.lines = NULL;
        return frame;
}

/* First seen and remembered; with heads and without, which then is read from memory. */
static void expect_place_by(const char *name, const char *file, uint32_t line, unsigned ways)
{
        struct python_copied bare = without_heads();
        struct python_place place;
        for (unsigned way = 0; way < 2 * ways; way++) {
                const struct script_function *function = place_of(way % ways == 0 ? &copied : &bare, &place);
                cr_assert(function != NULL, "3.%u: %s", fake.runtime.layout.minor, name);
                cr_expect_str_eq(function->name, name);
                cr_expect_str_eq(function->file, file);
                cr_expect_eq(place.line, line, "3.%u: line %u", fake.runtime.layout.minor, place.line);
        }
}

static void expect_place(const char *name, const char *file, uint32_t line)
{
        expect_place_by(name, file, line, 2);
}

static bool is_refused(void)
{
        struct python_copied bare = without_heads();
        struct python_place place;
        return place_of(&bare, &place) == NULL && place_of(&copied, &place) == NULL;
}

/* ---- what is right ---- */

Test(python_code, names_function_file_and_line)
{
        FOR_EACH_VERSION(n)
        {
                uint64_t code = fake_code(&fake, "Server.handle", "/srv/app.py", 42);
                copy_frame(fake_frame(&fake, code, 0, 4));
                expect_place("Server.handle", "/srv/app.py", 42);
                copy_frame(fake_frame(&fake, code, 0, -1));
                expect_place("Server.handle", "/srv/app.py", 42);
        }
}

static void expect_name(const void *characters, size_t length, unsigned kind, bool ascii, const char *name)
{
        char text[256];
        FOR_EACH_VERSION(n)
        {
                uint64_t string = fake_string_of(&fake, characters, length, kind, ascii);
                cr_assert(python_string(&fake.runtime.layout, string, text, sizeof text));
                cr_expect_str_eq(text, name);
                uint64_t code = fake_code(&fake, "x", "f.py", 1);
                fake_put(code, python_name_offset(&fake.runtime.layout), string);
                copy_frame(fake_frame(&fake, code, 0, 0));
                expect_place(name, "f.py", 1);
        }
}

Test(python_code, reads_strings_of_every_width)
{
        expect_name("plain", 5, 1, true, "plain");
        expect_name("caf\xe9", 4, 1, false, "caf\xc3\xa9");
        expect_name((uint16_t[]){ 'a', 0x3b1, 0x4e2d }, 3, 2, false, "a\xce\xb1\xe4\xb8\xad");
        expect_name((uint32_t[]){ 0x1f436, 'b' }, 2, 4, false,
                    "\xf0\x9f\x90\xb6"
                    "b");
        expect_name("", 0, 1, true, "");
}

/* Python source can't have them, compile() of a made-up name can. */
Test(python_code, replaces_what_is_no_character)
{
        expect_name((uint16_t[]){ 'a', 0xd83d, 'b' }, 3, 2, false,
                    "a\xef\xbf\xbd"
                    "b");
        expect_name((uint32_t[]){ 0xdfff, 0x110000, 0xffffffff }, 3, 4, false, "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd");
        expect_name("ab\0cd", 5, 1, true, "ab");
}

Test(python_code, cuts_long_names_between_characters)
{
        uint16_t characters[600];
        char text[100];
        fake_start(&fake, 11);
        for (unsigned i = 0; i < 600; i++)
                characters[i] = 0x4e2d;
        uint64_t string = fake_string_of(&fake, characters, 600, 2, false);
        for (size_t capacity = 1; capacity <= sizeof text; capacity++) {
                memset(text, 'x', sizeof text);
                cr_assert(python_string(&fake.runtime.layout, string, text, capacity));
                cr_expect_eq(strlen(text), (capacity - 1) / 3 * 3);
        }
}

Test(python_code, reads_objects_that_end_at_the_end_of_the_mapping)
{
        char text[64];
        FOR_EACH_VERSION(n)
        {
                const struct python_layout *layout = &fake.runtime.layout;
                uint64_t at = (uintptr_t)fake_cliff() - layout->ascii_header - 8; /* 7 characters and their NUL */
                fake_string_at(&fake, at, "at_edge", 7, 1, true);
                cr_assert(python_string(layout, at, text, sizeof text), "3.%u", layout->minor);
                cr_expect_str_eq(text, "at_edge");
        }
}

/* ---- what is none ---- */

static void expect_no_string(uint64_t address)
{
        char text[64];
        cr_expect(!python_string(&fake.runtime.layout, address, text, sizeof text), "3.%u: \"%s\"",
                  fake.runtime.layout.minor, text);
}

Test(python_code, takes_nothing_else_for_a_string)
{
        FOR_EACH_VERSION(n)
        {
                uint64_t string = fake_string(&fake, "good");
                expect_no_string(0);
                expect_no_string(1);
                expect_no_string(UINT64_MAX - 7);
                expect_no_string(0x7f0000000000ull << 8);
                fake_put_int(string, 32, 1u << 2 | 1u << 6); /* not compact */
                expect_no_string(string);
                fake_put_int(string, 32, 3u << 2 | 1u << 5); /* three bytes a character */
                expect_no_string(string);
                fake_put_int(string, 32, 1u << 2 | 1u << 5 | 1u << 6);
                fake_put(string, 16, 5000); /* too long */
                expect_no_string(string);
                fake_put(string, 16, UINT64_MAX);
                expect_no_string(string);
                uint64_t cliff = (uintptr_t)fake_cliff();
                fake_string_at(&fake, cliff - 80, "x", 1, 1, true);
                fake_put(cliff - 80, 16, 100); /* goes on where nothing can be read */
                expect_no_string(cliff - 80);
                expect_no_string(cliff - 8);
                expect_no_string(cliff);
        }
}

Test(python_code, refuses_frames_without_a_code_object)
{
        FOR_EACH_VERSION(n)
        {
                uint64_t code = fake_code(&fake, "f", "f.py", 1), frame = fake_frame(&fake, code, 0, 0);
                fake_put(code, 8, FAKE_CODE_TYPE + 64); /* of another type */
                copy_frame(frame);
                cr_expect(is_refused());
                fake_put(code, 8, FAKE_CODE_TYPE);
                copy_frame(frame);
                copied.code_bytes = NULL;
                cr_expect(is_refused());
                fake_put(frame, fake.runtime.layout.frame_code, (uintptr_t)fake_cliff());
                copy_frame(frame);
                cr_expect(is_refused());
        }
}

Test(python_code, refuses_code_whose_names_are_none)
{
        FOR_EACH_VERSION(n)
        {
                const struct python_layout *layout = &fake.runtime.layout;
                const uint16_t fields[] = { python_name_offset(layout), layout->code_file };
                for (unsigned i = 0; i < 2; i++) {
                        uint64_t code = fake_code(&fake, "f", "f.py", 1);
                        fake_put(code, fields[i], 0);
                        copy_frame(fake_frame(&fake, code, 0, 0));
                        cr_expect(is_refused(), "3.%u field %u", layout->minor, i);
                }
        }
}

Test(python_code, knows_no_line_where_the_table_is_none)
{
        FOR_EACH_VERSION(n)
        {
                const struct python_layout *layout = &fake.runtime.layout;
                uint64_t code = fake_code(&fake, "no_table", "f.py", 1), frame = fake_frame(&fake, code, 0, 0);
                fake_put(python_word((uint8_t *)(uintptr_t)code, layout->code_lines), 16, UINT64_MAX); /* its length */
                copy_frame(frame);
                expect_place("no_table", "f.py", 0);
                fake_put(code, layout->code_lines, 8);
                copy_frame(frame);
                expect_place("no_table", "f.py", 0);
        }
}

/* ---- what has changed since ---- */

/* The thread goes on while the watchdog reads: code was freed, other code made of the very same memory. */
Test(python_code, never_takes_the_name_of_code_that_took_the_place_of_the_copied_one)
{
        FOR_EACH_VERSION(n)
        {
                const struct python_layout *layout = &fake.runtime.layout;
                uint64_t code = fake_code(&fake, "first", "first.py", 1);
                copy_frame(fake_frame(&fake, code, 0, 0));
                uint64_t name = python_word(bytes.code, python_name_offset(layout));
                fake_string_at(&fake, name, "other", 5, 1, true);
                expect_place_by("first", "first.py", 1, 1); /* all is in the heads */
                copy_frame(copied.address);
                expect_place("other", "first.py", 1);
        }
}

static void expect_nothing_or(const char *name)
{
        struct python_place place;
        const struct script_function *function = place_of(&copied, &place);
        cr_expect(function == NULL || strcmp(function->name, name) == 0, "3.%u: %s, not %s", fake.runtime.layout.minor,
                  function->name, name);
}

/* The frame was copied, but the table of lines is looked for only when the code is gone. */
Test(python_code, knows_the_line_of_code_that_is_gone_only_if_it_was_known_before)
{
        FOR_EACH_VERSION(n)
        {
                char name[16];
                snprintf(name, sizeof name, "gone_%u", minors[n]);
                uint64_t code = fake_code(&fake, name, "gone.py", 9), frame = fake_frame(&fake, code, 0, 6);
                struct python_place place;
                copy_frame(frame);
                copied.lines = NULL;
                fake_put_int(code, fake.runtime.layout.code_first_line, 10); /* of other code by now */
                cr_assert(place_of(&copied, &place) != NULL);
                cr_expect_eq(place.line, 0);
                fake_put_int(code, fake.runtime.layout.code_first_line, 9);
                copy_frame(frame);
                expect_place(name, "gone.py", 9);
                copied.lines = NULL;
                fake_put_int(code, fake.runtime.layout.code_first_line, 10);
                cr_assert(place_of(&copied, &place) != NULL);
                cr_expect_eq(place.line, 9);
        }
}

Test(python_code, never_mixes_a_long_name_of_two_functions)
{
        char first[400], second[400];
        memset(first, 'a', sizeof first);
        memset(second, 'b', sizeof second);
        FOR_EACH_VERSION(n)
        {
                uint64_t code = fake_code(&fake, "x", "f.py", 1);
                uint64_t name = fake_string_of(&fake, first, sizeof first, 1, true);
                fake_put(code, python_name_offset(&fake.runtime.layout), name);
                copy_frame(fake_frame(&fake, code, 0, 0));
                fake_string_at(&fake, name, second, sizeof second, 1, true);
                first[255] = '\0';
                expect_nothing_or(first);
                first[255] = 'a';
                copy_frame(copied.address);
                second[255] = '\0';
                expect_place(second, "f.py", 1);
                second[255] = 'b';
        }
}

/* Two functions in a row at the same addresses with the same words: what is remembered of the first is not told of the
 * second. */
Test(python_code, never_tells_what_it_remembers_of_other_code_at_the_same_place)
{
        FOR_EACH_VERSION(n)
        {
                const struct python_layout *layout = &fake.runtime.layout;
                uint64_t code = fake_code(&fake, "one", "one.py", 7), frame = fake_frame(&fake, code, 0, 2);
                copy_frame(frame);
                expect_place("one", "one.py", 7);
                uint64_t name = python_word(bytes.code, python_name_offset(layout));
                uint64_t file = python_word(bytes.code, layout->code_file);
                fake_string_at(&fake, name, "two", 3, 1, true);
                fake_string_at(&fake, file, "two.py", 6, 1, true);
                copy_frame(frame);
                struct python_place place;
                const struct script_function *function = place_of(&copied, &place);
                cr_assert(function != NULL);
                cr_expect_str_eq(function->name, "two");
                cr_expect_str_eq(function->file, "two.py");
        }
}

/* Equal names may stand for different lengths of the same bytes. */
Test(python_code, tells_names_apart_that_begin_equally)
{
        char text[400];
        memset(text, 'a', sizeof text);
        FOR_EACH_VERSION(n)
        {
                uint64_t code = fake_code(&fake, "x", "f.py", 1);
                uint64_t name = fake_string_of(&fake, text, 200, 1, true);
                fake_put(code, python_name_offset(&fake.runtime.layout), name);
                copy_frame(fake_frame(&fake, code, 0, 0));
                struct python_place place;
                cr_assert_eq(strlen(place_of(&copied, &place)->name), 200);
                fake_put(name, 16, 150);
                copy_frame(copied.address);
                cr_assert_eq(strlen(place_of(&copied, &place)->name), 150);
        }
}

Test(python_code, has_no_number_left_but_a_line_when_the_table_is_full)
{
        fake_start(&fake, 11);
        char name[16];
        for (unsigned i = 0; i < 5000; i++) {
                snprintf(name, sizeof name, "f%u", i);
                script_function(name, "f.py", i);
        }
        struct python_place place;
        copy_frame(fake_frame(&fake, fake_code(&fake, "late", "late.py", 5), 0, 0));
        cr_expect_eq(python_place_of(&fake.runtime, &copied, &place), 0);
        cr_expect_eq(place.function, 0);
        cr_expect_eq(place.line, 5);
        script_functions_clear();
        expect_place("late", "late.py", 5);
}

/* Whatever the bytes are: no crash, no endless loop; under a sanitizer, no read beyond them. */
Test(python_code, survives_random_bytes)
{
        srandom(4);
        FOR_EACH_VERSION(n)
        {
                for (unsigned round = 0; round < 2000; round++) {
                        uint64_t code = fake_code(&fake, "random", "random.py", 3);
                        copy_frame(fake_frame(&fake, code, 0, 0));
                        uint8_t *const where[] = { bytes.code, bytes.name, bytes.file, bytes.lines, bytes.frame };
                        for (unsigned i = 0; i < 15; i++)
                                where[i % 5][(size_t)random() % PYTHON_FRAME_BYTES] ^= (uint8_t)(1u << random() % 8);
                        struct python_place place;
                        python_place_of(&fake.runtime, &copied, &place);
                        fake.used = 0;
                }
        }
}
