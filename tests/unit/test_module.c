/* SPDX-License-Identifier: Apache-2.0
 *
 * test_module.c - lines of maps, and the objects that are really mapped here
 *
 * Context: tests
 */
#include <criterion/criterion.h>

#include <dlfcn.h>
#include <elf.h>
#include <fcntl.h>
#include <inttypes.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "base/limits.h"
#include "unwind/elf.h"
#include "unwind/maps.h"
#include "unwind/module.h"
#include "unwind/stack.h"
#include "unwind_victims.h"

/* --- lines --- */

static struct mapping parse(const char *text)
{
        static char line[8192];
        struct mapping mapping;
        snprintf(line, sizeof(line), "%s", text);
        cr_assert(maps_parse_line(line, &mapping), "%s", text);
        return mapping;
}

Test(maps, takes_a_line_apart)
{
        struct mapping mapping = parse("7f0123456000-7f0123458000 r-xp 00028000 fe:01 1234567      /usr/lib/libc.so.6");
        cr_assert_eq(mapping.start, 0x7f0123456000);
        cr_assert_eq(mapping.end, 0x7f0123458000);
        cr_assert_eq(mapping.offset, 0x28000);
        cr_assert_eq(mapping.inode, 1234567);
        cr_assert_eq(mapping.device_major, 0xfe);
        cr_assert_eq(mapping.device_minor, 1);
        cr_assert(mapping.readable && mapping.executable && !mapping.writable && !mapping.deleted);
        cr_assert_str_eq(mapping.path, "/usr/lib/libc.so.6");
}

Test(maps, keeps_spaces_and_decodes_newlines_in_paths)
{
        cr_assert_str_eq(parse("1000-2000 r--p 00000000 00:00 5 /tmp/a b  c").path, "/tmp/a b  c");
        cr_assert_str_eq(parse("1000-2000 r--p 00000000 00:00 5 /tmp/a\\012b\\012").path, "/tmp/a\nb\n");
        cr_assert_str_eq(parse("1000-2000 r--p 00000000 00:00 5 /tmp/a\\01b").path, "/tmp/a\\01b");
}

Test(maps, sees_deleted_files)
{
        struct mapping mapping = parse("1000-2000 r--p 00000000 00:00 5 /tmp/a (deleted)");
        cr_assert(mapping.deleted);
        cr_assert_str_eq(mapping.path, "/tmp/a");
        mapping = parse("1000-2000 r--p 00000000 00:00 5 /tmp/a (deleted) (deleted)");
        cr_assert_str_eq(mapping.path, "/tmp/a (deleted)");
        cr_assert_not(parse("1000-2000 r--p 00000000 00:00 5 /tmp/(deleted)").deleted);
}

Test(maps, accepts_lines_without_a_path)
{
        cr_assert_str_eq(parse("1000-2000 rw-p 00000000 00:00 0").path, "");
        cr_assert_str_eq(parse("1000-2000 rw-p 00000000 00:00 0 ").path, "");
        cr_assert_str_eq(parse("ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0    [vsyscall]").path,
                         "[vsyscall]");
}

Test(maps, refuses_what_is_no_line)
{
        static const char *const bad[] = {
                "",
                "x",
                "1000",
                "1000-",
                "1000-2000",
                "1000-2000 r-x",
                "1000-2000 r-xp",
                "2000-1000 r-xp 0 0:0 0",
                "1000-2000 r-xp 0 0:0 x",
                "1000-2000 r-xp 0 0-0 0",
                "111111111111111111111-2 r-xp 0 0:0 0",
                "Size: 4 kB",
        };
        for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
                char line[64];
                struct mapping mapping;
                snprintf(line, sizeof(line), "%s", bad[i]);
                cr_assert_not(maps_parse_line(line, &mapping), "%s", bad[i]);
        }
}

static unsigned lines;
static uint64_t last_start;

static void count_line(const struct mapping *mapping, void *context)
{
        lines++;
        last_start = mapping->start;
}

Test(maps, skips_a_line_that_is_too_long_and_goes_on)
{
        static char long_line[40000];
        int pipes[2];
        cr_assert_eq(pipe2(pipes, O_NONBLOCK), 0);
        fcntl(pipes[1], F_SETPIPE_SZ, 1 << 20);
        memset(long_line, 'y', sizeof(long_line));
        dprintf(pipes[1], "1000-2000 r-xp 00000000 00:00 5 /a\n");
        dprintf(pipes[1], "2000-3000 r-xp 00000000 00:00 5 /%.*s\n", (int)sizeof(long_line), long_line);
        for (unsigned i = 0; i < 5000; i++)
                dprintf(pipes[1], "%x000-%x000 r-xp 00000000 00:00 5 /some/path/of/a/file\n", 3 + i, 4 + i);
        close(pipes[1]);
        cr_assert_eq(maps_read(pipes[0], count_line, NULL), 0);
        cr_assert_eq(lines, 5001);
        cr_assert_eq(last_start, (3 + 4999) * 4096);
        close(pipes[0]);
}

/* --- this process --- */

static const struct module *at(const void *address)
{
        return module_get(module_find((uintptr_t)address));
}

static int check_object(struct dl_phdr_info *info, size_t size, void *context)
{
        unsigned *objects = context;
        for (int i = 0; i < info->dlpi_phnum; i++) {
                const ElfW(Phdr) *p = &info->dlpi_phdr[i];
                if (p->p_type != PT_LOAD || !(p->p_flags & PF_X))
                        continue;
                for (uint64_t a = 0; a < p->p_memsz; a += 1 + p->p_memsz / 8) {
                        const struct module *module = module_get(module_find(info->dlpi_addr + p->p_vaddr + a));
                        cr_assert_not_null(module, "%s", info->dlpi_name);
                        cr_assert_eq(module->bias, info->dlpi_addr);
                        cr_assert_eq(module_offset(module, info->dlpi_addr + p->p_vaddr + a), p->p_vaddr + a);
                        cr_assert(module_is_code(info->dlpi_addr + p->p_vaddr + a));
                }
                ++*objects;
        }
        return 0;
}

/* Every object that the loader knows has the place that the loader gave it. */
Test(module, agrees_with_the_loader_about_every_object)
{
        unsigned with = 0, without = 0;
        dl_iterate_phdr(check_object, &without); /* by maps alone */
        modules_load();
        dl_iterate_phdr(check_object, &with);
        cr_assert_gt(with, 3);
        cr_assert_eq(with, without);
}

Test(module, names_libc_and_this_program)
{
        char self[4096];
        ssize_t length = readlink("/proc/self/exe", self, sizeof(self) - 1);
        cr_assert_gt(length, 0);
        self[length] = '\0';
        modules_load();
        cr_assert_str_eq(at((void *)getauxval)->name, "libc.so.6");
        cr_assert_str_eq(at((void *)check_object)->path, self);
        cr_assert_eq(strlen(at((void *)qsort)->build_id), 40);
        cr_assert_eq(module_find(0), MODULE_NONE);
        cr_assert_eq(module_find(UINT64_MAX), MODULE_NONE);
        cr_assert_not(module_is_code(0));
        cr_assert_not(module_is_code((uintptr_t)self), "the stack is no code");
        cr_assert_not(module_is_code((uintptr_t)&lines), "a variable is no code");
}

Test(module, knows_the_vdso)
{
        uint64_t vdso = getauxval(AT_SYSINFO_EHDR);
        if (vdso == 0)
                cr_skip_test("this kernel has none");
        const struct module *module = module_get(module_find(vdso + 0x800));
        cr_assert_not_null(module);
        cr_assert_str_eq(module->path, "[vdso]");
        cr_assert_str_eq(module->name, "[vdso]");
        cr_assert_eq(module->start, vdso);
        cr_assert_neq(module->eh_frame_hdr, 0);
        cr_assert_eq(strlen(module->build_id), 40);
}

Test(module, gives_the_same_index_again)
{
        uint16_t index = module_find((uintptr_t)qsort);
        modules_note_change();
        cr_assert_eq(module_find((uintptr_t)qsort), index);
        modules_after_fork();
        cr_assert_eq(module_known((uintptr_t)qsort), MODULE_NONE);
        cr_assert_eq(module_find((uintptr_t)qsort), index);
        cr_assert_eq(module_known((uintptr_t)qsort), index);
}

Test(module, says_once_that_something_changed)
{
        modules_changed();
        cr_assert_not(modules_changed());
        modules_note_change();
        modules_note_change();
        cr_assert(modules_changed());
        cr_assert_not(modules_changed());
}

Test(module, takes_anonymous_code_for_code_without_a_module)
{
        modules_load();
        module_find((uintptr_t)qsort); /* maps was read before the code was there */
        uint8_t *code = mmap(NULL, 3 * 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        /* An address that nobody knows does not make maps be read at once. */
        for (int i = 0; i < 200 && !module_is_code((uintptr_t)code + 5000); i++)
                usleep(50000);
        cr_assert(module_is_code((uintptr_t)code + 5000));
        cr_assert_eq(module_find((uintptr_t)code + 5000), MODULE_NONE);
        uint8_t *data = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        usleep(300000);
        cr_assert_not(module_is_code((uintptr_t)data));
}

static char folder[64] = "/tmp/loopdog-module-XXXXXX";
static char path[128];

static void make_folder(void)
{
        cr_assert_not_null(mkdtemp(folder));
        snprintf(path, sizeof(path), "%s/lib one.so", folder);
}

static void remove_folder(void)
{
        unlink(path);
        rmdir(folder);
}

Test(module, finds_what_was_loaded_later, .init = make_folder, .fini = remove_folder)
{
        modules_load();
        module_find((uintptr_t)qsort);
        copy_library("libz.so.1", path);
        void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
        cr_assert_not_null(handle, "%s", dlerror());
        const struct module *module = at(dlsym(handle, "deflate"));
        cr_assert_not_null(module);
        cr_assert_str_eq(module->path, path);
        cr_assert_str_eq(module->name, "lib one.so");
        dlclose(handle);
}

Test(module, is_not_deceived_by_another_library_at_the_same_address, .init = make_folder, .fini = remove_folder)
{
        modules_load();
        copy_library("libz.so.1", path);
        void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
        void *deflate = dlsym(handle, "deflate");
        uint16_t first = module_find((uintptr_t)deflate);
        char build_id[41];
        strcpy(build_id, module_get(first)->build_id);
        dlclose(handle);
        modules_note_change();
        /* The same file, as it was: the same index. */
        handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
        if (dlsym(handle, "deflate") == deflate)
                cr_assert_eq(module_find((uintptr_t)deflate), first);
        dlclose(handle);
        modules_note_change();
        /* Another one in its place, which the loader maps at the same address where it fits. */
        unlink(path);
        copy_library("libbz2.so.1.0", path);
        handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
        cr_assert_not_null(handle, "%s", dlerror());
        uint16_t second = module_find((uintptr_t)dlsym(handle, "BZ2_bzCompress"));
        cr_assert_neq(second, first);
        cr_assert_str_eq(module_get(second)->path, path);
        cr_assert_str_neq(module_get(second)->build_id, build_id);
        cr_assert_str_eq(module_get(first)->build_id, build_id, "old entries stay as they were");
        dlclose(handle);
}

/* libc closes objects itself (gconv, nss), where no hook sees it. */
Test(module, notices_an_unloading_that_nobody_told_it_of, .init = make_folder, .fini = remove_folder)
{
        modules_load();
        copy_library("libz.so.1", path);
        void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
        void *deflate = dlsym(handle, "deflate");
        cr_assert_neq(module_find((uintptr_t)deflate), MODULE_NONE);
        unsigned generation = modules_generation();
        dlclose(handle);
        cr_assert_eq(module_find((uintptr_t)deflate), MODULE_NONE);
        cr_assert_not(module_is_code((uintptr_t)deflate));
        cr_assert_gt(modules_generation(), generation);
}

Test(module, sees_that_a_file_was_removed, .init = make_folder, .fini = remove_folder)
{
        modules_load();
        copy_library("libz.so.1", path);
        void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
        void *deflate = dlsym(handle, "deflate");
        uint16_t index = module_find((uintptr_t)deflate);
        cr_assert_not(module_get(index)->deleted);
        unlink(path);
        modules_note_change();
        cr_assert_eq(module_find((uintptr_t)deflate), index);
        cr_assert(module_get(index)->deleted);
        cr_assert_str_eq(module_get(index)->path, path);
        dlclose(handle);
}

/* A program that maps a library's file to read it has not loaded it. */
Test(module, does_not_take_a_file_that_is_only_read_for_an_object, .init = make_folder, .fini = remove_folder)
{
        modules_load();
        copy_library("libz.so.1", path);
        int fd = open(path, O_RDONLY);
        void *data = mmap(NULL, 65536, PROT_READ, MAP_PRIVATE, fd, 0);
        void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
        void *deflate = dlsym(handle, "deflate");
        struct link_map *map;
        cr_assert_eq(dlinfo(handle, RTLD_DI_LINKMAP, &map), 0);
        cr_assert_eq(module_find((uintptr_t)data), MODULE_NONE);
        cr_assert_eq(at(deflate)->bias, map->l_addr);
        munmap(data, 65536);
        close(fd);
        dlclose(handle);
}

/* Executable files that are no ELF objects (.NET, Wine) are code without a module. */
Test(module, takes_other_executable_files_for_code_without_a_module, .init = make_folder, .fini = remove_folder)
{
        static const char rubbish[8192] = "MZ this is no ELF object";
        int fd = open(path, O_RDWR | O_CREAT, 0600);
        cr_assert_eq(write(fd, rubbish, sizeof(rubbish)), sizeof(rubbish));
        uint8_t *code = mmap(NULL, 8192, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0);
        cr_assert_neq(code, MAP_FAILED);
        cr_assert(module_is_code((uintptr_t)code + 100));
        cr_assert_eq(module_find((uintptr_t)code + 100), MODULE_NONE);
        close(fd);
}

Test(module, gives_null_for_an_index_that_does_not_exist)
{
        cr_assert_null(module_get(MODULE_NONE));
        cr_assert_null(module_get(LIMIT_MODULES));
        modules_load();
        cr_assert_not_null(module_get(module_find((uintptr_t)qsort)));
}

Test(module, prints_what_reading_maps_costs)
{
        struct timespec begin, end;
        modules_load();
        clock_gettime(CLOCK_MONOTONIC, &begin);
        module_find((uintptr_t)qsort);
        clock_gettime(CLOCK_MONOTONIC, &end);
        fprintf(stderr, "reading maps: %ld us\n",
                (end.tv_sec - begin.tv_sec) * 1000000 + (end.tv_nsec - begin.tv_nsec) / 1000);
        clock_gettime(CLOCK_MONOTONIC, &begin);
        for (int i = 0; i < 1000; i++)
                cr_assert_neq(module_find((uintptr_t)qsort + (unsigned)i), MODULE_NONE);
        clock_gettime(CLOCK_MONOTONIC, &end);
        fprintf(stderr, "a look-up: %ld ns\n",
                ((end.tv_sec - begin.tv_sec) * 1000000000 + (end.tv_nsec - begin.tv_nsec)) / 1000);
}
