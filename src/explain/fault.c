/* SPDX-License-Identifier: Apache-2.0
 *
 * fault.c - which memory a page fault waited for
 *
 * From outside a thread in a page fault shows its stack and program counter, but not the address that it wanted: that
 * stands in a register that only ptrace() shows, which stops the thread. But the kernel's own event of a major fault
 * has the address, and notes it when the fault ends, also where the event was begun during it. It is asked for at the
 * first sample that finds the thread in one, for this thread alone, and given up with the stall. Where that is not
 * permitted (kernel.perf_event_paranoid, seccomp), one case remains that can be proved: the page with the thread's next
 * instruction is not in memory itself.
 *
 * Context: watchdog
 * Limits:  the first LIMIT_FAULTS addresses of a stall
 * Source:  linux/perf_event.h; Documentation/admin-guide/mm/pagemap.rst
 */
#include "explain/fault.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/perf_event.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/calls.h"
#include "base/descriptors.h"
#include "base/proc.h"
#include "base/raw.h"
#include "base/text.h"
#include "explain/openfile.h"
#include "explain/process.h"
#include "unwind/maps.h"

#define PAGE_BYTES 4096u
#define RING_BYTES (2 * PAGE_BYTES) /* the kernel's page of positions, and one of records */
#define PAGEMAP_PRESENT (1ull << 63)

/* What the kernel writes for each fault: PERF_SAMPLE_ADDR alone. */
struct noted {
        struct perf_event_header header;
        uint64_t address;
};

bool fault_is_waited_for(const struct sample *sample)
{
        bool sleeps = sample->state == 'D' || sample->state == 'S'; /* which of them the file system chooses */
        return sleeps && sample->syscall_known && sample->syscall < 0;
}

/* ---- the kernel's notes ---- */

static int open_event(int32_t tid)
{
        struct perf_event_attr wanted = {
                .size = sizeof wanted,
                .type = PERF_TYPE_SOFTWARE,
                .config = PERF_COUNT_SW_PAGE_FAULTS_MAJ,
                .sample_period = 1,
                .sample_type = PERF_SAMPLE_ADDR,
                .exclude_kernel = 1,
                .exclude_hv = 1,
        };
        if (!call_allowed_sigsafe(SYS_perf_event_open))
                return PROC_FILTERED;
        long fd = raw_syscall_sigsafe(SYS_perf_event_open, (uintptr_t)&wanted, (uint64_t)tid, (uint64_t)-1,
                                      (uint64_t)-1, PERF_FLAG_FD_CLOEXEC, 0);
        return descriptor_take((int)fd);
}

static const char *loss_of(int error)
{
        switch (error) {
        case PROC_FILTERED:
                return "a seccomp filter forbids perf_event_open(), which tells it";
        case -EACCES:
        case -EPERM:
                return "perf_event_open(), which tells it, is not permitted (kernel.perf_event_paranoid above 2)";
        default:
                return "perf_event_open(), which tells it, is refused here";
        }
}

static void begin(struct fault_watch *watch, int32_t tid)
{
        static const char *refused; /* once in a process is enough */
        watch->loss = refused;
        if (refused != NULL)
                return;
        int fd = open_event(tid);
        void *ring = MAP_FAILED;
        if (fd >= 0)
                ring = mmap(NULL, RING_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (fd >= 0 && ring == MAP_FAILED) {
                watch->loss = "the memory for it is refused (kernel.perf_event_mlock_kb)";
                descriptor_close(fd);
                return;
        }
        if (fd < 0) {
                watch->loss = loss_of(fd);
                refused = fd != -ESRCH && fd != -EMFILE && fd != -ENFILE ? watch->loss : NULL;
                return;
        }
        watch->watching = true;
        watch->fd = fd;
        watch->ring = ring;
}

/* What is written once is never written over: nobody tells the kernel that it was read. */
static unsigned read_notes(const struct fault_watch *watch, uint64_t addresses[LIMIT_FAULTS])
{
        if (!watch->watching)
                return 0;
        const struct perf_event_mmap_page *positions = watch->ring;
        const uint8_t *records = (const uint8_t *)watch->ring + PAGE_BYTES;
        uint64_t end = *(const volatile uint64_t *)&positions->data_head;
        unsigned count = 0;
        atomic_thread_fence(memory_order_acquire);
        for (uint64_t at = 0; at + sizeof(struct noted) <= end && at + sizeof(struct noted) <= PAGE_BYTES;) {
                struct noted noted;
                memcpy(&noted, records + at, sizeof noted);
                if (noted.header.type == PERF_RECORD_SAMPLE && count < LIMIT_FAULTS)
                        addresses[count++] = noted.address;
                if (noted.header.size < sizeof noted.header)
                        break;
                at += noted.header.size;
        }
        return count;
}

/* ---- where nothing is noted ---- */

static bool is_in_memory(uint64_t address)
{
        uint64_t entry = PAGEMAP_PRESENT;
        int fd = proc_open("self/pagemap");
        if (fd < 0)
                return true;
        if (pread(fd, &entry, sizeof entry, (off_t)(address / PAGE_BYTES * sizeof entry)) != sizeof entry)
                entry = PAGEMAP_PRESENT;
        descriptor_close(fd);
        return (entry & PAGEMAP_PRESENT) != 0;
}

bool fault_look(struct fault_watch *watch, int32_t tid, const struct sample *sample)
{
        if (watch->seen)
                return false;
        watch->seen = true;
        if (!watch->watching && watch->loss == NULL)
                begin(watch, tid);
        process_channel(tid, watch->channel, sizeof watch->channel);
        if (!watch->watching && sample->loss == CAPTURE_OK && !is_in_memory(sample->registers[SAMPLE_PC]))
                watch->code = sample->registers[SAMPLE_PC];
        return true;
}

/* It went on meanwhile: what was seen of it may be of another moment. */
void fault_withdraw(struct fault_watch *watch)
{
        watch->seen = false;
        watch->code = 0;
        watch->channel[0] = '\0';
}

/* ---- whose memory that is ---- */

struct search {
        const uint64_t *addresses;
        unsigned count;
        struct fault_memory *memory;
        uint32_t device_major, device_minor;
};

static void describe(struct search *search, const struct mapping *mapping)
{
        struct fault_memory *memory = search->memory;
        struct text what = TEXT_IN(memory->what);
        text_clear(&what);
        search->device_major = mapping->device_major;
        search->device_minor = mapping->device_minor;
        if (mapping->inode == 0) {
                text_string(&what, "swap"); /* memory without a file has nowhere else to come from */
                return;
        }
        text_string(&what, openfile_path(mapping->path));
        memory->offset = (memory->address - mapping->start + mapping->offset) & ~(uint64_t)(PAGE_BYTES - 1);
}

/* The mapping with most of the addresses counts. */
static void look_into(const struct mapping *mapping, void *context)
{
        struct search *search = context;
        uint64_t first = 0;
        uint32_t faults = 0;
        for (unsigned i = 0; i < search->count; i++) {
                uint64_t address = search->addresses[i];
                if (address >= mapping->start && address < mapping->end)
                        first = faults++ == 0 ? address : first;
        }
        if (faults <= search->memory->faults)
                return;
        *search->memory = (struct fault_memory){ .faults = faults, .address = first };
        describe(search, mapping);
}

void fault_find_in(int maps_fd, int32_t tid, const uint64_t *addresses, unsigned count, struct fault_memory *memory)
{
        struct search search = { .addresses = addresses, .count = count, .memory = memory };
        struct text device = TEXT_IN(memory->device);
        *memory = (struct fault_memory){ .faults = 0 };
        maps_read(maps_fd, look_into, &search);
        text_clear(&device);
        if (memory->faults != 0 && strcmp(memory->what, "swap") != 0)
                openfile_put_mount(&device, tid, search.device_major, search.device_minor);
}

void fault_find(const struct fault_watch *watch, int32_t tid, struct fault_memory *memory)
{
        uint64_t addresses[LIMIT_FAULTS];
        unsigned count = read_notes(watch, addresses);
        if (count == 0 && watch->code != 0)
                addresses[count++] = watch->code;
        int fd = count != 0 ? proc_open_maps() : -ENOENT;
        *memory = (struct fault_memory){ .faults = 0 };
        if (fd >= 0) {
                fault_find_in(fd, tid, addresses, count, memory);
                descriptor_close(fd);
        }
        memory->channel = watch->channel;
        memory->loss = memory->faults == 0 ? watch->loss : NULL;
}

void fault_end(struct fault_watch *watch)
{
        if (watch->watching) {
                munmap(watch->ring, RING_BYTES);
                descriptor_close(watch->fd);
        }
        *watch = (struct fault_watch){ .seen = false };
}
