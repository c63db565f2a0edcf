/* SPDX-License-Identifier: Apache-2.0
 *
 * listed_library.h - an address in a library of a given name
 *
 * The rules for loop libraries go by the name of the file. So that the tests need none of these libraries, any small
 * one is copied under the name that is wanted, and loaded.
 *
 * Context: unit tests
 */
#ifndef LOOPDOG_TESTS_LISTED_LIBRARY_H
#define LOOPDOG_TESTS_LISTED_LIBRARY_H

#include <criterion/criterion.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <gnu/libc-version.h>
#include <link.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <unistd.h>

/* Part of every glibc, small, and loaded by nobody. It stands beside libc. */
#define SMALL_LIBRARY "libBrokenLocale.so.1"

static inline void copy_library(const char *to)
{
        char from[256];
        Dl_info libc;
        cr_assert(dladdr((void *)(uintptr_t)gnu_get_libc_version, &libc) != 0);
        const char *slash = strrchr(libc.dli_fname, '/');
        cr_assert(slash != NULL, "%s", libc.dli_fname);
        snprintf(from, sizeof from, "%.*s/" SMALL_LIBRARY, (int)(slash - libc.dli_fname), libc.dli_fname);
        int in = open(from, O_RDONLY | O_CLOEXEC);
        int out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0700);
        cr_assert(in >= 0 && out >= 0 && sendfile(out, in, NULL, 1 << 24) > 0, "%s", from);
        close(in);
        close(out);
}

/* Stays loaded until the process ends. */
static inline uint64_t listed_library_address(const char *name)
{
        char folder[] = "/tmp/loopdog-unit-XXXXXX", path[128];
        struct link_map *map = NULL;
        cr_assert(mkdtemp(folder) != NULL);
        snprintf(path, sizeof path, "%s/%s", folder, name);
        copy_library(path);
        void *copy = dlopen(path, RTLD_NOW | RTLD_LOCAL);
        cr_assert(copy != NULL, "%s", dlerror());
        cr_assert(dlinfo(copy, RTLD_DI_LINKMAP, &map) == 0);
        unlink(path);
        rmdir(folder);
        return (uint64_t)map->l_addr + 64;
}

#endif
