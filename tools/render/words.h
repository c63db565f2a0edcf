/* SPDX-License-Identifier: Apache-2.0
 *
 * words.h - values as people read them, each to be freed
 *
 * Context: reader
 */
#ifndef LOOPDOG_RENDER_WORDS_H
#define LOOPDOG_RENDER_WORDS_H

#include <stddef.h>
#include <stdint.h>

#include "record/record.h"

char *words_duration(uint64_t duration_ns);
char *words_count(uint64_t count);                            /* "10,234" */
char *words_share(uint64_t part, uint64_t whole);             /* "12.3 %"; "-" of nothing */
char *words_date(uint64_t realtime_ns);                       /* "2026-11-22 20:15:03" in UTC */
char *words_cause(enum record_cause cause, const char *call); /* "blocked in clock_nanosleep" */
char *words_frame(const struct record_frame *frame);          /* "block() at /srv/app.py:8"; "?" for none */

/* As it is, with U+FFFD for each byte that is not UTF-8: for formats that allow nothing else. */
char *words_utf8(const char *string);

/* Safe on a terminal, whatever a record had in it; "" for NULL. */
char *words_printable(const char *string);

/* Characters, which is near enough to columns for what stands in records. */
size_t words_width(const char *string);

/* "s" but for one: "1 stall", "2 stalls". */
const char *words_plural(uint64_t count);

#endif
