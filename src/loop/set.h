/* SPDX-License-Identifier: Apache-2.0
 *
 * set.h - the descriptors of a poll or select
 *
 * Context: app thread; errno may change
 */
#ifndef LOOPDOG_LOOP_SET_H
#define LOOPDOG_LOOP_SET_H

#include "loop/loop.h"

/* Its first descriptors, at most LIMIT_OWN_SET, into `set`: how many. */
uint32_t set_remember(const struct wait *wait, int *set);

/* What tells at once that a set is the same: the call's count argument, and of select the first descriptors as bits. */
void set_glance(const struct wait *wait, uint32_t *size, uint64_t *word);

/* Would set_remember() find what it found before? Then nothing has to be searched. */
bool set_is_same(const struct wait *wait, const int *set, uint32_t count, uint32_t size, uint64_t word);

bool set_shares_descriptor(const struct wait *wait, const int *set, uint32_t count);

/* A listening socket, or two sockets: what a server's loop waits for, and a shell or a compiler driver does not. Makes
 * system calls. */
bool set_looks_like_a_server(const struct wait *wait);

/* No socket but listening ones, and one at least. Makes system calls. */
bool set_only_listens(const int *set, uint32_t count);

#endif
