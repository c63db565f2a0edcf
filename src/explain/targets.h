/* SPDX-License-Identifier: Apache-2.0
 *
 * targets.h - the descriptors in an epoll instance
 *
 * Context: watchdog
 */
#ifndef LOOPDOG_EXPLAIN_TARGETS_H
#define LOOPDOG_EXPLAIN_TARGETS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/limits.h"
#include "explain/proctext.h"

/* The list of the instance `epoll_fd` in the table of thread `tid`. Returns how many stand in `targets`, or -E2BIG
 * where the process has too many descriptors for the list to be asked for, or another -errno. */
int targets_read(int32_t tid, int32_t epoll_fd, struct proctext_target targets[LIMIT_EPOLL_TARGETS]);

/* Is this descriptor in the instance? Asks for one without the list. 1, 0, or -errno where that can't be known. */
int targets_has(int32_t tid, int32_t epoll_fd, int32_t fd);

/* How many descriptors the process has open: at most so many can be in an instance. */
uint64_t targets_open(int32_t tid);

#endif
