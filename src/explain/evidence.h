/* SPDX-License-Identifier: Apache-2.0
 *
 * evidence.h - what a blocked system call waits for, by its arguments
 *
 * Context: watchdog
 */
#ifndef LOOPDOG_EXPLAIN_EVIDENCE_H
#define LOOPDOG_EXPLAIN_EVIDENCE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/limits.h"
#include "explain/openfile.h"
#include "explain/process.h"
#include "unwind/unwind.h"

/* A descriptor that something is waited for on. */
struct evidence_fd {
        int32_t fd;
        uint32_t events; /* bits of EPOLL, which are those of poll */
        char what[LIMIT_WHAT];
};

struct evidence_holder {
        const char *role; /* "other-end", "lock-holder", "child" */
        int32_t pid;
        char name[PROCESS_NAME];
        char command[64]; /* of a child: argv[0] */
};

/* One system call. Empty strings: not known, or of no meaning for it. */
struct evidence {
        int call;
        uint64_t arguments[6];
        uint32_t samples; /* that found the thread in it */
        bool fd_known;
        struct openfile file; /* valid with fd_known */
        char what[LIMIT_WHAT];
        char address[LIMIT_WHAT];
        char device[LIMIT_WHAT];
        char wchan[48];
        uint64_t timeout_ns; /* how long the call was asked to wait; 0: for ever, or it has no limit */
        uint64_t left_ns;    /* of a sleep until a point in time: what was left at the first sample */
        uint32_t waits_for_count, waits_for_more;
        uint32_t holders_count;
        uint32_t holders_confirmed; /* of them, those found while the thread was in the call for certain */
        bool device_wanted;
        struct process_search search;
        struct evidence_fd waits_for[LIMIT_WAITED];
        struct evidence_holder holders[LIMIT_HOLDERS];
};

/* Those of one stall. */
struct evidences {
        uint32_t count;
        uint32_t gathered; /* how often a new one was begun */
        struct evidence all[LIMIT_EVIDENCES];
};

void evidences_clear(struct evidences *evidences);

/* Look at the call that thread `tid` sleeps in by this sample, as far as it is not known yet. What is found counts only
 * if the thread has not left the call meanwhile: the caller looks, and confirms or withdraws what is returned. NULL:
 * there was nothing to find. Takes at most LIMIT_EVIDENCE_NS and a look at one descriptor where the call is new, and
 * LIMIT_SEARCH_NS later: a stall's first sample has much else to look at. */
struct evidence *evidences_look(struct evidences *evidences, int32_t tid, const struct sample *sample);
void evidences_confirm(struct evidence *evidence);
void evidences_withdraw(struct evidences *evidences, struct evidence *evidence);

/* What is known of this call; NULL: nothing. Where it was made with different arguments, those of most samples. */
const struct evidence *evidences_of(const struct evidences *evidences, int call);

#endif
