/* SPDX-License-Identifier: Apache-2.0
 *
 * lines.c - from a place in the bytecode to a line of the source
 *
 * Three formats, one for each age of CPython. Tables come from memory that may change while it is read: no step goes
 * beyond the end, and lines are reckoned without a sign's overflow.
 *
 * Context: watchdog
 */
#include "script/python/lines.h"

static uint32_t valid(int64_t line)
{
        return line > 0 && line <= INT32_MAX ? (uint32_t)line : 0;
}

/* Pairs of a step in the bytecode and a step in lines: a line holds from its address on. */
static uint32_t by_lnotab(const uint8_t *table, size_t length, int64_t line, int64_t position)
{
        int64_t address = 0;
        for (size_t i = 0; i + 1 < length; i += 2) {
                address += table[i];
                if (address > position)
                        break;
                line += (int8_t)table[i + 1];
        }
        return valid(line);
}

/* Pairs of the length of a piece of bytecode and the step in lines before it; -128 is a piece without a line. */
static uint32_t by_linetable(const uint8_t *table, size_t length, int64_t line, int64_t position)
{
        int64_t end = 0;
        for (size_t i = 0; i + 1 < length; i += 2) {
                int8_t step = (int8_t)table[i + 1];
                end += table[i];
                line += step != -128 ? step : 0;
                if (position < end)
                        return step != -128 ? valid(line) : 0;
        }
        return 0;
}

/* Six bits a byte, the lowest first, bit 6: more follow. Then the sign is the lowest bit. */
static int64_t read_signed(const uint8_t *table, size_t length, size_t at)
{
        uint64_t value = 0;
        for (unsigned shift = 0; at < length && shift < 36; shift += 6, at++) {
                value |= (uint64_t)(table[at] & 63) << shift;
                if ((table[at] & 64) == 0)
                        break;
        }
        return value & 1 ? -(int64_t)(value >> 1) : (int64_t)(value >> 1);
}

/* The step in lines of the entry at `at`. */
static int64_t line_step(const uint8_t *table, size_t length, size_t at, unsigned kind)
{
        if (kind == 13 || kind == 14)
                return read_signed(table, length, at + 1);
        return kind >= 10 && kind <= 12 ? kind - 10 : 0;
}

/* Entries that begin with a byte whose highest bit is set: their kind, and how many code units of two bytes they hold
 * for. */
static uint32_t by_locations(const uint8_t *table, size_t length, int64_t line, int64_t position)
{
        int64_t end = 0;
        size_t at = 0;
        while (at < length) {
                unsigned kind = table[at] >> 3 & 15;
                end += 2 * ((table[at] & 7) + 1);
                line += line_step(table, length, at, kind);
                if (position < end)
                        return kind != 15 ? valid(line) : 0;
                do
                        at++;
                while (at < length && (table[at] & 0x80) == 0);
        }
        return 0;
}

uint32_t python_line(enum python_lines kind, const uint8_t *table, size_t length, uint32_t first_line, int64_t position)
{
        if (position < 0)
                return valid(first_line);
        switch (kind) {
        case PYTHON_LNOTAB:
                return by_lnotab(table, length, first_line, position);
        case PYTHON_LINETABLE:
                return by_linetable(table, length, first_line, position);
        case PYTHON_LOCATIONS:
                return by_locations(table, length, first_line, position);
        }
        return 0;
}
