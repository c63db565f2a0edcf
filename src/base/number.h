/* SPDX-License-Identifier: Apache-2.0
 *
 * number.h - numbers in what the kernel writes
 *
 * Context: everywhere
 */
#ifndef LOOPDOG_BASE_NUMBER_H
#define LOOPDOG_BASE_NUMBER_H

#include <stdbool.h>
#include <stdint.h>

/* Spaces and tabs and then a number in base 10 or 16 at *at, which goes on behind it; one in base 16 may begin with 0x,
 * and has small letters. What exceeds 64 bits wraps: the kernel writes no such thing. False: there is none. */
bool number_take(const char **at, unsigned base, uint64_t *value);

#endif
