/* SPDX-License-Identifier: Apache-2.0
 *
 * frames.h - stacks made by hand, in modules that need not exist
 *
 * Takes the place of unwind/: functions lie at multiples of 0x100, modules at multiples of 0x10000 from 0x10000 on, and
 * names are known only once somebody has asked for them, as in symbol.c.
 *
 * Context: unit tests
 */
#ifndef LOOPDOG_TESTS_FRAMES_H
#define LOOPDOG_TESTS_FRAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "unwind/module.h"
#include "unwind/symbol.h"
#include "unwind/unwind.h"

/* The modules; a test may rename them. */
enum { PROGRAM, LIBC, LIBRARY, MODULES };
static struct module modules_here[MODULES] = {
        [PROGRAM] = { .path = "/usr/bin/server", .name = "server" },
        [LIBC] = { .path = "/lib/libc.so.6", .name = "libc.so.6" },
        [LIBRARY] = { .path = "/usr/lib/libother.so.1", .name = "libother.so.1" },
};

/* Address of function `number` in a module. */
#define FUNCTION(module, number) (0x10000ull * ((module) + 1) + 0x100ull * (number))
#define FUNCTION_NOWHERE(number) (0x900000ull + 0x100ull * (number)) /* code made at run time */

static struct {
        uint64_t function;
        const char *name;
} names_here[8];
static bool names_known;
static unsigned times_resolved;
static bool no_unwind_information; /* of the loop's own function */

static inline void name_function(uint64_t function, const char *name)
{
        size_t i = 0;
        while (names_here[i].name != NULL)
                i++;
        names_here[i].function = function;
        names_here[i].name = name;
}

uint16_t module_find(uint64_t address)
{
        uint64_t index = address / 0x10000;
        return index >= 1 && index <= MODULES ? (uint16_t)(index - 1) : MODULE_NONE;
}

const struct module *module_get(uint16_t index)
{
        return &modules_here[index];
}

uint64_t unwind_function_at(uint64_t address)
{
        return no_unwind_information || module_find(address) == MODULE_NONE ? 0 : address & ~0xffull;
}

void symbols_resolve(const struct stack *stack)
{
        names_known = true;
        times_resolved++;
}

const char *symbol_name(const struct frame *frame)
{
        for (size_t i = 0; names_known && i < sizeof names_here / sizeof *names_here; i++)
                if (names_here[i].name != NULL && names_here[i].function == frame->function)
                        return names_here[i].name;
        return NULL;
}

/* ---- stacks ---- */

#define SMALLEST_CFA 0x7ffd00000000ull

/* Functions from the innermost outwards, ended by 0; each frame is 0x100 bytes large, so frame i has its CFA at
 * CFA_OF(i). */
#define CFA_OF(index) (SMALLEST_CFA + 0x100ull * ((index) + 1))
#define STACK(...) make_stack((const uint64_t[]){ __VA_ARGS__, 0 })

static inline struct stack make_stack(const uint64_t *functions)
{
        struct stack stack = { .complete = true };
        for (; functions[stack.count] != 0; stack.count++)
                stack.frames[stack.count] = (struct frame){
                        .pc = functions[stack.count] + 0x20,
                        .function = functions[stack.count],
                        .cfa = CFA_OF(stack.count),
                        .module = module_find(functions[stack.count]),
                        .caller = stack.count != 0,
                };
        return stack;
}

#endif
