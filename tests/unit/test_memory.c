/* SPDX-License-Identifier: Apache-2.0
 *
 * test_memory.c - memory that may not be there, in one piece and in many
 *
 * Context: unit test
 */
#include <criterion/criterion.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "base/calls.h"
#include "base/memory.h"

#define PAGE 4096
#define PIECE 64

static struct memory_batch batch;
static uint8_t here[MEMORY_BATCH * PIECE];
static uint8_t *there; /* good, unreadable, good */

static void begin(void)
{
        memset(here, 0xee, sizeof here);
        memory_batch_begin_sigsafe(&batch, here, sizeof here);
}

static void map(void)
{
        there = mmap(NULL, 3 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        cr_assert(there != MAP_FAILED);
        for (unsigned i = 0; i < 3 * PAGE; i++)
                there[i] = (uint8_t)(i * 7 + i / 256);
        cr_assert_eq(mprotect(there + PAGE, PAGE, PROT_NONE), 0);
        begin();
}
TestSuite(memory, .init = map);

static unsigned add(uint64_t address)
{
        return memory_batch_add_sigsafe(&batch, address, PIECE);
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
        const void *piece = memory_batch_piece_sigsafe(&batch, i);
        cr_expect(piece != NULL && memcmp(piece, batch.source[i].iov_base, PIECE) == 0, "piece %u", i);
}

Test(memory, of_no_pieces_is_read)
{
        memory_batch_read_sigsafe(&batch);
        cr_expect_eq(batch.count, 0);
}

Test(memory, of_many_pieces_is_read_at_once)
{
        for (unsigned i = 0; i < MEMORY_BATCH; i++)
                cr_assert_eq(add(good(i)), i);
        cr_expect_eq(add(good(0)), MEMORY_BATCH, "no room");
        memory_batch_read_sigsafe(&batch);
        for (unsigned i = 0; i < MEMORY_BATCH; i++)
                expect_whole(i);
}

Test(memory, around_each_fault_is_read)
{
        for (unsigned at = 0; at < 20; at++) {
                begin();
                for (unsigned i = 0; i < 20; i++)
                        add(i == at ? bad(i) : good(i));
                memory_batch_read_sigsafe(&batch);
                for (unsigned i = 0; i < 20; i++)
                        if (i != at)
                                expect_whole(i);
                cr_expect_null(memory_batch_piece_sigsafe(&batch, at));
        }
}

Test(memory, between_faults_is_read)
{
        for (unsigned i = 0; i < 2 * MEMORY_BATCH_FAULTS; i++)
                add(i % 2 ? good(i) : bad(i));
        memory_batch_read_sigsafe(&batch);
        for (unsigned i = 0; i < 2 * MEMORY_BATCH_FAULTS - 1; i++) {
                if (i % 2)
                        expect_whole(i);
                else
                        cr_expect_null(memory_batch_piece_sigsafe(&batch, i));
        }
}

Test(memory, of_a_batch_that_is_nearly_all_wrong_is_given_up)
{
        for (unsigned i = 0; i < MEMORY_BATCH - 1; i++)
                add(bad(i));
        add(good(0));
        memory_batch_read_sigsafe(&batch);
        for (unsigned i = 0; i < MEMORY_BATCH; i++)
                cr_expect_null(memory_batch_piece_sigsafe(&batch, i));
}

/* Half of a piece is none, and what follows it is still right. */
Test(memory, that_runs_into_a_fault_is_not_taken)
{
        add(good(1));
        unsigned half = add((uintptr_t)there + PAGE - PIECE / 2);
        unsigned other_half = add((uintptr_t)there + 2 * PAGE - PIECE / 2);
        unsigned after = add((uintptr_t)there + 2 * PAGE);
        memory_batch_read_sigsafe(&batch);
        expect_whole(0);
        cr_expect_null(memory_batch_piece_sigsafe(&batch, half));
        cr_expect_null(memory_batch_piece_sigsafe(&batch, other_half));
        expect_whole(after);
}

Test(memory, at_an_address_that_can_be_none_is_not_read)
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
                cr_expect_null(memory_batch_piece_sigsafe(&batch, 2 * i), "%#lx", none[i]);
                expect_whole(2 * i + 1);
        }
}

Test(memory, can_be_read_by_the_same_batch_again)
{
        add(bad(0));
        memory_batch_read_sigsafe(&batch);
        begin();
        cr_expect_eq(add(good(0)), 0);
        cr_expect_null(memory_batch_piece_sigsafe(&batch, 0));
        memory_batch_read_sigsafe(&batch);
        expect_whole(0);
}

Test(memory, is_not_read_where_the_buffer_has_no_room_for_it)
{
        uint8_t small[PIECE + PIECE / 2];
        memory_batch_begin_sigsafe(&batch, small, sizeof small);
        cr_expect_eq(add(good(1)), 0);
        cr_expect_eq(add(good(2)), MEMORY_BATCH);
        cr_expect_eq(memory_batch_add_sigsafe(&batch, good(3), PIECE / 2), 1);
        memory_batch_read_sigsafe(&batch);
        expect_whole(0);
        cr_expect(memcmp(memory_batch_piece_sigsafe(&batch, 1), (void *)(uintptr_t)good(3), PIECE / 2) == 0);
        cr_expect_null(memory_batch_piece_sigsafe(&batch, MEMORY_BATCH));
}

/* A seccomp filter may allow one of the two calls only. */
Test(memory, is_read_without_process_vm_writev)
{
        call_refuse(SYS_process_vm_writev);
        add(good(1));
        unsigned wrong = add(bad(2));
        unsigned after = add(good(3));
        memory_batch_read_sigsafe(&batch);
        expect_whole(0);
        cr_expect_null(memory_batch_piece_sigsafe(&batch, wrong));
        expect_whole(after);
        cr_expect(!memory_put_sigsafe(good(1), "x", 1));
}

Test(memory, is_not_read_where_no_call_may_do_it)
{
        uint64_t word;
        call_refuse(SYS_process_vm_writev);
        call_refuse(SYS_process_vm_readv);
        add(good(1));
        memory_batch_read_sigsafe(&batch);
        cr_expect_null(memory_batch_piece_sigsafe(&batch, 0));
        cr_expect(!memory_get_sigsafe(good(1), &word, sizeof word));
}

Test(memory, is_got_and_put_whole_or_not_at_all)
{
        uint64_t edge = (uintptr_t)there + PAGE - 4, word = 0;
        cr_expect(memory_get_sigsafe(edge - 4, &word, sizeof word));
        cr_expect(memcmp(&word, there + PAGE - 8, sizeof word) == 0);
        cr_expect(!memory_get_sigsafe(edge, &word, sizeof word));
        cr_expect(memory_put_sigsafe(edge - 4, "12345678", 8));
        cr_expect(memcmp(there + PAGE - 8, "12345678", 8) == 0);
        cr_expect(!memory_put_sigsafe(edge, "12345678", 8));
        cr_assert_eq(mprotect(there, PAGE, PROT_READ), 0);
        cr_expect(!memory_put_sigsafe(edge - 4, "abcdefgh", 8));
}
