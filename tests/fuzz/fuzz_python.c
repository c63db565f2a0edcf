/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz_python.c - no memory in place of CPython's frames makes the agent's reader crash, hang or read beyond it
 *
 * The first bytes choose a version, the rest becomes memory: words in it that are small are taken as distances within
 * it, so that links lead somewhere. A thread state at its start is followed as any is; lists, code objects, strings and
 * tables are what the input makes of them. A second half, if there is one, takes the memory's place between preparing
 * and copying, or between copying and reading.
 *
 * ./dev fuzz builds and runs it (-max_len=16384).
 *
 * Context: fuzzer
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "script/functions.h"
#include "script/python/called.h"
#include "script/python/code.h"
#include "script/python/copy.h"
#include "script/python/frames.h"
#include "script/python/lines.h"
#include "script/python/task.h"

#define MEMORY 8192
#define CODE_TYPE 0x4242

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length);

static uint8_t memory[MEMORY] __attribute__((aligned(4096)));
static struct python_stack stack;
static uint64_t thread_words[16];

/* 0xfeNN in the lowest bytes is an address in our memory, 0xfd the type of code objects. */
static void fill(const uint8_t *data, size_t length)
{
        memset(memory, 0, sizeof memory);
        memcpy(memory, data, length < MEMORY ? length : MEMORY);
        for (size_t at = 0; at < MEMORY; at += 8) {
                uint64_t word;
                memcpy(&word, memory + at, sizeof word);
                if ((word & 0xff) == 0xfe)
                        word = (uintptr_t)memory + (word >> 8) % MEMORY / 16 * 16;
                else if ((word & 0xff) == 0xfd)
                        word = CODE_TYPE;
                memcpy(memory + at, &word, sizeof word);
        }
}

static bool read_word(void *context, uint64_t address, uint64_t *word)
{
        return memory_get_sigsafe(address, word, sizeof *word);
}

static void check_text(const char *text, size_t capacity)
{
        size_t length = strnlen(text, capacity);
        if (length == capacity)
                abort();
        for (size_t n, at = 0; at < length; at += n)
                if ((n = text_utf8_length(text + at, length - at)) == 0)
                        abort(); /* what we tell is UTF-8 */
}

static void check_stack(void)
{
        if (stack.count > PYTHON_FRAMES || (stack.count != 0 && !stack.frames[stack.count - 1].last))
                abort();
        for (unsigned i = 0; i < stack.count; i++) {
                const struct script_function *function = script_function_get(stack.frames[i].function);
                if (function == NULL)
                        continue;
                check_text(function->name, 256);
                check_text(function->file, 1024);
        }
}

static void look_further(const struct python_runtime *runtime, const struct python_copy *copy)
{
        char text[96] = "";
        static const struct stack native = { .count = 2, .frames = { { .function = 0x1000 }, { .function = 0 } } };
        if (python_called(runtime, copy, &native, 2, text, sizeof text))
                check_text(text, sizeof text);
        memcpy(thread_words, memory + 256, sizeof thread_words);
        if (python_task(runtime, &stack, thread_words, 16, text, sizeof text) >= (int)stack.count)
                abort();
        if (python_string(&runtime->layout, (uintptr_t)memory + 512, text, sizeof text))
                check_text(text, sizeof text);
}

static void check_lines(const uint8_t *data, size_t length)
{
        for (int kind = PYTHON_LNOTAB; kind <= PYTHON_LOCATIONS; kind++)
                for (int64_t at = -1; at < 200; at += 7)
                        if (python_line(kind, data, length, data[0] * 1000u, at) > INT32_MAX)
                                abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length)
{
        if (length < 16)
                return 0;
        struct python_runtime runtime = {
                .layout = *python_layout_of(8 + data[0] % 6),
                .code_type = CODE_TYPE,
                .function_type = CODE_TYPE, /* any will do */
                .method_type = CODE_TYPE + 1,
        };
        uint64_t threads[PYTHON_THREADS];
        unsigned when = data[1] % 3, count = 1 + data[2] % PYTHON_THREADS;
        const uint8_t *first = data + 8, *second = first + (length - 8) / 2;
        size_t half = when != 0 ? (length - 8) / 2 : length - 8;
        for (unsigned i = 0; i < count; i++)
                threads[i] = (uintptr_t)memory + data[3 + i] * 16u;
        script_functions_clear();
        fill(first, half);
        python_copy_prepare(&runtime.layout, threads, count);
        if (when == 1)
                fill(second, half);
        python_copy_sigsafe();
        if (when == 2)
                fill(second, half);
        python_frames(&runtime, python_copy_get(), read_word, NULL, &stack);
        check_stack();
        look_further(&runtime, python_copy_get());
        check_lines(first, length - 8);
        return 0;
}
