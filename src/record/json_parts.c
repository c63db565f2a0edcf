/* SPDX-License-Identifier: Apache-2.0
 *
 * json_parts.c - names and values of JSON
 *
 * Context: watchdog, reader
 * Limits:  LIMIT_STRING bytes a string; a longer one ends in "..."
 */
#include "record/json_parts.h"

#include <string.h>

#include "base/limits.h"

/* A comma, unless the next value is the first of its object or array or follows its name. A string always ends in '"',
 * so the last byte can't be part of one. */
void json_separate(struct text *line)
{
        if (line->length > 0 && !line->cut && !strchr("{[:", line->bytes[line->length - 1]))
                text_char(line, ',');
}

void json_open(struct text *line, char bracket)
{
        json_separate(line);
        text_char(line, bracket);
}

static bool is_plain(char c)
{
        return c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
}

static void write_escape(struct text *line, unsigned char c)
{
        const char *letters = "\"\"\\\\\bb\ff\nn\rr\tt";
        for (const char *pair = letters; *pair; pair += 2) {
                if ((unsigned char)pair[0] == c) {
                        text_char(line, '\\');
                        text_char(line, pair[1]);
                        return;
                }
        }
        text_format(line, "\\u%04x", c);
}

/* One character that is not plain ASCII. Returns how many bytes of the string it took. C1 controls would be legal as
 * they are, but a terminal that shows the file would obey them. */
static size_t write_special(struct text *line, const char *at, size_t available)
{
        size_t length = text_utf8_length(at, available);
        const unsigned char *bytes = (const unsigned char *)at;
        if (length == 0)
                text_string(line, "\xef\xbf\xbd");
        else if (length == 1)
                write_escape(line, bytes[0]);
        else if (bytes[0] == 0xc2 && bytes[1] < 0xa0)
                write_escape(line, bytes[1]);
        else
                text_bytes(line, at, length);
        return length ? length : 1;
}

void json_write_string(struct text *line, const char *string)
{
        size_t available = strnlen(string, LIMIT_STRING + 1);
        bool cut = available > LIMIT_STRING;
        if (cut)
                available = LIMIT_STRING;
        for (int back = 0; cut && back < 3 && ((unsigned char)string[available] & 0xc0) == 0x80; back++)
                available--; /* not within a character */
        json_separate(line);
        text_char(line, '"');
        while (available > 0) {
                size_t plain = 0;
                while (plain < available && is_plain(string[plain]))
                        plain++;
                text_bytes(line, string, plain);
                size_t taken =
                        plain < available ? plain + write_special(line, string + plain, available - plain) : plain;
                string += taken;
                available -= taken;
        }
        text_string(line, cut ? "...\"" : "\"");
}

void json_write_name(struct text *line, const char *name)
{
        json_separate(line);
        text_format(line, "\"%s\":", name);
}

void json_add_string(struct text *line, const char *name, const char *value)
{
        if (!value || !*value)
                return;
        json_write_name(line, name);
        json_write_string(line, value);
}

void json_add_number(struct text *line, const char *name, uint64_t value)
{
        json_write_name(line, name);
        text_unsigned(line, value);
}

void json_add_signed(struct text *line, const char *name, int64_t value)
{
        json_write_name(line, name);
        text_signed(line, value);
}

void json_add_if(struct text *line, const char *name, bool value)
{
        if (!value)
                return;
        json_write_name(line, name);
        text_string(line, "true");
}

void json_add_time(struct text *line, const char *name, uint64_t realtime_ns)
{
        if (!realtime_ns)
                return;
        json_write_name(line, name);
        text_char(line, '"');
        text_time(line, realtime_ns);
        text_char(line, '"');
}

void json_add_some(struct text *line, const char *name, uint64_t value)
{
        if (value)
                json_add_number(line, name, value);
}

/* As a string: beyond 2^53 many readers of JSON round numbers. */
void json_add_hex(struct text *line, const char *name, const char *prefix, uint64_t value, int digits)
{
        if (!value)
                return;
        json_write_name(line, name);
        text_format(line, "\"%s", prefix);
        text_hex(line, value, digits);
        text_char(line, '"');
}
