/* SPDX-License-Identifier: Apache-2.0
 *
 * follow.c - records of files that grow while we read
 *
 * inotify only wakes us; what is new is found by comparing sizes, so that a lost or merged event loses nothing. A file
 * is open only while it is read: a server with thousands of children costs no descriptors.
 *
 * Context: reader
 */
#include "read/follow.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "alloc.h"
#include "say.h"

struct followed {
        struct source source;
        ino_t inode;
        off_t offset; /* up to which it has been read */
};

static void release_followed(void *pointer)
{
        struct followed *file = pointer;
        source_free(&file->source);
        free(file);
}

static bool matches(const struct follow *follow, const char *name)
{
        if (follow->pattern)
                return fnmatch(follow->pattern, name, 0) == 0;
        return name[0] != '.';
}

static void take_new(struct follow *follow, int folder, const char *name, struct followed *file, bool last)
{
        int fd = openat(folder, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
        int error = fd < 0 ? -errno : 0;
        if (fd >= 0 && lseek(fd, file->offset, SEEK_SET) >= 0) {
                error = input_take(follow->input, &file->source, fd, last);
                file->offset = lseek(fd, 0, SEEK_CUR);
        }
        if (fd >= 0)
                close(fd);
        if (error < 0 && error != -ENOENT && file->source.complaints++ == 0)
                say("%s: %s", file->source.name, strerror(-error));
}

/* `skip`: what it holds now is from before our time. */
static void look_at(struct follow *follow, int folder, const char *name, bool skip, bool last)
{
        struct stat status;
        if (!matches(follow, name) || fstatat(folder, name, &status, AT_SYMLINK_NOFOLLOW) < 0 ||
            !S_ISREG(status.st_mode))
                return;
        void **at = map_at_string(&follow->files, name);
        struct followed *file = *at;
        if (!file) {
                file = *at = alloc_zeroed(1, sizeof(*file));
                char *path = alloc_format("%s/%s", follow->folder, name);
                source_init(&file->source, path);
                free(path);
                file->offset = skip ? status.st_size : 0;
        } else if (file->inode != status.st_ino || file->offset > status.st_size) {
                file->offset = 0; /* replaced or cut: a new file under an old name */
                lines_free(&file->source.lines);
        }
        file->inode = status.st_ino;
        if (status.st_size > file->offset || (last && file->source.lines.end > 0))
                take_new(follow, folder, name, file, last);
}

static int scan(struct follow *follow, bool skip, bool last)
{
        DIR *folder = opendir(follow->folder);
        if (!folder)
                return -errno;
        for (struct dirent *entry; (entry = readdir(folder));)
                look_at(follow, dirfd(folder), entry->d_name, skip, last);
        closedir(folder);
        return 0;
}

static int watch(const char *folder)
{
        int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
        if (fd < 0)
                return -1;
        if (inotify_add_watch(fd, folder, IN_CREATE | IN_MODIFY | IN_MOVED_TO | IN_ONLYDIR) >= 0)
                return fd;
        close(fd);
        return -1;
}

int follow_open(struct follow *follow, struct input *input, const char *folder, const char *pattern)
{
        *follow = (struct follow){
                .input = input,
                .folder = alloc_string(folder),
                .pattern = alloc_string(pattern),
                .inotify = watch(folder),
        };
        int error = scan(follow, true, false);
        if (error < 0)
                follow_close(follow, false);
        return error;
}

int follow_descriptor(const struct follow *follow)
{
        return follow->inotify;
}

void follow_scan(struct follow *follow)
{
        char events[4096];
        if (follow->inotify >= 0)
                while (read(follow->inotify, events, sizeof(events)) > 0)
                        ;
        scan(follow, false, false);
}

void follow_close(struct follow *follow, bool last)
{
        if (last)
                scan(follow, false, true);
        for (size_t i = 0; last && i < follow->files.count; i++) {
                struct followed *file = follow->files.entries[i].value;
                input_close(follow->input, &file->source);
        }
        map_free(&follow->files, release_followed);
        if (follow->inotify >= 0)
                close(follow->inotify);
        free(follow->folder);
        free(follow->pattern);
        *follow = (struct follow){ .inotify = -1 };
}
