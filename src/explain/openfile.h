/* SPDX-License-Identifier: Apache-2.0
 *
 * openfile.h - what a descriptor of the host is
 *
 * Context: watchdog
 */
#ifndef LOOPDOG_EXPLAIN_OPENFILE_H
#define LOOPDOG_EXPLAIN_OPENFILE_H

#include "base/text.h"
#include "explain/proctext.h"

struct openfile {
        int32_t tid; /* a thread of the host: its table counts */
        int32_t fd;
        enum proctext_kind kind;
        char link[192];              /* where /proc/TID/fd/FD leads, cut */
        struct proctext_fdinfo info; /* valid after openfile_read_info() */
};

/* False: there is no such descriptor, or it can't be known. */
bool openfile_look(struct openfile *file, int32_t tid, int32_t fd);

/* The one line of /proc that is about it. False: it can't be read. */
bool openfile_read_info(struct openfile *file);

/* "/srv/app.log", "pipe:[123]", "tcp 127.0.0.1:80 <- 127.0.0.1:53410", "eventfd" ... LOOPDOG_REDACT is heeded. */
void openfile_put(struct text *what, struct openfile *file);

/* A path as it may be recorded: whole, or its last part (LOOPDOG_REDACT=paths). */
const char *openfile_path(const char *path);

/* The device that a file lies on: "ext4 on /dev/sda1 (8:1)". Nothing where that can't be known. Needs the info. */
void openfile_put_device(struct text *text, const struct openfile *file);

/* The same of the device with these numbers, as thread `tid` of this process sees it. */
void openfile_put_mount(struct text *text, int32_t tid, uint32_t device_major, uint32_t device_minor);

#endif
