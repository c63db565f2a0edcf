/* SPDX-License-Identifier: Apache-2.0
 *
 * parse.h - a line of JSON into a record
 *
 * Every line is taken as if a stranger had written it: a field of the wrong kind makes the line bad, with the
 * field's name in the complaint; a field that is not known is ignored, so that later agents can say more.
 *
 * Context: reader
 */
#ifndef LOOPDOG_READ_PARSE_H
#define LOOPDOG_READ_PARSE_H

#include <stddef.h>

#include "record/record.h"

struct json_t;

struct parsed {
        struct record record; /* borrows everything from below */
        struct json_t *root;
        void **blocks;
        size_t blocks_count;
};

#define PARSE_BLANK 1

/* Parse one line. 0: `parsed` holds a record, to be given to parsed_free(). PARSE_BLANK: nothing but blanks.
 * -EBADMSG: no record, and `why` says in a few words what is wrong with the line. After anything but 0 there is
 * nothing to free. */
int parse_record(struct parsed *parsed, const char *line, size_t length, char *why, size_t capacity);

void parsed_free(struct parsed *parsed);

#endif
