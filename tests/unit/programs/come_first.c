/* SPDX-License-Identifier: Apache-2.0
 *
 * come_first.c - a library that has the hooks, and says whether they come first
 *
 * Context: unit tests; loaded by come_first_host.c
 */
#include <sys/mman.h>

#include "../../../src/hooks/hooks.c"

EXPORTED int mincore(void *address, size_t bytes, unsigned char *present)
{
        return REAL(mincore)(address, bytes, present);
}

EXPORTED bool come_first(void);

EXPORTED bool come_first(void)
{
        hooks_resolve();
        return hooks_come_first();
}
