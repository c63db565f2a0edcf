/* SPDX-License-Identifier: Apache-2.0
 *
 * hash.h - FNV-1a
 *
 * Of names and keys that nobody chooses to our harm, and of signatures, which must stay the same for ever.
 *
 * Context: any; the tools too
 */
#ifndef LOOPDOG_BASE_HASH_H
#define LOOPDOG_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

#define HASH_BEGIN UINT64_C(0xcbf29ce484222325)

/* One step takes any value, not only a byte: that is how a signature takes an offset. */
static inline uint64_t hash_value(uint64_t hash, uint64_t value)
{
        return (hash ^ value) * UINT64_C(0x100000001b3);
}

static inline uint64_t hash_bytes(uint64_t hash, const void *bytes, size_t length)
{
        for (size_t i = 0; i < length; i++)
                hash = hash_value(hash, ((const unsigned char *)bytes)[i]);
        return hash;
}

static inline uint64_t hash_string(uint64_t hash, const char *string)
{
        for (; *string != '\0'; string++)
                hash = hash_value(hash, (unsigned char)*string);
        return hash;
}

#endif
