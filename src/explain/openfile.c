/* SPDX-License-Identifier: Apache-2.0
 *
 * openfile.c - what a descriptor of the host is
 *
 * Only what /proc says about it is read, never the file itself: stat() of a file on a network file system, or the
 * close of a copy of its descriptor, may wait for the very server that the loop is waiting for. Sockets alone are asked
 * directly (socket.c): there the kernel answers from memory.
 *
 * Context: watchdog
 * Limits:  LIMIT_MOUNTS_BYTES of the list of mounts
 */
#include "explain/openfile.h"

#include <string.h>

#include "base/config.h"
#include "base/limits.h"
#include "base/proc.h"
#include "explain/socket.h"

static const char *put_place(char (*bytes)[64], const struct openfile *file, const char *folder)
{
        struct text path = TEXT_IN(*bytes);
        text_format(&path, "self/task/%d/%s/%d", (int)file->tid, folder, (int)file->fd);
        return *bytes;
}

bool openfile_look(struct openfile *file, int32_t tid, int32_t fd)
{
        char place[64];
        *file = (struct openfile){ .tid = tid, .fd = fd, .kind = PROCTEXT_OTHER };
        if (fd < 0 || proc_readlink(put_place(&place, file, "fd"), file->link, sizeof file->link) <= 0)
                return false;
        file->kind = proctext_kind_of(file->link);
        return true;
}

bool openfile_read_info(struct openfile *file)
{
        char text[1024], place[64];
        bool read = file->kind != PROCTEXT_EPOLL && /* a line for each of what may be 100,000, made under its lock */
                    proc_read(put_place(&place, file, "fdinfo"), text, sizeof text) > 0;
        proctext_fdinfo(read ? text : "", &file->info);
        return read;
}

const char *openfile_path(const char *path)
{
        const char *slash = config.redact & CONFIG_REDACT_PATHS ? strrchr(path, '/') : NULL;
        return slash != NULL && slash[1] != '\0' ? slash + 1 : path;
}

static void put_timer(struct text *what, struct openfile *file)
{
        text_string(what, "timerfd");
        if (!openfile_read_info(file) || !file->info.left_known)
                return;
        text_string(what, file->info.left_ns != 0 ? ", fires in " : ", not set or expired");
        if (file->info.left_ns != 0)
                text_duration(what, file->info.left_ns);
}

static void put_counter(struct text *what, struct openfile *file)
{
        text_string(what, "eventfd");
        if (openfile_read_info(file) && file->info.count_known)
                text_format(what, ", count %lu", file->info.count);
}

static void put_process(struct text *what, struct openfile *file)
{
        text_string(what, "pidfd");
        if (openfile_read_info(file) && file->info.pid != 0)
                text_format(what, " of process %d", (int)file->info.pid);
}

/* "anon_inode:[signalfd]", "anon_inode:inotify": the name alone. */
static void put_unnamed(struct text *what, const char *link)
{
        static const char start[] = "anon_inode:";
        const char *name = strncmp(link, start, sizeof start - 1) == 0 ? link + sizeof start - 1 : link;
        size_t bracket = name != link && name[0] == '[';
        size_t length = strlen(name);
        text_bytes(what, name + bracket, length - (length > 1 ? 2 * bracket : bracket));
}

void openfile_put(struct text *what, struct openfile *file)
{
        switch (file->kind) {
        case PROCTEXT_FILE:
                text_string(what, openfile_path(file->link));
                return;
        case PROCTEXT_SOCKET:
                socket_put(what, file->fd, file->link);
                return;
        case PROCTEXT_EPOLL:
                text_string(what, "epoll");
                return;
        case PROCTEXT_EVENTFD:
                put_counter(what, file);
                return;
        case PROCTEXT_TIMERFD:
                put_timer(what, file);
                return;
        case PROCTEXT_PIDFD:
                put_process(what, file);
                return;
        case PROCTEXT_PIPE:
                text_string(what, file->link);
                return;
        case PROCTEXT_OTHER:
                put_unnamed(what, file->link);
                return;
        }
}

/* The mounts that this thread sees; NULL where they can't be read. */
static const char *read_mounts(int32_t tid)
{
        static char mounts[LIMIT_MOUNTS_BYTES];
        char path[64];
        struct text place = TEXT_IN(path);
        text_format(&place, "self/task/%d/mountinfo", (int)tid);
        return proc_read(path, mounts, sizeof mounts) > 0 ? mounts : NULL;
}

static void put_mount(struct text *text, const struct proctext_mount *mount)
{
        text_format(text, "%s on %s (%s)", mount->type, openfile_path(mount->source), mount->device);
}

void openfile_put_device(struct text *text, const struct openfile *file)
{
        struct proctext_mount mount;
        if (file->kind != PROCTEXT_FILE || file->info.mount < 0)
                return;
        const char *mounts = read_mounts(file->tid);
        if (mounts != NULL && proctext_mount(mounts, file->info.mount, &mount))
                put_mount(text, &mount);
}

void openfile_put_mount(struct text *text, int32_t tid, uint32_t device_major, uint32_t device_minor)
{
        char bytes[32];
        struct text device = TEXT_IN(bytes);
        struct proctext_mount mount;
        text_format(&device, "%u:%u", device_major, device_minor);
        const char *mounts = read_mounts(tid);
        if (mounts != NULL && proctext_mount_of(mounts, bytes, &mount))
                put_mount(text, &mount);
}
