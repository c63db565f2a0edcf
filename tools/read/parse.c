/* SPDX-License-Identifier: Apache-2.0
 *
 * parse.c - a line of JSON into a record
 *
 * What is a mere value stands in tables (tables.c); lists and the objects within objects have code of their own.
 *
 * Context: reader
 */
#include "read/parse.h"

#include <ctype.h>
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "read/fields.h"
#include "read/tables.h"

#define WHERE_BYTES 40 /* of "stacks[12]."; twice that of "stacks[12].frames[345]." */

struct parser {
        struct parsed *parsed;
        struct complaint complaint;
};

/* ---------------------------------------------------------------------------------------------- lists and objects */

/* Memory that lives as long as the record. */
static void *array(struct parser *parser, size_t count, size_t size)
{
        struct parsed *parsed = parser->parsed;
        parsed->blocks = alloc_resize(parsed->blocks, parsed->blocks_count + 1, sizeof(*parsed->blocks));
        return parsed->blocks[parsed->blocks_count++] = alloc_zeroed(count, size);
}

/* The member `name` of `object` if it has the wanted type; NULL where it is absent. -EBADMSG for another type. */
static int find(struct parser *parser, json_t *object, const char *name, json_type type, const char *where,
                json_t **value)
{
        *value = json_object_get(object, name);
        if (!*value || json_is_null(*value)) {
                *value = NULL;
                return 0;
        }
        if (json_typeof(*value) == type)
                return 0;
        complain(&parser->complaint, "\"%s%s\" is not %s", where, name, type == JSON_ARRAY ? "a list" : "an object");
        return -EBADMSG;
}

/* One element of a list, which must be an object. */
static int read_element(struct parser *parser, json_t *element, const struct field *table, void *into,
                        const char *where)
{
        if (json_is_object(element))
                return fields_read(element, table, into, where, &parser->complaint);
        complain(&parser->complaint, "\"%.*s\" is not an object", (int)strlen(where) - 1, where);
        return -EBADMSG;
}

/* A list of objects without lists of their own. */
static int read_list(struct parser *parser, json_t *object, const char *name, const char *where,
                     const struct field *table, size_t size, const void **into, size_t *into_count)
{
        json_t *list = NULL;
        int error = find(parser, object, name, JSON_ARRAY, where, &list);
        if (error < 0 || !list)
                return error;
        size_t count = json_array_size(list);
        char *elements = array(parser, count, size);
        for (size_t i = 0; i < count; i++) {
                char deeper[2 * WHERE_BYTES];
                snprintf(deeper, sizeof(deeper), "%s%s[%zu].", where, name, i);
                error = read_element(parser, json_array_get(list, i), table, elements + i * size, deeper);
                if (error < 0)
                        return error;
        }
        *into = elements;
        *into_count = count;
        return 0;
}

static int read_fds(struct parser *parser, json_t *object, const char *name, const char *where,
                    const struct record_fd **fds, size_t *count)
{
        const void *list = NULL;
        int error = read_list(parser, object, name, where, fd_fields, sizeof(**fds), &list, count);
        *fds = list;
        return error;
}

static int read_frames(struct parser *parser, json_t *list, const char *where, const struct record_frame **into,
                       size_t *into_count)
{
        size_t count = json_array_size(list);
        struct record_frame *frames = array(parser, count, sizeof(*frames));
        for (size_t i = 0; i < count; i++) {
                char deeper[2 * WHERE_BYTES];
                snprintf(deeper, sizeof(deeper), "%sframes[%zu].", where, i);
                int error = read_element(parser, json_array_get(list, i), frame_fields, &frames[i], deeper);
                if (error < 0)
                        return error;
        }
        *into = frames;
        *into_count = count;
        return 0;
}

static int read_stack(struct parser *parser, json_t *object, const char *where, struct record_stack *stack)
{
        json_t *frames = NULL;
        int error = read_element(parser, object, stack_fields, stack, where);
        if (error == 0)
                error = find(parser, object, "frames", JSON_ARRAY, where, &frames);
        if (error == 0 && frames)
                error = read_frames(parser, frames, where, &stack->frames, &stack->frames_count);
        return error;
}

static int read_other(struct parser *parser, json_t *object, const char *where, struct record_other *other)
{
        json_t *frames = NULL;
        int error = read_element(parser, object, other_fields, other, where);
        if (error == 0)
                error = find(parser, object, "frames", JSON_ARRAY, where, &frames);
        if (error == 0 && frames)
                error = read_frames(parser, frames, where, &other->frames, &other->frames_count);
        return error;
}

static int read_share(struct parser *parser, json_t *object, const char *where, struct record_share *share)
{
        static const struct field share_fields[] = {
                { "samples", FIELD_U32, offsetof(struct record_share, samples) },
                { "percent", FIELD_U32, offsetof(struct record_share, percent) },
                { 0 },
        };
        char deeper[2 * WHERE_BYTES];
        json_t *frame = NULL;
        snprintf(deeper, sizeof(deeper), "%sframe.", where);
        int error = read_element(parser, object, share_fields, share, where);
        if (error == 0)
                error = find(parser, object, "frame", JSON_OBJECT, where, &frame);
        if (error < 0 || !frame)
                return error;
        return fields_read(frame, frame_fields, &share->frame, deeper, &parser->complaint);
}

static int read_profile(struct parser *parser, json_t *root, struct record_stall *stall)
{
        json_t *list = NULL;
        int error = find(parser, root, "profile", JSON_ARRAY, "", &list);
        if (error < 0 || !list)
                return error;
        size_t count = json_array_size(list);
        struct record_share *shares = array(parser, count, sizeof(*shares));
        for (size_t i = 0; i < count; i++) {
                char where[WHERE_BYTES];
                snprintf(where, sizeof(where), "profile[%zu].", i);
                error = read_share(parser, json_array_get(list, i), where, &shares[i]);
                if (error < 0)
                        return error;
        }
        stall->profile = shares;
        stall->profile_count = count;
        return 0;
}

static int read_others(struct parser *parser, json_t *root, struct record_stall *stall)
{
        json_t *list = NULL;
        int error = find(parser, root, "others", JSON_ARRAY, "", &list);
        if (error < 0 || !list)
                return error;
        size_t count = json_array_size(list);
        struct record_other *others = array(parser, count, sizeof(*others));
        for (size_t i = 0; i < count; i++) {
                char where[WHERE_BYTES];
                snprintf(where, sizeof(where), "others[%zu].", i);
                error = read_other(parser, json_array_get(list, i), where, &others[i]);
                if (error < 0)
                        return error;
        }
        stall->others = others;
        stall->others_count = count;
        return 0;
}

static int read_stacks(struct parser *parser, json_t *root, struct record_stall *stall)
{
        json_t *list = NULL;
        int error = find(parser, root, "stacks", JSON_ARRAY, "", &list);
        if (error < 0 || !list)
                return error;
        size_t count = json_array_size(list);
        struct record_stack *stacks = array(parser, count, sizeof(*stacks));
        for (size_t i = 0; i < count; i++) {
                char where[WHERE_BYTES];
                snprintf(where, sizeof(where), "stacks[%zu].", i);
                error = read_stack(parser, json_array_get(list, i), where, &stacks[i]);
                if (error < 0)
                        return error;
        }
        stall->stacks = stacks;
        stall->stacks_count = count;
        return 0;
}

static int read_labels(struct parser *parser, json_t *root, struct record_stall *stall)
{
        json_t *list = NULL;
        int error = find(parser, root, "labels", JSON_ARRAY, "", &list);
        if (error < 0 || !list)
                return error;
        size_t count = json_array_size(list);
        struct record_label *labels = array(parser, count, sizeof(*labels));
        for (size_t i = 0; i < count; i++) {
                char where[WHERE_BYTES];
                snprintf(where, sizeof(where), "labels[%zu].", i);
                error = read_element(parser, json_array_get(list, i), label_fields, &labels[i], where);
                if (error < 0)
                        return error;
                if (!labels[i].key || !labels[i].value) {
                        complain(&parser->complaint, "\"labels\" has one without its key or value");
                        return -EBADMSG;
                }
        }
        stall->labels = labels;
        stall->labels_count = count;
        return 0;
}

/* "lost":{"samples":3,"reasons":{"not dumpable":3}} */
static int read_losses(struct parser *parser, json_t *root, uint32_t *samples, struct record_loss **losses,
                       size_t *losses_count)
{
        static const struct field lost_fields[] = { { "samples", FIELD_U32, 0 }, { 0 } };
        json_t *lost, *reasons = NULL, *value;
        const char *reason;
        int error = find(parser, root, "lost", JSON_OBJECT, "", &lost);
        if (error < 0 || !lost)
                return error;
        error = fields_read(lost, lost_fields, samples, "lost.", &parser->complaint);
        if (error == 0)
                error = find(parser, lost, "reasons", JSON_OBJECT, "lost.", &reasons);
        if (error < 0 || !reasons)
                return error;
        *losses = array(parser, json_object_size(reasons), sizeof(**losses));
        json_object_foreach(reasons, reason, value)
        {
                json_int_t count = json_integer_value(value);
                if (!json_is_integer(value) || count < 0 || count > UINT32_MAX) {
                        complain(&parser->complaint, "\"lost.reasons\" has a value that is not a count");
                        return -EBADMSG;
                }
                (*losses)[(*losses_count)++] = (struct record_loss){ .reason = reason, .count = (uint32_t)count };
        }
        return 0;
}

/* ---------------------------------------------------------------------------------------------------------- types */

static int read_detail(struct parser *parser, json_t *root, struct record_detail *detail)
{
        json_t *object = NULL;
        int error = find(parser, root, "detail", JSON_OBJECT, "", &object);
        if (error < 0 || !object)
                return error;
        const void *holders = NULL;
        detail->cpu_known = json_object_get(object, "cpu_percent");
        detail->usage_known = json_object_get(object, "user_ns");
        detail->fd_known = json_object_get(object, "fd");
        error = fields_read(object, detail_fields, detail, "detail.", &parser->complaint);
        if (error == 0)
                error = read_fds(parser, object, "waits_for", "detail.", &detail->waits_for, &detail->waits_for_count);
        if (error == 0)
                error = read_list(parser, object, "held_by", "detail.", holder_fields, sizeof(*detail->held_by),
                                  &holders, &detail->held_by_count);
        detail->held_by = holders;
        return error;
}

static int read_callback(struct parser *parser, json_t *root, struct record_stall *stall)
{
        json_t *object = NULL;
        int error = find(parser, root, "callback", JSON_OBJECT, "", &object);
        if (error < 0 || !object)
                return error;
        struct record_callback *callback = array(parser, 1, sizeof(*callback));
        stall->callback = callback;
        return fields_read(object, callback_fields, callback, "callback.", &parser->complaint);
}

static int read_culprit(struct parser *parser, json_t *root, struct record_stall *stall)
{
        json_t *object = NULL;
        int error = find(parser, root, "culprit", JSON_OBJECT, "", &object);
        if (error < 0 || !object)
                return error;
        struct record_frame *culprit = array(parser, 1, sizeof(*culprit));
        stall->culprit = culprit;
        return fields_read(object, frame_fields, culprit, "culprit.", &parser->complaint);
}

/* A cause that a later agent has found: its name is all that we can say of it. */
static void keep_new_cause(struct parser *parser, json_t *root, struct record_stall *stall)
{
        const char *name = json_string_value(json_object_get(root, "cause"));
        if (!name || record_cause_from_name(name) >= 0 || stall->detail.reason)
                return;
        size_t capacity = strlen(name) + 64;
        char *reason = array(parser, capacity, 1);
        snprintf(reason, capacity, "\"%s\", which this loopdog does not know", name);
        stall->detail.reason = reason;
}

static int read_stall(struct parser *parser, json_t *root, struct record_stall *stall)
{
        struct record_loss *losses = NULL;
        int error = fields_read(root, stall_fields, stall, "", &parser->complaint);
        if (error == 0)
                error = read_detail(parser, root, &stall->detail);
        if (error == 0)
                error = read_culprit(parser, root, stall);
        if (error == 0)
                error = read_callback(parser, root, stall);
        if (error == 0)
                error = read_labels(parser, root, stall);
        if (error == 0)
                error = read_losses(parser, root, &stall->samples_lost, &losses, &stall->losses_count);
        if (error == 0)
                error = read_fds(parser, root, "ready", "", &stall->ready, &stall->ready_count);
        if (error == 0)
                error = read_profile(parser, root, stall);
        if (error == 0)
                error = read_others(parser, root, stall);
        if (error == 0)
                error = read_stacks(parser, root, stall);
        if (error == 0 && stall->id == 0) {
                complain(&parser->complaint, "a stall without \"id\"");
                error = -EBADMSG;
        }
        uint64_t time_ns = parser->parsed->record.time_ns;
        if (stall->begin_ns == 0 && time_ns > stall->duration_ns)
                stall->begin_ns = time_ns - stall->duration_ns;
        stall->losses = losses;
        keep_new_cause(parser, root, stall);
        return error;
}

static int read_process(struct parser *parser, json_t *root, struct record_process *process)
{
        json_t *list = NULL;
        int error = fields_read(root, process_fields, process, "", &parser->complaint);
        if (error == 0)
                error = find(parser, root, "notices", JSON_ARRAY, "", &list);
        if (error < 0 || !list)
                return error;
        const char **notices = array(parser, json_array_size(list), sizeof(*notices));
        for (size_t i = 0; i < json_array_size(list); i++) {
                notices[i] = json_string_value(json_array_get(list, i));
                if (!notices[i]) {
                        complain(&parser->complaint, "\"notices[%zu]\" is not a string", i);
                        return -EBADMSG;
                }
        }
        process->notices = notices;
        process->notices_count = json_array_size(list);
        return 0;
}

static int read_loop(struct parser *parser, json_t *root, struct record_loop *loop)
{
        json_t *list = NULL;
        int error = fields_read(root, loop_fields, loop, "", &parser->complaint);
        if (error == 0)
                error = find(parser, root, "buckets", JSON_ARRAY, "", &list);
        if (error < 0 || !list)
                return error;
        struct record_bucket *buckets = array(parser, json_array_size(list), sizeof(*buckets));
        for (size_t i = 0; i < json_array_size(list); i++) {
                char where[WHERE_BYTES];
                snprintf(where, sizeof(where), "buckets[%zu].", i);
                error = read_element(parser, json_array_get(list, i), bucket_fields, &buckets[i], where);
                if (error < 0)
                        return error;
        }
        loop->buckets = buckets;
        loop->buckets_count = json_array_size(list);
        return 0;
}

static int read_exit(struct parser *parser, json_t *root, struct record_exit *exit)
{
        struct record_loss *losses = NULL;
        uint32_t samples = 0; /* the sum of the reasons */
        int error = fields_read(root, exit_fields, exit, "", &parser->complaint);
        if (error == 0)
                error = read_losses(parser, root, &samples, &losses, &exit->losses_count);
        exit->losses = losses;
        return error;
}

static int read_body(struct parser *parser, json_t *root, struct record *record)
{
        switch (record->type) {
        case RECORD_PROCESS:
                return read_process(parser, root, &record->process);
        case RECORD_STALL_BEGIN:
        case RECORD_STALL:
        case RECORD_DUMP:
                return read_stall(parser, root, &record->stall);
        case RECORD_LOOP:
                return read_loop(parser, root, &record->loop);
        case RECORD_EXIT:
                return read_exit(parser, root, &record->exit);
        }
        return -EBADMSG;
}

/* ------------------------------------------------------------------------------------------------------- the line */

/* What makes a record of an object: its version and type. */
static int read_type(struct parser *parser, json_t *root, struct record *record)
{
        json_t *version = json_object_get(root, "v");
        const char *name = json_string_value(json_object_get(root, "type"));
        if (!json_is_integer(version) || !name) {
                complain(&parser->complaint, "no record of loopdog: it has no \"v\" and \"type\"");
                return -EBADMSG;
        }
        if (json_integer_value(version) != RECORD_VERSION) {
                complain(&parser->complaint, "a record of version %lld; this loopdog reads version %d",
                         (long long)json_integer_value(version), RECORD_VERSION);
                return -EBADMSG;
        }
        int type = record_type_from_name(name);
        if (type < 0) {
                complain(&parser->complaint, "unknown type of record \"%.40s\"", name);
                return -EBADMSG;
        }
        record->version = RECORD_VERSION;
        record->type = (enum record_type)type;
        return 0;
}

static int read_record(struct parser *parser, json_t *root)
{
        struct record *record = &parser->parsed->record;
        int error = read_type(parser, root, record);
        if (error == 0)
                error = fields_read(root, common_fields, record, "", &parser->complaint);
        if (error == 0 && (!record->run || !record->run[0] || record->time_ns == 0)) {
                complain(&parser->complaint, "a record without \"%s\"", record->time_ns == 0 ? "time" : "run");
                error = -EBADMSG;
        }
        return error == 0 ? read_body(parser, root, record) : error;
}

static const char *describe(const json_error_t *error)
{
        switch (json_error_code(error)) {
        case json_error_premature_end_of_input:
                return "the record is cut off";
        case json_error_invalid_utf8:
                return "not valid UTF-8";
        case json_error_null_character:
        case json_error_null_byte_in_key:
                return "a NUL byte in it";
        case json_error_numeric_overflow:
                return "a number that is too large";
        case json_error_stack_overflow:
                return "nested too deeply";
        case json_error_end_of_input_expected:
                return "more than one record on the line";
        case json_error_duplicate_key:
                return "two members of one name in an object";
        default:
                return "not JSON";
        }
}

int parse_record(struct parsed *parsed, const char *line, size_t length, char *why, size_t capacity)
{
        size_t blank = 0;
        while (blank < length && isspace((unsigned char)line[blank]))
                blank++;
        if (blank == length)
                return PARSE_BLANK;
        *parsed = (struct parsed){ 0 };
        struct parser parser = { .parsed = parsed, .complaint = { .text = why, .capacity = capacity } };
        why[0] = '\0';

        json_error_t json_error;
        parsed->root = json_loadb(line, length, JSON_REJECT_DUPLICATES, &json_error);
        int error = -EBADMSG;
        if (!parsed->root)
                complain(&parser.complaint, "%s", describe(&json_error));
        else
                error = read_record(&parser, parsed->root);
        if (error < 0)
                parsed_free(parsed);
        return error;
}

void parsed_free(struct parsed *parsed)
{
        for (size_t i = 0; i < parsed->blocks_count; i++)
                free(parsed->blocks[i]);
        free(parsed->blocks);
        json_decref(parsed->root);
        *parsed = (struct parsed){ 0 };
}
