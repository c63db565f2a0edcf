/* SPDX-License-Identifier: Apache-2.0
 *
 * functions.c - the functions of scripts that were seen, each with a number
 *
 * A frame holds a number instead of names, so that stacks are small and two frames of one function are equal. A program
 * that makes functions without end fills the table; then it is emptied when a stall begins, and stalls that are still
 * open lose names.
 *
 * Context: watchdog
 */
#include "script/functions.h"

#include <stddef.h>
#include <string.h>

#include "base/hash.h"
#include "base/table.h"

/* With 0, which is none, 12 bits; the other 4 tell tables apart that were emptied in between. */
#define FUNCTIONS 4095
#define INDEX_BITS 12
#define BUCKETS 2048 /* power of two */
#define NAME_BYTES (512 * 1024)
#define NEARLY(limit) ((limit) / 4 * 3)

static struct script_function functions[FUNCTIONS]; /* index 1 is the first */
static uint16_t next_in_bucket[FUNCTIONS];
static uint16_t buckets[BUCKETS]; /* indices */
static char *names;               /* NAME_BYTES, mapped for the first function: most programs have none */
static size_t used_bytes;
static uint16_t count;
static unsigned generation;

static uint64_t hash_of(const char *name, const char *file, uint32_t first_line)
{
        uint64_t hash = hash_string(hash_string(hash_value(HASH_BEGIN, first_line), name), file);
        return hash ^ hash >> 32;
}

/* Files repeat: the last function's is often the next one's. */
static const char *keep(const char *string)
{
        size_t length = strlen(string) + 1;
        if (count != 0 && strcmp(functions[count - 1].file, string) == 0)
                return functions[count - 1].file;
        if (names == NULL)
                names = table_map(NAME_BYTES);
        if (names == NULL || length > NAME_BYTES - used_bytes)
                return NULL;
        char *kept = memcpy(names + used_bytes, string, length);
        used_bytes += length;
        return kept;
}

static uint16_t number_of(uint16_t index)
{
        return (uint16_t)(generation % 16 << INDEX_BITS | index);
}

uint16_t script_function(const char *name, const char *file, uint32_t first_line)
{
        uint16_t *bucket = &buckets[hash_of(name, file, first_line) % BUCKETS];
        for (uint16_t index = *bucket; index != 0; index = next_in_bucket[index - 1]) {
                const struct script_function *known = &functions[index - 1];
                if (known->first_line == first_line && strcmp(known->name, name) == 0 && strcmp(known->file, file) == 0)
                        return number_of(index);
        }
        if (count == FUNCTIONS)
                return 0;
        struct script_function added = { .name = keep(name), .file = keep(file), .first_line = first_line };
        if (added.name == NULL || added.file == NULL)
                return 0;
        functions[count] = added;
        next_in_bucket[count] = *bucket;
        *bucket = ++count;
        return number_of(count);
}

const struct script_function *script_function_get(uint16_t number)
{
        uint16_t index = number & ((1u << INDEX_BITS) - 1);
        return index != 0 && index <= count && number_of(index) == number ? &functions[index - 1] : NULL;
}

bool script_functions_nearly_full(void)
{
        return count > NEARLY(FUNCTIONS) || used_bytes > NEARLY(NAME_BYTES);
}

void script_functions_clear(void)
{
        memset(buckets, 0, sizeof buckets);
        count = 0;
        used_bytes = 0;
        generation++;
}

unsigned script_functions_generation(void)
{
        return generation;
}
