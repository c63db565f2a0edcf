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

void json_set_spread(json_t *object, const struct spread *stalls)
{
        json_set_number(object, "count", stalls->count);
        json_set_number(object, "total_ns", stalls->total_ns);
        json_set_number(object, "longest_ns", stalls->longest_ns);
        json_set_number(object, "median_ns", spread_median_ns(stalls));
        json_set_number(object, "p99_ns", spread_permille_ns(stalls, 990));
}

void json_set_cause(json_t *object, enum record_cause cause, const char *call)
{
        const char *what = cause == RECORD_UNKNOWN ? "reason" : cause == RECORD_LOCK ? "object" : "call";
        json_set_string(object, "cause", record_cause_name(cause));
        json_set_string(object, what, call);
}

json_t *json_frame(const struct record_frame *frame)
{
        json_t *object = json_object();
        json_set_string(object, "lang", record_lang_name(frame->lang));
        json_set_string(object, "function", frame->function);
        json_set_string(object, "file", frame->file);
        if (frame->line)
                json_set_number(object, "line", frame->line);
        json_set_string(object, "module", frame->module);
        json_set_string(object, "build_id", frame->build_id);
        if (!frame->function && frame->offset) {
                char digits[32];
                snprintf(digits, sizeof(digits), "0x%llx", (unsigned long long)frame->offset);
                json_set_string(object, "offset", digits);
        }
        return object;
}
