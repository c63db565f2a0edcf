/* SPDX-License-Identifier: Apache-2.0
 *
 * map.c - from a key of bytes to a pointer
 *
 * Context: reader
 */
#include "map.h"

#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "base/hash.h"

static uint64_t hash_key(const char *key, size_t length)
{
        uint64_t hash = hash_bytes(HASH_BEGIN, key, length);
        return hash ^ hash >> 32; /* the low bits choose the slot */
}

/* The slot that holds the key, or the free one where it belongs. */
static uint32_t *find_slot(const struct map *map, const char *key, size_t length, uint64_t hash)
{
        for (size_t i = hash;; i++) {
                uint32_t *slot = &map->slots[i & (map->slots_count - 1)];
                if (*slot == 0)
                        return slot;
                const struct map_entry *entry = &map->entries[*slot - 1];
                if (entry->hash == hash && entry->length == length && memcmp(entry->key, key, length) == 0)
                        return slot;
        }
}

static void fill_slots(struct map *map)
{
        for (size_t i = 0; i < map->count; i++) {
                const struct map_entry *entry = &map->entries[i];
                *find_slot(map, entry->key, entry->length, entry->hash) = (uint32_t)i + 1;
        }
}

static void grow(struct map *map)
{
        map->capacity = map->capacity ? map->capacity * 2 : 16;
        map->entries = alloc_resize(map->entries, map->capacity, sizeof(*map->entries));
        free(map->slots);
        map->slots_count = map->capacity * 2;
        map->slots = alloc_zeroed(map->slots_count, sizeof(*map->slots));
        fill_slots(map);
}

void *map_find(const struct map *map, const char *key, size_t length)
{
        if (map->count == 0)
                return NULL;
        uint32_t slot = *find_slot(map, key, length, hash_key(key, length));
        return slot ? map->entries[slot - 1].value : NULL;
}

void **map_at(struct map *map, const char *key, size_t length)
{
        if (map->count == map->capacity)
                grow(map);
        uint64_t hash = hash_key(key, length);
        uint32_t *slot = find_slot(map, key, length, hash);
        if (*slot == 0) {
                map->entries[map->count] =
                        (struct map_entry){ .key = alloc_bytes(key, length), .length = length, .hash = hash };
                *slot = (uint32_t)++map->count;
        }
        return &map->entries[*slot - 1].value;
}

void *map_find_string(const struct map *map, const char *key)
{
        return map_find(map, key, strlen(key));
}

void **map_at_string(struct map *map, const char *key)
{
        return map_at(map, key, strlen(key));
}

bool map_has_string(const struct map *map, const char *key)
{
        size_t length = strlen(key);
        return map->count > 0 && *find_slot(map, key, length, hash_key(key, length)) != 0;
}

void map_keep(struct map *map, bool (*keep)(void *context, void *value), void *context, void (*release)(void *value))
{
        size_t kept = 0;
        for (size_t i = 0; i < map->count; i++) {
                struct map_entry *entry = &map->entries[i];
                if (keep(context, entry->value)) {
                        map->entries[kept++] = *entry;
                        continue;
                }
                free(entry->key);
                if (release)
                        release(entry->value);
        }
        if (kept == map->count)
                return;
        map->count = kept;
        memset(map->slots, 0, map->slots_count * sizeof(*map->slots));
        fill_slots(map);
}

void map_free(struct map *map, void (*release)(void *value))
{
        for (size_t i = 0; i < map->count; i++) {
                free(map->entries[i].key);
                if (release)
                        release(map->entries[i].value);
        }
        free(map->entries);
        free(map->slots);
        *map = (struct map){ 0 };
}
