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
        struct perf_file *file; /* NULL: none was found */
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
static struct perf_file *look_for(const struct jit *jit, const struct record *record)
{
        char *path = find_beside(jit, record);
        bool strict = !path && is_of_here(record);
        if (strict)
                path = jit_runtime_path(record->pid);
        struct perf_file *file = path && is_there(path) ? perf_file_new(path, strict) : NULL;
        free(path);
        return file;
}

const struct perf_file *jit_map_of(struct jit *jit, const struct record *record)
{
        void **at = map_at_string(&jit->maps, record->run);
        if (!*at) {
                struct jit_map *found = *at = alloc_zeroed(1, sizeof(*found));
                found->file = look_for(jit, record);
        }
        struct perf_file *file = ((struct jit_map *)*at)->file;
        return file && perf_file_refresh(file) ? file : NULL; /* a process that still runs makes more code */
}

static void free_map(void *pointer)
{
        struct jit_map *map = pointer;
        perf_file_free(map->file);
        free(map);
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
        char *path = jit_runtime_path(pid);
        int from = perf_file_open(path, true);
        if (from == -EPERM)
                perf_file_say_foreign(path);
        free(path);
        if (from < 0)
                return 0;
        char *to = alloc_format("%s/%s" SUFFIX, folder, run);
        int error = copy(from, to);
        free(to);
        close(from);
        return error;
}
