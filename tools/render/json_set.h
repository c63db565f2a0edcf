/* SPDX-License-Identifier: Apache-2.0
 *
 * json_set.h - fields of JSON that loopdog writes
 *
 * Context: reader
 */
#ifndef LOOPDOG_RENDER_JSON_SET_H
#define LOOPDOG_RENDER_JSON_SET_H

#include <jansson.h>
#include <stdint.h>

#include "analyse/spread.h"
#include "record/record.h"

/* Takes the value. */
void json_set(json_t *object, const char *name, json_t *value);

/* Nothing for NULL. Bytes that are not UTF-8 (a name out of debug information) become U+FFFD. */
void json_set_string(json_t *object, const char *name, const char *value);
json_t *json_safe_string(const char *value); /* the same as a value; "" for NULL */

void json_set_number(json_t *object, const char *name, uint64_t value);
void json_set_time(json_t *object, const char *name, uint64_t realtime_ns);

/* Count, sum, longest, median and p99. */
void json_set_spread(json_t *object, const struct spread *stalls);

/* Why; `call` as stall_call() has it. */
void json_set_cause(json_t *object, enum record_cause cause, const char *call);

/* A symbolized frame. */
json_t *json_frame(const struct record_frame *frame);

#endif
