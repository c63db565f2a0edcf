/* SPDX-License-Identifier: Apache-2.0
 *
 * read_file.c - small files of /proc and /sys, whole
 *
 * Context: reader
 * Limits:  FILE_BYTES
 */
#include "read_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "alloc.h"

#define STEP_BYTES 65536
#define FILE_BYTES (16 << 20)

char *read_file(const char *path, size_t *length)
{
        int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
        char *bytes = NULL;
        size_t used = 0;
        ssize_t got;
        if (fd < 0)
                return NULL;
        do {
                bytes = alloc_resize(bytes, used + STEP_BYTES + 1, 1);
                got = read(fd, bytes + used, STEP_BYTES);
                used += got > 0 ? (size_t)got : 0;
        } while (got > 0 && used < FILE_BYTES);
        int error = errno;
        close(fd);
        if (got < 0 && used == 0) {
                free(bytes);
                errno = error;
                return NULL;
        }
        bytes[used] = '\0';
        if (length)
                *length = used;
        return bytes;
}

char *read_file_in(const char *folder, const char *name, size_t *length)
{
        char *path = alloc_format("%s/%s", folder, name);
        char *bytes = read_file(path, length);
        int error = errno;
        free(path);
        errno = error;
        return bytes;
}

char *read_line_of(const char *path)
{
        char *bytes = read_file(path, NULL);
        if (bytes)
                bytes[strcspn(bytes, "\n")] = '\0';
        return bytes;
}
