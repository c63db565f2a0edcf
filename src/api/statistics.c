/* SPDX-License-Identifier: Apache-2.0
 *
 * statistics.c - a loop's numbers, read by the program itself
 *
 * They are read from the slot as its thread writes them: each is whole, but they may belong to moments that lie a few
 * iterations apart.
 *
 * Context: app threads
 */
#include <errno.h>
#include <string.h>

#include "api/api.h"
#include "loop/loop.h"
#include "loop/named.h"

#define EXPORTED __attribute__((visibility("default")))

static int find_slot(loopdog_loop *loop, struct slot **slot)
{
        if (named_slot((uintptr_t)loop, slot) != NAMED_OK)
                return -EINVAL;
        return *slot != NULL ? 0 : -ESRCH;
}

struct shares {
        uint64_t iterations;
        uint32_t counts[HISTOGRAM_BUCKETS];
};

static void read_shares(const struct slot *slot, struct shares *shares)
{
        shares->iterations = 0;
        for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
                shares->counts[i] = atomic_load_explicit(&slot->histogram[i], memory_order_relaxed);
                shares->iterations += shares->counts[i];
        }
}

/* The upper bound of the bucket below which this share of the iterations lies. */
static uint64_t percentile_ns(const struct shares *shares, uint64_t per_mille)
{
        uint64_t wanted = (shares->iterations * per_mille + 999) / 1000, seen = 0;
        for (unsigned i = 0; i < HISTOGRAM_BUCKETS && shares->iterations != 0; i++) {
                seen += shares->counts[i];
                if (seen >= wanted)
                        return histogram_from_ns(i + 1);
        }
        return 0;
}

EXPORTED int loopdog_read_statistics(loopdog_loop *loop, struct loopdog_statistics *into)
{
        struct slot *slot;
        struct shares shares;
        if (into == NULL || into->size < sizeof *into)
                return -EINVAL;
        int error = find_slot(loop, &slot);
        if (error != 0)
                return error;
        read_shares(slot, &shares);
        uint64_t busy_ns = atomic_load(&slot->busy_ns), idle_ns = slot_idle_ns(slot);
        *into = (struct loopdog_statistics){
                .size = into->size,
                .iterations = shares.iterations,
                .busy_ns = busy_ns,
                .idle_ns = idle_ns,
                .outside_ns = atomic_load(&slot->outside_ns),
                .percentile50_ns = percentile_ns(&shares, 500),
                .percentile90_ns = percentile_ns(&shares, 900),
                .percentile99_ns = percentile_ns(&shares, 990),
                .percentile999_ns = percentile_ns(&shares, 999),
                .longest_ns = percentile_ns(&shares, 1000),
                .utilisation = busy_ns + idle_ns != 0 ? (double)busy_ns / (double)(busy_ns + idle_ns) : 0,
        };
        return 0;
}

EXPORTED int loopdog_read_histogram(loopdog_loop *loop, struct loopdog_bucket *into, size_t count)
{
        struct slot *slot;
        int error = find_slot(loop, &slot), found = 0;
        if (error != 0)
                return error;
        for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
                uint32_t iterations = atomic_load_explicit(&slot->histogram[i], memory_order_relaxed);
                if (iterations == 0)
                        continue;
                if (into != NULL && (size_t)found < count)
                        into[found] = (struct loopdog_bucket){ histogram_from_ns(i), iterations };
                found++;
        }
        return found;
}
