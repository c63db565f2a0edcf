/* SPDX-License-Identifier: Apache-2.0
 *
 * pool.h - lines parsed by every CPU, taken in their order
 *
 * Parsing is most of the work of reading, and each line can be parsed for itself; adding up needs their order. So lines
 * are gathered into batches, each batch is parsed by one thread, and whoever adds lines takes the batches back in turn.
 *
 * Context: reader's first thread
 */
#ifndef LOOPDOG_READ_POOL_H
#define LOOPDOG_READ_POOL_H

#include "read/taken.h"

struct pool;

/* `take` gets each line, parsed, on the thread that calls the functions below; it may keep nothing of it, and has to
 * free what is in it. NULL where there is but one CPU. */
struct pool *pool_new(bool briefly, void (*take)(void *context, struct taken *taken), void *context);

/* The same with so many threads. */
struct pool *pool_with(unsigned threads, bool briefly, void (*take)(void *context, struct taken *taken), void *context);

/* Add a line, which is copied. May give earlier ones to `take`. */
void pool_add(struct pool *pool, const char *line, size_t length, uint64_t number, bool whole);

/* Give all that was added to `take`. */
void pool_flush(struct pool *pool);

/* After pool_flush(); NULL is allowed. */
void pool_free(struct pool *pool);

#endif
