/* SPDX-License-Identifier: Apache-2.0
 *
 * code.h - which function a copied frame is in, and at which line
 *
 * Context: watchdog
 */
#ifndef LOOPDOG_SCRIPT_PYTHON_CODE_H
#define LOOPDOG_SCRIPT_PYTHON_CODE_H

#include "script/python/copy.h"
#include "script/python/runtime.h"

struct python_place {
        uint16_t function; /* its number (script/functions.h); 0: the table of functions is full */
        uint32_t line;     /* 0: not known, or the interpreter's own code without a line */
};

/* What a copied frame executes; what was not copied of it is read now. 0; -EINVAL: what was copied is no frame;
 * -ESTALE: the rest of its names was to be read now, but they have changed since. */
int python_place_of(const struct python_runtime *runtime, const struct python_copied *copied,
                    struct python_place *place);

/* A str object at `address` as UTF-8, cut to the capacity. False: it is none. */
bool python_string(const struct python_layout *layout, uint64_t address, char *text, size_t capacity);

#endif
