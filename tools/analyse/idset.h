/* SPDX-License-Identifier: Apache-2.0
 *
 * idset.h - which stalls of a process have been seen
 *
 * A process numbers its stalls from 1, so the set is one range with a few holes, however many there are.
 *
 * Context: reader
 */
#ifndef LOOPDOG_ANALYSE_IDSET_H
#define LOOPDOG_ANALYSE_IDSET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct id_range {
        uint64_t from;
        uint64_t to; /* inclusive */
};

/* All zero: empty. */
struct idset {
        struct id_range *ranges; /* ascending, not touching each other */
        size_t count;
        size_t capacity;
};

bool idset_has(const struct idset *set, uint64_t id);

/* False where it was in the set already. */
bool idset_add(struct idset *set, uint64_t id);

void idset_free(struct idset *set);

#endif
