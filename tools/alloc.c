/* SPDX-License-Identifier: Apache-2.0
 *
 * alloc.c - memory that is there, or the command ends
 *
 * Context: reader
 */
#include "alloc.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "say.h"

static void *check(void *block)
{
        if (!block) {
                say("out of memory");
                exit(1);
        }
        return block;
}

void *alloc_zeroed(size_t count, size_t size)
{
        return check(calloc(count ? count : 1, size ? size : 1));
}

void *alloc_resize(void *block, size_t count, size_t size)
{
        return check(reallocarray(block, count ? count : 1, size ? size : 1));
}

char *alloc_string(const char *string)
{
        return string ? check(strdup(string)) : NULL;
}

char *alloc_bytes(const char *bytes, size_t length)
{
        char *copy = alloc_zeroed(length + 1, 1);
        memcpy(copy, bytes, length);
        return copy;
}

char *alloc_format(const char *format, ...)
{
        char *result;
        va_list arguments;
        va_start(arguments, format);
        int length = vasprintf(&result, format, arguments);
        va_end(arguments);
        return check(length < 0 ? NULL : result);
}
