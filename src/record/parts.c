/* SPDX-License-Identifier: Apache-2.0
 *
 * parts.c - pieces of a line that people read
 *
 * A terminal counts columns and not bytes, and a name from the watched program may be of any length: here things are
 * cut so that what says most is left, the start of a name and the end of a path.
 *
 * Context: watchdog, reader
 * Limits:  PART_BYTES a piece; a character counts as one column
 */
#include "record/parts.h"

#include <string.h>

#include "record/frame.h"

#define MODULE_COLUMNS 100
#define PLAIN "\x1b[0m"

size_t part_columns(const struct text *text)
{
        size_t columns = 0;
        for (size_t i = 0; i < text->length; i++)
                columns += ((unsigned char)text->bytes[i] & 0xc0) != 0x80;
        return columns;
}

/* Bytes that the first `columns` columns take. */
static size_t bytes_of(const struct text *text, size_t columns)
{
        for (size_t i = 0; i < text->length; i++)
                if (((unsigned char)text->bytes[i] & 0xc0) != 0x80 && columns-- == 0)
                        return i;
        return text->length;
}

void part_start(struct text *out, const char *string, size_t columns)
{
        char bytes[PART_BYTES];
        struct text part = TEXT_IN(bytes);
        text_printable(&part, string);
        bool cut = part.cut || part_columns(&part) > columns;
        text_bytes(out, bytes, cut ? bytes_of(&part, columns - 3) : part.length);
        text_string(out, cut ? "..." : "");
}

void part_end(struct text *out, const char *string, size_t columns)
{
        char bytes[PART_BYTES];
        struct text part = TEXT_IN(bytes);
        text_printable(&part, string);
        bool cut = part.cut;
        if (cut) { /* its end in any case: a byte becomes at most six */
                string += strlen(string) - (PART_BYTES - 1) / 6;
                for (int i = 0; i < 3 && ((unsigned char)*string & 0xc0) == 0x80; i++)
                        string++;
                text_clear(&part);
                text_printable(&part, string);
        }
        size_t has = part_columns(&part), from = 0;
        cut |= has > columns;
        if (cut && has > columns - 3)
                from = bytes_of(&part, has - (columns - 3));
        text_string(out, cut ? "..." : "");
        text_bytes(out, part.bytes + from, part.length - from);
}

void part_pad(struct text *line, size_t column)
{
        size_t at = part_columns(line);
        for (size_t spaces = at + 2 < column ? column - at : 2; spaces > 0; spaces--)
                text_char(line, ' ');
}

void part_coloured(struct text *text, const struct record_style *style, const char *code, const char *bytes,
                   size_t length)
{
        text_string(text, style->colour ? code : "");
        text_bytes(text, bytes, length);
        text_string(text, style->colour && *code ? PLAIN : "");
}

void part_line(struct text *text, const struct record_style *style, const char *code, const struct text *line)
{
        bool cut = line->cut;
        size_t length = line->length;
        if (style->columns >= COLUMNS_LEAST && part_columns(line) > style->columns) {
                length = bytes_of(line, style->columns - 3);
                cut = true;
        }
        part_coloured(text, style, code, line->bytes, length);
        text_string(text, cut ? "...\n" : "\n");
}

void part_location(struct text *out, const struct record_frame *frame, size_t columns)
{
        char digits[16];
        struct text line = TEXT_IN(digits);
        if (frame->line)
                text_format(&line, ":%u", frame->line);
        const char *path = frame->file;
        if (path[0] != '<')
                record_place_of(path, &path);
        part_end(out, path, columns - line.length);
        text_bytes(out, line.bytes, line.length);
}

bool part_address(struct text *out, const struct record_frame *frame)
{
        if (!frame->module && !frame->offset)
                return false;
        if (frame->module)
                part_end(out, record_basename(frame->module), MODULE_COLUMNS);
        text_string(out, frame->module ? "+0x" : "0x");
        text_hex(out, frame->offset, 1);
        return true;
}
