/* SPDX-License-Identifier: Apache-2.0
 *
 * pause.h - sleep for a moment by a call that every program makes
 *
 * A thread of the host may be under a filter that punishes nanosleep(); libc itself needs futex().
 *
 * Context: everywhere
 */
#ifndef LOOPDOG_BASE_PAUSE_H
#define LOOPDOG_BASE_PAUSE_H

#include <linux/futex.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <time.h>

#include "base/raw.h"

/* Less than a second. A signal may end it early. */
static inline void pause_ns_sigsafe(uint32_t ns)
{
        static uint32_t nobody; /* wakes us */
        struct timespec step = { .tv_nsec = ns };
        raw_syscall_sigsafe(SYS_futex, (uintptr_t)&nobody, FUTEX_WAIT_PRIVATE, 0, (uintptr_t)&step, 0, 0);
}

#endif
