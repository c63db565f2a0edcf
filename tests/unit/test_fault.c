/* SPDX-License-Identifier: Apache-2.0
 *
 * test_fault.c - which memory a page fault waited for
 *
 * Lists of mappings are fixtures. The kernel's notes are its own: a page of a file is put out of memory and touched.
 * Where the file system keeps it, or the kernel permits no notes, that is said.
 *
 * Context: unit test; Criterion gives each test a process of its own
 */
#include "explain/fault.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/calls.h"
#include "base/config.h"

#define PAGE 4096u
#define PAGES 64u

static struct fault_watch watch;
static struct fault_memory memory;

/* ---- what a sample says ---- */

static bool waits(char state, bool call_known, int call)
{
        return fault_is_waited_for(&(struct sample){ .state = state, .syscall_known = call_known, .syscall = call });
}

Test(fault, is_waited_for_by_a_thread_that_sleeps_in_no_call)
{
        cr_expect(waits('D', true, -1));
        cr_expect(waits('S', true, -1), "FUSE and NFS wait so");
        cr_expect(not(waits('D', true, SYS_read)));
        cr_expect(not(waits('D', false, -1)), "it may be in a call");
        cr_expect(not(waits('R', true, -1)));
        cr_expect(not(waits('T', true, -1)));
}

/* ---- mappings ---- */

static const char maps[] = "1000-3000 r--p 00005000 00:00 77                 /srv/data.bin\n"
                           "3000-4000 rw-p 00000000 00:00 0 \n"
                           "5000-9000 rw-p 00000000 00:00 0                  [heap]\n"
                           "7000000-7001000 r-xp 00002000 00:00 78           /usr/lib/libx.so (deleted)\n";

static void find_in(const char *text, const uint64_t *addresses, unsigned count)
{
        int fd = memfd_create("maps", MFD_CLOEXEC);
        cr_assert(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
        cr_assert(zero(i64, lseek(fd, 0, SEEK_SET)));
        fault_find_in(fd, gettid(), addresses, count, &memory);
        close(fd);
}

Test(fault, is_of_the_file_whose_memory_has_the_address)
{
        find_in(maps, (uint64_t[]){ 0x2fff }, 1);
        cr_expect(eq(uint, memory.faults, 1));
        cr_expect(eq(u64, memory.address, 0x2fff));
        cr_expect(eq(u64, memory.offset, 0x6000));
        cr_expect_str_eq(memory.what, "/srv/data.bin");
        find_in(maps, (uint64_t[]){ 0x7000000 }, 1);
        cr_expect_str_eq(memory.what, "/usr/lib/libx.so");
        cr_expect(eq(u64, memory.offset, 0x2000));
}

Test(fault, is_of_swap_where_the_memory_has_no_file)
{
        find_in(maps, (uint64_t[]){ 0x3000 }, 1);
        cr_expect_str_eq(memory.what, "swap");
        cr_expect(zero(u64, memory.offset));
        cr_expect_str_eq(memory.device, "");
        find_in(maps, (uint64_t[]){ 0x8fff }, 1);
        cr_expect_str_eq(memory.what, "swap");
}

Test(fault, is_of_what_most_addresses_lie_in)
{
        find_in(maps, (uint64_t[]){ 0x1001, 0x7000001, 0x6000, 0x5001 }, 4);
        cr_expect(eq(uint, memory.faults, 2));
        cr_expect_str_eq(memory.what, "swap");
        cr_expect(eq(u64, memory.address, 0x6000), "the first of them");
}

Test(fault, at_an_address_that_is_not_mapped_is_of_nothing)
{
        find_in(maps, (uint64_t[]){ 0x4000, 0xfff, 0x9000 }, 3);
        cr_expect(zero(uint, memory.faults));
        cr_expect_str_eq(memory.what, "");
        find_in("", (uint64_t[]){ 0x1000 }, 1);
        cr_expect(zero(uint, memory.faults));
        find_in(maps, NULL, 0);
        cr_expect(zero(uint, memory.faults));
}

Test(fault, keeps_a_path_to_itself_where_it_must)
{
        config.redact = CONFIG_REDACT_PATHS;
        find_in(maps, (uint64_t[]){ 0x1000 }, 1);
        cr_expect_str_eq(memory.what, "data.bin");
}

/* ---- the kernel's notes ---- */

static char path[256];

/* A file beside this test's sources, which lie on a disk as a rule, mapped with none of its pages in memory. */
static uint8_t *map_file(int protection)
{
        static uint8_t bytes[PAGES * PAGE];
        snprintf(path, sizeof path, "/var/tmp/fault-%d", (int)getpid());
        int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        cr_assert(fd >= 0 && write(fd, bytes, sizeof bytes) == sizeof bytes && fsync(fd) == 0);
        cr_assert(zero(int, posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED)));
        uint8_t *mapping = mmap(NULL, sizeof bytes, protection, MAP_SHARED, fd, 0);
        cr_assert(mapping != MAP_FAILED && madvise(mapping, sizeof bytes, MADV_RANDOM) == 0);
        close(fd);
        unlink(path);
        return mapping;
}

static bool is_cached(uint8_t *page)
{
        unsigned char state = 0;
        cr_assert(zero(int, mincore(page, PAGE, &state)));
        return state & 1;
}

static struct sample in_fault_at(uint64_t pc)
{
        return (struct sample){ .state = 'D', .syscall = -1, .syscall_known = true, .registers[SAMPLE_PC] = pc };
}

Test(fault, is_noted_by_the_kernel_with_its_address)
{
        volatile uint8_t *mapping = map_file(PROT_READ);
        struct sample sample = in_fault_at((uintptr_t)&map_file);
        if (is_cached((uint8_t *)(uintptr_t)mapping + 5 * PAGE))
                cr_skip_test("the file system of /var/tmp keeps a file in memory");
        cr_expect(fault_look(&watch, gettid(), &sample), "the first look counts only if the thread stays");
        cr_expect(not(fault_look(&watch, gettid(), &sample)), "and the second does nothing");
        if (!watch.watching)
                cr_skip_test("not permitted here: %s", watch.loss);
        (void)mapping[5 * PAGE + 7];
        (void)mapping[9 * PAGE];
        fault_find(&watch, gettid(), &memory);
        cr_expect(ge(uint, memory.faults, 1));
        cr_expect(eq(u64, memory.address, (uintptr_t)&mapping[5 * PAGE + 7]));
        cr_expect(eq(u64, memory.offset, 5 * PAGE));
        cr_expect_str_eq(memory.what, path);
        cr_expect_null(memory.loss);
        fault_end(&watch);
        fault_find(&watch, gettid(), &memory);
        cr_expect(zero(uint, memory.faults), "forgotten with the stall");
}

Test(fault, that_nobody_notes_is_known_where_the_code_itself_is_missing)
{
        uint8_t *mapping = map_file(PROT_READ | PROT_EXEC);
        struct sample sample = in_fault_at((uintptr_t)mapping + 3 * PAGE + 8);
        call_refuse(SYS_perf_event_open);
        cr_expect(fault_look(&watch, gettid(), &sample));
        fault_find(&watch, gettid(), &memory);
        cr_expect_str_eq(memory.what, path);
        cr_expect(eq(u64, memory.offset, 3 * PAGE));
        fault_withdraw(&watch);
        fault_find(&watch, gettid(), &memory);
        cr_expect(zero(uint, memory.faults), "it had gone on");
        cr_expect(fault_look(&watch, gettid(), &sample), "so the next look is the first again");
        fault_end(&watch);
}

Test(fault, that_nobody_notes_is_not_known_where_the_code_is_there)
{
        struct sample sample = in_fault_at((uintptr_t)&map_file & ~(uint64_t)1);
        call_refuse(SYS_perf_event_open);
        map_file(PROT_READ);
        cr_expect(fault_look(&watch, gettid(), &sample));
        fault_find(&watch, gettid(), &memory);
        cr_expect(zero(uint, memory.faults));
        cr_expect_str_eq(memory.loss, "a seccomp filter forbids perf_event_open(), which tells it");
        cr_expect_str_eq(memory.what, "");
        fault_end(&watch);
}
