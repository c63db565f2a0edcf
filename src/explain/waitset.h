/* SPDX-License-Identifier: Apache-2.0
 *
 * waitset.h - the descriptors that a nested poll, select or epoll waits on
 *
 * Context: watchdog
 */
#ifndef LOOPDOG_EXPLAIN_WAITSET_H
#define LOOPDOG_EXPLAIN_WAITSET_H

#include "explain/evidence.h"

/* Fill waits_for of the call in `evidence`, which thread `tid` sleeps in. Descriptors are described until `end_ns`, the
 * others only named. */
void waitset_look(struct evidence *evidence, int32_t tid, uint64_t end_ns);

#endif
