/* SPDX-License-Identifier: Apache-2.0
 *
 * scan.c - where the stacks of a record begin, without parsing it
 *
 * Context: reader
 */
#include "read/scan.h"

#include <stdint.h>
#include <string.h>

static const char key[] = "\"stacks\":[";

/* Behind the string that begins at `at`; NULL where it has no end. A quote is escaped by an odd number of
 * backslashes. */
static const char *skip_string(const char *at, const char *end)
{
        const char *begin = at + 1;
        for (at = begin; (at = memchr(at, '"', (size_t)(end - at))); at++) {
                const char *back = at;
                while (back > begin && back[-1] == '\\')
                        back--;
                if ((at - back) % 2 == 0)
                        return at + 1;
        }
        return NULL;
}

enum kind {
        OTHER,
        QUOTE,
        OPENING,
        CLOSING,
};

static const uint8_t kinds[256] = {
        ['"'] = QUOTE, ['{'] = OPENING, ['['] = OPENING, ['}'] = CLOSING, [']'] = CLOSING,
};

/* Behind the bracket that closes the one at `at`; NULL where none does. */
static const char *skip_brackets(const char *at, const char *end)
{
        size_t depth = 0;
        while (at && at < end) {
                switch (kinds[(uint8_t)*at]) {
                case QUOTE:
                        at = skip_string(at, end);
                        continue;
                case OPENING:
                        depth++;
                        break;
                case CLOSING:
                        if (--depth == 0)
                                return at + 1;
                        break;
                default:
                        break;
                }
                at++;
        }
        return NULL;
}

/* The comma before the key, among the members of the object that begins at `line`. */
static const char *find_key(const char *line, const char *end)
{
        size_t depth = 0;
        for (const char *at = line; at && at < end;) {
                switch (kinds[(uint8_t)*at]) {
                case QUOTE:
                        if (depth == 1 && at > line && at[-1] == ',' && (size_t)(end - at) >= sizeof(key) - 1 &&
                            memcmp(at, key, sizeof(key) - 1) == 0)
                                return at - 1;
                        at = skip_string(at, end);
                        continue;
                case OPENING:
                        depth++;
                        break;
                case CLOSING:
                        depth--;
                        break;
                default:
                        break;
                }
                at++;
        }
        return NULL;
}

size_t scan_stacks(const char *line, size_t length)
{
        const char *end = line + length;
        const char *comma = length > 0 && line[0] == '{' ? find_key(line, end) : NULL;
        const char *behind = comma ? skip_brackets(comma + sizeof(key) - 1, end) : NULL;
        return behind && behind + 1 == end && *behind == '}' ? (size_t)(comma - line) : 0;
}

/* Within a string its quotes would be escaped. */
bool scan_frames(const char *line, size_t length)
{
        static const char frames[] = "\"frames\":[{";
        size_t stacks = scan_stacks(line, length);
        return stacks > 0 && memmem(line + stacks, length - stacks, frames, sizeof(frames) - 1);
}
