/* SPDX-License-Identifier: Apache-2.0
 *
 * record_file.c - where a running process writes its records
 *
 * The watchdog has a descriptor table of its own with the file open in it: that is the surest way, also after a chroot
 * and in another container, and where a server has written its title over its environment. Before the first loop there
 * is no watchdog, and the environment is all there is.
 *
 * Context: reader
 */
#include "record_file.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "alloc.h"
#include "launch/output.h"
#include "name_pattern.h"
#include "read_file.h"

void record_file_free(struct record_file *file)
{
        free(file->folder);
        free(file->pattern);
        *file = (struct record_file){ 0 };
}

/* ----------------------------------------------------------------------------------------------------------- paths */

/* Where a link of /proc leads, to be freed; "" where that is not to be seen. */
static char *read_link(const char *link)
{
        char path[PATH_MAX];
        ssize_t length = readlink(link, path, sizeof(path));
        return alloc_bytes(path, length > 0 ? (size_t)length : 0);
}

/* Is what the process calls `path`, which we see as `its`, the same as ours of that name? As far as it may be seen. */
static bool is_ours(const char *path, const char *its)
{
        struct stat its_status, our_status;
        if (stat(its, &its_status) < 0)
                return errno != ENOENT || access(path, F_OK) < 0;
        return stat(path, &our_status) == 0 && our_status.st_dev == its_status.st_dev &&
               our_status.st_ino == its_status.st_ino;
}

/* A path of the process as one of ours, to be freed: by its own root where that leads elsewhere. */
static char *from_here(const char *process, const char *path)
{
        char *its = alloc_format("%s/root%s", process, path);
        char *folder = alloc_bytes(path, (size_t)(strrchr(path, '/') - path));
        char *its_folder = alloc_format("%s/root%s", process, folder);
        bool there = access(its, F_OK) == 0; /* else it may yet come */
        bool ours = there ? is_ours(path, its) : is_ours(folder[0] ? folder : "/", its_folder);
        free(folder);
        free(its_folder);
        if (!ours)
                return its;
        free(its);
        return alloc_string(path);
}

const char *record_file_shown(const char *process, const char *path)
{
        size_t length = strlen(process);
        bool by_its_root = strncmp(path, process, length) == 0 && strncmp(path + length, "/root/", 6) == 0;
        return by_its_root ? path + length + 5 : path;
}

/* --------------------------------------------------------------------------------------------------- the open file */

/* Open to be appended to: the watchdog has no other such file. */
static bool is_appended_to(const char *process, int tid, const char *descriptor)
{
        char *name = alloc_format("task/%d/fdinfo/%s", tid, descriptor);
        char *info = read_file_in(process, name, NULL);
        const char *field = info ? strstr(info, "flags:") : NULL;
        unsigned long flags = field ? strtoul(field + 6, NULL, 8) : 0;
        free(name);
        free(info);
        return (flags & O_APPEND) && (flags & O_ACCMODE) == O_WRONLY;
}

/* A file of records begins with one; of one that we may not read there is no saying. */
static bool holds_records(const char *path)
{
        static const char begin[] = "{\"v\":";
        char bytes[sizeof(begin) - 1];
        int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
        if (fd < 0)
                return errno == EACCES;
        bool holds =
                read(fd, bytes, sizeof(bytes)) == (ssize_t)sizeof(bytes) && memcmp(bytes, begin, sizeof(bytes)) == 0;
        close(fd);
        return holds;
}

/* Where the name of the open file `link` leads to that very file, with records in it: its path, to be freed. */
static char *path_of_open(const char *process, const char *link)
{
        struct stat open_one, named;
        char *its = read_link(link);
        char *here = its[0] == '/' ? from_here(process, its) : NULL;
        free(its);
        if (here && stat(link, &open_one) == 0 && S_ISREG(open_one.st_mode) && stat(here, &named) == 0 &&
            named.st_ino == open_one.st_ino && holds_records(here))
                return here;
        free(here);
        return NULL;
}

static void take_path(struct record_file *file, const char *path)
{
        const char *name = strrchr(path, '/');
        file->pattern = name_pattern_literal(name + 1);
        file->folder = name == path ? alloc_string("/") : alloc_bytes(path, (size_t)(name - path));
}

bool record_file_find_open(const char *process, int watchdog_tid, struct record_file *file)
{
        char *path = alloc_format("%s/task/%d/fd", process, watchdog_tid);
        char *found = NULL;
        DIR *folder = opendir(path);
        for (struct dirent *entry; folder && !found && (entry = readdir(folder));) {
                if (!isdigit((unsigned char)entry->d_name[0]) || !is_appended_to(process, watchdog_tid, entry->d_name))
                        continue;
                char *link = alloc_format("%s/%s", path, entry->d_name);
                found = path_of_open(process, link);
                free(link);
        }
        if (folder)
                closedir(folder);
        free(path);
        if (found)
                take_path(file, found);
        free(found);
        return found != NULL;
}

/* ------------------------------------------------------------------------------------------------- by environment */

bool record_file_is_named(const char *output)
{
        return output && output[0] && strcmp(output, "stderr") != 0;
}

/* LOOPDOG_OUTPUT as a path from the root, to be freed. */
static char *make_absolute(const char *process, const char *output, const char *started_in)
{
        if (output[0] == '/')
                return alloc_string(output);
        char *link = alloc_format("%s/cwd", process);
        char *folder = started_in && started_in[0] == '/' ? alloc_string(started_in) : read_link(link);
        char *path = alloc_format("%s/%s", folder, output);
        free(folder);
        free(link);
        return path;
}

bool record_file_find_named(const char *process, const char *output, const char *started_in, int pid,
                            struct record_file *file)
{
        if (!record_file_is_named(output))
                return false;
        char *whole = make_absolute(process, output, started_in);
        char *here = from_here(process, whole);
        bool known = output_split(here, pid, &file->folder, &file->pattern);
        free(whole);
        free(here);
        return known;
}

/* ---------------------------------------------------------------------------------------------------------- newest */

static bool is_older(const struct timespec *one, const struct timespec *other)
{
        return one->tv_sec < other->tv_sec || (one->tv_sec == other->tv_sec && one->tv_nsec < other->tv_nsec);
}

char *record_file_newest(const struct record_file *file)
{
        struct timespec newest = { 0 };
        char *found = NULL;
        DIR *entries = opendir(file->folder);
        for (struct dirent *entry; entries && (entry = readdir(entries));) {
                struct stat status;
                if (fnmatch(file->pattern, entry->d_name, FNM_PERIOD) != 0 ||
                    fstatat(dirfd(entries), entry->d_name, &status, 0) < 0 || !S_ISREG(status.st_mode) ||
                    (found && is_older(&status.st_mtim, &newest)))
                        continue;
                newest = status.st_mtim;
                free(found);
                found = alloc_format("%s/%s", file->folder, entry->d_name);
        }
        if (entries)
                closedir(entries);
        return found;
}
