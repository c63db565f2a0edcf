/* SPDX-License-Identifier: Apache-2.0
 *
 * text.h - append text to a buffer of fixed size
 *
 * What does not fit is cut between two characters and remembered in `cut`, so that a writer checks once at its end
 * instead of at every step. Once something was cut, nothing more is appended.
 * Nothing here allocates, locks, or reads the locale, so it serves the watchdog inside a stranger's process.
 *
 * Context: everywhere but the signal handler
 */
#ifndef LOOPDOG_BASE_TEXT_H
#define LOOPDOG_BASE_TEXT_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct text {
        char *bytes;     /* always terminated by a NUL once anything was appended */
        size_t length;   /* without the NUL */
        size_t capacity; /* with the NUL */
        bool cut;        /* something did not fit */
};

/* An empty text in `array`, which must be a real array. */
#define TEXT_IN(array) ((struct text){ .bytes = (array), .capacity = sizeof(array) })

void text_clear(struct text *text);
void text_bytes(struct text *text, const char *bytes, size_t length);
void text_string(struct text *text, const char *string);
void text_char(struct text *text, char c);
void text_unsigned(struct text *text, uint64_t value);
void text_signed(struct text *text, int64_t value);
/* Lower-case hexadecimal, padded with zeros to at least `digits`. */
void text_hex(struct text *text, uint64_t value, int digits);

/* The subset %s %d %u %lu %llu %ld %lld %zu %c %x %lx %llx %% with an optional field width of %0Nx and %0Nu; NULL for
 * %s is "?". Written here because libc's own may allocate and reads the host's locale. */
void text_format(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
void text_vformat(struct text *text, const char *format, va_list arguments);

/* A duration as people read it: "1.2 us", "85 ms", "99.9 ms", "500 ms", "2.35 s", "3 min 20 s", "2 h 5 min". */
void text_duration(struct text *text, uint64_t duration_ns);

/* RFC 3339 in UTC with microseconds: "2026-11-22T20:15:03.620700Z". */
void text_time(struct text *text, uint64_t realtime_ns);

/* `string` with invalid UTF-8 replaced by U+FFFD, control characters shown as \xNN and those that reorder text as
 * \uNNNN: safe on a terminal. */
void text_printable(struct text *text, const char *string);

/* Length in bytes of the well-formed UTF-8 character at `bytes` (1 to 4), or 0 where it is malformed or cut. */
size_t text_utf8_length(const char *bytes, size_t available);

#endif
