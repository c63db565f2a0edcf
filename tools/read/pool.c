/* SPDX-License-Identifier: Apache-2.0
 *
 * pool.c - lines parsed by every CPU, taken in their order
 *
 * Batches form a ring: the first thread fills one after the other, any worker takes the next that is filled, and the
 * first thread empties the oldest as soon as it is parsed and its place is needed. So memory is bounded by the ring.
 *
 * Context: reader; work() on threads of its own
 * Limits:  THREADS; a batch is sent off with BATCH_BYTES or BATCH_LINES
 */
#include "read/pool.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "alloc.h"

#define THREADS 16
#define STACK_BYTES ((size_t)2 << 20) /* jansson goes as deep as a line's brackets, 2,048 at most */
#define BATCH_BYTES ((size_t)256 * 1024)
#define BATCH_LINES 512

enum state {
        FREE,
        FILLED,
        BUSY,
        PARSED,
};

struct batch {
        enum state state; /* under the lock */
        char *bytes;
        size_t used, capacity;
        struct taken lines[BATCH_LINES];
        size_t at[BATCH_LINES]; /* of each line in `bytes`, which moves while it grows */
        size_t count;
};

struct pool {
        pthread_t threads[THREADS];
        unsigned threads_count;
        bool briefly;
        void (*take)(void *context, struct taken *taken);
        void *context;
        pthread_mutex_t lock;
        pthread_cond_t filled, parsed;
        bool ends;
        struct batch *ring;
        size_t ring_count;
        size_t first;  /* the oldest that is not free, ring index; */
        size_t in_use; /* so many from there on are sent off */
};

/* The batch that is being filled: the one behind those that are sent off. */
static struct batch *filling(const struct pool *pool)
{
        return &pool->ring[(pool->first + pool->in_use) % pool->ring_count];
}

/* -------------------------------------------------------------------------------------------------------- workers */

/* The oldest batch that nobody has begun with, or NULL; under the lock. */
static struct batch *next_filled(const struct pool *pool)
{
        for (size_t i = 0; i < pool->in_use; i++) {
                struct batch *batch = &pool->ring[(pool->first + i) % pool->ring_count];
                if (batch->state == FILLED)
                        return batch;
        }
        return NULL;
}

static void *work(void *argument)
{
        struct pool *pool = argument;
        pthread_mutex_lock(&pool->lock);
        for (;;) {
                struct batch *batch = next_filled(pool);
                if (!batch && pool->ends)
                        break;
                if (!batch) {
                        pthread_cond_wait(&pool->filled, &pool->lock);
                        continue;
                }
                batch->state = BUSY;
                pthread_mutex_unlock(&pool->lock);
                for (size_t i = 0; i < batch->count; i++)
                        parse_taken(&batch->lines[i], pool->briefly);
                pthread_mutex_lock(&pool->lock);
                batch->state = PARSED;
                pthread_cond_signal(&pool->parsed);
        }
        pthread_mutex_unlock(&pool->lock);
        return NULL;
}

/* Signals are for the first thread. */
static void start_threads(struct pool *pool, unsigned count)
{
        sigset_t all, before;
        pthread_attr_t small;
        pthread_attr_init(&small);
        pthread_attr_setstacksize(&small, STACK_BYTES);
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &before);
        while (pool->threads_count < count && pool->threads_count < THREADS &&
               pthread_create(&pool->threads[pool->threads_count], &small, work, pool) == 0)
                pool->threads_count++;
        pthread_sigmask(SIG_SETMASK, &before, NULL);
        pthread_attr_destroy(&small);
}

/* --------------------------------------------------------------------------------------------------- first thread */

struct pool *pool_with(unsigned threads, bool briefly, void (*take)(void *context, struct taken *taken), void *context)
{
        struct pool *pool = alloc_zeroed(1, sizeof(*pool));
        pool->briefly = briefly;
        pool->take = take;
        pool->context = context;
        pool->ring_count = 2 * threads + 2;
        pool->ring = alloc_zeroed(pool->ring_count, sizeof(*pool->ring));
        pthread_mutex_init(&pool->lock, NULL);
        pthread_cond_init(&pool->filled, NULL);
        pthread_cond_init(&pool->parsed, NULL);
        start_threads(pool, threads);
        if (pool->threads_count > 0)
                return pool;
        pool_free(pool);
        return NULL;
}

struct pool *pool_new(bool briefly, void (*take)(void *context, struct taken *taken), void *context)
{
        cpu_set_t allowed;
        int count = sched_getaffinity(0, sizeof(allowed), &allowed) == 0 ? CPU_COUNT(&allowed) : 1;
        return count > 1 ? pool_with((unsigned)(count < THREADS ? count : THREADS), briefly, take, context) : NULL;
}

/* Wait for the oldest batch and hand over its lines. */
static void take_oldest(struct pool *pool)
{
        struct batch *batch = &pool->ring[pool->first];
        pthread_mutex_lock(&pool->lock);
        while (batch->state != PARSED)
                pthread_cond_wait(&pool->parsed, &pool->lock);
        pthread_mutex_unlock(&pool->lock);
        for (size_t i = 0; i < batch->count; i++)
                pool->take(pool->context, &batch->lines[i]);
        batch->count = batch->used = 0;
        pthread_mutex_lock(&pool->lock);
        batch->state = FREE;
        pool->first = (pool->first + 1) % pool->ring_count;
        pool->in_use--;
        pthread_mutex_unlock(&pool->lock);
}

/* What is being filled goes to the workers; there is a free one then. */
static void send_off(struct pool *pool)
{
        struct batch *batch = filling(pool);
        for (size_t i = 0; i < batch->count; i++)
                batch->lines[i].line = batch->bytes + batch->at[i];
        pthread_mutex_lock(&pool->lock);
        batch->state = FILLED;
        pool->in_use++;
        pthread_cond_signal(&pool->filled);
        pthread_mutex_unlock(&pool->lock);
        if (pool->in_use == pool->ring_count)
                take_oldest(pool);
}

void pool_add(struct pool *pool, const char *line, size_t length, uint64_t number, bool whole)
{
        struct batch *batch = filling(pool);
        if (batch->capacity - batch->used < length + 1) {
                batch->capacity = batch->used + length + 1 + BATCH_BYTES;
                batch->bytes = alloc_resize(batch->bytes, batch->capacity, 1);
        }
        memcpy(batch->bytes + batch->used, line, length);
        batch->bytes[batch->used + length] = '\0';
        batch->at[batch->count] = batch->used;
        batch->lines[batch->count++] = (struct taken){ .length = length, .number = number, .whole = whole };
        batch->used += length + 1;
        if (batch->used >= BATCH_BYTES || batch->count == BATCH_LINES)
                send_off(pool);
}

void pool_flush(struct pool *pool)
{
        if (filling(pool)->count > 0)
                send_off(pool);
        while (pool->in_use > 0)
                take_oldest(pool);
}

void pool_free(struct pool *pool)
{
        if (!pool)
                return;
        pthread_mutex_lock(&pool->lock);
        pool->ends = true;
        pthread_cond_broadcast(&pool->filled);
        pthread_mutex_unlock(&pool->lock);
        for (unsigned i = 0; i < pool->threads_count; i++)
                pthread_join(pool->threads[i], NULL);
        for (size_t i = 0; i < pool->ring_count; i++)
                free(pool->ring[i].bytes);
        free(pool->ring);
        pthread_cond_destroy(&pool->filled);
        pthread_cond_destroy(&pool->parsed);
        pthread_mutex_destroy(&pool->lock);
        free(pool);
}
