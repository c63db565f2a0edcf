/* SPDX-License-Identifier: Apache-2.0
 *
 * test_process.c - closefrom() where libc has none
 *
 * The hooks are linked into the test itself, where they stand before libc's functions as in a host.
 *
 * Context: unit tests; each case closes in a child
 */
#undef _FILE_OFFSET_BITS /* as in process.c */

#include <dlfcn.h>
#include <stdbool.h>
#include <string.h>

/* That of a libc before 2.34. */
static inline void *old_dlsym(void *handle, const char *name)
{
        bool later = strcmp(name, "closefrom") == 0 || strcmp(name, "close_range") == 0;
        return later ? NULL : (dlsym)(handle, name);
}
#define dlsym old_dlsym

#include "base/calls.h"
#include "hooked.h"

#include <sys/wait.h>

#include "../../src/hooks/process.c"

TestSuite(process, .init = set_up_hooks, .fini = remove_folder);

#define FIRST 40
#define OPEN_MANY 400 /* more than /proc lists in one piece */

static bool is_open(int fd)
{
        return syscall(SYS_fcntl, fd, F_GETFD) >= 0;
}

/* 0, or what went wrong. errno is as libc leaves it: alone. */
static int close_and_look(void)
{
        for (int fd = FIRST - 1; fd < FIRST + OPEN_MANY; fd++)
                if (dup2(2, fd) != fd)
                        return 2;
        if (hooks_real.closefrom != NULL)
                return 3;
        errno = EXDEV;
        closefrom(FIRST);
        if (errno != EXDEV)
                return 4;
        for (int fd = 3; fd < FIRST; fd++)
                if (is_open(fd) != (fd == FIRST - 1))
                        return 5;
        for (int fd = FIRST; fd < FIRST + OPEN_MANY + 100; fd++)
                if (is_open(fd))
                        return 6;
        closefrom(-1);
        return is_open(0) || is_open(1) || is_open(2) ? 7 : 0;
}

static void expect_closed(void (*before)(void))
{
        int status;
        pid_t child = fork();
        if (child == 0) {
                syscall(SYS_close_range, 3, ~0u, 0);
                before();
                _exit(close_and_look());
        }
        cr_assert(waitpid(child, &status, 0) == child);
        cr_expect(eq(int, status, 0));
}

static void refuse_close_range(void)
{
        call_refuse(SYS_close_range);
}

static void hide_proc(void)
{
        call_refuse(SYS_close_range);
        cr_assert(zero(int, chroot(folder)));
}

Test(process, closes_from_a_number_on_by_close_range)
{
        expect_closed(nothing);
}

Test(process, closes_from_a_number_on_by_what_proc_lists)
{
        expect_closed(refuse_close_range);
}

Test(process, closes_from_a_number_on_one_by_one)
{
        if (geteuid() != 0)
                cr_skip_test("needs root");
        expect_closed(hide_proc);
}
