/* SPDX-License-Identifier: Apache-2.0
 *
 * descriptors.h - our descriptors, and whose table they stand in
 *
 * The watchdog has a table of its own, where nobody else closes or opens anything. Two kinds of ours stand in the
 * host's table all the same: what a thread of the host opens for us before the process gives up its rights, and
 * everything where a table of its own is refused. The host may close such a number and use it for something else. So it
 * is remembered what each of them leads to, and looked at again before it is used.
 *
 * Context: watchdog, and threads of the host that open something for it
 */
#ifndef LOOPDOG_BASE_DESCRIPTORS_H
#define LOOPDOG_BASE_DESCRIPTORS_H

#include <stdbool.h>

/* The calling thread, the watchdog, gets a table of its own that holds nothing but what was taken before, and a copy of
 * the host's `also` (-1: none; else below 64). Where it gets none, everything goes on in the host's. */
enum descriptors_table {
        DESCRIPTORS_OWN,
        DESCRIPTORS_REFUSED, /* by a filter, or the kernel is older than 5.9 */
        DESCRIPTORS_QUEUE,   /* the host has a message queue, whose mq_notify() a copy would end */
};
enum descriptors_table descriptors_unshare(int also);

/* How many may be open for long: a share of the limit, which in the host's table is the host's. */
unsigned descriptors_share(void);

/* Make a new descriptor ours: in the host's table it is moved to a high number and remembered. The number or -errno;
 * a negative one is passed on. */
int descriptor_take(int fd);

/* Does this number, where the calling thread sees it, still lead to what was taken? */
bool descriptor_is_ours(int fd);

/* The same of a number in the host's table: on a thread of the host, or right after descriptors_unshare(). */
bool descriptor_is_kept(int fd);

/* Close it where it is still ours. */
void descriptor_close(int fd);

/* The host's descriptor of this number in a table of our own; -errno. */
int descriptor_borrow(int fd);

/* The same of one that was taken in the host's table when ours was made already: only where it is still ours. */
int descriptor_borrow_kept(int fd);

#endif
