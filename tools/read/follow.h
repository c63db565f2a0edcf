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

struct follow {
        struct input *input;
        char *folder;
        char *pattern;    /* of names in the folder, as in a shell; NULL: all but hidden ones */
        int inotify;      /* -1: not to be had; look again from time to time */
        struct map files; /* name -> struct followed */
};

/* Follow the files of `folder` that match `pattern`, from the end that those have which exist already. 0 or -errno. */
int follow_open(struct follow *follow, struct input *input, const char *folder, const char *pattern);

/* Poll this for POLLIN and call follow_scan() then; where it is -1, call it every 50 ms. */
int follow_descriptor(const struct follow *follow);

/* Read what is new in all files. */
void follow_scan(struct follow *follow);

/* `last`: nothing will be appended any more, take half lines for what they are. */
void follow_close(struct follow *follow, bool last);

#endif
