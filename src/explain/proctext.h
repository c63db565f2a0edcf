/* SPDX-License-Identifier: Apache-2.0
 *
 * proctext.h - what the kernel writes about descriptors, mounts and locks, as values
 *
 * Pure functions over text, so that every form and every broken one can be tested and fuzzed without a kernel.
 *
 * Context: watchdog
 */
#ifndef LOOPDOG_EXPLAIN_PROCTEXT_H
#define LOOPDOG_EXPLAIN_PROCTEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/text.h"

/* What a descriptor is, by where its link in /proc/PID/fd leads. */
enum proctext_kind {
        PROCTEXT_FILE, /* has a path: a file, a folder, a device, a FIFO */
        PROCTEXT_SOCKET,
        PROCTEXT_PIPE,
        PROCTEXT_EPOLL,
        PROCTEXT_EVENTFD,
        PROCTEXT_TIMERFD,
        PROCTEXT_PIDFD,
        PROCTEXT_OTHER, /* signalfd, inotify and what else has no name in the file system */
};
enum proctext_kind proctext_kind_of(const char *link);

/* The number on the line that begins with `name`. False: there is none. */
bool proctext_number(const char *text, const char *name, uint64_t *value);

/* The lines of /proc/PID/fdinfo/FD that matter here. */
struct proctext_fdinfo {
        bool inode_known;
        uint64_t inode;
        int32_t mount;    /* mnt_id; -1: not known */
        int32_t pid;      /* of a pidfd; 0: not known */
        uint64_t count;   /* of an eventfd */
        uint64_t left_ns; /* of a timerfd: until it fires */
        bool count_known, left_known;
};
void proctext_fdinfo(const char *text, struct proctext_fdinfo *info);

/* One descriptor in an epoll instance. */
struct proctext_target {
        int32_t fd;
        uint32_t events;
        uint64_t data;
};

/* The next "tfd:" line of an epoll's fdinfo. *text goes on to what follows it; false at the end. */
bool proctext_next_target(const char **text, struct proctext_target *target);

/* Of the mount with this id in /proc/PID/mountinfo: "8:1", "ext4", "/dev/sda1". False: it is not there. */
struct proctext_mount {
        char device[24];
        char type[24];
        char source[96];
};
bool proctext_mount(const char *text, int32_t id, struct proctext_mount *mount);

/* The same of the first mount of this device, "8:1". */
bool proctext_mount_of(const char *text, const char *device, struct proctext_mount *mount);

/* Who holds the lock that process `pid` waits for, by /proc/locks. `inode` 0: of whichever file. */
struct proctext_lock {
        int32_t holder; /* -1: an open file description's lock, which belongs to no process */
        bool exclusive; /* the holder's */
};
bool proctext_lock(const char *text, int32_t pid, uint64_t inode, struct proctext_lock *lock);

#endif
