/* SPDX-License-Identifier: Apache-2.0
 *
 * brief.c - what stands before the stacks of a stall, read without jansson
 *
 * One pass over a copy, in which the closing quote of each string becomes its NUL. Which member goes where is told by
 * the tables of the whole parser.
 *
 * Context: reader, any of its threads
 * Limits:  LABELS of a stall, BRACKETS of what is passed over
 */
#include "read/brief.h"

#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "read/tables.h"

#define LABELS 8
#define BRACKETS 64

struct brief {
        char *at; /* ends with a NUL, which no valid text has within */
        struct record *record;
        struct record_frame *culprit;
        struct record_callback *callback;
        bool has_detail, has_lost; /* a second object of one name is the whole parser's, which refuses it */
        struct record_label *labels;
};

/* --------------------------------------------------------------------------------------------------------- values */

/* The string that begins here, NUL-terminated in place; NULL for one that is not plain ASCII. */
static char *take_string(struct brief *brief)
{
        char *begin = brief->at + 1;
        if (*brief->at != '"')
                return NULL;
        for (char *at = begin; *at >= ' ' && *at != '\\'; at++) { /* bytes from 0x80 on are negative */
                if (*at != '"')
                        continue;
                *at = '\0';
                brief->at = at + 1;
                return begin;
        }
        return NULL;
}

/* A whole number as JSON writes it, of up to 18 digits. */
static bool take_integer(struct brief *brief, struct value *value)
{
        bool negative = *brief->at == '-';
        const char *digits = brief->at + negative, *at = digits;
        int64_t number = 0;
        while (*at >= '0' && *at <= '9' && at - digits < 19)
                number = number * 10 + (*at++ - '0');
        if (at == digits || at - digits > 18 || (digits[0] == '0' && at - digits > 1) || *at == '.' || *at == 'e' ||
            *at == 'E')
                return false;
        brief->at = (char *)at;
        *value = (struct value){ .kind = VALUE_INTEGER, .integer = negative ? -number : number };
        return true;
}

static bool take_word(struct brief *brief, const char *word)
{
        size_t length = strlen(word);
        if (strncmp(brief->at, word, length) != 0)
                return false;
        brief->at += length;
        return true;
}

static bool take_scalar(struct brief *brief, struct value *value)
{
        bool yes = *brief->at == 't';
        switch (*brief->at) {
        case '"':
                *value = (struct value){ .kind = VALUE_STRING, .string = take_string(brief) };
                return value->string;
        case 't':
        case 'f':
                *value = (struct value){ .kind = VALUE_BOOLEAN, .integer = yes };
                return take_word(brief, yes ? "true" : "false");
        default:
                return take_integer(brief, value);
        }
}

/* A list or an object that nobody wants. It was looked through for its brackets already, and is not taken apart here.
 */
static bool pass_over(struct brief *brief)
{
        char open[BRACKETS];
        size_t depth = 0;
        do {
                char c = *brief->at;
                if (c == '"') {
                        if (!take_string(brief))
                                return false;
                        continue;
                }
                if (c == '{' || c == '[') {
                        if (depth == BRACKETS)
                                return false;
                        open[depth++] = c;
                } else if (c == '}' || c == ']') {
                        if (open[--depth] != (c == '}' ? '{' : '['))
                                return false;
                } else if (c == '\0') {
                        return false;
                }
                brief->at++;
        } while (depth > 0);
        return true;
}

/* -------------------------------------------------------------------------------------------------------- objects */

/* The field of that name. Members mostly come in the order of their table: `hint` is where to begin. */
static const struct field *find(const struct field *table, const char *name, size_t *hint)
{
        for (const struct field *field = table + *hint; field->name; field++) {
                if (strcmp(field->name, name) != 0)
                        continue;
                *hint = (size_t)(field - table) + 1;
                return field;
        }
        for (size_t i = 0; i < *hint; i++)
                if (strcmp(table[i].name, name) == 0)
                        return &table[i];
        return NULL;
}

/* Where a member's value goes that is no field of the object's table: read, or false. */
typedef bool (*take_member)(struct brief *brief, const char *name);

static bool take_unknown(struct brief *brief, const char *name)
{
        struct value ignored;
        if (*brief->at == '{' || *brief->at == '[')
                return pass_over(brief);
        return take_scalar(brief, &ignored);
}

static bool take_member_of(struct brief *brief, const struct field *table, void *into, size_t *hint, take_member other)
{
        struct value value;
        const char *name = take_string(brief);
        if (!name || *brief->at++ != ':')
                return false;
        const struct field *field = find(table, name, hint);
        if (!field)
                return other(brief, name);
        return take_scalar(brief, &value) && field_set(field, &value, into) == 0;
}

/* The members of an object up to its end: '}', or the NUL where the line was cut before the stacks. */
static bool take_members(struct brief *brief, const struct field *table, void *into, take_member other)
{
        size_t hint = 0;
        if (*brief->at == '}')
                return true;
        do {
                if (!take_member_of(brief, table, into, &hint, other))
                        return false;
        } while (*brief->at == ',' && brief->at++);
        return true;
}

static bool take_object(struct brief *brief, const struct field *table, void *into, take_member other)
{
        if (*brief->at++ != '{' || !take_members(brief, table, into, other))
                return false;
        return *brief->at++ == '}';
}

/* ---------------------------------------------------------------------------------------------------- of a stall */

static bool refuse(struct brief *brief, const char *name)
{
        return false;
}

/* {"samples":3,"reasons":{...}}: the reasons are the whole parser's. */
static bool take_lost(struct brief *brief)
{
        static const struct field lost_fields[] = { { "samples", FIELD_U32, 0 }, { 0 } };
        if (brief->has_lost)
                return false;
        brief->has_lost = true;
        return take_object(brief, lost_fields, &brief->record->stall.samples_lost, refuse);
}

static bool take_labels(struct brief *brief)
{
        struct record_stall *stall = &brief->record->stall;
        if (*brief->at++ != '[' || stall->labels)
                return false;
        stall->labels = brief->labels;
        do {
                struct record_label *label = &brief->labels[stall->labels_count];
                if (stall->labels_count++ == LABELS || !take_object(brief, label_fields, label, take_unknown) ||
                    !label->key || !label->value)
                        return false;
        } while (*brief->at == ',' && brief->at++);
        return *brief->at++ == ']';
}

/* Which groups of its fields are known is told by values that they never have. */
static bool take_detail(struct brief *brief)
{
        struct record_detail *detail = &brief->record->stall.detail;
        if (brief->has_detail)
                return false;
        brief->has_detail = true;
        detail->cpu_percent = UINT32_MAX;
        detail->user_ns = UINT64_MAX;
        detail->fd = INT32_MIN;
        if (!take_object(brief, detail_fields, detail, take_unknown))
                return false;
        detail->cpu_known = detail->cpu_percent != UINT32_MAX;
        detail->usage_known = detail->user_ns != UINT64_MAX;
        detail->fd_known = detail->fd != INT32_MIN;
        detail->cpu_percent = detail->cpu_known ? detail->cpu_percent : 0;
        detail->user_ns = detail->usage_known ? detail->user_ns : 0;
        detail->fd = detail->fd_known ? detail->fd : 0;
        return true;
}

static bool take_culprit(struct brief *brief)
{
        if (brief->record->stall.culprit)
                return false;
        brief->record->stall.culprit = brief->culprit;
        return take_object(brief, frame_fields, brief->culprit, take_unknown);
}

static bool take_callback(struct brief *brief)
{
        if (brief->record->stall.callback)
                return false;
        brief->record->stall.callback = brief->callback;
        return take_object(brief, callback_fields, brief->callback, take_unknown);
}

static bool take_version(struct brief *brief)
{
        struct value value;
        brief->record->version = RECORD_VERSION;
        return take_scalar(brief, &value) && value.kind == VALUE_INTEGER && value.integer == RECORD_VERSION;
}

static bool take_type(struct brief *brief)
{
        struct value value;
        brief->record->type = RECORD_STALL;
        return take_scalar(brief, &value) && value.kind == VALUE_STRING && strcmp(value.string, "stall") == 0;
}

static bool take_stall_member(struct brief *brief, const char *name)
{
        static const struct {
                const char *name;
                bool (*take)(struct brief *brief);
        } members[] = {
                { "v", take_version },       { "type", take_type },     { "detail", take_detail },
                { "culprit", take_culprit }, { "labels", take_labels }, { "callback", take_callback },
                { "lost", take_lost },
        };
        for (size_t i = 0; i < sizeof(members) / sizeof(*members); i++)
                if (strcmp(members[i].name, name) == 0)
                        return members[i].take(brief);
        size_t hint = 0;
        struct value value;
        const struct field *common = find(common_fields, name, &hint);
        if (common)
                return take_scalar(brief, &value) && field_set(common, &value, brief->record) == 0;
        return take_unknown(brief, name);
}

/* All that a record must have, and a cause that is known: the name of another would be kept. */
static bool is_complete(const struct record *record)
{
        return record->version == RECORD_VERSION && record->type == RECORD_STALL && record->time_ns != 0 &&
               record->run && record->run[0] && record->stall.id != 0 && record->stall.begin_ns != 0 &&
               record->stall.cause != RECORD_UNKNOWN;
}

/* What the record points to, in one piece. */
struct block {
        struct record_frame culprit;
        struct record_callback callback;
        struct record_label labels[LABELS];
        char text[];
};

bool brief_parse(struct parsed *parsed, const char *line, size_t length)
{
        struct block *block = alloc_zeroed(1, sizeof(*block) + length + 1);
        memcpy(block->text, line, length);
        *parsed = (struct parsed){ 0 };
        struct brief brief = { .at = block->text + 1,
                               .record = &parsed->record,
                               .culprit = &block->culprit,
                               .callback = &block->callback,
                               .labels = block->labels };
        if (line[0] != '{' || !take_members(&brief, stall_fields, &parsed->record.stall, take_stall_member) ||
            brief.at != block->text + length || !is_complete(&parsed->record)) {
                free(block);
                *parsed = (struct parsed){ 0 };
                return false;
        }
        parsed->blocks = alloc_zeroed(1, sizeof(*parsed->blocks));
        parsed->blocks[0] = block;
        parsed->blocks_count = 1;
        return true;
}
