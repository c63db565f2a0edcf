/* SPDX-License-Identifier: Apache-2.0
 *
 * follow.c - records of files that grow while we read
 *
 * inotify only wakes us; what is new is found by comparing sizes, so that a lost or merged event loses nothing. A file
 * is open only while it is read: a server with thousands of children costs no descriptors. Those that are told of us by
 * a lock stay open, but only as long as they grow, and a limited number of them.
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
#include "now.h"
#include "record/record.h"
#include "say.h"
#include "symbolize/jit.h"

#define FOLDERS_DEEP 4
#define LIVE_FILES 256
#define LIVE_NS UINT64_C(60000000000) /* a file that has not grown for so long is let go of */

struct followed {
        struct source source;
        struct follow *follow;
        ino_t inode;
        off_t offset;      /* up to which it has been read */
        int live_fd;       /* holds the lock; -1: none */
        uint64_t grown_ns; /* CLOCK_MONOTONIC, when it was last seen to have grown */
        bool seen;         /* by this scan */
};

/* One look at all files. */
struct scan {
        struct follow *follow;
        uint64_t now_ns;
        bool skip; /* what the files hold is from before our time */
        bool last; /* half a line is all that will ever come */
};

/* -------------------------------------------------------------------------------------------------- telling agents */

static void end_live(struct followed *file)
{
        if (file->live_fd < 0)
                return;
        close(file->live_fd);
        file->live_fd = -1;
        file->follow->live--;
}

/* Takes the descriptor. Where there is no lock to be had the agent writes as usual. */
static void begin_live(struct followed *file, int fd)
{
        struct flock lock = { .l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = RECORD_READER_BYTE, .l_len = 1 };
        bool wanted = file->follow->what & FOLLOW_LIVE && file->live_fd < 0 && file->follow->live < LIVE_FILES;
        if (!wanted || fcntl(fd, F_OFD_SETLK, &lock) < 0) {
                close(fd);
                return;
        }
        file->live_fd = fd;
        file->follow->live++;
}

/* --------------------------------------------------------------------------------------------------------- a file */

static void release_followed(void *pointer)
{
        struct followed *file = pointer;
        end_live(file);
        input_close(file->follow->input, &file->source);
        source_free(&file->source);
        free(file);
}

static bool matches(const struct follow *follow, const char *name)
{
        if (follow->pattern)
                return fnmatch(follow->pattern, name, 0) == 0;
        return name[0] != '.' && !jit_is_map_name(name);
}

static void take_new(const struct scan *scan, int folder, const char *name, struct followed *file)
{
        int fd = openat(folder, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
        int error = fd < 0 ? -errno : 0;
        if (fd >= 0 && lseek(fd, file->offset, SEEK_SET) >= 0) {
                error = input_take(scan->follow->input, &file->source, fd, scan->last);
                file->offset = lseek(fd, 0, SEEK_CUR);
        }
        if (fd >= 0)
                begin_live(file, fd);
        if (error < 0 && error != -ENOENT && file->source.complaints++ == 0)
                say("%s: %s", file->source.name, strerror(-error));
}

static struct followed *add_file(const struct scan *scan, const char *path, const struct stat *status)
{
        struct followed *file = alloc_zeroed(1, sizeof(*file));
        char *name = alloc_format("%s/%s", scan->follow->folder, path);
        source_init(&file->source, name);
        free(name);
        if (scan->follow->input->opened)
                scan->follow->input->opened(scan->follow->input->context, file->source.name);
        file->follow = scan->follow;
        file->live_fd = -1;
        file->inode = status->st_ino;
        file->offset = scan->skip ? status->st_size : 0;
        return file;
}

static void look_at_file(const struct scan *scan, int folder, const char *name, const char *path,
                         const struct stat *status)
{
        void **at = map_at_string(&scan->follow->files, path);
        struct followed *file = *at;
        if (!file) {
                file = *at = add_file(scan, path, status);
        } else if (file->inode != status->st_ino || file->offset > status->st_size) {
                file->offset = 0; /* replaced or cut: a new file under an old name */
                file->inode = status->st_ino;
                lines_free(&file->source.lines);
                end_live(file);
        }
        file->seen = true;
        if (status->st_size > file->offset || (scan->last && file->source.lines.end > 0)) {
                take_new(scan, folder, name, file);
                file->grown_ns = scan->now_ns;
        } else if (scan->now_ns - file->grown_ns > LIVE_NS) {
                end_live(file);
        }
}

/* -------------------------------------------------------------------------------------------------------- folders */

static int look_at_folder(const struct scan *scan, int folder, const char *name, const char *path, int depth);

static void look_at(const struct scan *scan, int folder, const char *name, const char *path, int depth)
{
        struct stat status;
        bool deep = scan->follow->what & FOLLOW_DEEP && depth < FOLDERS_DEEP && name[0] != '.';
        if ((!deep && !matches(scan->follow, name)) || fstatat(folder, name, &status, AT_SYMLINK_NOFOLLOW) < 0)
                return;
        if (S_ISREG(status.st_mode) && matches(scan->follow, name))
                look_at_file(scan, folder, name, path, &status);
        else if (S_ISDIR(status.st_mode) && deep)
                look_at_folder(scan, folder, name, path, depth + 1);
}

/* What is watched already is not watched twice. Where there are watches no more, all is looked at again and again. */
static void watch(struct follow *follow, const char *path)
{
        const uint32_t events = IN_CREATE | IN_MODIFY | IN_MOVED_TO | IN_ONLYDIR;
        char *whole = alloc_format("%s/%s", follow->folder, path);
        if (follow->inotify >= 0 && inotify_add_watch(follow->inotify, whole, events) < 0) {
                close(follow->inotify);
                follow->inotify = -1;
        }
        free(whole);
}

static int look_at_folder(const struct scan *scan, int folder, const char *name, const char *path, int depth)
{
        int fd = openat(folder, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | (depth > 0 ? O_NOFOLLOW : 0));
        DIR *entries = fd < 0 ? NULL : fdopendir(fd);
        if (!entries)
                return -errno;
        watch(scan->follow, path);
        for (struct dirent *entry; (entry = readdir(entries));) {
                char *below = alloc_format("%s%s%s", path, path[0] ? "/" : "", entry->d_name);
                look_at(scan, fd, entry->d_name, below, depth);
                free(below);
        }
        closedir(entries);
        return 0;
}

static bool was_seen(void *context, void *value)
{
        struct followed *file = value;
        bool seen = file->seen;
        file->seen = false;
        return seen;
}

static int scan_all(struct follow *follow, bool skip, bool last)
{
        const struct scan scan = { .follow = follow, .now_ns = now_ns(CLOCK_MONOTONIC), .skip = skip, .last = last };
        int error = look_at_folder(&scan, AT_FDCWD, follow->folder, "", 0);
        if (error == 0)
                map_keep(&follow->files, was_seen, NULL, release_followed);
        return error;
}

/* ------------------------------------------------------------------------------------------------------- following */

int follow_open(struct follow *follow, struct input *input, const char *folder, const char *pattern, unsigned what)
{
        *follow = (struct follow){
                .input = input,
                .folder = alloc_string(folder),
                .pattern = alloc_string(pattern),
                .what = what,
                .inotify = inotify_init1(IN_NONBLOCK | IN_CLOEXEC),
        };
        int error = scan_all(follow, !(what & FOLLOW_FROM_BEGIN), false);
        if (error < 0)
                follow_close(follow, false);
        return error;
}

int follow_descriptor(const struct follow *follow)
{
        return follow->inotify;
}

int follow_scan(struct follow *follow)
{
        char events[4096];
        if (follow->inotify >= 0)
                while (read(follow->inotify, events, sizeof(events)) > 0)
                        ;
        return scan_all(follow, false, false);
}

void follow_close(struct follow *follow, bool last)
{
        if (last)
                scan_all(follow, false, true);
        map_free(&follow->files, release_followed);
        if (follow->inotify >= 0)
                close(follow->inotify);
        free(follow->folder);
        free(follow->pattern);
        *follow = (struct follow){ .inotify = -1 };
}
