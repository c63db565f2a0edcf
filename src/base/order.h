/* SPDX-License-Identifier: Apache-2.0
 *
 * order.h - the smaller and the larger of two numbers
 *
 * Context: everywhere
 */
#ifndef LOOPDOG_BASE_ORDER_H
#define LOOPDOG_BASE_ORDER_H

#include <stdint.h>

static inline uint64_t smaller(uint64_t a, uint64_t b)
{
        return a < b ? a : b;
}

static inline uint64_t larger(uint64_t a, uint64_t b)
{
        return a > b ? a : b;
}

#endif
