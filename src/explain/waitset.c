/* SPDX-License-Identifier: Apache-2.0
 *
 * waitset.c - the descriptors that a nested poll, select or epoll waits on
 *
 * The sets of poll and select lie in the host's memory and are read from there; that of an epoll instance lies in the
 * kernel, which tells it only at a price (targets.c).
 *
 * Context: watchdog
 * Limits:  LIMIT_WAITED descriptors are described, LIMIT_WAITED_SCAN of a set are read
 */
#include "explain/waitset.h"

#include <poll.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/syscall.h>

#include "base/clock.h"
#include "base/memory.h"
#include "base/proc.h"
#include "explain/targets.h"

static void add(struct evidence *evidence, int32_t tid, int32_t fd, uint32_t events, uint64_t end_ns)
{
        if (evidence->waits_for_count == LIMIT_WAITED) {
                evidence->waits_for_more++;
                return;
        }
        struct evidence_fd *waited = &evidence->waits_for[evidence->waits_for_count++];
        struct text what = TEXT_IN(waited->what);
        struct openfile file;
        waited->fd = fd;
        waited->events = events;
        text_clear(&what);
        if ((evidence->waits_for_count == 1 || clock_now_ns() < end_ns) && openfile_look(&file, tid, fd))
                openfile_put(&what, &file);
}

static void look_at_poll(struct evidence *evidence, int32_t tid, uint64_t end_ns)
{
        static struct pollfd set[LIMIT_WAITED_SCAN];
        uint64_t count = evidence->arguments[1];
        uint64_t read = count < LIMIT_WAITED_SCAN ? count : LIMIT_WAITED_SCAN;
        if (read == 0 || !memory_get_sigsafe(evidence->arguments[0], set, read * sizeof *set))
                return;
        for (uint64_t i = 0; i < read; i++)
                if (set[i].fd >= 0)
                        add(evidence, tid, set[i].fd, (uint16_t)set[i].events, end_ns);
        evidence->waits_for_more += (uint32_t)(count - read < UINT16_MAX ? count - read : UINT16_MAX);
}

static void look_at_select(struct evidence *evidence, int32_t tid, uint64_t end_ns)
{
        static const uint32_t events[3] = { EPOLLIN, EPOLLOUT, EPOLLPRI };
        uint64_t sets[3][LIMIT_WAITED_SCAN / 64] = { { 0 } };
        uint64_t count = evidence->arguments[0] < LIMIT_WAITED_SCAN ? evidence->arguments[0] : LIMIT_WAITED_SCAN;
        for (int i = 0; i < 3; i++) {
                uint64_t at = evidence->arguments[1 + i];
                if (at != 0 && !memory_get_sigsafe(at, sets[i], (count + 63) / 64 * 8))
                        return;
        }
        for (uint64_t fd = 0; fd < count; fd++) {
                uint32_t wanted = 0;
                for (int i = 0; i < 3; i++)
                        wanted |= sets[i][fd / 64] >> fd % 64 & 1 ? events[i] : 0;
                if (wanted != 0)
                        add(evidence, tid, (int32_t)fd, wanted, end_ns);
        }
}

static void look_at_epoll(struct evidence *evidence, int32_t tid, uint64_t end_ns)
{
        static struct proctext_target targets[LIMIT_EPOLL_TARGETS];
        int count = targets_read(tid, (int32_t)evidence->arguments[0], targets);
        for (int i = 0; i < count; i++)
                add(evidence, tid, targets[i].fd, targets[i].events & ~(uint32_t)(EPOLLERR | EPOLLHUP), end_ns);
}

void waitset_look(struct evidence *evidence, int32_t tid, uint64_t end_ns)
{
        switch (evidence->call) {
        case SYS_poll:
        case SYS_ppoll:
                look_at_poll(evidence, tid, end_ns);
                return;
        case SYS_select:
        case SYS_pselect6:
                look_at_select(evidence, tid, end_ns);
                return;
        default:
                look_at_epoll(evidence, tid, end_ns);
        }
}
