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
