/* SPDX-License-Identifier: Apache-2.0
 *
 * text.c - append text to a buffer of fixed size
 *
 * libc's own formatting may allocate and reads the locale that the host has set, so a decimal point could become a
 * comma in a record. The little that is needed is written here: integers, durations, dates and UTF-8, no floating
 * point at all.
 *
 * Context: everywhere but the signal handler
 * Limits:  the caller's buffer; once something was cut nothing more is appended
 */
#include "base/text.h"

#include <string.h>

static void terminate(struct text *text)
{
        if (text->capacity > 0)
                text->bytes[text->length] = '\0';
}

void text_clear(struct text *text)
{
        text->length = 0;
        text->cut = false;
        terminate(text);
}

/* The longest start of `bytes` of at most `room` bytes that ends between two characters; bytes[room] exists. */
static size_t whole_characters(const char *bytes, size_t room)
{
        size_t length = room;
        for (int back = 0; back < 3 && length > 0 && ((unsigned char)bytes[length] & 0xc0) == 0x80; back++)
                length--;
        return length;
}

void text_bytes(struct text *text, const char *bytes, size_t length)
{
        if (text->cut)
                return;
        size_t room = text->capacity > text->length ? text->capacity - text->length - 1 : 0;
        if (length > room) {
                text->cut = true;
                length = whole_characters(bytes, room);
        }
        if (length > 0)
                memcpy(text->bytes + text->length, bytes, length);
        text->length += length;
        terminate(text);
}

void text_string(struct text *text, const char *string)
{
        if (string)
                text_bytes(text, string, strlen(string));
}

void text_char(struct text *text, char c)
{
        text_bytes(text, &c, 1);
}

static void number(struct text *text, uint64_t value, unsigned base, int digits)
{
        char reversed[32];
        int count = 0;
        do {
                reversed[count++] = "0123456789abcdef"[value % base];
                value /= base;
        } while (value > 0);
        while (count < digits && count < (int)sizeof(reversed))
                reversed[count++] = '0';

        char bytes[32];
        for (int i = 0; i < count; i++)
                bytes[i] = reversed[count - 1 - i];
        text_bytes(text, bytes, (size_t)count);
}

void text_unsigned(struct text *text, uint64_t value)
{
        number(text, value, 10, 1);
}

void text_signed(struct text *text, int64_t value)
{
        if (value < 0)
                text_char(text, '-');
        /* Negated as unsigned: -INT64_MIN does not exist. */
        number(text, value < 0 ? 0 - (uint64_t)value : (uint64_t)value, 10, 1);
}

void text_hex(struct text *text, uint64_t value, int digits)
{
        number(text, value, 16, digits);
}

/* One conversion of a format: what stands between '%' and its letter. */
struct conversion {
        int digits;  /* minimal number of them, of %0N */
        int longs;   /* how often 'l' stood there; 'z' counts as one, being as wide */
        char letter; /* 0: the format ended */
};

static const char *read_conversion(const char *at, struct conversion *conversion)
{
        *conversion = (struct conversion){ .digits = 1 };
        if (*at == '0')
                for (conversion->digits = 0; *at >= '0' && *at <= '9' && conversion->digits < 100; at++)
                        conversion->digits = conversion->digits * 10 + (*at - '0');
        for (; *at == 'l' || *at == 'z'; at++)
                conversion->longs++;
        conversion->letter = *at;
        return *at ? at + 1 : at;
}

_Static_assert(sizeof(long) == sizeof(long long) && sizeof(long) == sizeof(size_t),
               "read_conversion() takes %l, %ll and %z as one width");

/* Append one argument. False for a letter that is not in the subset: its argument can't be skipped. */
static bool convert(struct text *text, const struct conversion *conversion, va_list *arguments)
{
        const char *string;
        switch (conversion->letter) {
        case 's':
                string = va_arg(*arguments, const char *);
                text_string(text, string ? string : "?");
                return true;
        case 'c':
                text_char(text, (char)va_arg(*arguments, int));
                return true;
        case 'd':
                text_signed(text, conversion->longs ? va_arg(*arguments, long) : va_arg(*arguments, int));
                return true;
        case 'u':
        case 'x':
                number(text, conversion->longs ? va_arg(*arguments, unsigned long) : va_arg(*arguments, unsigned int),
                       conversion->letter == 'x' ? 16 : 10, conversion->digits);
                return true;
        case '%':
                text_char(text, '%');
                return true;
        default:
                return false;
        }
}

void text_vformat(struct text *text, const char *format, va_list arguments)
{
        va_list left;
        va_copy(left, arguments);
        const char *at = format;
        while (*at) {
                const char *percent = strchr(at, '%');
                if (!percent)
                        break;
                text_bytes(text, at, (size_t)(percent - at));
                at = percent;
                struct conversion conversion;
                const char *next = read_conversion(percent + 1, &conversion);
                if (!convert(text, &conversion, &left))
                        break;
                at = next;
        }
        text_string(text, at); /* the rest, or all from a conversion that is not in the subset, as it stands */
        va_end(left);
}

void text_format(struct text *text, const char *format, ...)
{
        va_list arguments;
        va_start(arguments, format);
        text_vformat(text, format, arguments);
        va_end(arguments);
}

#define US UINT64_C(1000)
#define MS UINT64_C(1000000)
#define SECOND UINT64_C(1000000000)

/* `value_ns` in `unit_ns` with three significant digits, zeros at the end left out. Rounded to the nearest, but never
 * up to `most_ns` or another power of ten: 99.96 ms are below a threshold of 100 ms and must not look as if they were
 * not. */
static void three_digits(struct text *text, uint64_t value_ns, uint64_t unit_ns, uint64_t most_ns, const char *unit)
{
        uint64_t whole = value_ns / unit_ns;
        uint64_t scale = whole < 10 ? 100 : whole < 100 ? 10 : 1;
        uint64_t scaled = (value_ns * scale + unit_ns / 2) / unit_ns;
        uint64_t most = most_ns / unit_ns * scale - 1;
        if (most > 999)
                most = 999;
        if (scaled > most)
                scaled = most;

        text_unsigned(text, scaled / scale);
        uint64_t fraction = scaled % scale;
        if (fraction) {
                text_char(text, '.');
                if (scale == 100 && fraction % 10 == 0)
                        number(text, fraction / 10, 10, 1);
                else
                        number(text, fraction, 10, scale == 100 ? 2 : 1);
        }
        text_string(text, unit);
}

static void two_units(struct text *text, uint64_t large, const char *large_unit, uint64_t small, const char *small_unit)
{
        text_unsigned(text, large);
        text_string(text, large_unit);
        if (!small)
                return;
        text_char(text, ' ');
        text_unsigned(text, small);
        text_string(text, small_unit);
}

void text_duration(struct text *text, uint64_t duration_ns)
{
        uint64_t seconds = duration_ns / SECOND;
        if (duration_ns < US)
                text_format(text, "%lu ns", duration_ns);
        else if (duration_ns < MS)
                three_digits(text, duration_ns, US, MS, " us");
        else if (duration_ns < SECOND)
                three_digits(text, duration_ns, MS, SECOND, " ms");
        else if (seconds < 60)
                three_digits(text, duration_ns, SECOND, 60 * SECOND, " s");
        else if (seconds < 3600)
                two_units(text, seconds / 60, " min", seconds % 60, " s");
        else
                two_units(text, seconds / 3600, " h", seconds / 60 % 60, " min");
}

void text_time(struct text *text, uint64_t realtime_ns)
{
        uint64_t seconds = realtime_ns / SECOND;
        uint64_t of_day = seconds % 86400;
        /* Days since 0000-03-01, so that a leap day is the last of its year; an era is 400 years. */
        uint64_t days = seconds / 86400 + 719468;
        uint64_t era = days / 146097;
        uint64_t of_era = days % 146097;
        uint64_t year_of_era = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
        uint64_t of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        uint64_t month_from_march = (5 * of_year + 2) / 153;
        uint64_t day = of_year - (153 * month_from_march + 2) / 5 + 1;
        uint64_t month = month_from_march < 10 ? month_from_march + 3 : month_from_march - 9;
        uint64_t year = era * 400 + year_of_era + (month <= 2);
        text_format(text, "%04lu-%02lu-%02luT%02lu:%02lu:%02lu.%06luZ", year, month, day, of_day / 3600,
                    of_day / 60 % 60, of_day % 60, realtime_ns % SECOND / US);
}

size_t text_utf8_length(const char *bytes, size_t available)
{
        if (available == 0)
                return 0;
        const unsigned char *b = (const unsigned char *)bytes;
        if (b[0] < 0x80)
                return 1;
        size_t length = b[0] < 0xe0 ? 2 : b[0] < 0xf0 ? 3 : 4;
        if (b[0] < 0xc2 || b[0] > 0xf4 || length > available)
                return 0;
        for (size_t i = 1; i < length; i++)
                if ((b[i] & 0xc0) != 0x80)
                        return 0;
        bool overlong = (b[0] == 0xe0 && b[1] < 0xa0) || (b[0] == 0xf0 && b[1] < 0x90);
        bool surrogate = b[0] == 0xed && b[1] >= 0xa0;
        bool beyond = b[0] == 0xf4 && b[1] >= 0x90;
        return overlong || surrogate || beyond ? 0 : length;
}

static uint32_t decode(const char *bytes, size_t length)
{
        static const unsigned char first_bits[] = { 0, 0x7f, 0x1f, 0x0f, 0x07 };
        uint32_t code = (unsigned char)bytes[0] & first_bits[length];
        for (size_t i = 1; i < length; i++)
                code = code << 6 | ((unsigned char)bytes[i] & 0x3f);
        return code;
}

/* What would move the cursor, start an escape sequence (C0, DEL and C1) or reorder a line (bidirectional controls). */
static bool moves_the_terminal(uint32_t code)
{
        return code < 0x20 || (code >= 0x7f && code < 0xa0) || code == 0x61c || code == 0x200e || code == 0x200f ||
               (code >= 0x2028 && code <= 0x202e) || (code >= 0x2066 && code <= 0x2069);
}

void text_printable(struct text *text, const char *string)
{
        if (!string)
                return;
        size_t available = strlen(string);
        while (available > 0 && !text->cut) {
                size_t length = text_utf8_length(string, available);
                uint32_t code = length ? decode(string, length) : 0xfffd;
                if (!length)
                        text_string(text, "\xef\xbf\xbd");
                else if (!moves_the_terminal(code))
                        text_bytes(text, string, length);
                else
                        text_format(text, code < 0x100 ? "\\x%02x" : "\\u%04x", code);
                string += length ? length : 1;
                available -= length ? length : 1;
        }
}
