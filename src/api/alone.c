/* SPDX-License-Identifier: Apache-2.0
 *
 * alone.c - the shared library: the loader never loads it twice
 *
 * static.c stands in its place in the static one.
 *
 * Context: constructor
 */
#include "api/api.h"

bool api_stands_down(void)
{
        return false;
}
