/* SPDX-License-Identifier: Apache-2.0
 *
 * json_set.c - fields of JSON that loopdog writes
 *
 * Context: reader
 */
#include "render/json_set.h"

#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "base/text.h"

void json_set(json_t *object, const char *name, json_t *value)
{
        json_object_set_new(object, name, value);
}

/* jansson refuses what is not UTF-8. */
static json_t *replace_invalid(const char *value)
{
        size_t length = strlen(value);
        size_t capacity = 3 * length + 1;
        struct text text = { .bytes = alloc_zeroed(capacity, 1), .capacity = capacity };
        for (size_t i = 0; i < length;) {
                size_t bytes = text_utf8_length(value + i, length - i);
                if (bytes > 0)
                        text_bytes(&text, value + i, bytes);
                else
                        text_string(&text, "\xef\xbf\xbd");
                i += bytes ? bytes : 1;
        }
        json_t *string = json_string(text.bytes);
        free(text.bytes);
        return string;
}

json_t *json_safe_string(const char *value)
{
        json_t *string = json_string(value ? value : "");
        return string ? string : replace_invalid(value);
}

void json_set_string(json_t *object, const char *name, const char *value)
{
        if (value)
                json_set(object, name, json_safe_string(value));
}

void json_set_number(json_t *object, const char *name, uint64_t value)
{
        json_set(object, name, json_integer(value > INT64_MAX ? INT64_MAX : (json_int_t)value));
}

void json_set_time(json_t *object, const char *name, uint64_t realtime_ns)
{
        char array[40];
        struct text text = TEXT_IN(array);
        text_time(&text, realtime_ns);
        json_set_string(object, name, text.bytes);
}
