/* SPDX-License-Identifier: Apache-2.0
 *
 * heads.c - the beginnings of what the outer frames' code objects point at
 *
 * A program that makes functions and drops them again gets the very same addresses for each next one, so addresses
 * alone name no function. The handler copies beginnings for the innermost frames only, to be short. Those of the others
 * are read here, some 50 us later, and after them the code objects once more: one that has changed meanwhile is none.
 *
 * Context: watchdog
 */
#include "script/python/heads.h"

#include <string.h>

#include "base/proc.h"

#define PIECES 4                        /* of the batch for a frame */
#define AT_ONCE (MEMORY_BATCH / PIECES) /* frames */

static struct python_heads outer[PYTHON_FRAMES - PYTHON_HEADS];
static uint8_t codes[AT_ONCE][PYTHON_CODE_BYTES];
static struct memory_batch batch;

static void want(struct python_head *head, const struct python_copied *copied, uint16_t offset)
{
        uint64_t address = copied->code_read ? python_word(copied->code_bytes, offset) : 0;
        head->piece = (uint16_t)memory_batch_add_sigsafe(&batch, address, head->bytes, PYTHON_HEAD_BYTES);
}

/* The words that python_place_of() believes; the others change while it lives. */
static bool is_same_code(const struct python_layout *layout, const uint8_t *now, const uint8_t *then)
{
        return python_word(now, 8) == python_word(then, 8) &&
               python_word(now, layout->code_file) == python_word(then, layout->code_file) &&
               python_word(now, layout->code_lines) == python_word(then, layout->code_lines) &&
               python_word(now, python_name_offset(layout)) == python_word(then, python_name_offset(layout)) &&
               python_int(now, layout->code_first_line) == python_int(then, layout->code_first_line);
}

static void complete_some(const struct python_layout *layout, struct python_copied *copied, struct python_heads *heads,
                          unsigned count)
{
        memory_batch_clear_sigsafe(&batch);
        for (unsigned i = 0; i < count; i++) {
                want(&heads[i].name, &copied[i], python_name_offset(layout));
                want(&heads[i].file, &copied[i], layout->code_file);
                want(&heads[i].lines, &copied[i], layout->code_lines);
        }
        unsigned first = batch.count;
        for (unsigned i = 0; i < count; i++)
                memory_batch_add_sigsafe(&batch, copied[i].code, codes[i], PYTHON_CODE_BYTES);
        memory_batch_read_sigsafe(&batch);
        for (unsigned i = 0; i < count; i++) {
                heads[i].name.read = batch.read[heads[i].name.piece];
                heads[i].file.read = batch.read[heads[i].file.piece];
                heads[i].lines.read = batch.read[heads[i].lines.piece];
                copied[i].code_read = copied[i].code_read && batch.read[first + i] &&
                                      is_same_code(layout, codes[i], copied[i].code_bytes);
        }
}

void python_heads_complete(const struct python_layout *layout, struct python_copy *copy)
{
        for (unsigned i = PYTHON_HEADS; i < copy->count; i += AT_ONCE) {
                unsigned left = copy->count - i;
                complete_some(layout, &copy->frames[i], &outer[i - PYTHON_HEADS], left < AT_ONCE ? left : AT_ONCE);
        }
}

const struct python_heads *python_heads_of(const struct python_copy *copy, unsigned index)
{
        return index < PYTHON_HEADS ? &copy->heads[index] : &outer[index - PYTHON_HEADS];
}
