/* SPDX-License-Identifier: Apache-2.0
 *
 * name_pattern.c - names of files as patterns for fnmatch()
 *
 * Context: reader
 */
#include "name_pattern.h"

#include <stdio.h>
#include <string.h>

#include "alloc.h"

#define CHARACTER_BYTES 6 /* at most: two become up to ten digits, others twice as many bytes */

static char *append_literal(char *to, char character)
{
        if (strchr("*?[]\\", character))
                *to++ = '\\';
        *to++ = character;
        return to;
}

char *name_pattern_literal(const char *name)
{
        char *pattern = alloc_zeroed(strlen(name) + 1, CHARACTER_BYTES);
        for (char *to = pattern; *name; name++)
                to = append_literal(to, *name);
        return pattern;
}

char *name_pattern_of_output(const char *name, int pid)
{
        char *pattern = alloc_zeroed(strlen(name) + 1, CHARACTER_BYTES);
        for (char *to = pattern; *name; name++) {
                char letter = name[0] == '%' ? name[1] : '\0';
                if (letter == 'p' && pid > 0)
                        to += snprintf(to, 2 * CHARACTER_BYTES, "%d", pid);
                else if (letter && letter != '%')
                        *to++ = '*';
                else
                        to = append_literal(to, *name);
                name += letter != '\0';
        }
        return pattern;
}
