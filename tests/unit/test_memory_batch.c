/* SPDX-License-Identifier: Apache-2.0
 *
 * test_memory_batch.c - many pieces of memory at once, some of which can't be read
 *
 * Context: unit test
 */
#include <criterion/criterion.h>
#include <string.h>
#include <sys/mman.h>

#include "base/memory.h"

#define PAGE 4096
#define PIECE 64

static struct memory_batch batch;
static uint8_t here[MEMORY_BATCH][PIECE];
static uint8_t *there; /* good, unreadable, good */

static void map(void)
{
        there = mmap(NULL, 3 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        cr_assert(there != MAP_FAILED);
        for (unsigned i = 0; i < 3 * PAGE; i++)
                there[i] = (uint8_t)(i * 7 + i / 256);
        cr_assert_eq(mprotect(there + PAGE, PAGE, PROT_NONE), 0);
        memory_batch_clear_sigsafe(&batch);
        memset(here, 0xee, sizeof here);
}
TestSuite(memory_batch, .init = map);

static unsigned add(uint64_t address)
{
        return memory_batch_add_sigsafe(&batch, address, here[batch.count % MEMORY_BATCH], PIECE);
}

static uint64_t good(unsigned n)
{
        return (uintptr_t)there + n * 8u % (PAGE - PIECE);
}

static uint64_t bad(unsigned n)
{
        return (uintptr_t)there + PAGE + n * 8u % (PAGE - PIECE);
}

static void expect_whole(unsigned i)
{
        cr_expect(batch.read[i], "piece %u", i);
        cr_expect(memcmp(here[i], batch.remote[i].iov_base, PIECE) == 0, "piece %u", i);
}

Test(memory_batch, of_nothing_is_read)
{
        memory_batch_read_sigsafe(&batch);
        cr_expect_eq(batch.count, 0);
}

Test(memory_batch, reads_as_many_as_it_holds)
{
        for (unsigned i = 0; i < MEMORY_BATCH; i++)
                cr_assert_eq(add(good(i)), i);
        cr_expect_eq(add(good(0)), MEMORY_BATCH, "no room");
        memory_batch_read_sigsafe(&batch);
        for (unsigned i = 0; i < MEMORY_BATCH; i++)
                expect_whole(i);
}

Test(memory_batch, reads_what_lies_around_each_fault)
{
        for (unsigned at = 0; at < 20; at++) {
                memory_batch_clear_sigsafe(&batch);
                memset(here, 0xee, sizeof here);
                for (unsigned i = 0; i < 20; i++)
                        add(i == at ? bad(i) : good(i));
                memory_batch_read_sigsafe(&batch);
                for (unsigned i = 0; i < 20; i++)
                        if (i != at)
                                expect_whole(i);
                cr_expect(!batch.read[at]);
        }
}

Test(memory_batch, reads_what_lies_between_faults)
{
        for (unsigned i = 0; i < 2 * MEMORY_BATCH_FAULTS; i++)
                add(i % 2 ? good(i) : bad(i));
        memory_batch_read_sigsafe(&batch);
        for (unsigned i = 0; i < 2 * MEMORY_BATCH_FAULTS - 1; i++) {
                if (i % 2)
                        expect_whole(i);
                else
                        cr_expect(!batch.read[i]);
        }
}

Test(memory_batch, gives_up_where_nearly_nothing_can_be_read)
{
        for (unsigned i = 0; i < MEMORY_BATCH - 1; i++)
                add(bad(i));
        add(good(0));
        memory_batch_read_sigsafe(&batch);
        for (unsigned i = 0; i < MEMORY_BATCH; i++)
                cr_expect(!batch.read[i]);
}

/* Half of a piece is none, and what follows it is still right. */
Test(memory_batch, takes_no_piece_that_runs_into_a_fault)
{
        add(good(1));
        unsigned half = add((uintptr_t)there + PAGE - PIECE / 2);
        unsigned other_half = add((uintptr_t)there + 2 * PAGE - PIECE / 2);
        unsigned after = add((uintptr_t)there + 2 * PAGE);
        memory_batch_read_sigsafe(&batch);
        expect_whole(0);
        cr_expect(!batch.read[half]);
        cr_expect(!batch.read[other_half]);
        expect_whole(after);
}

Test(memory_batch, takes_no_address_that_can_be_none)
{
        static const uint64_t none[] = {
                0, 1, UINT64_MAX, UINT64_MAX - PIECE + 1, 1ull << 63, 0x800000000000ull, UINT64_MAX - 7
        };
        unsigned count = sizeof none / sizeof *none;
        for (unsigned i = 0; i < count; i++) {
                add(none[i]);
                add(good(i));
        }
        memory_batch_read_sigsafe(&batch);
        for (unsigned i = 0; i < count; i++) {
                cr_expect(!batch.read[2 * i], "%#lx", none[i]);
                expect_whole(2 * i + 1);
        }
}

Test(memory_batch, can_be_used_again)
{
        add(bad(0));
        memory_batch_read_sigsafe(&batch);
        memory_batch_clear_sigsafe(&batch);
        cr_expect_eq(add(good(0)), 0);
        cr_expect(!batch.read[0]);
        memory_batch_read_sigsafe(&batch);
        expect_whole(0);
}
