/* SPDX-License-Identifier: Apache-2.0
 *
 * task.c - the asyncio task whose coroutine a thread runs
 *
 * The C code that steps a task keeps a pointer to it on its stack for as long as the step lasts, on every event loop
 * and in every version. So the words of the native stack are looked through for a pointer to an object whose type is
 * `_asyncio.Task` and whose coroutine is one that is on the stack: there can be no mistake.
 *
 * Context: watchdog
 * Limits:  tasks of asyncio's Python implementation are not found: script.c knows their coroutine by its caller
 */
#include "script/python/task.h"

#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "script/python/code.h"
#include "script/python/type.h"

#define WORDS 240 /* looked at in one pass */
#define TASK_BYTES 176
#define TYPES 256           /* power of two */
#define COROUTINE_FRAME 16  /* to 3.10: a pointer to its frame */
#define COROUTINE_INNER 128 /* from 3.11: the frame lies within it, below this offset */
#define INTEGER_TAG 16      /* 3.12 and 3.13: sign and length of an int */
#define INTEGER_DIGITS 24

_Static_assert(WORDS <= MEMORY_BATCH, "one batch");

static struct memory_batch batch;
static uint8_t objects[WORDS * TASK_BYTES];
static uint64_t known_task;

/* Types that were looked at. One that was freed since, and its memory taken by another type, may hide a task, but can't
 * make one: that has a coroutine that is on the stack. */
static struct known_type {
        uint64_t type;
        bool is_task;
} known_types[TYPES];

static bool is_task_type(uint64_t type)
{
        struct known_type *known = &known_types[type / 16 % TYPES];
        if (type != 0 && known->type != type)
                *known = (struct known_type){ .type = type, .is_task = python_type_derives(type, "_asyncio.Task") };
        return type != 0 && known->is_task;
}

/* Index of the frame that the coroutine executes, or -1. */
static int frame_of(const struct python_layout *layout, const struct python_stack *stack, uint64_t coroutine)
{
        uint64_t frame = 0;
        if (layout->frames == PYTHON_FRAME_OBJECTS &&
            !memory_get_sigsafe(coroutine + COROUTINE_FRAME, &frame, sizeof frame))
                return -1;
        for (unsigned i = stack->count; i-- > 0;) {
                uint64_t address = stack->frames[i].address;
                bool inside = address > coroutine && address - coroutine < COROUTINE_INNER;
                if (layout->frames == PYTHON_FRAME_OBJECTS ? address == frame : inside)
                        return (int)i;
        }
        return -1;
}

static void read_name(const struct python_layout *layout, uint64_t name, char *text, size_t capacity)
{
        uint64_t tag;
        uint32_t digit;
        text[0] = '\0';
        if (python_string(layout, name, text, capacity) || layout->minor < 12)
                return;
        /* A default name is only a number until somebody asks for it. */
        if (memory_get_sigsafe(name + INTEGER_TAG, &tag, sizeof tag) && tag >> 3 == 1 &&
            memory_get_sigsafe(name + INTEGER_DIGITS, &digit, sizeof digit))
                text_format(&(struct text){ .bytes = text, .capacity = capacity }, "Task-%u", digit);
}

static int examine(const struct python_runtime *runtime, const struct python_stack *stack, const uint8_t *object,
                   char *text, size_t capacity)
{
        const struct python_layout *layout = &runtime->layout;
        if (!is_task_type(python_word(object, PYTHON_OBJECT_TYPE)))
                return -1;
        int index = frame_of(layout, stack, python_word(object, layout->task_coroutine));
        if (index >= 0)
                read_name(layout, python_word(object, layout->task_name), text, capacity);
        return index;
}

static int look_through(const struct python_runtime *runtime, const struct python_stack *stack, const uint64_t *words,
                        size_t count, char *text, size_t capacity)
{
        memory_batch_begin_sigsafe(&batch, objects, sizeof objects);
        for (size_t i = 0; i < count; i++)
                if (words[i] >= 65536 && words[i] % 8 == 0 && words[i] >> 47 == 0)
                        memory_batch_add_sigsafe(&batch, words[i], TASK_BYTES);
        memory_batch_read_sigsafe(&batch);
        for (unsigned i = 0; i < batch.count; i++) {
                const uint8_t *object = memory_batch_piece_sigsafe(&batch, i);
                int index = object != NULL ? examine(runtime, stack, object, text, capacity) : -1;
                if (index < 0)
                        continue;
                known_task = (uintptr_t)batch.source[i].iov_base;
                return index;
        }
        return -1;
}

int python_task(const struct python_runtime *runtime, const struct python_stack *stack, const uint64_t *words,
                size_t count, char *text, size_t capacity)
{
        int index = -1;
        if (runtime->layout.task_coroutine == PYTHON_NONE || stack->count == 0)
                return -1;
        for (size_t i = 0; i < count && index < 0; i += WORDS)
                index = look_through(runtime, stack, words + i, count - i < WORDS ? count - i : WORDS, text, capacity);
        return index;
}

int python_task_again(const struct python_runtime *runtime, const struct python_stack *stack, char *text,
                      size_t capacity)
{
        return python_task(runtime, stack, &known_task, 1, text, capacity);
}
