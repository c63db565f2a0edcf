/* SPDX-License-Identifier: Apache-2.0
 *
 * served.h - the events that an iteration got, and what their descriptors are
 *
 * Context: watchdog
 */
#ifndef LOOPDOG_EXPLAIN_SERVED_H
#define LOOPDOG_EXPLAIN_SERVED_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>

#include "base/limits.h"
#include "explain/evidence.h"

/* What the hook has kept of the own wait, taken from the slot. */
struct served_wait {
        enum served_by {
                SERVED_EPOLL,
                SERVED_POLL,
                SERVED_SELECT,
        } by;
        int32_t tid;
        int32_t epoll_fd;
        int32_t result;     /* of the wait: how many events */
        uint32_t before;    /* waits ago */
        uint64_t arrays[3]; /* addresses: of the events; of the pollfds; of the sets that are to be read, written ... */
        uint64_t array_count;                       /* pollfds, or descriptors in each set */
        struct epoll_event kept[LIMIT_SERVED_KEPT]; /* epoll: copies of the first events */
        uint64_t site;                              /* the wait's return address */
};

struct served {
        uint32_t count;
        uint32_t more;    /* events beyond these */
        uint32_t before;  /* they came so many iterations before this one, between which the loop did not sleep */
        const char *loss; /* why their descriptors are not known, in words; NULL where they are */
        struct evidence_fd events[LIMIT_SERVED];
};

/* At the first sample of an iteration. Takes at most LIMIT_SERVED_NS, and a look at one descriptor. */
void served_look(struct served *served, const struct served_wait *wait);

#endif
