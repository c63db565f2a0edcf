/* SPDX-License-Identifier: Apache-2.0
 *
 * functions.h - the functions of scripts that were seen, each with a number
 *
 * Context: watchdog
 * Limits:  FUNCTIONS and their names' bytes in functions.c; further ones have no name
 */
#ifndef LOOPDOG_SCRIPT_FUNCTIONS_H
#define LOOPDOG_SCRIPT_FUNCTIONS_H

#include <stdbool.h>
#include <stdint.h>

struct script_function {
        const char *name; /* qualified where the runtime knows that; UTF-8. Valid until script_functions_clear() */
        const char *file;
        uint32_t first_line;
};

/* The number of this function, from 1 on; the strings are copied. 0: the table is full. */
uint16_t script_function(const char *name, const char *file, uint32_t first_line);

/* The function with this number; NULL for 0, for numbers never given and for those of before the last clearing. */
const struct script_function *script_function_get(uint16_t number);

/* Is the table nearly full, so that it should be cleared? */
bool script_functions_nearly_full(void);
void script_functions_clear(void);

/* Raised by script_functions_clear(): what was remembered of numbers before is void. */
unsigned script_functions_generation(void);

#endif
