/* SPDX-License-Identifier: Apache-2.0
 *
 * proc.h - reading /proc without libc's streams, also after chroot
 *
 * Context: watchdog; proc_keep() also on a thread of the host before it gives up its rights
 */
#ifndef LOOPDOG_BASE_PROC_H
#define LOOPDOG_BASE_PROC_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* What the functions below return where a seccomp filter forbids the system call that they need (calls.h). */
#define PROC_FILTERED (-ENOTSUP)

/* Open /proc (O_PATH | O_CLOEXEC, high number) so that later look-ups work without the root directory of now. Thread
 * of the host; idempotent. 0 or -errno. */
int proc_keep(void);

/* The watchdog, once its descriptor table is what it will be: take over what was kept, or open it now. 0 or -errno. */
int proc_begin(void);
void proc_end(void);

/* The descriptor of /proc for the calling thread, or -1. */
int proc_descriptor(void);
void proc_set_descriptor(int fd); /* for the tests */

/* Open "self/maps" and the like, O_RDONLY | O_CLOEXEC, through that descriptor where there is one, else "/proc/".
 * A descriptor, to be closed by descriptor_close(), or -errno. */
int proc_open(const char *relative_path);

/* The same for the mappings: /proc/self shows none once the first thread has ended by pthread_exit(). */
int proc_open_maps(void);

/* Read a whole small file of /proc anew (pread from 0) and terminate it with a NUL. Bytes without the NUL, or -errno;
 * what doesn't fit is cut. */
ssize_t proc_read_fd(int fd, char *buffer, size_t capacity);
ssize_t proc_read(const char *relative_path, char *buffer, size_t capacity);

/* The same for a file of one line, a `comm`: without its newline. */
ssize_t proc_read_line(const char *relative_path, char *line, size_t capacity);

/* Where a link of /proc leads, NUL-terminated and cut to fit. Bytes without the NUL, or -errno. It is not followed. */
ssize_t proc_readlink(const char *relative_path, char *buffer, size_t capacity);

/* The size that /proc gives for a folder or file of its own; 0 for most. Or -errno. */
int64_t proc_size(const char *relative_path);

#endif
