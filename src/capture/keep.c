/* SPDX-License-Identifier: Apache-2.0
 *
 * keep.c - open a thread's `syscall` file before the process gives up its rights
 *
 * haproxy, nginx and memcached change their user between fork and their first wait. From then on the process is not
 * dumpable and its own /proc files belong to root: the kernel would let a thread read them, but the file's mode does
 * not let it open them. One descriptor for the thread that changes its user, which is the one that will run the loop
 * or one of them, is opened in time.
 *
 * Context: capture_keep() on a thread of the host; the rest on the watchdog
 */
#include "capture/capture.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/calls.h"
#include "base/descriptors.h"
#include "base/proc.h"
#include "base/raw.h"
#include "base/text.h"

/* A file and the thread that it tells of. */
struct kept {
        int fd;
        int32_t tid;
};

static struct kept kept = { .fd = -1 };  /* in the host's table */
static struct kept taken = { .fd = -1 }; /* in the table that the watchdog began with */

void capture_keep(void)
{
        int saved_errno = errno;
        char bytes[64];
        struct text path = TEXT_IN(bytes);
        int32_t tid = (int32_t)raw_syscall_sigsafe(SYS_gettid, 0, 0, 0, 0, 0, 0);
        bool is_kept = descriptor_is_kept(kept.fd);
        if (is_kept && kept.tid == tid)
                return;
        text_format(&path, "self/task/%d/syscall", tid);
        int fd = proc_open(bytes);
        if (fd >= 0) {
                if (is_kept) /* of the parent, before a fork */
                        descriptor_close(kept.fd);
                kept = (struct kept){ .fd = fd, .tid = tid };
        }
        errno = saved_errno;
}

void capture_kept_begin(void)
{
        taken = kept;
        if (!descriptor_is_kept(kept.fd))
                taken.fd = -1;
}

int capture_kept_syscall(int32_t tid)
{
        if (taken.fd >= 0 && taken.tid == tid)
                return call_allowed_sigsafe(SYS_fcntl) ? descriptor_take(fcntl(taken.fd, F_DUPFD_CLOEXEC, 0)) : -1;
        if (kept.fd < 0 || kept.tid != tid)
                return -1;
        return descriptor_borrow_kept(kept.fd); /* kept when the watchdog was already at work */
}
