/* SPDX-License-Identifier: Apache-2.0
 *
 * storm_calls.h - system calls that wait for 150 ms
 *
 * Context: unit tests
 */
#ifndef LOOPDOG_TESTS_UNIT_STORM_CALLS_H
#define LOOPDOG_TESTS_UNIT_STORM_CALLS_H

#include <stdatomic.h>
#include <stdint.h>

#include "victim.h"

#define CALL_MS 150

struct scene {
        const struct row *row;
        int fds[2];
        int id; /* of a semaphore, a message queue, a ring */
        uint64_t context;
        _Atomic uint64_t begin_ns;
        uint64_t end_ns;
        long result;
        int error;
        struct victim victim;
};

enum how {
        MENDED,    /* by us */
        CHECKED,   /* by us, and the call checks more than its result */
        ANEW,      /* by us, but the socket's time limit begins again with each capture */
        RESTARTED, /* by the kernel */
};

struct row {
        const char *name;
        void (*prepare)(struct scene *scene);
        long (*call)(struct scene *scene);
        void (*finish)(struct scene *scene); /* NULL: its time limit ends it */
        long result;
        int error;
        int number; /* of the system call */
        enum how how;
};

extern const struct row rows[];
extern const size_t rows_count;

/* How often the program's own handler of SIGUSR2 has run. */
extern _Atomic int handled;

/* What a row's `finish` is where the program's own signal ends the call. */
void send_usr2(struct scene *scene);

#endif
