/* SPDX-License-Identifier: Apache-2.0
 *
 * credentials.c - are the watchdog's user, groups and capabilities those of a thread of the host?
 *
 * To the kernel they are each thread's own. libc's setuid() and its kin make every thread of the process do the same
 * call, and abort the process where one may do what another may not. A program with one thread that has changed by
 * plain system calls, or dropped its capabilities (for which libc has no function), never expects that. So before such
 * a call the agent asks here, and does without a watchdog while the answer is yes.
 *
 * Context: watchdog, and threads of the host that are about to change theirs
 */
#include "base/credentials.h"

#include <linux/capability.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "base/calls.h"
#include "base/raw.h"

struct credentials {
        uint32_t ids[6];
        struct __user_cap_data_struct capabilities[2];
};

static struct credentials noted;
static _Atomic bool known;

static bool read_own(struct credentials *own)
{
        struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
        uint32_t *ids = own->ids;
        if (calls_untried_here())
                return false;
        return call_allowed_sigsafe(SYS_getresuid) && call_allowed_sigsafe(SYS_getresgid) &&
               call_allowed_sigsafe(SYS_capget) && call_allowed_sigsafe(SYS_prctl) &&
               raw_syscall_sigsafe(SYS_getresuid, (uintptr_t)&ids[0], (uintptr_t)&ids[1], (uintptr_t)&ids[2], 0, 0,
                                   0) == 0 &&
               raw_syscall_sigsafe(SYS_getresgid, (uintptr_t)&ids[3], (uintptr_t)&ids[4], (uintptr_t)&ids[5], 0, 0,
                                   0) == 0 &&
               raw_syscall_sigsafe(SYS_capget, (uintptr_t)&header, (uintptr_t)own->capabilities, 0, 0, 0, 0) == 0;
}

/* A thread that keeps its capabilities when it becomes another user comes out with more than one that does not. */
static bool keeps_capabilities(void)
{
        return raw_syscall_sigsafe(SYS_prctl, PR_GET_SECUREBITS, 0, 0, 0, 0, 0) != 0;
}

void credentials_note(void)
{
        struct credentials own = { .ids = { 0 } };
        atomic_store(&known, false);
        if (!read_own(&own) || keeps_capabilities())
                return;
        noted = own;
        atomic_store(&known, true);
}

bool credentials_differ(void)
{
        struct credentials own = { .ids = { 0 } };
        return !atomic_load(&known) || !read_own(&own) || keeps_capabilities() || memcmp(&own, &noted, sizeof own) != 0;
}
