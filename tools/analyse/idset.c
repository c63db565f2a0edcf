/* SPDX-License-Identifier: Apache-2.0
 *
 * idset.c - which stalls of a process have been seen
 *
 * Context: reader
 */
#include "analyse/idset.h"

#include <stdlib.h>
#include <string.h>

#include "alloc.h"

/* The first range that ends at or after `id`; `count` where none does. */
static size_t find(const struct idset *set, uint64_t id)
{
        size_t low = 0;
        size_t high = set->count;
        while (low < high) {
                size_t middle = low + (high - low) / 2;
                if (set->ranges[middle].to < id)
                        low = middle + 1;
                else
                        high = middle;
        }
        return low;
}

bool idset_has(const struct idset *set, uint64_t id)
{
        size_t at = find(set, id);
        return at < set->count && set->ranges[at].from <= id;
}

static void insert(struct idset *set, size_t at, uint64_t id)
{
        if (set->count == set->capacity) {
                set->capacity = set->capacity ? 2 * set->capacity : 4;
                set->ranges = alloc_resize(set->ranges, set->capacity, sizeof(*set->ranges));
        }
        memmove(set->ranges + at + 1, set->ranges + at, (set->count - at) * sizeof(*set->ranges));
        set->ranges[at] = (struct id_range){ id, id };
        set->count++;
}

static void remove_range(struct idset *set, size_t at)
{
        set->count--;
        memmove(set->ranges + at, set->ranges + at + 1, (set->count - at) * sizeof(*set->ranges));
}

bool idset_add(struct idset *set, uint64_t id)
{
        size_t at = find(set, id);
        if (at < set->count && set->ranges[at].from <= id)
                return false;
        bool after = at > 0 && set->ranges[at - 1].to + 1 == id;
        bool before = at < set->count && set->ranges[at].from == id + 1;
        if (after)
                set->ranges[at - 1].to = before ? set->ranges[at].to : id;
        else if (before)
                set->ranges[at].from = id;
        else
                insert(set, at, id);
        if (after && before)
                remove_range(set, at);
        return true;
}

void idset_free(struct idset *set)
{
        free(set->ranges);
        *set = (struct idset){ 0 };
}
