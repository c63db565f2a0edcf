/* SPDX-License-Identifier: Apache-2.0
 *
 * json_parts.h - names and values of JSON, written behind each other into a line
 *
 * Context: watchdog, reader
 */
#ifndef LOOPDOG_RECORD_JSON_PARTS_H
#define LOOPDOG_RECORD_JSON_PARTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/text.h"

/* A comma where one is due. json_open() and all below write it themselves. */
void json_separate(struct text *line);
void json_open(struct text *line, char bracket);
void json_write_string(struct text *line, const char *string);
void json_write_name(struct text *line, const char *name);

/* A member. Strings that are NULL or empty, false, and times and hexadecimal numbers of 0 are left out; of the numbers
 * json_add_some() leaves out 0. */
void json_add_string(struct text *line, const char *name, const char *value);
void json_add_number(struct text *line, const char *name, uint64_t value);
void json_add_some(struct text *line, const char *name, uint64_t value);
void json_add_signed(struct text *line, const char *name, int64_t value);
void json_add_if(struct text *line, const char *name, bool value);
void json_add_time(struct text *line, const char *name, uint64_t realtime_ns);
void json_add_hex(struct text *line, const char *name, const char *prefix, uint64_t value, int digits);

#endif
