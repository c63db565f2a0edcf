/* SPDX-License-Identifier: Apache-2.0
 *
 * proc.c - reading /proc without libc's streams, also after chroot
 *
 * Context: watchdog; proc_keep() also on a thread of the host before it gives up its rights
 */
#include "base/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/calls.h"
#include "base/descriptors.h"
#include "base/text.h"

/* Two tables, two numbers: what a thread of the host opened before the rights went, and what the watchdog goes by. */
static int kept_fd = -1;
static int own_fd = -1;
static __thread bool begun_here;

static int open_folder(void)
{
        if (!call_allowed_sigsafe(SYS_openat))
                return PROC_FILTERED;
        int fd = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
        return descriptor_take(fd < 0 ? -errno : fd);
}

int proc_keep(void)
{
        if (descriptor_is_kept(kept_fd))
                return 0;
        kept_fd = open_folder();
        return kept_fd < 0 ? kept_fd : 0;
}

int proc_begin(void)
{
        begun_here = true;
        own_fd = descriptor_is_kept(kept_fd) ? kept_fd : open_folder();
        return own_fd < 0 ? own_fd : 0;
}

void proc_end(void)
{
        if (own_fd != kept_fd)
                descriptor_close(own_fd);
        own_fd = -1;
        begun_here = false;
}

int proc_descriptor(void)
{
        if (begun_here && own_fd >= 0 && !descriptor_is_ours(own_fd))
                own_fd = open_folder(); /* the host has closed it */
        if (begun_here)
                return own_fd < 0 ? -1 : own_fd;
        return descriptor_is_kept(kept_fd) ? kept_fd : -1;
}

void proc_set_descriptor(int fd)
{
        begun_here = true;
        own_fd = descriptor_take(fd);
}

#define PATH_BYTES 128

/* Absolute where there is no descriptor of /proc: then the folder that it is relative to is ignored. */
static const char *put_path(char bytes[PATH_BYTES], const char *relative_path)
{
        struct text path = { .bytes = bytes, .capacity = PATH_BYTES };
        text_string(&path, proc_descriptor() < 0 ? "/proc/" : "");
        text_string(&path, relative_path);
        return bytes;
}

int proc_open(const char *relative_path)
{
        if (!call_allowed_sigsafe(SYS_openat) || !call_allowed_sigsafe(SYS_pread64))
                return PROC_FILTERED;
        char bytes[PATH_BYTES];
        const char *path = put_path(bytes, relative_path);
        int folder = proc_descriptor();
        int fd = openat(folder < 0 ? AT_FDCWD : folder, path, O_RDONLY | O_CLOEXEC);
        return descriptor_take(fd < 0 ? -errno : fd);
}

int proc_open_maps(void)
{
        char byte;
        int fd = proc_open("self/maps");
        if (fd < 0 || pread(fd, &byte, 1, 0) > 0)
                return fd;
        descriptor_close(fd);
        return proc_open("thread-self/maps");
}

ssize_t proc_read_fd(int fd, char *buffer, size_t capacity)
{
        size_t used = 0;
        while (used + 1 < capacity) {
                ssize_t n = pread(fd, buffer + used, capacity - 1 - used, (off_t)used);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return -errno;
                if (n == 0)
                        break;
                used += (size_t)n;
        }
        buffer[used] = '\0';
        return (ssize_t)used;
}

ssize_t proc_read(const char *relative_path, char *buffer, size_t capacity)
{
        int fd = proc_open(relative_path);
        if (fd < 0)
                return fd;
        ssize_t n = proc_read_fd(fd, buffer, capacity);
        descriptor_close(fd);
        return n;
}

ssize_t proc_read_line(const char *relative_path, char *line, size_t capacity)
{
        ssize_t n = proc_read(relative_path, line, capacity);
        if (n > 0 && line[n - 1] == '\n')
                line[--n] = '\0';
        return n;
}

ssize_t proc_readlink(const char *relative_path, char *buffer, size_t capacity)
{
        if (!call_allowed_sigsafe(SYS_readlinkat))
                return PROC_FILTERED;
        char bytes[PATH_BYTES];
        ssize_t n = readlinkat(proc_descriptor(), put_path(bytes, relative_path), buffer, capacity - 1);
        if (n < 0)
                return -errno;
        buffer[n] = '\0';
        return n;
}

int64_t proc_size(const char *relative_path)
{
        struct stat status;
        char bytes[PATH_BYTES];
        if (!call_allowed_sigsafe(SYS_newfstatat))
                return PROC_FILTERED;
        int folder = proc_descriptor();
        if (fstatat(folder < 0 ? AT_FDCWD : folder, put_path(bytes, relative_path), &status, 0) != 0)
                return -errno;
        return status.st_size;
}
