/* SPDX-License-Identifier: Apache-2.0
 *
 * read_file.h - small files of /proc and /sys, whole
 *
 * Context: reader
 */
#ifndef LOOPDOG_TOOLS_READ_FILE_H
#define LOOPDOG_TOOLS_READ_FILE_H

#include <stddef.h>

/* All of the file with a NUL behind it, to be freed; at most 16 MB. NULL with errno where it can't be read. `length`
 * may be NULL. */
char *read_file(const char *path, size_t *length);
char *read_file_in(const char *folder, const char *name, size_t *length);

/* The first line without its newline, to be freed; NULL with errno. */
char *read_line_of(const char *path);

#endif
