/* SPDX-License-Identifier: Apache-2.0
 *
 * number.c - numbers in what the kernel writes
 *
 * strtoull() would do, but reads the host's locale and changes its errno.
 *
 * Context: everywhere
 */
#include "base/number.h"

static unsigned digit_of(char c)
{
        if (c >= '0' && c <= '9')
                return (unsigned)(c - '0');
        return c >= 'a' && c <= 'f' ? (unsigned)(c - 'a') + 10 : UINT32_MAX;
}

bool number_take(const char **at, unsigned base, uint64_t *value)
{
        while (**at == ' ' || **at == '\t')
                ++*at;
        if (base == 16 && (*at)[0] == '0' && (*at)[1] == 'x')
                *at += 2;
        const char *from = *at;
        *value = 0;
        for (unsigned digit; (digit = digit_of(**at)) < base; ++*at)
                *value = *value * base + digit;
        return *at != from;
}
