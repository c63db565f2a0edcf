/* SPDX-License-Identifier: Apache-2.0
 *
 * unwritten.c - why a record file could not be opened or written, in words
 *
 * Context: watchdog
 */
#include "record/unwritten.h"

#include <stddef.h>

static const struct {
        int error;
        const char *why;
} reasons[] = {
        { -ENOENT, ": its folder does not exist" },
        { -ENOTDIR, ": a part of its path is no folder" },
        { -EACCES, ": its user may not write there" },
        { -EPERM, ": it may not be changed" },
        { UNWRITTEN_PLANTED, ": another user's file is there" },
        { -ELOOP, ": a symbolic link is there" },
        { -EISDIR, ": a folder is there" },
        { -ENXIO, ": nobody reads that FIFO" },
        { -EPIPE, ": nobody reads it any more" },
        { -EAGAIN, ": its reader does not read" },
        { -ENAMETOOLONG, ": its path is too long" },
        { -ENOSPC, ": the disk is full" },
        { -EDQUOT, ": its user's disk quota is used up" },
        { -EFBIG, ": it is as large as a file may be" },
        { -EROFS, ": the file system is read-only" },
        { -EMFILE, ": no descriptor is left" },
        { -ENFILE, ": no descriptor is left on this machine" },
        { PROC_FILTERED, ": a seccomp filter forbids it" },
};

const char *unwritten_why(int error)
{
        for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++)
                if (reasons[i].error == error)
                        return reasons[i].why;
        return "";
}
