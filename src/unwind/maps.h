/* SPDX-License-Identifier: Apache-2.0
 *
 * maps.h - the lines of /proc/self/maps
 *
 * Context: watchdog
 */
#ifndef LOOPDOG_UNWIND_MAPS_H
#define LOOPDOG_UNWIND_MAPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mapping {
        uint64_t start, end;
        uint64_t offset; /* in the file */
        uint64_t inode;  /* 0: no file */
        uint32_t device_major, device_minor;
        bool readable, writable, executable;
        bool deleted;     /* the path had " (deleted)" behind it */
        const char *path; /* without that, \012 decoded; "": anonymous. Valid during the call only */
};

/* Take one line (without newline, terminated by a NUL) apart; it is changed. False: not a line of maps. */
bool maps_parse_line(char *line, struct mapping *mapping);

/* Read all lines of `fd` and hand them over in order. Lines that are too long or not understood are skipped. 0, or
 * -errno. */
int maps_read(int fd, void (*each)(const struct mapping *mapping, void *context), void *context);

#endif
