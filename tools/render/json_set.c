/* SPDX-License-Identifier: Apache-2.0
 *
 * json_set.c - fields of JSON that loopdog writes
 *
 * Context: reader
 */
#include "render/json_set.h"

#include <stdlib.h>

#include "render/words.h"

void json_set(json_t *object, const char *name, json_t *value)
{
        json_object_set_new(object, name, value);
}

json_t *json_safe_string(const char *value)
{
        char *valid = words_utf8(value ? value : ""); /* jansson refuses anything else */
        json_t *string = json_string(valid);
        free(valid);
        return string;
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
