/* SPDX-License-Identifier: Apache-2.0
 *
 * follow.h - records of files that grow while we read
 *
 * Context: reader
 */
#ifndef LOOPDOG_READ_FOLLOW_H
#define LOOPDOG_READ_FOLLOW_H

#include <stdbool.h>

#include "map.h"
#include "read/input.h"

/* What is followed besides what is appended from now on to the files of the folder. */
enum follow_what {
        FOLLOW_FROM_BEGIN = 1, /* what its files hold already */
        FOLLOW_DEEP = 2,       /* the folders within it */
        FOLLOW_LIVE = 4,       /* tell the agents that somebody looks on (RECORD_READER_BYTE) */
};

struct follow {
        struct input *input;
        char *folder;
        char *pattern;    /* of names in the folder, as in a shell; NULL: all but hidden ones */
        unsigned what;    /* enum follow_what */
        int inotify;      /* -1: not to be had; look again from time to time */
        struct map files; /* name -> struct followed */
        size_t live;      /* how many files are held open to tell their agents */
};

/* Follow the files of `folder` that match `pattern`. 0 or -errno. */
int follow_open(struct follow *follow, struct input *input, const char *folder, const char *pattern, unsigned what);

/* Poll this for POLLIN and call follow_scan() then; where it is -1, call it every 50 ms. */
int follow_descriptor(const struct follow *follow);

/* Read what is new in all files. 0, or -errno where the folder is not to be read any more. */
int follow_scan(struct follow *follow);

/* `last`: nothing will be appended any more, take half lines for what they are. */
void follow_close(struct follow *follow, bool last);

#endif
