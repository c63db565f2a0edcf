/* SPDX-License-Identifier: Apache-2.0
 *
 * repeat.c - how often a signature was seen
 *
 * A route that stalls on each request must not fill the disk, and a second culprit must not drown in the first: stacks
 * are limited a signature, and totals never.
 *
 * Context: watchdog
 * Limits:  LIMIT_SIGNATURES; when they are used up, the one seen longest ago is forgotten
 */
#include "record/repeat.h"

#include <stddef.h>
#include <string.h>

#include "base/limits.h"

#define MINUTE_NS 60000000000ull

struct seen {
        uint64_t signature; /* 0: free */
        uint64_t total;
        uint64_t minute_ns; /* begin of the present minute */
        uint64_t last_ns;
        uint32_t in_minute;
};

static struct seen table[LIMIT_SIGNATURES];

static struct seen *find(uint64_t signature)
{
        struct seen *oldest = &table[0];
        for (size_t i = 0; i < LIMIT_SIGNATURES; i++) {
                if (table[i].signature == signature)
                        return &table[i];
                if (table[i].last_ns < oldest->last_ns)
                        oldest = &table[i];
        }
        *oldest = (struct seen){ .signature = signature };
        return oldest;
}

bool repeat_count(uint64_t signature, uint64_t now_ns, uint64_t *before)
{
        struct seen *seen = find(signature);
        *before = seen->total++;
        seen->last_ns = now_ns;
        if (seen->in_minute == 0 || now_ns - seen->minute_ns >= MINUTE_NS) {
                seen->minute_ns = now_ns;
                seen->in_minute = 0;
        }
        return ++seen->in_minute > REPEATS_WITH_STACKS;
}

void repeat_after_fork(void)
{
        memset(table, 0, sizeof table);
}
