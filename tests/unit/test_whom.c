/* SPDX-License-Identifier: Apache-2.0
 *
 * test_whom.c - chains of threads that wait for each other, and where they end
 *
 * The threads are made up: each sleeps on a lock whose word names the next one.
 *
 * Context: unit test
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "explain/whom.h"

#define THREADS 8

static int32_t tids[THREADS];   /* real ones, because only living threads are owners */
static uint32_t words[THREADS]; /* what thread i waits for: the lock of the thread in the word */
static unsigned looks;

static void *live(void *index)
{
        __atomic_store_n(&tids[(uintptr_t)index], (int32_t)syscall(SYS_gettid), __ATOMIC_SEQ_CST);
        for (;;)
                pause();
        return NULL;
}

static void begin(void)
{
        for (uintptr_t i = 0; i < THREADS; i++) {
                pthread_t thread;
                cr_assert(zero(int, pthread_create(&thread, NULL, live, (void *)i)));
                while (__atomic_load_n(&tids[i], __ATOMIC_SEQ_CST) == 0)
                        sched_yield();
        }
}

TestSuite(whom, .init = begin);

static struct sample sample_of(unsigned index)
{
        return (struct sample){ .state = 'S',
                                .syscall = SYS_futex,
                                .syscall_known = words[index] != 0,
                                .arguments = { (uintptr_t)&words[index], FUTEX_LOCK_PI } };
}

static struct whom_look look(int32_t tid, uint64_t pthread, void *context)
{
        static struct sample sample;
        unsigned index = 0;
        looks++;
        while (tids[index] != tid)
                index++;
        sample = sample_of(index);
        return (struct whom_look){ .sample = &sample, .address = sample.arguments[0], .in_call = words[index] != 0 };
}

/* Each thread waits for the next in the list; the last one for `last`, or for nobody. */
static void follow(struct whom_chain *chain, unsigned count, int32_t last)
{
        for (unsigned i = 0; i < count; i++)
                words[i] = (uint32_t)(i + 1 < count ? tids[i + 1] : last);
        struct sample sample = sample_of(0);
        chain->first = whom_find(&sample, sample.arguments[0], NULL);
        looks = 0;
        whom_follow(chain, tids[0], look, NULL);
}

Test(whom, ends_at_a_thread_that_waits_for_nobody)
{
        static struct whom_chain chain;
        follow(&chain, 3, 0);
        cr_assert(eq(uint, chain.count, 2));
        cr_expect(eq(int, chain.first.kind, WHOM_LOCK));
        cr_expect(eq(int, chain.first.tid, tids[1]));
        cr_expect(eq(int, chain.links[0].tid, tids[1]));
        cr_expect(eq(int, chain.links[0].waits_for, tids[2]));
        cr_expect(eq(int, chain.links[1].tid, tids[2]));
        cr_expect(zero(int, chain.links[1].waits_for));
        cr_expect(not(chain.cycle));
        cr_expect(eq(uint, looks, 2));
}

Test(whom, finds_a_cycle_through_the_stalled_thread)
{
        static struct whom_chain chain;
        follow(&chain, 3, tids[0]);
        cr_expect(chain.cycle);
        cr_expect(eq(uint, chain.count, 2));
        cr_expect(eq(int, chain.links[1].waits_for, tids[0]));
}

Test(whom, finds_a_cycle_among_others)
{
        static struct whom_chain chain;
        follow(&chain, 4, tids[2]);
        cr_expect(chain.cycle);
        cr_expect(eq(uint, chain.count, 3));
}

Test(whom, finds_a_thread_that_waits_for_itself)
{
        static struct whom_chain chain;
        follow(&chain, 1, tids[0]);
        cr_expect(chain.cycle);
        cr_expect(zero(uint, chain.count));
        cr_expect(zero(uint, looks), "there is nobody else to look at");
}

Test(whom, follows_no_more_than_a_few)
{
        static struct whom_chain chain;
        follow(&chain, THREADS, 0);
        cr_expect(eq(uint, chain.count, LIMIT_CHAIN));
        cr_expect(not(chain.cycle), "it was not followed to its end");
        cr_expect(eq(uint, looks, LIMIT_CHAIN));
}

Test(whom, tells_chains_apart_by_their_threads)
{
        static struct whom_chain a, b;
        follow(&a, 3, 0);
        follow(&b, 3, 0);
        cr_expect(whom_same_chain(&a, &b));
        follow(&b, 3, tids[0]);
        cr_expect(not(whom_same_chain(&a, &b)));
        follow(&b, 2, 0);
        cr_expect(not(whom_same_chain(&a, &b)));
}
