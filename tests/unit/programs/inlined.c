/* SPDX-License-Identifier: Apache-2.0
 *
 * inlined.c - a C program with functions inlined into each other, for test_symbolize.c
 *
 * Context: program of test_symbolize.c
 */
#include "places.h"

static inline __attribute__((always_inline)) void innermost(void)
{
        HERE("innermost");
}

static inline __attribute__((always_inline)) void middle(void)
{
        printf("call:innermost %d\n", __LINE__ + 1);
        innermost();
}

__attribute__((noinline)) static void outer(void)
{
        printf("call:middle %d\n", __LINE__ + 1);
        middle();
}

__attribute__((noinline)) static void plain(void)
{
        HERE("plain");
}

int main(void)
{
        outer();
        plain();
        return 0;
}
