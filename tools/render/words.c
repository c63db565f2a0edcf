/* SPDX-License-Identifier: Apache-2.0
 *
 * words.c - values as people read them
 *
 * Context: reader
 */
#include "render/words.h"

#include <stdio.h>
#include <string.h>

#include "alloc.h"
#include "record/frame.h"

char *words_duration(uint64_t duration_ns)
{
        char array[64];
        struct text text = TEXT_IN(array);
        text_duration(&text, duration_ns);
        return alloc_string(text.bytes);
}

char *words_count(uint64_t count)
{
        char digits[24];
        char grouped[32];
        int length = snprintf(digits, sizeof(digits), "%llu", (unsigned long long)count);
        char *to = grouped;
        for (int i = 0; i < length; i++) {
                if (i > 0 && (length - i) % 3 == 0)
                        *to++ = ',';
                *to++ = digits[i];
        }
        *to = '\0';
        return alloc_string(grouped);
}

char *words_share(uint64_t part, uint64_t whole)
{
        if (whole == 0)
                return alloc_string("-");
        return alloc_format("%.1f %%", 100.0 * (double)part / (double)whole);
}

char *words_date(uint64_t realtime_ns)
{
        char array[40];
        struct text text = TEXT_IN(array);
        text_time(&text, realtime_ns);
        if (text.length < 19)
                return alloc_string(array);
        array[10] = ' ';
        array[19] = '\0';
        return alloc_string(array);
}

char *words_cause(enum record_cause cause, const char *call)
{
        const char *name = record_cause_name(cause);
        if (!call || !call[0])
                return alloc_string(name);
        return alloc_format(cause == RECORD_BLOCKED ? "%s in %s" : "%s: %s", name, call);
}

char *words_frame(const struct record_frame *frame)
{
        const char *function = frame->function;
        const char *brackets = !function || strchr(function, '(') || function[0] == '<' ? "" : "()";
        const char *at = function ? " at " : "";
        function = function ? function : "";
        if (frame->file) {
                const char *rest = frame->file;
                if (rest[0] != '<')
                        record_place_of(frame->file, &rest);
                if (frame->line == 0)
                        return alloc_format("%s%s%s%s", function, brackets, at, rest);
                return alloc_format("%s%s%s%s:%u", function, brackets, at, rest, frame->line);
        }
        if (frame->module)
                return alloc_format("%s%s%s%s+0x%llx", function, brackets, at, record_basename(frame->module),
                                    (unsigned long long)frame->offset);
        return function[0] ? alloc_format("%s%s", function, brackets) : alloc_string("?");
}

char *words_utf8(const char *string)
{
        size_t length = strlen(string);
        size_t capacity = 3 * length + 1;
        struct text text = { .bytes = alloc_zeroed(capacity, 1), .capacity = capacity };
        for (size_t i = 0; i < length;) {
                size_t bytes = text_utf8_length(string + i, length - i);
                if (bytes > 0)
                        text_bytes(&text, string + i, bytes);
                else
                        text_string(&text, "\xef\xbf\xbd");
                i += bytes ? bytes : 1;
        }
        return text.bytes;
}

char *words_printable(const char *string)
{
        size_t capacity = 6 * strlen(string ? string : "") + 1; /* a byte becomes at most "\u202e" */
        struct text text = { .bytes = alloc_zeroed(capacity, 1), .capacity = capacity };
        text_printable(&text, string);
        return text.bytes;
}

const char *words_plural(uint64_t count)
{
        return count == 1 ? "" : "s";
}

size_t words_width(const char *string)
{
        size_t width = 0;
        for (; *string; string++)
                width += (*string & 0xc0) != 0x80;
        return width;
}
