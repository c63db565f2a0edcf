/* SPDX-License-Identifier: Apache-2.0
 *
 * regions.h - code that holds the locks which a careless agent would wait for
 *
 * malloc's, the loader's, stdio's, the unwinder's, those of fork. unit_locks captures threads within them itself, the
 * victim `regions` stalls in them under a real agent.
 *
 * Context: tests; any thread
 */
#ifndef LOOPDOG_TESTS_REGIONS_H
#define LOOPDOG_TESTS_REGIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define REGION_PATTERN 0x10adc0de5a5a0000ull

/* On the stack of a thread that goes in and out, so that a copy of the stack tells where it was. */
struct region_flag {
        volatile uint64_t pattern; /* REGION_PATTERN in the thread that is captured, 0 in others */
        volatile uint64_t inside;
};

struct region {
        const char *name;
        void (*enter)(struct region_flag *flag); /* sets and clears it, once or more often */
        bool contended;                          /* others do the same */
};

/* The last one has no name. */
extern const struct region regions[];

const struct region *region_named(const char *name); /* NULL: none */

/* By name, for exit handlers. */
void region_allocate(struct region_flag *flag);

#endif
