/* SPDX-License-Identifier: Apache-2.0
 *
 * fields.h - values of a JSON object into the members of a struct, by a table
 *
 * Context: reader
 */
#ifndef LOOPDOG_READ_FIELDS_H
#define LOOPDOG_READ_FIELDS_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

enum field_kind {
        FIELD_STRING, /* const char *, borrowed from the JSON value */
        FIELD_U64,    /* a whole number, not negative */
        FIELD_U32,
        FIELD_I32,
        FIELD_BOOL,
        FIELD_HEX,   /* uint64_t from a string of hexadecimal digits, with or without 0x */
        FIELD_TIME,  /* uint64_t, ns since 1970, from RFC 3339 in UTC */
        FIELD_STATE, /* char from a string of one letter */
        FIELD_CAUSE, /* enum record_cause, enum record_lang from their names; */
        FIELD_LANG,  /* a name that is not known becomes "unknown" and "native" */
};

struct field {
        const char *name; /* NULL ends a table */
        enum field_kind kind;
        size_t offset;
};

/* A value of JSON that can stand in a field. */
struct value {
        enum value_kind {
                VALUE_STRING,
                VALUE_INTEGER,
                VALUE_BOOLEAN, /* `integer` is 0 or 1 */
                VALUE_OTHER,
        } kind;
        const char *string;
        int64_t integer;
};

/* Set the member of `into` that the field is for; a string is borrowed. 0, or -EBADMSG where it is of another kind or
 * out of range. */
int field_set(const struct field *field, const struct value *value, void *into);

/* Where a complaint goes; the first one stays. */
struct complaint {
        char *text;
        size_t capacity;
};

void complain(struct complaint *complaint, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Set the members of `into` that `object` has values for; a null is as good as absent. 0 or -EBADMSG with a
 * complaint that names the field, `where` before it ("stacks[2]."). */
int fields_read(json_t *object, const struct field *table, void *into, const char *where, struct complaint *complaint);

#endif
