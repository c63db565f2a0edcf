/* SPDX-License-Identifier: Apache-2.0
 *
 * test_credentials.c - are the watchdog's user, groups and capabilities those of a thread of the host?
 *
 * Context: unit tests; what changes for good does so in a child
 */
#include <criterion/criterion.h>
#include <linux/capability.h>
#include <string.h>
#include <sys/wait.h>

#include "base/calls.h"
#include "base/credentials.h"
#include "forbid.h"

#define NOBODY 65534

Test(credentials, differ_as_long_as_nothing_is_known)
{
        cr_expect(credentials_differ());
        credentials_note();
        cr_expect_not(credentials_differ());
}

Test(credentials, that_may_not_be_asked_for_differ)
{
        static const int calls[] = { SYS_getresuid, SYS_getresgid, SYS_capget };
        for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
                pid_t child = fork();
                int status;
                if (child == 0) {
                        credentials_note();
                        call_refuse(calls[i]);
                        _exit(credentials_differ() ? 0 : 1);
                }
                cr_assert(waitpid(child, &status, 0) == child);
                cr_expect(status == 0, "%d", calls[i]);
        }
}

/* Installed by a thread for itself alone, after the watchdog has looked. */
Test(credentials, are_not_asked_for_under_a_filter_that_was_never_tried)
{
        int status;
        if (prctl(PR_GET_SECCOMP) != 0)
                cr_skip_test("the tests themselves run under a filter");
        pid_t child = fork();
        if (child == 0) {
                calls_find_out();
                credentials_note();
                forbid((int[3]){ SYS_getresuid, SYS_getresgid, SYS_capget }, SECCOMP_RET_KILL_PROCESS, 0);
                _exit(credentials_differ() ? 0 : 1);
        }
        cr_assert(waitpid(child, &status, 0) == child);
        cr_expect(status == 0, "status %x", status);
}

static void keep_capabilities(void)
{
        cr_assert(prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) == 0);
}

static void become_another_user(void)
{
        cr_assert(syscall(SYS_setresuid, -1, NOBODY, -1) == 0);
}

static void take_another_group(void)
{
        cr_assert(syscall(SYS_setresgid, -1, -1, NOBODY) == 0);
}

static void drop_a_capability(void)
{
        struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
        struct __user_cap_data_struct data[2];
        cr_assert(syscall(SYS_capget, &header, data) == 0);
        data[0].effective &= ~(1u << CAP_KILL);
        cr_assert(syscall(SYS_capset, &header, data) == 0);
}

Test(credentials, that_a_plain_system_call_has_changed_differ)
{
        static void (*const changes[])(void) = { keep_capabilities, become_another_user, take_another_group,
                                                 drop_a_capability };
        if (geteuid() != 0)
                cr_skip_test("needs root");
        for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
                pid_t child = fork();
                int status;
                if (child == 0) {
                        credentials_note();
                        if (credentials_differ())
                                _exit(1);
                        changes[i]();
                        if (!credentials_differ())
                                _exit(2);
                        credentials_note(); /* libc has done so in every thread */
                        _exit(credentials_differ() == (changes[i] == keep_capabilities) ? 0 : 3);
                }
                cr_assert(waitpid(child, &status, 0) == child);
                cr_expect(status == 0, "change %zu: status %x", i, status);
        }
}
