/* SPDX-License-Identifier: Apache-2.0
 *
 * spread.c - many durations in bounded memory
 *
 * Context: reader
 */
#include "analyse/spread.h"

#include <stdlib.h>
#include <string.h>

#include "alloc.h"

#define SUB_BITS 5
#define SUB_BUCKETS (1u << SUB_BITS)
#define BUCKETS (64u * SUB_BUCKETS)

static unsigned bucket_of(uint64_t value)
{
        if (value < SUB_BUCKETS)
                return (unsigned)value;
        unsigned shift = 63u - (unsigned)__builtin_clzll(value) - SUB_BITS;
        return ((shift + 1) << SUB_BITS) + (unsigned)(value >> shift) - SUB_BUCKETS;
}

static uint64_t bucket_middle(unsigned bucket)
{
        if (bucket < 2 * SUB_BUCKETS)
                return bucket;
        unsigned shift = (bucket >> SUB_BITS) - 1;
        uint64_t from = (uint64_t)(SUB_BUCKETS + (bucket & (SUB_BUCKETS - 1))) << shift;
        return from + (UINT64_C(1) << shift) / 2;
}

static void count_exact(struct spread *spread)
{
        spread->buckets = alloc_zeroed(BUCKETS, sizeof(*spread->buckets));
        for (uint64_t i = 0; i < spread->count; i++)
                spread->buckets[bucket_of(spread->exact[i])]++;
        free(spread->exact);
        spread->exact = NULL;
}

void spread_add(struct spread *spread, uint64_t duration_ns)
{
        if (!spread->exact && !spread->buckets)
                spread->exact = alloc_zeroed(SPREAD_EXACT, sizeof(*spread->exact));
        if (spread->exact && spread->count == SPREAD_EXACT)
                count_exact(spread);
        if (spread->exact)
                spread->exact[spread->count] = duration_ns;
        else
                spread->buckets[bucket_of(duration_ns)]++;
        spread->count++;
        spread->total_ns += duration_ns;
        if (duration_ns > spread->longest_ns)
                spread->longest_ns = duration_ns;
}

void spread_merge(struct spread *spread, const struct spread *other)
{
        if (!other->buckets) {
                for (uint64_t i = 0; i < other->count; i++)
                        spread_add(spread, other->exact[i]);
                return;
        }
        if (!spread->buckets)
                count_exact(spread);
        for (unsigned i = 0; i < BUCKETS; i++)
                spread->buckets[i] += other->buckets[i];
        spread->count += other->count;
        spread->total_ns += other->total_ns;
        if (other->longest_ns > spread->longest_ns)
                spread->longest_ns = other->longest_ns;
}

static int compare(const void *a, const void *b)
{
        uint64_t left = *(const uint64_t *)a;
        uint64_t right = *(const uint64_t *)b;
        return (left > right) - (left < right);
}

static void sort_exact(const struct spread *spread, uint64_t sorted[static SPREAD_EXACT])
{
        size_t count = (size_t)spread->count;
        memcpy(sorted, spread->exact, count * sizeof(*sorted));
        qsort(sorted, count, sizeof(*sorted), compare);
}

static uint64_t exact_median_ns(const struct spread *spread)
{
        uint64_t sorted[SPREAD_EXACT];
        size_t count = (size_t)spread->count;
        sort_exact(spread, sorted);
        uint64_t low = sorted[(count - 1) / 2];
        return low + (sorted[count / 2] - low) / 2;
}

/* The duration that has `rank` - 1 shorter ones or equals before it. */
static uint64_t ranked_ns(const struct spread *spread, uint64_t rank)
{
        uint64_t passed = 0;
        for (unsigned i = 0; i < BUCKETS; i++) {
                passed += spread->buckets[i];
                if (passed >= rank) {
                        uint64_t middle_ns = bucket_middle(i);
                        return middle_ns < spread->longest_ns ? middle_ns : spread->longest_ns;
                }
        }
        return spread->longest_ns;
}

uint64_t spread_median_ns(const struct spread *spread)
{
        if (spread->count == 0)
                return 0;
        if (spread->exact)
                return exact_median_ns(spread);
        return ranked_ns(spread, (spread->count + 1) / 2);
}

uint64_t spread_permille_ns(const struct spread *spread, unsigned permille)
{
        if (spread->count == 0)
                return 0;
        uint64_t rank = (uint64_t)(((unsigned __int128)spread->count * permille + 999) / 1000);
        if (rank == 0)
                rank = 1;
        if (!spread->exact)
                return rank == spread->count ? spread->longest_ns : ranked_ns(spread, rank);
        uint64_t sorted[SPREAD_EXACT];
        sort_exact(spread, sorted);
        return sorted[rank - 1];
}

void spread_free(struct spread *spread)
{
        free(spread->exact);
        free(spread->buckets);
        *spread = (struct spread){ 0 };
}
