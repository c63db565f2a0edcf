/* SPDX-License-Identifier: Apache-2.0
 *
 * test_text.c - base/text.c
 *
 * Context: unit test
 */
#include "base/text.h"

#include <criterion/criterion.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define expect_text(text, wanted) cr_expect_str_eq((text).bytes, (wanted))

static const char *duration(uint64_t duration_ns)
{
        static char bytes[64];
        struct text text = TEXT_IN(bytes);
        text_duration(&text, duration_ns);
        return bytes;
}

static const char *printable(const char *string)
{
        static char bytes[256];
        struct text text = TEXT_IN(bytes);
        text_clear(&text);
        text_printable(&text, string);
        return bytes;
}

Test(text, is_terminated_after_every_step)
{
        char bytes[8] = "XXXXXXX";
        struct text text = TEXT_IN(bytes);
        text_string(&text, "");
        expect_text(text, "");
        text_string(&text, "ab");
        expect_text(text, "ab");
        text_char(&text, 'c');
        expect_text(text, "abc");
        text_clear(&text);
        expect_text(text, "");
}

Test(text, cuts_what_does_not_fit_and_remembers_it)
{
        char bytes[6];
        struct text text = TEXT_IN(bytes);
        text_string(&text, "12345");
        cr_expect(!text.cut);
        text_string(&text, "6");
        cr_expect(text.cut);
        expect_text(text, "12345");
        cr_expect_eq(text.length, 5);
}

Test(text, appends_nothing_more_once_something_was_cut)
{
        char bytes[6];
        struct text text = TEXT_IN(bytes);
        text_string(&text, "123\xe2\x82\xac"); /* the euro sign does not fit */
        cr_expect(text.cut);
        expect_text(text, "123");
        text_string(&text, "4");
        expect_text(text, "123");
}

Test(text, never_writes_into_a_buffer_of_no_size)
{
        char guard = 'g';
        struct text text = { .bytes = &guard, .capacity = 0 };
        text_string(&text, "a");
        text_unsigned(&text, 1);
        text_clear(&text);
        cr_expect_eq(guard, 'g');
}

Test(text, ignores_a_string_that_is_not_there)
{
        char bytes[8];
        struct text text = TEXT_IN(bytes);
        text_string(&text, "a");
        text_string(&text, NULL);
        text_printable(&text, NULL);
        expect_text(text, "a");
}

Test(text, writes_numbers_up_to_their_ends)
{
        char bytes[128];
        struct text text = TEXT_IN(bytes);
        text_unsigned(&text, 0);
        text_char(&text, ' ');
        text_unsigned(&text, UINT64_MAX);
        text_char(&text, ' ');
        text_signed(&text, INT64_MIN);
        text_char(&text, ' ');
        text_signed(&text, INT64_MAX);
        expect_text(text, "0 18446744073709551615 -9223372036854775808 9223372036854775807");
}

Test(text, pads_hexadecimal_numbers)
{
        char bytes[128];
        struct text text = TEXT_IN(bytes);
        text_hex(&text, 0xd5bfc, 1);
        text_char(&text, ' ');
        text_hex(&text, 0x9f2c, 16);
        text_char(&text, ' ');
        text_hex(&text, UINT64_MAX, 0);
        text_char(&text, ' ');
        text_hex(&text, 1, 1000); /* bounded */
        expect_text(text, "d5bfc 0000000000009f2c ffffffffffffffff 00000000000000000000000000000001");
}

Test(text, formats_like_libc)
{
        char bytes[256], wanted[256];
        struct text text = TEXT_IN(bytes);
        long minus = -5;
        unsigned long large = 1ul << 40;
        size_t size = 77;
#define ARGUMENTS                                                                                                      \
        "%s|%d|%u|%c|%x|%lu|%ld|%llu|%lld|%lx|%llx|%zu|%04u|%016lx|%05x|%%", "text", -3, 4000000000u, 'c', 0xbeefu,    \
                large, minus, 5ull, -6ll, large, 0xabcull, size, 42u, large, 0xabcdef12u
        text_format(&text, ARGUMENTS);
        snprintf(wanted, sizeof(wanted), ARGUMENTS);
        expect_text(text, wanted);
}

Test(text, shows_a_missing_string_as_a_question_mark)
{
        char bytes[16];
        struct text text = TEXT_IN(bytes);
        const char *volatile none = NULL;
        text_format(&text, "<%s>", none);
        expect_text(text, "<?>");
}

Test(text, leaves_an_unknown_conversion_as_it_stands)
{
        char bytes[64];
        struct text text = TEXT_IN(bytes);
        const char *format = "a %d b %f c %d"; /* not a literal: the compiler would know that %f needs a double */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
#pragma GCC diagnostic ignored "-Wformat-security"
        text_format(&text, format, 1, 2.5, 3);
        expect_text(text, "a 1 b %f c %d");
        text_clear(&text);
        format = "100%";
        text_format(&text, format);
#pragma GCC diagnostic pop
        expect_text(text, "100%");
}

Test(text, writes_durations_as_people_read_them)
{
        static const struct {
                uint64_t duration_ns;
                const char *wanted;
        } cases[] = {
                { 0, "0 ns" },
                { 1, "1 ns" },
                { 999, "999 ns" },
                { 1000, "1 us" },
                { 1200, "1.2 us" },
                { 1234, "1.23 us" },
                { 1050, "1.05 us" },
                { 310022, "310 us" },
                { 999400, "999 us" },
                { 999999, "999 us" },
                { 1000000, "1 ms" },
                { 9994999, "9.99 ms" },
                { 9999999, "9.99 ms" },
                { 10000000, "10 ms" },
                { 85000000, "85 ms" },
                { 85040000, "85 ms" },
                { 85050000, "85.1 ms" },
                { 99949999, "99.9 ms" },
                { 99999999, "99.9 ms" },
                { 100000000, "100 ms" },
                { 100400000, "100 ms" },
                { 500213441, "500 ms" },
                { 999999999, "999 ms" },
                { 1000000000, "1 s" },
                { 2345678901, "2.35 s" },
                { 2305000000, "2.31 s" },
                { 9999999999, "9.99 s" },
                { 59949999999, "59.9 s" },
                { 59999999999, "59.9 s" },
                { 60000000000, "1 min" },
                { 200000000000, "3 min 20 s" },
                { 3599999999999, "59 min 59 s" },
                { 3600000000000, "1 h" },
                { 7500000000000, "2 h 5 min" },
                { UINT64_MAX, "5124095 h 34 min" },
        };
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
                cr_expect_str_eq(duration(cases[i].duration_ns), cases[i].wanted, "%" PRIu64 " is %s and not %s",
                                 cases[i].duration_ns, cases[i].wanted, duration(cases[i].duration_ns));
}

Test(text, never_shows_a_duration_below_a_round_one_as_that)
{
        for (uint64_t round_ns = 1000; round_ns <= 10000000000; round_ns *= 10) {
                char below[64];
                strcpy(below, duration(round_ns - 1));
                cr_expect_str_neq(below, duration(round_ns));
        }
}

Test(text, writes_dates_as_gmtime_has_them)
{
        srand(1);
        for (int i = 0; i < 20000; i++) {
                time_t seconds = (time_t)((((uint64_t)rand() << 31) | (uint64_t)rand()) % 18000000000);
                unsigned us = (unsigned)rand() % 1000000;
                char bytes[64], day[64], wanted[96];
                struct text text = TEXT_IN(bytes);
                struct tm tm;
                strftime(day, sizeof(day), "%Y-%m-%dT%H:%M:%S", gmtime_r(&seconds, &tm));
                snprintf(wanted, sizeof(wanted), "%s.%06uZ", day, us);
                text_time(&text, (uint64_t)seconds * 1000000000 + us * 1000);
                cr_assert_str_eq(bytes, wanted);
        }
}

Test(text, knows_leap_days_and_the_epoch)
{
        char bytes[64];
        struct text text = TEXT_IN(bytes);
        text_time(&text, 0);
        expect_text(text, "1970-01-01T00:00:00.000000Z");
        text_clear(&text);
        text_time(&text, UINT64_C(1709164800123456789)); /* rounded down: a time never lies in the future */
        expect_text(text, "2024-02-29T00:00:00.123456Z");
        text_clear(&text);
        text_time(&text, UINT64_C(1795378503620700000));
        expect_text(text, "2026-11-22T20:15:03.620700Z");
}

Test(text, keeps_plain_utf8)
{
        cr_expect_str_eq(printable("a\xc3\xa4\xe2\x82\xac\xf0\x9f\x90\x95"), "a\xc3\xa4\xe2\x82\xac\xf0\x9f\x90\x95");
}

Test(text, makes_escape_sequences_harmless)
{
        cr_expect_str_eq(printable("\x1b[2Jx\r\n\t\x7f"), "\\x1b[2Jx\\x0d\\x0a\\x09\\x7f");
        cr_expect_str_eq(printable("\xc2\x9b"
                                   "31m"),
                         "\\x9b31m"); /* C1: a terminal may take it for ESC [ */
        cr_expect_str_eq(printable("a\xe2\x80\xae"
                                   "b\xe2\x81\xa6"
                                   "c\xd8\x9c"),
                         "a\\u202eb\\u2066c\\u061c");
        cr_expect_str_eq(printable("\xe2\x80\xa7\xe2\x80\xaf"), "\xe2\x80\xa7\xe2\x80\xaf"); /* the neighbours */
}

#define BAD "\xef\xbf\xbd"

Test(text, replaces_what_is_not_utf8)
{
        cr_expect_str_eq(printable("a\xff"
                                   "b"),
                         "a" BAD "b");
        cr_expect_str_eq(printable("\xc3"), BAD);                         /* cut */
        cr_expect_str_eq(printable("\xc0\xaf"), BAD BAD);                 /* '/' in two bytes */
        cr_expect_str_eq(printable("\xe0\x9f\xbf"), BAD BAD BAD);         /* too long for its code */
        cr_expect_str_eq(printable("\xed\xa0\x80"), BAD BAD BAD);         /* a surrogate */
        cr_expect_str_eq(printable("\xf4\x90\x80\x80"), BAD BAD BAD BAD); /* beyond U+10FFFF */
        cr_expect_str_eq(printable("\xf0\x8f\xbf\xbf"), BAD BAD BAD BAD); /* three bytes would do */
        cr_expect_str_eq(printable("\xf5\x80\x80\x80"), BAD BAD BAD BAD);
        cr_expect_str_eq(printable("\xed\x9f\xbf\xee\x80\x80"), "\xed\x9f\xbf\xee\x80\x80");
        cr_expect_str_eq(printable("\xf4\x8f\xbf\xbf"), "\xf4\x8f\xbf\xbf");
}

Test(text, never_cuts_within_a_character)
{
        for (size_t capacity = 1; capacity < 24; capacity++) {
                char bytes[24];
                struct text text = { .bytes = bytes, .capacity = capacity };
                text_printable(&text, "\xe2\x82\xac\xf0\x9f\x90\x95\xc3\xa4\xe2\x82\xac");
                cr_expect_lt(text.length, capacity);
                for (size_t at = 0; at < text.length;) {
                        size_t length = text_utf8_length(bytes + at, text.length - at);
                        cr_assert_gt(length, 0, "cut in a character at a capacity of %zu", capacity);
                        at += length;
                }
        }
}

/* Every code point as UTF-8 is taken, in all its length; what a naive encoder makes of surrogates is not. */
Test(text, takes_every_code_point)
{
        for (uint32_t code = 0x80; code <= 0x10ffff; code++) {
                char bytes[4];
                size_t length = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
                uint32_t left = code;
                for (size_t i = length; i-- > 1; left >>= 6)
                        bytes[i] = (char)(0x80 | (left & 0x3f));
                bytes[0] = (char)((length == 2 ? 0xc0 : length == 3 ? 0xe0 : 0xf0) | left);
                bool surrogate = code >= 0xd800 && code <= 0xdfff;
                cr_assert_eq(text_utf8_length(bytes, 4), surrogate ? 0 : length, "U+%04x", code);
                cr_assert_eq(text_utf8_length(bytes, length - 1), 0);
        }
}

Test(text, makes_random_bytes_printable)
{
        srand(2);
        for (int round = 0; round < 20000; round++) {
                char raw[33], bytes[256];
                for (int i = 0; i < 32; i++)
                        raw[i] = (char)(1 + rand() % 255);
                raw[32] = '\0';
                struct text text = TEXT_IN(bytes);
                text_printable(&text, raw);
                for (size_t at = 0; at < text.length;) {
                        size_t length = text_utf8_length(bytes + at, text.length - at);
                        cr_assert_gt(length, 0);
                        cr_assert(length > 1 || (bytes[at] >= 0x20 && bytes[at] != 0x7f));
                        cr_assert(!(length == 2 && bytes[at] == (char)0xc2 && (unsigned char)bytes[at + 1] < 0xa0));
                        at += length;
                }
        }
}
