/* SPDX-License-Identifier: Apache-2.0
 *
 * type.c - types of objects: their names, and what they derive from
 *
 * Where a type has its name and its base has been the same for all versions that we read.
 *
 * Context: watchdog
 * Limits:  BASES, NAME_BYTES
 */
#include "script/python/type.h"

#include <string.h>

#include "base/memory.h"

#define TYPE_NAME 24
#define TYPE_BASE 256
#define BASES 5
#define NAME_BYTES 96

static uint64_t word_at(uint64_t address)
{
        uint64_t word;
        return memory_get_sigsafe(address, &word, sizeof word) ? word : 0;
}

bool python_c_string(uint64_t address, char *text, size_t capacity)
{
        ssize_t n = memory_read_sigsafe(address, text, capacity - 1);
        if (n <= 0)
                return false;
        text[n] = '\0';
        return text[0] != '\0' && strlen(text) < capacity - 1;
}

bool python_type_name(uint64_t type, char *text, size_t capacity)
{
        uint64_t name = type != 0 ? word_at(type + TYPE_NAME) : 0;
        return name != 0 && python_c_string(name, text, capacity);
}

bool python_type_derives(uint64_t type, const char *name)
{
        for (unsigned i = 0; i < BASES && type != 0; i++) {
                char found[NAME_BYTES];
                if (python_type_name(type, found, sizeof found) && strcmp(found, name) == 0)
                        return true;
                type = word_at(type + TYPE_BASE);
        }
        return false;
}
