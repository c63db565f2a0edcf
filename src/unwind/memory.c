/* SPDX-License-Identifier: Apache-2.0
 *
 * memory.c - what the unwinder reads of this process's memory
 *
 * The cache holds blocks smaller than a page: the steps of a binary search and the entries it leads to are scattered,
 * and the whole agent may dirty only 3 MB.
 *
 * Context: watchdog
 * Limits:  256 KB of cache, touched as it fills; LIVE_READS system calls for one walk
 */
#include "unwind/memory.h"

#include <string.h>

#include "base/memory.h"
#include "base/table.h"
#include "unwind/module.h"
#include "unwind/stack.h"

#define BLOCK 512ul
#define BLOCKS 512u
#define LIVE_READS 16384         /* system calls of one walk: some 10 ms; a walk of node with a cold cache needs 200 */
#define READS 400000             /* all reads of one walk: a DWARF expression may jump backwards for ever */
#define BEYOND_COPY (64ul << 20) /* above the end of a truncated copy: still the same stack */

struct block {
        uint64_t address; /* 0: empty */
        uint8_t bytes[BLOCK];
};

static struct block *blocks; /* BLOCKS, mapped for the first read */
static struct {
        uint64_t start, end;
} constant; /* of the object asked for last */

static const struct sample *copy;
static unsigned live_reads, reads;
static bool cut;

void memory_use(const struct sample *sample)
{
        copy = sample;
        memory_new_account();
}

void memory_new_account(void)
{
        live_reads = reads = 0;
        cut = false;
}

bool memory_was_cut(void)
{
        return cut;
}

void memory_flush(void)
{
        constant.start = constant.end = 0;
        for (unsigned i = 0; i < BLOCKS && blocks != NULL; i++)
                if (blocks[i].address != 0) /* leave untouched pages untouched */
                        blocks[i].address = 0;
}

/* libunwind asks for any address, -1 included: nothing here may overflow. */
bool memory_in_copy(uint64_t address, size_t length)
{
        return copy != NULL && copy->stack_length >= length && address >= copy->stack_address &&
               address - copy->stack_address <= copy->stack_length - length;
}

static bool read_live(uint64_t address, void *buffer, size_t length)
{
        if (++live_reads > LIVE_READS)
                return false;
        return memory_get_sigsafe(address, buffer, length);
}

/* The block that holds `address`, or NULL where it can't be read. A block never straddles a page: all or nothing. */
static const struct block *find_block(uint64_t address)
{
        uint64_t start = address & ~(BLOCK - 1);
        if (blocks == NULL && (blocks = table_map(BLOCKS * sizeof *blocks)) == NULL)
                return NULL;
        struct block *block = &blocks[(start / BLOCK * 0x9e3779b97f4a7c15ul) >> 55];
        if (block->address == start && start != 0)
                return block;
        block->address = 0;
        if (!read_live(start, block->bytes, BLOCK))
                return NULL;
        block->address = start;
        return block;
}

_Static_assert(BLOCKS == 1u << (64 - 55), "the hash gives an index of a block");

bool memory_constant(uint64_t address, void *buffer, size_t length)
{
        uint8_t *to = buffer;
        while (length > 0) {
                size_t within = address & (BLOCK - 1);
                size_t piece = BLOCK - within < length ? BLOCK - within : length;
                const struct block *block = find_block(address);
                if (block == NULL)
                        return false;
                memcpy(to, block->bytes + within, piece);
                to += piece;
                address += piece;
                length -= piece;
        }
        return true;
}

static bool read_constant(void *context, uint64_t address, void *buffer, size_t length)
{
        if (length <= BLOCK)
                return memory_constant(address, buffer, length);
        return read_live(address, buffer, length);
}

const struct elf_reader memory_reader = { .read = read_constant };

/* May the word be kept? Only where an object's segments are not writable: its own .bss can hold stacks. */
static bool is_constant(uint64_t address, size_t length)
{
        if (address < constant.start || address >= constant.end) {
                uint16_t index = module_known(address);
                if (index == MODULE_NONE)
                        return false;
                const struct module *module = module_get(index);
                constant.start = module->start;
                constant.end = module->read_only_end;
        }
        return address >= constant.start && address < constant.end && constant.end - address >= length;
}

bool memory_code(uint64_t address, void *buffer, size_t length)
{
        return is_constant(address, length) ? memory_constant(address, buffer, length)
                                            : read_live(address, buffer, length);
}

bool memory_word(uint64_t address, uint64_t *value)
{
        if (++reads > READS)
                return false;
        if (memory_in_copy(address, sizeof(*value))) {
                memcpy(value, copy->stack + (address - copy->stack_address), sizeof(*value));
                return true;
        }
        if (is_constant(address, sizeof(*value)))
                return memory_constant(address, value, sizeof(*value));
        if (copy != NULL && copy->truncated && address - copy->stack_address < copy->stack_length + BEYOND_COPY) {
                cut = true;
                return false;
        }
        return read_live(address, value, sizeof(*value));
}
