/* SPDX-License-Identifier: Apache-2.0
 *
 * layout.c - where CPython keeps what we read of it
 *
 * Context: watchdog
 */
#include "script/python/layout.h"

#include <errno.h>
#include <string.h>

/* clang-format off: macros of designated initialisers */
#define FROM_3_8_TO_3_10                                                                                               \
        .frames = PYTHON_FRAME_OBJECTS, .runtime_interpreters = 32, .interpreter_threads = 8, .thread_next = 8,        \
        .thread_interpreter = 16, .thread_pthread = 176, .thread_tid = PYTHON_NONE, .thread_frame = 24,                \
        .frame_previous = 24, .frame_code = 32, .frame_end = PYTHON_NONE, .code_first_line = 40, .code_file = 104,     \
        .code_name = 112, .code_qualified_name = PYTHON_NONE, .code_lines = 120, .code_bytes = PYTHON_NONE,            \
        .ascii_header = 48, .compact_header = 72

#define FROM_3_11                                                                                                      \
        .lines = PYTHON_LOCATIONS, .thread_next = 8, .thread_interpreter = 16, .frame_position = 56,                   \
        .frame_locals = 72, .code_file = 112, .code_name = 120, .code_qualified_name = 128, .code_lines = 136
/* clang-format on */

static const struct python_layout layouts[] = {
        {
                FROM_3_8_TO_3_10,
                .minor = 8,
                .lines = PYTHON_LNOTAB,
                .frame_position = 104,
                .frame_locals = 360,
                .gil = 1152,
                .task_name = 120,
                .task_coroutine = 112,
        },
        {
                FROM_3_8_TO_3_10,
                .minor = 9,
                .lines = PYTHON_LNOTAB,
                .frame_position = 104,
                .frame_locals = 360,
                .gil = 352,
                .task_name = 160,
                .task_coroutine = 152,
        },
        {
                FROM_3_8_TO_3_10,
                .minor = 10,
                .lines = PYTHON_LINETABLE,
                .frame_position = 96,
                .frame_locals = 352,
                .gil = 352,
                .task_name = 168,
                .task_coroutine = 160,
        },
        {
                FROM_3_11,
                .minor = 11,
                .frames = PYTHON_CFRAMES,
                .has_cframe = true,
                .runtime_interpreters = 40,
                .interpreter_threads = 16,
                .thread_pthread = 152,
                .thread_tid = 160,
                .thread_frame = 56,
                .cframe_frame = 8,
                .cframe_previous = 16,
                .frame_previous = 48,
                .frame_code = 32,
                .frame_end = 68,
                .code_first_line = 72,
                .code_bytes = 184,
                .ascii_header = 48,
                .compact_header = 72,
                .gil = 360,
                .task_name = 144,
                .task_coroutine = 136,
        },
        {
                FROM_3_11,
                .minor = 12,
                .frames = PYTHON_SHIMS,
                .has_cframe = true,
                .gil_in_interpreter = true,
                .runtime_interpreters = 40,
                .interpreter_threads = 72,
                .thread_pthread = 136,
                .thread_tid = 144,
                .thread_frame = 56,
                .cframe_frame = 0,
                .cframe_previous = 8,
                .frame_previous = 8,
                .frame_code = 0,
                .frame_end = 70,
                .code_first_line = 68,
                .code_bytes = 192,
                .ascii_header = 40,
                .compact_header = 56,
                .gil = 384,
                .task_name = 144,
                .task_coroutine = 136,
        },
        {
                FROM_3_11,
                .minor = 13,
                .frames = PYTHON_SHIMS,
                .gil_in_interpreter = true,
                .runtime_interpreters = 632,
                .interpreter_next = 7264,
                .interpreter_threads = 7344,
                .thread_pthread = 152,
                .thread_tid = 160,
                .thread_frame = 72,
                .frame_previous = 8,
                .frame_code = 0,
                .frame_end = 70,
                .code_first_line = 68,
                .code_bytes = 200,
                .ascii_header = 40,
                .compact_header = 56,
                .gil = 16,
                .task_name = 128,
                .task_coroutine = 120,
        },
};

const struct python_layout *python_layout_of(unsigned minor)
{
        for (size_t i = 0; i < sizeof layouts / sizeof *layouts; i++)
                if (layouts[i].minor == minor)
                        return &layouts[i];
        return NULL;
}

/* Where each offset stands among the words: 3.13, and 3.14 which is believed only if all of them make sense. */
struct word {
        uint16_t offset; /* of the field in struct python_layout */
        uint8_t in_313, in_314;
        uint16_t most; /* the largest offset that makes sense */
        uint8_t bytes; /* of the field: it is aligned to them */
        char object;   /* what it is a field of: no two have the same offset */
};

#define FIELD(name) offsetof(struct python_layout, name)

static const struct word words_of[] = {
        { FIELD(runtime_interpreters), 5, 5, 8192, 8, 'r' },
        { FIELD(interpreter_next), 8, 8, 32768, 8, 'i' },
        { FIELD(interpreter_threads), 9, 9, 32768, 8, 'i' },
        { FIELD(gil), 14, 15, 32768, 8, 'i' },
        { FIELD(thread_next), 21, 24, PYTHON_THREAD_BYTES - 8, 8, 't' },
        { FIELD(thread_frame), 23, 26, PYTHON_THREAD_BYTES - 8, 8, 't' },
        { FIELD(thread_pthread), 24, 27, 512, 8, 't' },
        { FIELD(thread_tid), 25, 28, 512, 8, 't' },
        { FIELD(frame_previous), 29, 32, PYTHON_FRAME_BYTES - 8, 8, 'f' },
        { FIELD(frame_code), 30, 33, PYTHON_FRAME_BYTES - 8, 8, 'f' },
        { FIELD(frame_position), 31, 34, PYTHON_FRAME_BYTES - 8, 8, 'f' },
        { FIELD(frame_end), 33, 36, PYTHON_FRAME_BYTES - 1, 1, 'f' },
        { FIELD(code_file), 35, 40, PYTHON_CODE_BYTES - 8, 8, 'c' },
        { FIELD(code_qualified_name), 37, 42, PYTHON_CODE_BYTES - 8, 8, 'c' },
        { FIELD(code_lines), 38, 43, PYTHON_CODE_BYTES - 8, 8, 'c' },
        { FIELD(code_first_line), 39, 44, PYTHON_CODE_BYTES - 4, 4, 'c' },
        { FIELD(code_bytes), 43, 48, 512, 8, 'c' },
};

/* Is this the offset of such a field, and of no other before it? */
static bool is_sensible(const uint64_t *words, bool in_313, size_t index)
{
        const struct word *word = &words_of[index];
        uint64_t value = words[in_313 ? word->in_313 : word->in_314];
        for (size_t i = 0; i < index; i++)
                if (words_of[i].object == word->object &&
                    words[in_313 ? words_of[i].in_313 : words_of[i].in_314] == value)
                        return false;
        return value <= word->most && value % word->bytes == 0;
}

int python_layout_from_offsets(const uint64_t words[PYTHON_OFFSET_WORDS], unsigned minor, struct python_layout *layout)
{
        if (memcmp(words, "xdebugpy", 8) != 0)
                return -ENOENT;
        if (minor < 13 || minor > 14)
                return -ENOTSUP;
        if (words[2] != 0) /* is set in builds without a GIL */
                return -ENOLCK;
        *layout = *python_layout_of(13);
        layout->minor = (uint8_t)minor;
        for (size_t i = 0; i < sizeof words_of / sizeof *words_of; i++) {
                uint64_t value = words[minor == 13 ? words_of[i].in_313 : words_of[i].in_314];
                uint16_t offset = (uint16_t)value;
                if (!is_sensible(words, minor == 13, i))
                        return -ENOTSUP;
                memcpy((uint8_t *)layout + words_of[i].offset, &offset, sizeof offset);
        }
        if (minor == 14) { /* these are not among the words, and not known of it */
                layout->task_name = layout->task_coroutine = PYTHON_NONE;
                layout->code_name = PYTHON_NONE;
                layout->frame_locals = PYTHON_NONE;
        }
        return 0;
}
