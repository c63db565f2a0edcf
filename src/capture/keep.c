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

#include "base/proc.h"
#include "base/raw.h"
#include "base/text.h"

#define DESCRIPTOR_FLOOR 900

static struct {
        int fd;
        int32_t tid;
} kept = { .fd = -1 };

void capture_keep(void)
{
        int saved_errno = errno;
        char bytes[64];
        struct text path = TEXT_IN(bytes);
        int32_t tid = (int32_t)raw_syscall_sigsafe(SYS_gettid, 0, 0, 0, 0, 0, 0);
        if (kept.fd >= 0 && kept.tid == tid)
                return;
        text_format(&path, "self/task/%d/syscall", tid);
        int low = proc_open(bytes);
        if (low >= 0) {
                int high = fcntl(low, F_DUPFD_CLOEXEC, DESCRIPTOR_FLOOR);
                if (high >= 0)
                        close(low);
                if (kept.fd >= 0) /* of the parent, before a fork */
                        close(kept.fd);
                kept.fd = high >= 0 ? high : low;
                kept.tid = tid;
        }
        errno = saved_errno;
}

int capture_kept_syscall(int32_t tid)
{
        if (kept.fd < 0 || kept.tid != tid)
                return -1;
        return fcntl(kept.fd, F_DUPFD_CLOEXEC, 0);
}

size_t capture_kept_descriptors(int *descriptors)
{
        descriptors[0] = kept.fd;
        return 1;
}
