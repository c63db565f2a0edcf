/* SPDX-License-Identifier: Apache-2.0
 *
 * fake_python.h - objects as CPython has them in memory, for tests without one
 *
 * Context: unit test
 */
#ifndef LOOPDOG_TESTS_UNIT_FAKE_PYTHON_H
#define LOOPDOG_TESTS_UNIT_FAKE_PYTHON_H

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "script/python/copy.h"
#include "script/python/runtime.h"

#define FAKE_CODE_TYPE 0x51000
#define FAKE_BYTES 8192

/* Memory in which the objects of one test lie, one after the other. */
struct fake_python {
        struct python_runtime runtime;
        uint8_t bytes[512 * 1024] __attribute__((aligned(64)));
        size_t used;
};

static inline void fake_start(struct fake_python *fake, unsigned minor)
{
        memset(fake, 0, sizeof *fake);
        fake->runtime.layout = *python_layout_of(minor);
        fake->runtime.code_type = FAKE_CODE_TYPE;
}

static inline uint64_t fake_room(struct fake_python *fake, size_t length)
{
        uint8_t *at = fake->bytes + fake->used;
        fake->used += (length + 63) / 64 * 64;
        cr_assert(fake->used <= sizeof fake->bytes);
        memset(at, 0, length);
        return (uintptr_t)at;
}

/* Not inline: with its sanitizers gcc 12 takes what it sees of the addresses for null pointers. */
static __attribute__((noinline, unused)) void fake_put(uint64_t address, uint64_t offset, uint64_t word)
{
        memcpy((uint8_t *)(uintptr_t)address + offset, &word, sizeof word);
}

static __attribute__((noinline, unused)) void fake_put_int(uint64_t address, uint64_t offset, uint32_t value)
{
        memcpy((uint8_t *)(uintptr_t)address + offset, &value, sizeof value);
}

/* The header of a str at `address`, then `length` characters of `kind` bytes. Returns where they begin. */
static inline void fake_string_at(struct fake_python *fake, uint64_t address, const void *characters, size_t length,
                                  unsigned kind, bool ascii)
{
        const struct python_layout *layout = &fake->runtime.layout;
        uint16_t header = ascii ? layout->ascii_header : layout->compact_header;
        fake_put(address, 8, 0x52000);
        fake_put(address, 16, length);
        fake_put_int(address, 32, kind << 2 | 1u << 5 | (ascii ? 1u << 6 : 0));
        memcpy((uint8_t *)(uintptr_t)address + header, characters, length * kind);
}

static inline uint64_t fake_string_of(struct fake_python *fake, const void *characters, size_t length, unsigned kind,
                                      bool ascii)
{
        uint64_t address = fake_room(fake, 128 + length * kind);
        fake_string_at(fake, address, characters, length, kind, ascii);
        return address;
}

static inline uint64_t fake_string(struct fake_python *fake, const char *text)
{
        return fake_string_of(fake, text, strlen(text), 1, true);
}

static inline uint64_t fake_table(struct fake_python *fake, const void *table, size_t length)
{
        uint64_t address = fake_room(fake, 32 + length + 1);
        fake_put(address, 16, length);
        memcpy((uint8_t *)(uintptr_t)address + 32, table, length);
        return address;
}

static inline void fake_code_at(struct fake_python *fake, uint64_t address, uint64_t name, uint64_t file,
                                uint64_t lines, uint32_t first_line)
{
        const struct python_layout *layout = &fake->runtime.layout;
        fake_put(address, 8, FAKE_CODE_TYPE);
        fake_put_int(address, layout->code_first_line, first_line);
        fake_put(address, layout->code_file, file);
        fake_put(address, python_name_offset(layout), name);
        fake_put(address, layout->code_lines, lines);
}

/* A function all of whose bytecode is on its first line. */
static inline uint64_t fake_code(struct fake_python *fake, const char *name, const char *file, uint32_t first_line)
{
        static const uint8_t lnotab[] = { 0, 0 }, linetable[] = { 254, 0, 254, 0 };
        static const uint8_t locations[] = { 0x80 | 10 << 3 | 7, 0, 0, 0x80 | 10 << 3 | 7, 0, 0 };
        enum python_lines kind = fake->runtime.layout.lines;
        uint64_t code = fake_room(fake, 256), lines;
        if (kind == PYTHON_LNOTAB)
                lines = fake_table(fake, lnotab, sizeof lnotab);
        else if (kind == PYTHON_LINETABLE)
                lines = fake_table(fake, linetable, sizeof linetable);
        else
                lines = fake_table(fake, locations, sizeof locations);
        fake_code_at(fake, code, fake_string(fake, name), fake_string(fake, file), lines, first_line);
        return code;
}

/* A frame that executes `code` at this byte of its bytecode. */
static inline uint64_t fake_frame(struct fake_python *fake, uint64_t code, uint64_t previous, int32_t position)
{
        const struct python_layout *layout = &fake->runtime.layout;
        uint64_t frame = fake_room(fake, 1024);
        fake_put(frame, layout->frame_code, code);
        fake_put(frame, layout->frame_previous, previous);
        if (layout->code_bytes != PYTHON_NONE)
                fake_put(frame, layout->frame_position, code + layout->code_bytes + (uint64_t)(int64_t)position);
        else
                fake_put_int(frame, layout->frame_position,
                             (uint32_t)(layout->minor >= 10 && position > 0 ? position / 2 : position));
        return frame;
}

static inline void fake_set_owner(struct fake_python *fake, uint64_t frame, uint8_t value)
{
        ((uint8_t *)(uintptr_t)frame)[fake->runtime.layout.frame_end] = value;
}

/* A thread state whose innermost frame is `frame`; in 3.11 and 3.12 with its innermost cframe at `cframe`. */
static inline uint64_t fake_thread(struct fake_python *fake, uint64_t frame, uint64_t cframe)
{
        const struct python_layout *layout = &fake->runtime.layout;
        uint64_t thread = fake_room(fake, 256);
        if (layout->has_cframe) {
                fake_put(thread, layout->thread_frame, cframe);
                fake_put(cframe, layout->cframe_frame, frame);
        } else {
                fake_put(thread, layout->thread_frame, frame);
        }
        return thread;
}

/* Two pages; the second can't be read. The address of its start. */
static inline uint8_t *fake_cliff(void)
{
        uint8_t *pages = mmap(NULL, FAKE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        cr_assert(pages != MAP_FAILED);
        cr_assert(mprotect(pages + FAKE_BYTES / 2, FAKE_BYTES / 2, PROT_NONE) == 0);
        return pages + FAKE_BYTES / 2;
}

#endif
