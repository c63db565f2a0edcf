/* SPDX-License-Identifier: Apache-2.0
 *
 * places.h - a program says where it is, for test_symbolize.c
 *
 * HERE(language's name of the function) prints "OFFSET LINE NAME": an address within that very line as an offset in
 * the program's file, the line, and the name that it should be found by. The address is that of the instruction
 * behind, like a return address.
 *
 * Context: programs of test_symbolize.c
 */
#ifndef LOOPDOG_TESTS_PLACES_H
#define LOOPDOG_TESTS_PLACES_H

#include <stdio.h>

#ifdef __cplusplus
extern "C" {
#endif
extern const char __executable_start[]; /* from the linker: where the file's first byte is mapped */
#ifdef __cplusplus
}
#endif

#define HERE(name)                                                                                                     \
        do {                                                                                                           \
                const char *here;                                                                                      \
                __asm__ volatile("lea 0(%%rip), %0" : "=r"(here));                                                     \
                printf("0x%lx %d %s\n", (unsigned long)(here - __executable_start), __LINE__, name);                   \
        } while (0)

#endif
