/* SPDX-License-Identifier: Apache-2.0
 *
 * descriptors.c - our descriptors, and whose table they stand in
 *
 * close_range() with CLOSE_RANGE_UNSHARE makes a table of our own where containers forbid unshare().
 *
 * Between the look at a number and its use a thread of the host may still close it and open something else there; in a
 * table of our own that can't happen, and in the host's it takes the two to meet within a microsecond.
 *
 * Context: watchdog, and threads of the host that open something for it
 * Limits:  LIMIT_DESCRIPTOR numbers are remembered; a higher one is not kept
 */
#include "base/descriptors.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/close_range.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/calls.h"
#include "base/limits.h"
#include "base/proc.h"
#include "base/raw.h"

/* Out of the way of programs that expect the lowest free number. */
#define DESCRIPTOR_FLOOR 900

/* What the numbers of the host's table lead to that are ours. */
static struct taken {
        _Atomic bool is;
        dev_t device;
        ino_t inode;
} taken[LIMIT_DESCRIPTOR];

static __thread bool own_table_here;

static bool leads_to(int fd, const struct taken *to)
{
        struct stat status;
        if (!call_allowed_sigsafe(SYS_newfstatat)) /* there is no way to know */
                return true;
        return fstat(fd, &status) == 0 && status.st_dev == to->device && status.st_ino == to->inode;
}

static bool is_taken(int fd)
{
        return fd >= 0 && fd < LIMIT_DESCRIPTOR && atomic_load(&taken[fd].is);
}

bool descriptor_is_kept(int fd)
{
        return is_taken(fd) && leads_to(fd, &taken[fd]);
}

bool descriptor_is_ours(int fd)
{
        return fd >= 0 && (own_table_here || descriptor_is_kept(fd));
}

static bool remember(int fd)
{
        struct stat status;
        if (fd >= LIMIT_DESCRIPTOR || !call_allowed_sigsafe(SYS_newfstatat) || fstat(fd, &status) != 0)
                return false;
        taken[fd].device = status.st_dev;
        taken[fd].inode = status.st_ino;
        atomic_store(&taken[fd].is, true);
        return true;
}

int descriptor_take(int fd)
{
        if (fd < 0 || own_table_here)
                return fd;
        int high = fcntl(fd, F_DUPFD_CLOEXEC, DESCRIPTOR_FLOOR);
        if (high >= 0) { /* else RLIMIT_NOFILE is lower than our floor */
                close(fd);
                fd = high;
        }
        if (remember(fd))
                return fd;
        close(fd);
        return -EMFILE;
}

void descriptor_close(int fd)
{
        if (fd < 0)
                return;
        bool ours = descriptor_is_ours(fd);
        if (!own_table_here && fd < LIMIT_DESCRIPTOR)
                atomic_store(&taken[fd].is, false);
        if (ours)
                close(fd);
}

unsigned descriptors_share(void)
{
        struct rlimit64 limit = { .rlim_cur = LIMIT_DESCRIPTORS_UNKNOWN };
        if (call_allowed_sigsafe(SYS_prlimit64))
                raw_syscall_sigsafe(SYS_prlimit64, 0, RLIMIT_NOFILE, 0, (uintptr_t)&limit, 0, 0);
        uint64_t share = limit.rlim_cur / (own_table_here ? 2 : 8);
        return share < LIMIT_DESCRIPTOR / 2 ? (unsigned)share : LIMIT_DESCRIPTOR / 2;
}

/* ---- a table of our own ---- */

static void close_range_raw(unsigned first, unsigned last)
{
        raw_syscall_sigsafe(SYS_close_range, first, last, 0, 0, 0, 0);
}

/* Close what the host had open, but for ours. */
static void close_the_hosts(int also)
{
        unsigned from = 0;
        for (int fd = 0; fd < LIMIT_DESCRIPTOR; fd++) {
                if (fd != also && !descriptor_is_kept(fd))
                        continue;
                if ((unsigned)fd > from)
                        close_range_raw(from, (unsigned)fd - 1);
                from = (unsigned)fd + 1;
        }
        close_range_raw(from, UINT_MAX);
}

bool descriptors_unshare(int also)
{
        own_table_here = false;
        if (!call_allowed_sigsafe(SYS_close_range))
                return false;
        bool done = raw_syscall_sigsafe(SYS_close_range, UINT_MAX, UINT_MAX, CLOSE_RANGE_UNSHARE, 0, 0, 0) == 0;
        if (!done && call_allowed_sigsafe(SYS_unshare))
                done = raw_syscall_sigsafe(SYS_unshare, CLONE_FILES, 0, 0, 0, 0, 0) == 0;
        if (!done)
                return false;
        close_the_hosts(also);
        own_table_here = true;
        return true;
}

int descriptor_borrow(int fd)
{
        if (!call_allowed_sigsafe(SYS_pidfd_open) || !call_allowed_sigsafe(SYS_pidfd_getfd))
                return PROC_FILTERED;
        int pidfd = (int)raw_syscall_sigsafe(SYS_pidfd_open, (uint64_t)getpid(), 0, 0, 0, 0, 0);
        if (pidfd < 0)
                return pidfd;
        int copy = (int)raw_syscall_sigsafe(SYS_pidfd_getfd, (uint64_t)pidfd, (uint64_t)fd, 0, 0, 0, 0);
        raw_syscall_sigsafe(SYS_close, (uint64_t)pidfd, 0, 0, 0, 0, 0);
        return descriptor_take(copy);
}

int descriptor_borrow_kept(int fd)
{
        if (!is_taken(fd))
                return -EBADF;
        int copy = descriptor_borrow(fd);
        if (copy < 0 || leads_to(copy, &taken[fd]))
                return copy;
        descriptor_close(copy);
        return -EBADF;
}
