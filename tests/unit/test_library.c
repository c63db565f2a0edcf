/* SPDX-License-Identifier: Apache-2.0
 *
 * test_library.c - which files are event-loop libraries
 *
 * Context: unit test
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdlib.h>

#include "base/library.h"
#include "listed_library.h"

Test(library, is_told_by_the_name_of_its_file)
{
        static const char *const names[] = {
                "libev.so.4",
                "/usr/lib/x86_64-linux-gnu/libev.so.4.0.0",
                "libuv.so.1",
                "/opt/own build/lib/libuv.so.1.0.0",
                "libevent-2.1.so.7",
                "libevent_core-2.1.so.7.0.1",
                "libevent_pthreads-2.1.so.7",
                "/usr/lib/x86_64-linux-gnu/libglib-2.0.so.0.7400.6",
                "libQt5Core.so.5",
                "/usr/lib/libQt6Core.so.6.4.2",
        };
        for (size_t i = 0; i < sizeof names / sizeof *names; i++)
                cr_expect(library_name_is_loop(names[i]), "%s", names[i]);
}

Test(library, is_none_by_another_name)
{
        static const char *const names[] = {
                "",
                "/",
                "libev.so.4/",
                "libevdev.so.2",
                "libevview3.so.3",
                "libeventlog.so.0",
                "libc.so.6",
                "libgio-2.0.so.0",
                "libuvc.so.0",
                "xlibuv.so.1",
                "/usr/lib/libuv.so.1.d/plugin.so",
                "select.cpython-311-x86_64-linux-gnu.so",
                "python3.11",
                "libpython3.11.so.1.0",
                "[vdso]",
        };
        for (size_t i = 0; i < sizeof names / sizeof *names; i++)
                cr_expect(not(library_name_is_loop(names[i])), "%s", names[i]);
}

Test(library, is_found_by_an_address_in_it)
{
        cr_expect(library_is_loop(listed_library_address("libuv.so.1")));
        cr_expect(library_is_loop(listed_library_address("libglib-2.0.so.0")));
        cr_expect(not(library_is_loop(listed_library_address("libother.so.1"))));
}

static int variable;

Test(library, is_none_where_there_is_no_library)
{
        cr_expect(not(library_is_loop((uint64_t)(uintptr_t)library_name_is_loop)), "the program itself");
        cr_expect(not(library_is_loop((uint64_t)(uintptr_t)malloc)), "libc");
        cr_expect(not(library_is_loop((uint64_t)(uintptr_t)&variable)));
        cr_expect(not(library_is_loop((uint64_t)(uintptr_t)__builtin_frame_address(0))), "the stack");
        cr_expect(not(library_is_loop(0)));
        cr_expect(not(library_is_loop(UINT64_MAX)));
        cr_expect(not(library_is_loop(0x401234)), "nowhere, or where the linker put the program");
}
