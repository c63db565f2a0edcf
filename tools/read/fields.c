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

static int read_number(json_t *value, json_int_t least, json_int_t most, json_int_t *number)
{
        if (!json_is_integer(value))
                return -EBADMSG;
        *number = json_integer_value(value);
        return *number < least || *number > most ? -EBADMSG : 0;
}

static int read_hex(json_t *value, uint64_t *number)
{
        const char *digits = json_string_value(value);
        if (!digits)
                return -EBADMSG;
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

static int read_time(json_t *value, uint64_t *time_ns)
{
        const char *text = json_string_value(value);
        struct tm date = { 0 };
        if (!text)
                return -EBADMSG;
        text = strptime(text, "%Y-%m-%dT%H:%M:%S", &date);
        if (!text)
                return -EBADMSG;
        uint64_t fraction_ns = read_fraction(&text);
        time_t seconds = timegm(&date);
        if (strcmp(text, "Z") != 0 || seconds < 0 || seconds > INT64_MAX / 1000000000)
                return -EBADMSG;
        *time_ns = (uint64_t)seconds * 1000000000u + fraction_ns;
        return 0;
}

static int read_name(json_t *value, enum field_kind kind, void *member)
{
        const char *name = json_string_value(value);
        if (!name)
                return -EBADMSG;
        if (kind == FIELD_CAUSE) {
                int cause = record_cause_from_name(name);
                *(enum record_cause *)member = cause < 0 ? RECORD_UNKNOWN : (enum record_cause)cause;
        } else {
                int lang = record_lang_from_name(name);
                *(enum record_lang *)member = lang < 0 ? RECORD_NATIVE : (enum record_lang)lang;
        }
        return 0;
}

static int read_state(json_t *value, char *state)
{
        const char *text = json_string_value(value);
        if (!text || strlen(text) != 1)
                return -EBADMSG;
        *state = text[0];
        return 0;
}

static int read_value(json_t *value, enum field_kind kind, void *member)
{
        json_int_t number = 0;
        int error = 0;
        switch (kind) {
        case FIELD_STRING:
                *(const char **)member = json_string_value(value);
                return json_is_string(value) ? 0 : -EBADMSG;
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
                *(bool *)member = json_is_true(value);
                return json_is_boolean(value) ? 0 : -EBADMSG;
        case FIELD_HEX:
                return read_hex(value, member);
        case FIELD_TIME:
                return read_time(value, member);
        case FIELD_STATE:
                return read_state(value, member);
        case FIELD_CAUSE:
        case FIELD_LANG:
                return read_name(value, kind, member);
        }
        return -EBADMSG;
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
                json_t *value = json_object_get(object, field->name);
                if (!value || json_is_null(value))
                        continue;
                if (read_value(value, field->kind, (char *)into + field->offset) < 0) {
                        complain(complaint, "\"%s%s\" is not %s", where, field->name, describe(field->kind));
                        return -EBADMSG;
                }
        }
        return 0;
}
