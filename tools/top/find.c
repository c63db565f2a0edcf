/* SPDX-License-Identifier: Apache-2.0
 *
 * find.c - where a running process writes its records
 *
 * The file itself is open in the agent's thread, which has a descriptor table of its own: that is the truth, also where
 * the process has written over its environment to change its title. Before the first loop there is no such thread, and
 * the environment is all there is.
 *
 * Context: reader
 */
#include "top/find.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "alloc.h"
#include "launch/output.h"
#include "process.h"

char *find_literal(const char *name)
{
        char *pattern = alloc_zeroed(2 * strlen(name) + 1, 1);
        char *to = pattern;
        for (; *name; name++) {
                if (strchr("*?[]\\", *name))
                        *to++ = '\\';
                *to++ = *name;
        }
        return pattern;
}

void found_free(struct found *found)
{
        free(found->folder);
        free(found->pattern);
        *found = (struct found){ 0 };
}

/* Where a link of /proc leads; "" where that is not to be seen. */
static void read_link(const char *link, char path[static PATH_MAX])
{
        ssize_t length = readlink(link, path, PATH_MAX - 1);
        path[length > 0 ? length : 0] = '\0';
}

/* A path of the process as one of ours: it may live below another root. To be freed. */
static char *from_here(int pid, const char *path)
{
        char link[64];
        char root[PATH_MAX];
        snprintf(link, sizeof(link), "/proc/%d/root", pid);
        read_link(link, root);
        bool same = !root[0] || strcmp(root, "/") == 0;
        struct stat ours, its;
        if (same && stat("/", &ours) == 0 && stat(link, &its) == 0)
                same = ours.st_dev == its.st_dev && ours.st_ino == its.st_ino;
        return same ? alloc_string(path) : alloc_format("%s%s", link, path);
}

/* ------------------------------------------------------------------------------------------------ the open file */

static bool appends(int pid, int tid, int fd)
{
        char name[128];
        snprintf(name, sizeof(name), "task/%d/fdinfo/%d", tid, fd);
        char *info = process_read(pid, name, NULL);
        const char *flags = info ? strstr(info, "flags:") : NULL;
        bool append = flags && strtoul(flags + 6, NULL, 8) & O_APPEND;
        free(info);
        return append;
}

/* A file of records begins with one. */
static bool holds_records(const char *path)
{
        static const char begin[] = "{\"v\":";
        char bytes[sizeof(begin) - 1];
        int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
        bool holds = fd >= 0 && read(fd, bytes, sizeof(bytes)) == (ssize_t)sizeof(bytes) &&
                     memcmp(bytes, begin, sizeof(bytes)) == 0;
        if (fd >= 0)
                close(fd);
        return holds;
}

static bool look_at_descriptor(int pid, int tid, int fd, struct found *found)
{
        char link[128];
        char path[PATH_MAX];
        struct stat open_one, named;
        snprintf(link, sizeof(link), "/proc/%d/task/%d/fd/%d", pid, tid, fd);
        if (stat(link, &open_one) < 0 || !S_ISREG(open_one.st_mode) || !appends(pid, tid, fd))
                return false;
        read_link(link, path);
        char *here = from_here(pid, path);
        char *name = strrchr(here, '/');
        bool it = name && stat(here, &named) == 0 && named.st_ino == open_one.st_ino && holds_records(here);
        if (it) {
                found->pattern = find_literal(name + 1);
                found->folder = name == here ? alloc_string("/") : alloc_bytes(here, (size_t)(name - here));
        }
        free(here);
        return it;
}

static bool look_at_thread(int pid, int tid, struct found *found)
{
        char name[64];
        char comm[32];
        snprintf(name, sizeof(name), "task/%d/comm", tid);
        process_read_line(pid, name, comm, sizeof(comm));
        if (strcmp(comm, "loopdog") != 0)
                return false;
        snprintf(name, sizeof(name), "/proc/%d/task/%d/fd", pid, tid);
        DIR *folder = opendir(name);
        bool it = false;
        for (struct dirent *entry; folder && !it && (entry = readdir(folder));)
                it = entry->d_name[0] != '.' && look_at_descriptor(pid, tid, atoi(entry->d_name), found);
        if (folder)
                closedir(folder);
        return it;
}

static bool find_open_file(int pid, struct found *found)
{
        char path[64];
        snprintf(path, sizeof(path), "/proc/%d/task", pid);
        DIR *threads = opendir(path);
        bool it = false;
        for (struct dirent *entry; threads && !it && (entry = readdir(threads));)
                it = entry->d_name[0] != '.' && look_at_thread(pid, atoi(entry->d_name), found);
        if (threads)
                closedir(threads);
        return it;
}

/* --------------------------------------------------------------------------------------------- the environment */

/* LOOPDOG_OUTPUT as a path from the root; a relative one begins where the process was started. */
static char *make_absolute(int pid, const char *output, const char *started_in)
{
        char link[64];
        char folder[PATH_MAX];
        if (output[0] == '/')
                return alloc_string(output);
        snprintf(link, sizeof(link), "/proc/%d/cwd", pid);
        read_link(link, folder);
        return alloc_format("%s/%s", started_in && started_in[0] == '/' ? started_in : folder, output);
}

static bool find_by_environment(int pid, struct found *found, const char **error)
{
        size_t length = 0;
        char *environment = process_read(pid, "environ", &length);
        *error = environment ? NULL : strerror(errno);
        const char *output = process_variable(environment, length, "LOOPDOG_OUTPUT");
        bool it = false;
        if (output && output[0]) {
                char *whole = make_absolute(pid, output, process_variable(environment, length, "PWD"));
                char *here = from_here(pid, whole);
                it = output_split(here, &found->folder, &found->pattern);
                free(whole);
                free(here);
        }
        free(environment);
        return it;
}

/* ------------------------------------------------------------------------------------------------------- answers */

bool find_is_under_loopdog(int pid)
{
        char *maps = process_read(pid, "maps", NULL);
        bool under = maps && strstr(maps, "libloopdog");
        free(maps);
        return under;
}

/* What to do where nothing was found. */
static char *advise(int pid, const char *error)
{
        char program[64];
        process_read_line(pid, "comm", program, sizeof(program));
        if (!process_is_alive(pid))
                return alloc_format("there is no process %d", pid);
        if (error)
                return alloc_format("process %d (%s): %s: only its user and root may see where it writes its records",
                                    pid, program, error);
        if (find_is_under_loopdog(pid))
                return alloc_format(
                        "process %d (%s) has written no records: it has no loop yet, or tells its stalls on "
                        "its stderr; start it with LOOPDOG_OUTPUT=DIR",
                        pid, program);
        return alloc_format("process %d (%s) is not under loopdog: start it by \"loopdog run -- %s ...\", or with "
                            "libloopdog.so in LD_PRELOAD and LOOPDOG_OUTPUT=DIR",
                            pid, program, program);
}

static int32_t own_pid(int pid)
{
        char *status = process_read(pid, "status", NULL);
        int inner = status ? process_inner_pid(status, pid) : pid;
        free(status);
        return inner;
}

bool find_records(int pid, struct found *found, char **why)
{
        const char *error = NULL;
        *found = (struct found){ .pid = own_pid(pid) };
        found->open = find_open_file(pid, found);
        if (found->open || find_by_environment(pid, found, &error))
                return true;
        if (why)
                *why = advise(pid, error);
        return false;
}
