/* SPDX-License-Identifier: Apache-2.0
 *
 * targets.c - the descriptors in an epoll instance
 *
 * The kernel writes the whole list into fdinfo at once, twice as a rule (the buffer doubles until it fits), and holds
 * the instance's lock meanwhile: 2 us a descriptor, a fifth of a second for 100,000, in which no thread of the host can
 * add one. So the list is asked for only where the process has few descriptors at all. Of one descriptor kcmp() tells
 * whether it is in the instance, though not with which data; it walks through the instance as well, but 200 times
 * faster.
 *
 * Context: watchdog
 */
#include "explain/targets.h"

#include <errno.h>
#include <linux/kcmp.h>
#include <sys/syscall.h>

#include "base/calls.h"
#include "base/proc.h"
#include "base/raw.h"
#include "base/text.h"

#define LINE_BYTES 80 /* "tfd: ..." and more */

/* Since Linux 6.2 the folder's size. Before that it is 0, and the size of the table is an upper bound. */
uint64_t targets_open(int32_t tid)
{
        char bytes[64], status[2048];
        struct text path = TEXT_IN(bytes);
        uint64_t size;
        text_format(&path, "self/task/%d/fd", (int)tid);
        int64_t count = proc_size(bytes);
        if (count > 0)
                return (uint64_t)count;
        text_clear(&path);
        text_format(&path, "self/task/%d/status", (int)tid);
        bool known = proc_read(bytes, status, sizeof status) > 0 && proctext_number(status, "FDSize:", &size);
        return known ? size : UINT64_MAX;
}

int targets_read(int32_t tid, int32_t epoll_fd, struct proctext_target targets[LIMIT_EPOLL_TARGETS])
{
        static char text[(LIMIT_EPOLL_TARGETS + 4) * LINE_BYTES];
        char bytes[64];
        struct text path = TEXT_IN(bytes);
        int count = 0;
        if (targets_open(tid) > LIMIT_EPOLL_TARGETS)
                return -E2BIG;
        text_format(&path, "self/task/%d/fdinfo/%d", (int)tid, (int)epoll_fd);
        ssize_t n = proc_read(bytes, text, sizeof text);
        if (n < 0)
                return (int)n;
        const char *at = text;
        while (count < LIMIT_EPOLL_TARGETS && proctext_next_target(&at, &targets[count]))
                count++;
        return count;
}

int targets_has(int32_t tid, int32_t epoll_fd, int32_t fd)
{
        struct kcmp_epoll_slot slot = { .efd = (uint32_t)epoll_fd, .tfd = (uint32_t)fd };
        if (!call_allowed_sigsafe(SYS_kcmp))
                return PROC_FILTERED;
        long r = raw_syscall_sigsafe(SYS_kcmp, (uint64_t)tid, (uint64_t)tid, KCMP_EPOLL_TFD, (uint64_t)fd,
                                     (uintptr_t)&slot, 0);
        if (r == -ENOENT)
                return 0;
        return r < 0 ? (int)r : r == 0;
}
