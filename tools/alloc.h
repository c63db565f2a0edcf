/* SPDX-License-Identifier: Apache-2.0
 *
 * alloc.h - memory that is there, or the command ends
 *
 * The reader is a command of its own and may end; the agent may not and never includes this. So that no caller has a
 * path that can't be tested, running out of memory says so and exits with 1.
 *
 * Context: reader
 */
#ifndef LOOPDOG_TOOLS_ALLOC_H
#define LOOPDOG_TOOLS_ALLOC_H

#include <stddef.h>

/* `count` objects of `size` bytes, all zero; free() them. Never NULL, also for none. */
void *alloc_zeroed(size_t count, size_t size);

/* As reallocarray(); the new part is not cleared. */
void *alloc_resize(void *block, size_t count, size_t size);

/* A copy to free(); NULL for NULL. */
char *alloc_string(const char *string);
char *alloc_bytes(const char *bytes, size_t length); /* with a NUL behind them */

/* As asprintf(), with the result returned. */
char *alloc_format(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
