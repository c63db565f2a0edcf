/* SPDX-License-Identifier: Apache-2.0
 *
 * feed.h - all places from which `top` takes its records, as they grow
 *
 * Context: reader
 */
#ifndef LOOPDOG_TOP_FEED_H
#define LOOPDOG_TOP_FEED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "map.h"
#include "read/input.h"

struct feed {
        struct input input; /* take, wants_stacks and context are the caller's */
        struct map places;  /* folder and pattern -> struct follow */
        int32_t *pids;      /* the processes named, as they call themselves; */
        size_t pids_count;  /* 0: all are wanted */
        bool live;          /* tell the agents that somebody looks on */
        bool translated;    /* a process has another id in its namespace than the one it was named by */
        bool discovers;     /* nothing was named: whatever runs here under loopdog */
        uint64_t discovered_ns;
        struct source stream; /* standard input; */
        int stream_fd;        /* -1: it was not named, or has ended */
        int news;             /* epoll: something may have grown */
};

/* Begin to follow folders, files, processes and "-"; none: every process of this machine that may be looked into. What
 * is there already is read. False, said, where there is nothing to follow. `live`: tell the agents. */
bool feed_open(struct feed *feed, char *const *names, int count, bool live);

/* Poll this for POLLIN, and call feed_read() then and once a second. */
int feed_descriptor(const struct feed *feed);

/* Read what is new. */
void feed_read(struct feed *feed);

/* Can nothing come any more? */
bool feed_is_over(const struct feed *feed);

void feed_close(struct feed *feed);

#endif
