/* SPDX-License-Identifier: Apache-2.0
 *
 * raw_x86_64.h - system calls that leave errno alone and are no cancellation points
 *
 * Context: everywhere, signal handler included
 */
#ifndef LOOPDOG_BASE_RAW_X86_64_H
#define LOOPDOG_BASE_RAW_X86_64_H

#include <stdint.h>

/* The kernel's own answer: negative errno on failure. */
static inline long raw_syscall_sigsafe(long number, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e,
                                       uint64_t f)
{
        register uint64_t r10 __asm__("r10") = d;
        register uint64_t r8 __asm__("r8") = e;
        register uint64_t r9 __asm__("r9") = f;
        long result;
        __asm__ volatile("syscall"
                         : "=a"(result)
                         : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                         : "rcx", "r11", "memory");
        return result;
}

#endif
