/* SPDX-License-Identifier: Apache-2.0
 *
 * map.h - from a key of bytes to a pointer
 *
 * Entries keep the order in which they came, so that what is printed does not depend on a hash. Most readers only
 * gather; what runs without end goes through all of a map to let go of what is old.
 *
 * Context: reader
 */
#ifndef LOOPDOG_TOOLS_MAP_H
#define LOOPDOG_TOOLS_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct map_entry {
        char *key;
        size_t length;
        uint64_t hash;
        void *value;
};

/* All zero: empty. */
struct map {
        struct map_entry *entries; /* `count` of them, in order of arrival: may be read by everyone */
        size_t count;
        size_t capacity;
        uint32_t *slots;    /* open addressing: index into entries + 1; 0: free */
        size_t slots_count; /* a power of two */
};

/* The value, or NULL where there is none. */
void *map_find(const struct map *map, const char *key, size_t length);

/* Where the value stands, NULL in it for a new key. Valid until the next call. */
void **map_at(struct map *map, const char *key, size_t length);

/* The same for a key that is a string. */
void *map_find_string(const struct map *map, const char *key);
void **map_at_string(struct map *map, const char *key);

/* Is the key there, with a value or without? */
bool map_has_string(const struct map *map, const char *key);

/* Remove the entries that keep() does not want; `release` may be NULL. The order of the others stays. */
void map_keep(struct map *map, bool (*keep)(void *context, void *value), void *context, void (*release)(void *value));

/* Empty it; `release` may be NULL. */
void map_free(struct map *map, void (*release)(void *value));

#endif
