/* SPDX-License-Identifier: Apache-2.0
 *
 * raw.h - the system calls of this architecture, without errno
 *
 * Context: everywhere, signal handler included
 */
#ifndef LOOPDOG_BASE_RAW_H
#define LOOPDOG_BASE_RAW_H

#if defined(__x86_64__)
#include "base/raw_x86_64.h"
#else
#error "base/raw.h: no system calls for this architecture yet"
#endif

#endif
