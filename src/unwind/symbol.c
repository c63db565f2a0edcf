/* SPDX-License-Identifier: Apache-2.0
 *
 * symbol.c - plain function names from .symtab or .dynsym
 *
 * Two caches. `functions` holds each function that was met, with its range and name, so that another address in the
 * same function needs no file. `addresses` says for each address of a frame which function it is in, or that a table
 * was searched and has none, so that symbol_name() is one look into a hash table and nothing is searched twice.
 *
 * Context: watchdog (static buffers)
 * Limits:  FUNCTIONS names in NAME_BYTES; beyond them frames have no name here, the reader still finds them
 */
#include "unwind/symbol.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/calls.h"
#include "base/descriptors.h"
#include "base/limits.h"
#include "base/notice.h"
#include "unwind/elf.h"
#include "unwind/memory.h"
#include "unwind/module.h"

#define FUNCTIONS 2048
#define NAME_BYTES (128 * 1024)
#define ADDRESSES 4096 /* power of two */
#define ADDRESSES_FULL (ADDRESSES * 3 / 4)
#define NO_FUNCTION UINT16_MAX

struct function {
        uint64_t start, end; /* of the symbol; equal: it has no size */
        uint64_t fde;        /* frame's `function` that it was found for */
        const char *name;
        uint16_t module;
};

struct address {
        uint64_t address; /* 0: free */
        uint16_t module;
        uint16_t function; /* NO_FUNCTION: looked up, there is none */
};

static struct function functions[FUNCTIONS];
static unsigned function_count;
static char names[NAME_BYTES];
static size_t name_bytes;
static struct address addresses[ADDRESSES];
static unsigned address_count;

/* What is looked up in one call: one entry for each address without an answer. */
struct wanted {
        uint64_t address;
        uint64_t fde;
        uint16_t module;
};

/* The address by which a frame is looked up: a return address may be the first byte of the next function. */
static uint64_t lookup_address(const struct frame *frame)
{
        return frame->pc - frame->caller;
}

/* --- the caches --- */

static struct address *find_address(uint64_t address, uint16_t module)
{
        unsigned slot = (unsigned)((address * 0x9e3779b97f4a7c15ul) >> 40) % ADDRESSES;
        while (addresses[slot].address != 0 && (addresses[slot].address != address || addresses[slot].module != module))
                slot = (slot + 1) % ADDRESSES;
        return &addresses[slot];
}

static void remember_address(uint64_t address, uint16_t module, uint16_t function)
{
        struct address *slot = find_address(address, module);
        address_count += slot->address == 0;
        *slot = (struct address){ .address = address, .module = module, .function = function };
}

static void forget_addresses(void)
{
        if (address_count > 0) /* leave untouched pages untouched */
                memset(addresses, 0, sizeof(addresses));
        address_count = 0;
}

/* A function known from another address in it. */
static uint16_t known_function(const struct wanted *wanted)
{
        for (unsigned i = 0; i < function_count; i++)
                if (wanted->module == functions[i].module && wanted->fde == functions[i].fde &&
                    wanted->address >= functions[i].start && wanted->address < functions[i].end)
                        return (uint16_t)i;
        return NO_FUNCTION;
}

/* --- readers --- */

static bool read_file(void *context, uint64_t offset, void *buffer, size_t length)
{
        int fd = *(const int *)context;
        uint8_t *to = buffer;
        if (offset > INT64_MAX - length)
                return false;
        while (length > 0) {
                ssize_t n = pread(fd, to, length, (off_t)offset);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n <= 0)
                        return false;
                to += n;
                offset += (uint64_t)n;
                length -= (size_t)n;
        }
        return true;
}

/* The module's file, where it is still the one that is mapped; -1: it can't be had. */
static int open_file(const struct module *module, struct elf_layout *layout)
{
        struct stat status;
        char build_id[ELF_BUILD_ID_TEXT];
        if (module->path[0] != '/')
                return -1;
        /* O_NONBLOCK: the path may lead to something else by now, a FIFO for example. */
        int fd = descriptor_take(open(module->path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
        if (fd < 0)
                return -1;
        struct elf_reader reader = { .read = read_file, .context = &fd };
        if (call_allowed_sigsafe(SYS_newfstatat) && fstat(fd, &status) == 0 && S_ISREG(status.st_mode) &&
            elf_read_layout(&reader, 0, layout) == 0) {
                bool has_id = elf_file_build_id(&reader, layout, build_id);
                if (strcmp(build_id, module->build_id) == 0 && (has_id || !module->deleted))
                        return fd;
        }
        descriptor_close(fd);
        return -1;
}

/* .dynsym in memory: the table itself in large pieces, what leads to it through the cache. */
static int open_image(const struct module *module, struct elf_layout *layout, struct elf_symbols *symbols)
{
        if (elf_read_layout(&memory_reader, module->start, layout) < 0)
                return -ENOENT;
        return elf_image_symbols(&memory_reader, layout, module->bias, symbols);
}

/* --- one module --- */

/* Keep a name for good; NULL: no room. */
static const char *keep_name(const char *name, size_t length)
{
        if (function_count == FUNCTIONS || length + 1 > sizeof(names) - name_bytes) {
                notice("too many functions for the table of names: further ones are named by the reader only");
                return NULL;
        }
        char *kept = memcpy(names + name_bytes, name, length + 1);
        name_bytes += length + 1;
        return kept;
}

static uint16_t keep_function(const struct wanted *wanted, const struct elf_query *query, uint64_t bias,
                              const char *name)
{
        functions[function_count] = (struct function){
                .start = bias + query->value,
                .end = bias + query->value + query->length,
                .fde = wanted->fde,
                .name = name,
                .module = wanted->module,
        };
        atomic_signal_fence(memory_order_release); /* a forked child may find it half done */
        return (uint16_t)function_count++;
}

/* Search one table for all of `wanted`, remember what is found, and move what is not to the front. Returns how many
 * that are. */
static size_t search_table(const struct elf_reader *reader, const struct elf_symbols *symbols,
                           struct elf_query *queries, uint64_t bias, struct wanted *wanted, size_t count)
{
        size_t left = 0;
        elf_symbols_scan(reader, symbols, queries, count);
        for (size_t i = 0; i < count; i++) {
                char name[LIMIT_NAME];
                size_t length = 0;
                uint16_t function = known_function(&wanted[i]); /* perhaps since a moment ago */
                if (function == NO_FUNCTION && queries[i].found)
                        length = elf_symbol_name(reader, symbols, queries[i].name, name, sizeof(name));
                const char *kept = length > 0 ? keep_name(name, length) : NULL;
                if (kept != NULL)
                        function = keep_function(&wanted[i], &queries[i], bias, kept);
                if (function != NO_FUNCTION) {
                        remember_address(wanted[i].address, wanted[i].module, function);
                } else {
                        wanted[left] = wanted[i];
                        queries[left] = queries[i];
                        queries[left++].found = false;
                }
        }
        return left;
}

static void resolve_in_module(const struct module *module, struct wanted *wanted, size_t count)
{
        static struct elf_query queries[LIMIT_FRAMES];
        static struct elf_layout layout;
        struct elf_symbols symbols;
        for (size_t i = 0; i < count; i++)
                queries[i] = (struct elf_query){
                        .address = wanted[i].address - module->bias,
                        .low = wanted[i].fde != 0 ? wanted[i].fde - module->bias : 0,
                };
        int fd = open_file(module, &layout);
        if (fd >= 0) {
                struct elf_reader reader = { .read = read_file, .context = &fd };
                elf_file_query_sections(&reader, &layout, queries, count);
                /* A stripped .symtab may keep a few symbols: what it lacks is sought in .dynsym. */
                for (int table = ELF_SYMTAB; table <= ELF_DYNSYM && count > 0; table++)
                        if (elf_file_symbols(&reader, &layout, table, &symbols) == 0)
                                count = search_table(&reader, &symbols, queries, module->bias, wanted, count);
                descriptor_close(fd);
        } else if (open_image(module, &layout, &symbols) == 0) {
                count = search_table(&memory_reader, &symbols, queries, module->bias, wanted, count);
        }
        for (size_t i = 0; i < count; i++)
                remember_address(wanted[i].address, wanted[i].module, NO_FUNCTION);
}

/* --- a stack --- */

static bool comes_before(const struct wanted *a, const struct wanted *b)
{
        return a->module != b->module ? a->module < b->module : a->address < b->address;
}

/* Put a frame's address in its place among those wanted, once. libc's qsort may allocate. */
static size_t insert_wanted(struct wanted *wanted, size_t count, const struct wanted *new)
{
        size_t i = count;
        while (i > 0 && comes_before(new, &wanted[i - 1]))
                i--;
        if (i > 0 && wanted[i - 1].module == new->module && wanted[i - 1].address == new->address)
                return count;
        memmove(&wanted[i + 1], &wanted[i], (count - i) * sizeof(*wanted));
        wanted[i] = *new;
        return count + 1;
}

/* All addresses of the stack that no cache knows, sorted by module and address. */
static size_t collect_wanted(const struct stack *stack, struct wanted wanted[LIMIT_FRAMES])
{
        size_t count = 0;
        for (unsigned i = 0; i < stack->count; i++) {
                const struct frame *frame = &stack->frames[i];
                struct wanted new = { lookup_address(frame), frame->function, frame->module };
                if (module_get(new.module) == NULL || new.address == 0 ||
                    find_address(new.address, new.module)->address != 0)
                        continue;
                uint16_t function = known_function(&new);
                if (function != NO_FUNCTION)
                        remember_address(new.address, new.module, function);
                else
                        count = insert_wanted(wanted, count, &new);
        }
        return count;
}

void symbols_resolve(const struct stack *stack)
{
        static struct wanted wanted[LIMIT_FRAMES];
        if (address_count + stack->count > ADDRESSES_FULL)
                forget_addresses(); /* functions stay, so that looking them up again costs few readings */
        size_t count = collect_wanted(stack, wanted);
        memory_use(NULL);
        for (size_t first = 0, last; first < count; first = last) {
                for (last = first; last < count && wanted[last].module == wanted[first].module;)
                        last++;
                resolve_in_module(module_get(wanted[first].module), &wanted[first], last - first);
        }
}

const char *symbol_name(const struct frame *frame)
{
        uint64_t address = lookup_address(frame);
        if (address == 0)
                return NULL;
        const struct address *found = find_address(address, frame->module);
        return found->address == 0 || found->function == NO_FUNCTION ? NULL : functions[found->function].name;
}

void symbols_after_fork(void)
{
        forget_addresses(); /* may be half-written; functions and names are only appended to */
}
