/* SPDX-License-Identifier: Apache-2.0
 *
 * now.h - the time, in the reader
 *
 * Context: reader
 */
#ifndef LOOPDOG_TOOLS_NOW_H
#define LOOPDOG_TOOLS_NOW_H

#include <stdint.h>
#include <time.h>

static inline uint64_t now_ns(clockid_t clock)
{
        struct timespec now;
        clock_gettime(clock, &now);
        return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

#endif
