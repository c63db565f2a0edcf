/* SPDX-License-Identifier: Apache-2.0
 *
 * heads.c - the beginnings of the outer frames' tables of lines
 *
 * A program that makes functions and drops them again gets the very same addresses for each next one, so addresses
 * alone name no function. The handler copies the beginnings of all names and files, but those of the tables only for
 * the innermost frames, to be short. The others' are read here, and after them the code objects once more: of one that
 * has changed meanwhile no table is believed.
 *
 * Context: watchdog
 */
#include "script/python/heads.h"

#include <string.h>

#include "base/proc.h"

#define AT_ONCE (MEMORY_BATCH / 2) /* frames: each has two pieces */

static uint8_t codes[AT_ONCE][PYTHON_CODE_BYTES];
static struct memory_batch batch;

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
                uint64_t table = copied[i].code_read ? python_word(copied[i].code_bytes, layout->code_lines) : 0;
                memory_batch_add_sigsafe(&batch, table, heads[i].lines.bytes, PYTHON_HEAD_BYTES);
        }
        unsigned first = batch.count;
        for (unsigned i = 0; i < count; i++)
                memory_batch_add_sigsafe(&batch, copied[i].code, codes[i], PYTHON_CODE_BYTES);
        memory_batch_read_sigsafe(&batch);
        for (unsigned i = 0; i < count; i++) {
                copied[i].code_gone = !batch.read[first + i] || !is_same_code(layout, codes[i], copied[i].code_bytes);
                heads[i].lines.read = batch.read[i] && !copied[i].code_gone;
        }
}

void python_heads_complete(const struct python_layout *layout, struct python_copy *copy)
{
        for (unsigned i = PYTHON_HEADS; i < copy->count; i += AT_ONCE) {
                unsigned left = copy->count - i;
                complete_some(layout, &copy->frames[i], &copy->heads[i], left < AT_ONCE ? left : AT_ONCE);
        }
}
