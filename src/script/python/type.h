/* SPDX-License-Identifier: Apache-2.0
 *
 * type.h - types of objects: their names, and what they derive from
 *
 * Context: watchdog
 */
#ifndef LOOPDOG_SCRIPT_PYTHON_TYPE_H
#define LOOPDOG_SCRIPT_PYTHON_TYPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PYTHON_OBJECT_TYPE 8 /* where every object has its type, in all versions */

/* A string of C at `address`, which may be none. False: there is none, it is empty, or longer than that. */
bool python_c_string(uint64_t address, char *text, size_t capacity);

/* As C code has named it: "_asyncio.Task"; a class of Python has its name alone. */
bool python_type_name(uint64_t type, char *text, size_t capacity);

/* Is it the type with this name, or a subclass of that? Its first bases only, and not many of them. */
bool python_type_derives(uint64_t type, const char *name);

#endif
