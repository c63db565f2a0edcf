/* SPDX-License-Identifier: Apache-2.0
 *
 * jit.c - which perf map belongs to a record
 *
 * Context: reader
 * Limits:  SAVED_BYTES of a map that is saved
 */
#include "symbolize/jit.h"

#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include "alloc.h"

#define SUFFIX ".perf-map"
#define SAVED_BYTES ((size_t)256 << 20)

struct jit_map {
        char *path;  /* NULL: none was found */
        bool strict; /* it lies where anyone could have put it */
        off_t size;  /* when it was read */
        struct perf_map *map;
        struct perf_map **before; /* read when it was shorter: names in use are borrowed from them */
        size_t before_count;
};

char *jit_runtime_path(int pid)
{
        return alloc_format("/tmp/perf-%d.map", pid);
}

bool jit_is_map_name(const char *name)
{
        return fnmatch("*" SUFFIX, name, 0) == 0 || fnmatch("perf-[0-9]*.map", name, 0) == 0;
}

void jit_add_file(struct jit *jit, const char *path)
{
        const char *slash = strrchr(path, '/');
        char *folder = slash ? alloc_bytes(path, (size_t)(slash - path)) : alloc_string(".");
        map_at_string(&jit->folders, folder);
        free(folder);
}

/* --------------------------------------------------------------------------------------------------------- finding */

static bool is_there(const char *path)
{
        struct stat status;
        return lstat(path, &status) == 0 && S_ISREG(status.st_mode);
}

static char *find_beside(const struct jit *jit, const struct record *record)
{
        for (size_t i = 0; i < jit->folders.count; i++) {
                const char *folder = jit->folders.entries[i].key;
                char *by_run = alloc_format("%s/%s" SUFFIX, folder, record->run);
                char *by_pid = alloc_format("%s/perf-%d.map", folder, record->pid);
                char *found = is_there(by_run) ? by_run : is_there(by_pid) ? by_pid : NULL;
                if (found != by_run)
                        free(by_run);
                if (found != by_pid)
                        free(by_pid);
                if (found)
                        return found;
        }
        return NULL;
}

static bool is_of_here(const struct record *record)
{
        char name[256] = "";
        return record->host && gethostname(name, sizeof(name) - 1) == 0 && strcmp(name, record->host) == 0;
}

/* The number of a process is used again, and nobody removes the maps; but addresses are random, so another process's
 * map has nothing at those of this one. */
static struct jit_map *look_for(const struct jit *jit, const struct record *record)
{
        struct jit_map *found = alloc_zeroed(1, sizeof(*found));
        found->path = find_beside(jit, record);
        if (found->path || !is_of_here(record))
                return found;
        found->path = jit_runtime_path(record->pid);
        found->strict = true;
        if (is_there(found->path))
                return found;
        free(found->path);
        found->path = NULL;
        return found;
}

/* A process that still runs makes more code. */
static void refresh(struct jit_map *file)
{
        struct stat status;
        if (lstat(file->path, &status) < 0 || (file->map && status.st_size == file->size))
                return;
        struct perf_map *map = perf_map_read(file->path, file->strict);
        if (!map)
                return;
        if (file->map) {
                file->before = alloc_resize(file->before, file->before_count + 1, sizeof(*file->before));
                file->before[file->before_count++] = file->map;
        }
        file->map = map;
        file->size = status.st_size;
}

const struct perf_map *jit_map_of(struct jit *jit, const struct record *record)
{
        void **at = map_at_string(&jit->maps, record->run);
        if (!*at)
                *at = look_for(jit, record);
        struct jit_map *file = *at;
        if (file->path)
                refresh(file);
        return file->map;
}

static void free_map(void *pointer)
{
        struct jit_map *file = pointer;
        for (size_t i = 0; i < file->before_count; i++)
                perf_map_free(file->before[i]);
        free(file->before);
        perf_map_free(file->map);
        free(file->path);
        free(file);
}

void jit_free(struct jit *jit)
{
        map_free(&jit->maps, free_map);
        map_free(&jit->folders, NULL);
}

/* ---------------------------------------------------------------------------------------------------------- saving */

static int copy(int from, const char *path)
{
        int to = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
        size_t left = SAVED_BYTES;
        ssize_t sent = 0;
        if (to < 0)
                return errno == EEXIST ? 0 : -errno;
        while (left > 0 && (sent = sendfile(to, from, NULL, left)) > 0)
                left -= (size_t)sent;
        int error = sent < 0 ? -errno : 0;
        if (close(to) < 0 && error == 0)
                error = -errno;
        return error;
}

int jit_save(const char *folder, const char *run, int pid)
{
        struct stat status;
        char *path = jit_runtime_path(pid);
        int from = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
        free(path);
        if (from < 0)
                return 0;
        int error = 0;
        if (fstat(from, &status) == 0 && S_ISREG(status.st_mode) &&
            (status.st_uid == geteuid() || status.st_uid == 0 || geteuid() == 0)) {
                char *to = alloc_format("%s/%s" SUFFIX, folder, run);
                error = copy(from, to);
                free(to);
        }
        close(from);
        return error;
}
