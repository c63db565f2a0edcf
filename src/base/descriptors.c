/* SPDX-License-Identifier: Apache-2.0
 *
 * descriptors.c - our descriptors, and whose table they stand in
 *
 * close_range() with CLOSE_RANGE_UNSHARE makes a table of our own, also where containers forbid unshare(). What it is
 * to close it does not copy first, but for the first 64 numbers. That matters: to close a copy is not nothing. It ends
 * the process's mq_notify(), it may wait for the server of a file, and until then the host's own close() of it is not
 * the last. Where a message queue would be among the copies, everything goes on in the host's table.
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
#include <linux/kcmp.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/calls.h"
#include "base/limits.h"
#include "base/proc.h"
#include "base/raw.h"
#include "base/thread.h"

/* Out of the way of programs that expect the lowest free number. */
#define DESCRIPTOR_FLOOR 900

/* Every kernel copies so many numbers of a table, whatever is to be closed: they stand in the structure itself. */
#define ALWAYS_COPIED 64

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
        int high = call_allowed_sigsafe(SYS_fcntl) ? fcntl(fd, F_DUPFD_CLOEXEC, DESCRIPTOR_FLOOR) : -1;
        if (high >= 0) { /* else RLIMIT_NOFILE is lower than our floor, or a filter forbids it */
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

/* Where what was kept can be had again afterwards, nothing of the host's is copied but the first few numbers. It can't
 * be had where the first thread, by which the host's table is found, has another one or has ended. */
static bool may_borrow(void)
{
        uint64_t pid = (uint64_t)process_id();
        uint64_t tid = (uint64_t)raw_syscall_sigsafe(SYS_gettid, 0, 0, 0, 0, 0, 0);
        return call_allowed_sigsafe(SYS_pidfd_open) && call_allowed_sigsafe(SYS_pidfd_getfd) &&
               call_allowed_sigsafe(SYS_kcmp) && call_allowed_sigsafe(SYS_fcntl) &&
               raw_syscall_sigsafe(SYS_kcmp, pid, tid, KCMP_FILES, 0, 0, 0) == 0;
}

static bool must_copy_all(void)
{
        struct rlimit64 limit = { 0 };
        int highest = LIMIT_DESCRIPTOR - 1;
        while (highest >= ALWAYS_COPIED && !descriptor_is_kept(highest))
                highest--;
        if (highest < ALWAYS_COPIED)
                return false;
        if (call_allowed_sigsafe(SYS_prlimit64))
                raw_syscall_sigsafe(SYS_prlimit64, 0, RLIMIT_NOFILE, 0, (uintptr_t)&limit, 0, 0);
        return !may_borrow() || limit.rlim_cur <= (uint64_t)highest;
}

/* The kernel takes a copy's end for that of a message queue of the process's, and ends its mq_notify(). Asked for
 * nothing, this call says whether there is one. */
static bool holds_queue(int count)
{
        for (int fd = 0; fd < count && call_allowed_sigsafe(SYS_mq_getsetattr); fd++)
                if (raw_syscall_sigsafe(SYS_mq_getsetattr, (uint64_t)fd, 0, 0, 0, 0, 0) == 0)
                        return true;
        return false;
}

static bool may_be_waited_for(int fd)
{
        int type;
        socklen_t length = sizeof type;
        return (call_allowed_sigsafe(SYS_getsockopt) && getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &length) == 0) ||
               (call_allowed_sigsafe(SYS_fcntl) && fcntl(fd, F_GETPIPE_SZ) >= 0);
}

/* Close what the host had open, but for ours. Sockets and pipes go first: somebody may wait for their end, and to close
 * a file may take as long as its server likes (NFS, FUSE). */
static void close_the_hosts(int also, int count)
{
        unsigned from = 0;
        for (int fd = 0; fd < count; fd++)
                if (fd != also && !descriptor_is_kept(fd) && may_be_waited_for(fd))
                        close_range_raw((unsigned)fd, (unsigned)fd);
        for (int fd = 0; fd < LIMIT_DESCRIPTOR; fd++) {
                if (fd != also && !descriptor_is_kept(fd))
                        continue;
                if ((unsigned)fd > from)
                        close_range_raw(from, (unsigned)fd - 1);
                from = (unsigned)fd + 1;
        }
        close_range_raw(from, UINT_MAX);
}

/* What was kept in the host's table, under the same number in ours. */
static void borrow_all_kept(void)
{
        for (int fd = ALWAYS_COPIED; fd < LIMIT_DESCRIPTOR; fd++) {
                int copy = is_taken(fd) && !descriptor_is_kept(fd) ? descriptor_borrow_kept(fd) : -EBADF;
                if (copy < 0 || copy == fd)
                        continue;
                int same = fcntl(copy, F_DUPFD_CLOEXEC, fd);
                if (same > fd)
                        close(same);
                close(copy);
        }
}

enum descriptors_table descriptors_unshare(int also)
{
        own_table_here = false;
        bool all = must_copy_all();
        int count = all ? LIMIT_DESCRIPTOR : ALWAYS_COPIED;
        if (!call_allowed_sigsafe(SYS_close_range))
                return DESCRIPTORS_REFUSED;
        if (holds_queue(count))
                return DESCRIPTORS_QUEUE;
        unsigned first = all ? UINT_MAX : ALWAYS_COPIED;
        if (raw_syscall_sigsafe(SYS_close_range, first, UINT_MAX, CLOSE_RANGE_UNSHARE, 0, 0, 0) != 0)
                return DESCRIPTORS_REFUSED;
        close_the_hosts(also, count);
        own_table_here = true;
        if (!all)
                borrow_all_kept();
        return DESCRIPTORS_OWN;
}

int descriptor_borrow(int fd)
{
        if (!call_allowed_sigsafe(SYS_pidfd_open) || !call_allowed_sigsafe(SYS_pidfd_getfd))
                return PROC_FILTERED;
        int pidfd = (int)raw_syscall_sigsafe(SYS_pidfd_open, (uint64_t)process_id(), 0, 0, 0, 0, 0);
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
