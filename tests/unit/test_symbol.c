/* SPDX-License-Identifier: Apache-2.0
 *
 * test_symbol.c - names are those that nm and dladdr know
 *
 * Context: tests
 */
#include <criterion/criterion.h>

#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <inttypes.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <time.h>
#include <unistd.h>

#include "base/limits.h"
#include "unwind/elf.h"
#include "unwind/fde.h"
#include "unwind/memory.h"
#include "unwind/module.h"
#include "unwind/symbol.h"
#include "unwind_victims.h"

static struct stack stack;

static void add_frame(uint64_t pc, uint64_t function, bool caller)
{
        cr_assert_lt(stack.count, LIMIT_FRAMES);
        stack.frames[stack.count++] =
                (struct frame){ .pc = pc, .function = function, .module = module_find(pc - caller), .caller = caller };
}

static const char *name_at(uint64_t pc)
{
        stack.count = 0;
        add_frame(pc, 0, false);
        symbols_resolve(&stack);
        return symbol_name(&stack.frames[0]);
}

/* --- this program, by nm --- */

struct known {
        uint64_t start, size;
        char name[128];
};

/* What nm says of the functions of a file, without the bias and without versions. */
static size_t ask_nm(const char *options, const char *file, struct known *known, size_t capacity)
{
        char line[512], command[4352], type;
        size_t count = 0;
        snprintf(command, sizeof(command), "nm -S --defined-only %s '%s' 2>&1", options, file);
        FILE *nm = popen(command, "r");
        cr_assert_not_null(nm);
        while (count < capacity && fgets(line, sizeof(line), nm) != NULL)
                if (sscanf(line, "%" SCNx64 " %" SCNx64 " %c %127[^@\n]", &known[count].start, &known[count].size,
                           &type, known[count].name) == 4 &&
                    strchr("tTwWi", type) != NULL && known[count].size > 0)
                        count++;
        pclose(nm);
        return count;
}

static bool is_alias(const struct known *known, size_t count, uint64_t start, const char *name)
{
        for (size_t i = 0; i < count; i++)
                if (known[i].start == start && strcmp(known[i].name, name) == 0)
                        return true;
        return false;
}

Test(symbol, names_functions_of_this_program_as_nm_does)
{
        static struct known known[8192];
        modules_load();
        const struct module *self = module_get(module_find((uintptr_t)ask_nm));
        size_t count = ask_nm("", self->path, known, 8192), checked = 0;
        cr_assert_gt(count, 50, "nm is needed (binutils)");
        for (size_t first = 0; first < count && first < 1000; first += LIMIT_FRAMES) {
                size_t n = count - first < LIMIT_FRAMES ? count - first : LIMIT_FRAMES;
                stack.count = 0;
                for (size_t i = 0; i < n; i++) /* first byte, inside, and the return address behind the last byte */
                        add_frame(self->bias + known[first + i].start + known[first + i].size * (i % 3) / 2, 0,
                                  i % 3 == 2);
                symbols_resolve(&stack);
                for (size_t i = 0; i < n; i++, checked++) {
                        const char *name = symbol_name(&stack.frames[i]);
                        cr_assert_not_null(name, "%s", known[first + i].name);
                        cr_assert(is_alias(known, count, known[first + i].start, name), "%s is not %s", name,
                                  known[first + i].name);
                }
        }
        fprintf(stderr, "%zu addresses named as nm does\n", checked);
}

/* --- libc, by dladdr --- */

static uint64_t random_state = 0x2545f4914f6cdd1d;

static uint64_t random_word(void)
{
        random_state ^= random_state << 13;
        random_state ^= random_state >> 7;
        random_state ^= random_state << 17;
        return random_state;
}

/* dladdr knows .dynsym only: where it finds a symbol, ours must begin at the same place. Returns how many it found. */
static unsigned compare_with_dladdr(const struct module *module, const struct known *known, size_t count)
{
        uint64_t start = module->code_start, length = module->code_end - module->code_start;
        unsigned found = 0;
        stack.count = 0;
        for (unsigned i = 0; i < LIMIT_FRAMES; i++)
                add_frame(start + random_word() % length, 0, false);
        symbols_resolve(&stack);
        for (unsigned i = 0; i < stack.count; i++) {
                Dl_info info;
                const char *name = symbol_name(&stack.frames[i]);
                if (dladdr((void *)(uintptr_t)stack.frames[i].pc, &info) == 0 || info.dli_sname == NULL)
                        continue;
                found++;
                cr_assert_not_null(name, "%s+%#" PRIx64, module->name, stack.frames[i].pc - module->bias);
                cr_assert(is_alias(known, count, (uintptr_t)info.dli_saddr - module->bias, name), "%s is not %s", name,
                          info.dli_sname);
        }
        return found;
}

Test(symbol, names_addresses_of_libc_as_dladdr_does)
{
        static struct known known[8192];
        modules_load();
        const struct module *libc = module_get(module_find((uintptr_t)getauxval));
        size_t count = ask_nm("-D", libc->path, known, 8192);
        unsigned found = 0;
        for (int round = 0; round < 8; round++)
                found += compare_with_dladdr(libc, known, count);
        fprintf(stderr, "%u of %d random addresses of libc have a symbol, all as dladdr says\n", found,
                8 * LIMIT_FRAMES);
        cr_assert_gt(found, 200);
}

Test(symbol, prefers_the_name_that_people_use)
{
        static const char *const names[] = { "poll",  "read",     "write",   "epoll_wait", "nanosleep", "select",
                                             "qsort", "snprintf", "recvmsg", "connect",    "fsync" };
        modules_load();
        void *handle = dlopen("libc.so.6", RTLD_LAZY | RTLD_NOLOAD);
        for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
                const char *name = name_at((uintptr_t)dlsym(handle, names[i]) + 1);
                cr_assert_not_null(name, "%s", names[i]);
                cr_assert_str_eq(name, names[i]);
        }
}

Test(symbol, gives_no_name_where_there_is_none)
{
        modules_load();
        const struct module *libc = module_get(module_find((uintptr_t)getauxval));
        cr_assert_null(name_at(libc->bias + 16), "the ELF header is no function");
        cr_assert_null(name_at(0));
        cr_assert_null(name_at(UINT64_MAX));
        stack.frames[0] = (struct frame){ .pc = 0x1234, .module = MODULE_NONE };
        cr_assert_null(symbol_name(&stack.frames[0]));
        stack.frames[0].module = 1000;
        stack.count = 1;
        symbols_resolve(&stack); /* no such module */
        cr_assert_null(symbol_name(&stack.frames[0]));
}

Test(symbol, names_only_what_was_resolved)
{
        modules_load();
        struct frame frame = { .pc = (uintptr_t)qsort + 1, .module = module_find((uintptr_t)qsort) };
        cr_assert_null(symbol_name(&frame));
        name_at(frame.pc);
        cr_assert_str_eq(symbol_name(&frame), "qsort");
        symbols_after_fork();
        cr_assert_null(symbol_name(&frame));
        name_at(frame.pc);
        cr_assert_str_eq(symbol_name(&frame), "qsort");
}

Test(symbol, looks_at_the_call_and_not_behind_it)
{
        modules_load();
        stack.count = 0;
        add_frame((uintptr_t)qsort, 0, false);
        add_frame((uintptr_t)qsort, 0, true);
        symbols_resolve(&stack);
        cr_assert_str_eq(symbol_name(&stack.frames[0]), "qsort");
        const char *before = symbol_name(&stack.frames[1]);
        cr_assert(before == NULL || strcmp(before, "qsort") != 0);
}

Test(symbol, names_the_vdso)
{
        uint64_t vdso = getauxval(AT_SYSINFO_EHDR);
        if (vdso == 0)
                cr_skip_test("this kernel has none");
        modules_load();
        unsigned named = 0;
        const struct module *module = module_get(module_find(vdso));
        stack.count = 0;
        for (uint64_t at = module->code_start; at < module->code_end && stack.count < LIMIT_FRAMES; at += 64)
                add_frame(at, 0, false);
        symbols_resolve(&stack);
        for (unsigned i = 0; i < stack.count; i++) {
                const char *name = symbol_name(&stack.frames[i]);
                named += name != NULL && strstr(name, "clock_gettime") != NULL;
        }
        cr_assert_gt(named, 0);
}

/* --- files that change --- */

static char folder[64] = "/tmp/loopdog-symbol-XXXXXX";
static char path[128];

static void make_folder(void)
{
        cr_assert_not_null(mkdtemp(folder));
        snprintf(path, sizeof(path), "%s/one.so", folder);
}

static void remove_folder(void)
{
        unlink(path);
        rmdir(folder);
}

Test(symbol, names_functions_of_a_deleted_file_from_memory, .init = make_folder, .fini = remove_folder)
{
        modules_load();
        copy_library("libz.so.1", path);
        void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
        uint64_t deflate = (uintptr_t)dlsym(handle, "deflate");
        unlink(path);
        const char *name = name_at(deflate + 3);
        cr_assert_not_null(name);
        cr_assert_str_eq(name, "deflate");
        cr_assert(module_get(stack.frames[0].module)->deleted);
        unsigned found = 0;
        const struct module *module = module_get(stack.frames[0].module);
        for (uint64_t at = module->code_start; at < module->code_end - 64; at += 640) {
                Dl_info info;
                name = name_at(at);
                if (dladdr((void *)(uintptr_t)at, &info) != 0 && info.dli_sname != NULL) {
                        found++;
                        cr_assert_not_null(name, "%s", info.dli_sname);
                        cr_assert_eq(dlsym(handle, name), info.dli_saddr);
                }
        }
        cr_assert_gt(found, 20);
        dlclose(handle);
}

/* The file has been replaced by another build, whose symbols would be lies. */
Test(symbol, does_not_believe_a_file_with_another_build_id, .init = make_folder, .fini = remove_folder)
{
        modules_load();
        copy_library("libz.so.1", path);
        void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
        uint64_t deflate = (uintptr_t)dlsym(handle, "deflate");
        module_find(deflate);
        unlink(path);
        copy_library("libbz2.so.1.0", path);
        cr_assert_str_eq(name_at(deflate + 3), "deflate");
        dlclose(handle);
}

Test(symbol, is_not_held_up_by_a_fifo_in_place_of_the_file, .init = make_folder, .fini = remove_folder, .timeout = 20)
{
        char command[256];
        modules_load();
        copy_library("libz.so.1", path);
        void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
        uint64_t deflate = (uintptr_t)dlsym(handle, "deflate");
        module_find(deflate);
        unlink(path);
        snprintf(command, sizeof(command), "mkfifo '%s'", path);
        cr_assert_eq(system(command), 0);
        cr_assert_str_eq(name_at(deflate + 3), "deflate");
        dlclose(handle);
}

/* --- ELF made by hand --- */

struct image {
        uint8_t bytes[4096];
        size_t length;
};

static bool read_image(void *context, uint64_t offset, void *buffer, size_t length)
{
        const struct image *image = context;
        if (offset > image->length || length > image->length - offset)
                return false;
        memcpy(buffer, image->bytes + offset, length);
        return true;
}

static struct image table;
static const struct elf_reader table_reader = { .read = read_image, .context = &table };

/* A symbol table at 0 and its strings at 2048. */
static struct elf_symbols make_table(const Elf64_Sym *symbols, size_t count, const char *strings, size_t length)
{
        memset(&table, 0, sizeof(table));
        memcpy(table.bytes, symbols, count * sizeof(*symbols));
        memcpy(table.bytes + 2048, strings, length);
        table.length = 2048 + length;
        return (struct elf_symbols){ .symbols = 0, .count = count, .strings = 2048, .strings_length = length };
}

#define SYMBOL(name, type, binding, value, size)                                                                       \
        {                                                                                                              \
                .st_name = (name), .st_info = ELF64_ST_INFO(binding, type), .st_shndx = 1, .st_value = (value),        \
                .st_size = (size)                                                                                      \
        }

static const char strings[] = "\0inner\0outer\0local\0__global\0nosize\0data\0";
enum { INNER = 1, OUTER = 7, LOCAL = 13, GLOBAL = 19, NO_SIZE = 28, DATA = 35 };

static const char *answer(const struct elf_symbols *symbols, uint64_t address, uint64_t low)
{
        static char name[64];
        struct elf_query query = { .address = address, .low = low };
        cr_assert(elf_symbols_scan(&table_reader, symbols, &query, 1));
        if (!query.found)
                return NULL;
        elf_symbol_name(&table_reader, symbols, query.name, name, sizeof(name));
        return name;
}

Test(elf, prefers_the_symbol_that_contains_the_address)
{
        static const Elf64_Sym symbols[] = {
                SYMBOL(OUTER, STT_FUNC, STB_GLOBAL, 0x1000, 0x100),  SYMBOL(INNER, STT_FUNC, STB_LOCAL, 0x1040, 0x10),
                SYMBOL(NO_SIZE, STT_FUNC, STB_GLOBAL, 0x1080, 0),    SYMBOL(NO_SIZE, STT_FUNC, STB_GLOBAL, 0x1100, 0),
                SYMBOL(DATA, STT_OBJECT, STB_GLOBAL, 0x1010, 0x100),
        };
        struct elf_symbols all = make_table(symbols, 5, strings, sizeof(strings));
        cr_assert_str_eq(answer(&all, 0x1000, 0x1000), "outer");
        cr_assert_str_eq(answer(&all, 0x1020, 0x1000), "outer");
        cr_assert_str_eq(answer(&all, 0x1040, 0x1000), "inner");
        cr_assert_str_eq(answer(&all, 0x104f, 0x1000), "inner");
        cr_assert_str_eq(answer(&all, 0x1050, 0x1000), "outer");
        cr_assert_str_eq(answer(&all, 0x1090, 0x1000), "outer", "a symbol without size comes second");
        cr_assert_str_eq(answer(&all, 0x1110, 0x1100), "nosize");
        cr_assert_null(answer(&all, 0x1110, 0x1101), "it is of another function");
        cr_assert_null(answer(&all, 0x1110, 0), "it is not known to be of the same function");
        cr_assert_null(answer(&all, 0xfff, 0xf00));
}

Test(elf, prefers_global_names)
{
        static const Elf64_Sym symbols[] = {
                SYMBOL(LOCAL, STT_FUNC, STB_LOCAL, 0x1000, 0x10),
                SYMBOL(GLOBAL, STT_FUNC, STB_GLOBAL, 0x1000, 0x10),
                SYMBOL(LOCAL, STT_FUNC, STB_LOCAL, 0x1000, 0x10),
                SYMBOL(OUTER, STT_GNU_IFUNC, STB_WEAK, 0x2000, 0x10),
                SYMBOL(GLOBAL, STT_FUNC, STB_GLOBAL, 0x2000, 0x10),
        };
        struct elf_symbols all = make_table(symbols, 5, strings, sizeof(strings));
        cr_assert_str_eq(answer(&all, 0x1008, 0), "__global");
        cr_assert_str_eq(answer(&all, 0x2008, 0), "outer", "fewer underscores");
}

Test(elf, bounds_a_table_of_nonsense, .timeout = 20)
{
        Elf64_Sym symbols[64];
        static struct elf_query queries[256];
        for (unsigned i = 0; i < 64; i++)
                symbols[i] = (Elf64_Sym)SYMBOL(OUTER + i % 2, STT_FUNC, STB_GLOBAL, 1, UINT64_MAX);
        struct elf_symbols all = make_table(symbols, 64, strings, sizeof(strings));
        for (unsigned i = 0; i < 256; i++)
                queries[i].address = 0x1000 + i;
        all.count = UINT64_MAX; /* more than can be read */
        cr_assert_not(elf_symbols_scan(&table_reader, &all, queries, 256));
        all.count = 64;
        all.symbols = UINT64_MAX - 8;
        cr_assert_not(elf_symbols_scan(&table_reader, &all, queries, 256));
}

Test(elf, cuts_names_that_are_not_terminated)
{
        char name[16];
        struct elf_symbols all = make_table(&(Elf64_Sym){ 0 }, 1, "abcdefghijklmnopqrstuvwxyz", 26);
        cr_assert_eq(elf_symbol_name(&table_reader, &all, 20, name, sizeof(name)), 6);
        cr_assert_str_eq(name, "uvwxyz");
        cr_assert_eq(elf_symbol_name(&table_reader, &all, 2, name, sizeof(name)), 15);
        cr_assert_str_eq(name, "cdefghijklmnopq");
        cr_assert_eq(elf_symbol_name(&table_reader, &all, 26, name, sizeof(name)), 0);
        all.strings_length = 1000; /* longer than what can be read */
        cr_assert_eq(elf_symbol_name(&table_reader, &all, 20, name, sizeof(name)), 6);
}

/* --- .eh_frame_hdr --- */

Test(fde, finds_the_bounds_of_functions)
{
        struct fde fde;
        modules_load();
        memory_use(NULL);
        uint64_t pc = (uintptr_t)ask_nm;
        uint64_t header = module_get(module_find(pc))->eh_frame_hdr;
        cr_assert_neq(header, 0);
        cr_assert_eq(fde_find(&memory_reader, header, pc, &fde), 0);
        cr_assert_eq(fde.start, pc);
        cr_assert_gt(fde.end, pc);
        cr_assert_not(fde.signal_frame);
        uint64_t end = fde.end;
        cr_assert_eq(fde_find(&memory_reader, header, end - 1, &fde), 0);
        cr_assert_eq(fde.start, pc);
        cr_assert(fde_find(&memory_reader, header, end, &fde) != 0 || fde.start == end);
        cr_assert_eq(fde_find(&memory_reader, header, 0x10, &fde), -ENOENT);
        cr_assert_eq(fde_find(&memory_reader, 0x10, pc, &fde), -EINVAL);
        cr_assert_eq(fde_find(&memory_reader, pc, pc, &fde), -EINVAL, "code is no header");
}

Test(fde, agrees_with_the_loader_where_the_header_is)
{
        modules_load();
        for (int i = 0; i < 2; i++) {
                uint64_t pc = i == 0 ? (uintptr_t)getauxval : (uintptr_t)ask_nm;
                uint16_t index = module_find(pc);
                cr_assert_eq(module_eh_frame_hdr(pc), module_get(index)->eh_frame_hdr);
        }
}
