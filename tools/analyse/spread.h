/* SPDX-License-Identifier: Apache-2.0
 *
 * spread.h - many durations in bounded memory
 *
 * Up to SPREAD_EXACT of them are kept as they are; more are counted into log-linear buckets of 3 % width.
 *
 * Context: reader
 */
#ifndef LOOPDOG_ANALYSE_SPREAD_H
#define LOOPDOG_ANALYSE_SPREAD_H

#include <stdint.h>

#define SPREAD_EXACT 64

/* All zero: none. */
struct spread {
        uint64_t count;
        uint64_t total_ns;
        uint64_t longest_ns;
        uint64_t *exact;   /* SPREAD_EXACT, while there are no more */
        uint64_t *buckets; /* else */
};

void spread_add(struct spread *spread, uint64_t duration_ns);
void spread_merge(struct spread *spread, const struct spread *other);

/* Half of them are at most this long; 0 for none. */
uint64_t spread_median_ns(const struct spread *spread);

/* So many of a thousand are at most this long (990: the 99th percentile, by nearest rank); 0 for none. */
uint64_t spread_permille_ns(const struct spread *spread, unsigned permille);

void spread_free(struct spread *spread);

#endif
