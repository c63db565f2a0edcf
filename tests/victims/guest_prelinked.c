/* SPDX-License-Identifier: Apache-2.0
 *
 * guest_prelinked.c - a library that asks to be loaded at a certain address, as prelink(8) makes them
 *
 * Linked with -Ttext-segment: its addresses on file begin at 0x10000000, and the loader puts it there if there is room,
 * so that they differ by nothing, or elsewhere, by anything. Its functions stall and are to be found by name.
 *
 * Context: the thread that calls them
 */
#include <stdint.h>
#include <time.h>

#include "truth.h"

void prelinked_sleep(unsigned ms);
void prelinked_busy(unsigned ms);

__attribute__((visibility("default"))) VICTIM_FRAME void prelinked_sleep(unsigned ms)
{
        struct timespec left = { .tv_nsec = ms * 1000000l };
        while (nanosleep(&left, &left) != 0)
                ;
}

__attribute__((visibility("default"))) VICTIM_FRAME void prelinked_busy(unsigned ms)
{
        for (uint64_t end_ns = truth_now_ns() + ms * 1000000ull; truth_now_ns() < end_ns;)
                ;
}
