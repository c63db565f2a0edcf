/* SPDX-License-Identifier: Apache-2.0
 *
 * fields.c - values of a JSON object into the members of a struct, by a table
 *
 * Context: reader
 */
#include "read/fields.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "record/record.h"

void complain(struct complaint *complaint, const char *format, ...)
{
        if (complaint->capacity == 0 || complaint->text[0] != '\0')
                return;
        va_list arguments;
        va_start(arguments, format);
        vsnprintf(complaint->text, complaint->capacity, format, arguments);
        va_end(arguments);
}

static int read_number(const struct value *value, int64_t least, int64_t most, int64_t *number)
{
        *number = value->integer;
        return value->kind != VALUE_INTEGER || *number < least || *number > most ? -EBADMSG : 0;
}

static int read_hex(const char *digits, uint64_t *number)
{
        if (strncmp(digits, "0x", 2) == 0)
                digits += 2;
        size_t length = strlen(digits);
        if (length == 0 || length > 16 || strspn(digits, "0123456789abcdefABCDEF") != length)
                return -EBADMSG;
        *number = strtoull(digits, NULL, 16);
        return 0;
}

/* The fraction of a second at `text`, as nanoseconds; moves on past it. */
static uint64_t read_fraction(const char **text)
{
        uint64_t ns = 0;
        uint64_t unit = 100000000;
        if (**text != '.')
                return 0;
        for ((*text)++; isdigit((unsigned char)**text); (*text)++, unit /= 10)
                ns += (uint64_t)(**text - '0') * unit;
        return ns;
}

/* Seconds since 1970 of "2026-11-22T20:15:03" without asking libc, which takes a lock and the locale; moves on past it.
 * -1 where it does not stand there just so. */
static int64_t read_date(const char **text)
{
        static const char form[] = "0000-00-00T00:00:00";
        static const unsigned at[] = { 0, 2, 5, 8, 11, 14, 17 };
        unsigned part[7];
        for (size_t i = 0; i < sizeof(form) - 1; i++)
                if (form[i] == '0' ? !isdigit((unsigned char)(*text)[i]) : (*text)[i] != form[i])
                        return -1;
        for (size_t i = 0; i < 7; i++)
                part[i] = (unsigned)((*text)[at[i]] - '0') * 10 + (unsigned)((*text)[at[i] + 1] - '0');
        unsigned month = part[2], day = part[3];
        int64_t year = part[0] * 100 + part[1];
        if (year < 1970 || month < 1 || month > 12 || day < 1 || day > 28 || part[4] > 23 || part[5] > 59 ||
            part[6] > 59)
                return -1; /* libc knows how long each month is */
        /* Years that begin with March have their odd day at the end. */
        year -= month <= 2;
        int64_t days = 365 * (year - 1970) + (year / 4 - 492) - (year / 100 - 19) + (year / 400 - 4) +
                       (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1 + 59;
        *text += sizeof(form) - 1;
        return days * 86400 + part[4] * 3600 + part[5] * 60 + part[6];
}

static int read_time(const char *text, uint64_t *time_ns)
{
        struct tm date = { 0 };
        int64_t seconds = read_date(&text);
        if (seconds < 0) {
                text = strptime(text, "%Y-%m-%dT%H:%M:%S", &date);
                if (!text)
                        return -EBADMSG;
                seconds = timegm(&date);
        }
        uint64_t fraction_ns = read_fraction(&text);
        if (strcmp(text, "Z") != 0 || seconds < 0 || seconds > INT64_MAX / 1000000000)
                return -EBADMSG;
        *time_ns = (uint64_t)seconds * 1000000000u + fraction_ns;
        return 0;
}

static int read_string(const char *text, enum field_kind kind, void *member)
{
        int known;
        switch (kind) {
        case FIELD_STRING:
                *(const char **)member = text;
                return 0;
        case FIELD_HEX:
                return read_hex(text, member);
        case FIELD_TIME:
                return read_time(text, member);
        case FIELD_STATE:
                *(char *)member = text[0];
                return strlen(text) == 1 ? 0 : -EBADMSG;
        case FIELD_CAUSE:
                known = record_cause_from_name(text);
                *(enum record_cause *)member = known < 0 ? RECORD_UNKNOWN : (enum record_cause)known;
                return 0;
        case FIELD_LANG:
                known = record_lang_from_name(text);
                *(enum record_lang *)member = known < 0 ? RECORD_NATIVE : (enum record_lang)known;
                return 0;
        default:
                return -EBADMSG;
        }
}

int field_set(const struct field *field, const struct value *value, void *into)
{
        void *member = (char *)into + field->offset;
        int64_t number = 0;
        int error;
        switch (field->kind) {
        case FIELD_U64:
                error = read_number(value, 0, INT64_MAX, &number);
                *(uint64_t *)member = (uint64_t)number;
                return error;
        case FIELD_U32:
                error = read_number(value, 0, UINT32_MAX, &number);
                *(uint32_t *)member = (uint32_t)number;
                return error;
        case FIELD_I32:
                error = read_number(value, INT32_MIN, INT32_MAX, &number);
                *(int32_t *)member = (int32_t)number;
                return error;
        case FIELD_BOOL:
                *(bool *)member = value->kind == VALUE_BOOLEAN && value->integer;
                return value->kind == VALUE_BOOLEAN ? 0 : -EBADMSG;
        default:
                return value->kind == VALUE_STRING ? read_string(value->string, field->kind, member) : -EBADMSG;
        }
}

static struct value value_of(const json_t *json)
{
        switch (json_typeof(json)) {
        case JSON_STRING:
                return (struct value){ .kind = VALUE_STRING, .string = json_string_value(json) };
        case JSON_INTEGER:
                return (struct value){ .kind = VALUE_INTEGER, .integer = json_integer_value(json) };
        case JSON_TRUE:
        case JSON_FALSE:
                return (struct value){ .kind = VALUE_BOOLEAN, .integer = json_is_true(json) };
        default:
                return (struct value){ .kind = VALUE_OTHER };
        }
}

static const char *describe(enum field_kind kind)
{
        static const char *const words[] = {
                [FIELD_STRING] = "a string",
                [FIELD_U64] = "a whole number of 0 or more",
                [FIELD_U32] = "a whole number from 0 to 4294967295",
                [FIELD_I32] = "a whole number of 32 bits",
                [FIELD_BOOL] = "true or false",
                [FIELD_HEX] = "a hexadecimal number in a string",
                [FIELD_TIME] = "a time like 2026-11-22T20:15:03.620700Z",
                [FIELD_STATE] = "one letter",
                [FIELD_CAUSE] = "a name",
                [FIELD_LANG] = "a name",
        };
        return words[kind];
}

int fields_read(json_t *object, const struct field *table, void *into, const char *where, struct complaint *complaint)
{
        for (const struct field *field = table; field->name; field++) {
                json_t *json = json_object_get(object, field->name);
                if (!json || json_is_null(json))
                        continue;
                struct value value = value_of(json);
                if (field_set(field, &value, into) < 0) {
                        complain(complaint, "\"%s%s\" is not %s", where, field->name, describe(field->kind));
                        return -EBADMSG;
                }
        }
        return 0;
}
