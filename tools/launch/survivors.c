/* SPDX-License-Identifier: Apache-2.0
 *
 * survivors.c - processes that go on after the command has ended
 *
 * A server that puts itself into the background ends the command at once and goes on to write records. It is known
 * by the records that it has written, or by its environment: some overwrite that for a title, some have not written
 * yet.
 *
 * Context: reader
 */
#include "launch/survivors.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "alloc.h"

#define NAMED 3
#define ENVIRONMENT_BYTES (256u << 10)

struct survivors {
        struct map pids; /* pid as text -> not NULL */
        char *names;
};

/* All of a file of /proc, or up to `capacity`; bytes, or -1. */
static ssize_t read_proc(int pid, const char *name, char *bytes, size_t capacity)
{
        char path[64];
        snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
                return -1;
        size_t length = 0;
        ssize_t got;
        while (length < capacity && (got = read(fd, bytes + length, capacity - length)) > 0)
                length += (size_t)got;
        close(fd);
        return (ssize_t)length;
}

/* Runs, and has not merely not been waited for. */
static bool is_alive(int pid)
{
        char stat[512];
        ssize_t length = read_proc(pid, "stat", stat, sizeof(stat) - 1);
        if (length <= 0)
                return false;
        stat[length] = '\0';
        const char *end = strrchr(stat, ')');
        return end && end[1] == ' ' && end[2] != 'Z' && end[2] != 'X';
}

static void add(struct survivors *found, int pid, const char *program)
{
        char key[16];
        snprintf(key, sizeof(key), "%d", pid);
        void **at = map_at_string(&found->pids, key);
        if (*at)
                return;
        *at = found;
        if (found->pids.count > NAMED)
                return;
        char *names =
                alloc_format("%s%s%s %d", found->names ? found->names : "", found->names ? ", " : "", program, pid);
        free(found->names);
        found->names = names;
}

static bool has_variable(const char *environment, size_t length, const char *variable)
{
        size_t wanted = strlen(variable) + 1; /* with its NUL */
        for (size_t at = 0; at + wanted <= length; at += strnlen(environment + at, length - at) + 1)
                if (memcmp(environment + at, variable, wanted) == 0)
                        return true;
        return false;
}

static void look_at(struct survivors *found, int pid, const char *variable)
{
        static char environment[ENVIRONMENT_BYTES];
        char program[64];
        ssize_t length = read_proc(pid, "environ", environment, sizeof(environment));
        if (length <= 0 || !has_variable(environment, (size_t)length, variable))
                return;
        length = read_proc(pid, "comm", program, sizeof(program) - 1);
        program[length > 0 ? length : 0] = '\0';
        program[strcspn(program, "\n")] = '\0';
        if (is_alive(pid))
                add(found, pid, program);
}

static void look_at_all(struct survivors *found, const char *output)
{
        char *variable = alloc_format("LOOPDOG_OUTPUT=%s", output);
        DIR *folder = opendir("/proc");
        for (struct dirent *entry; folder && (entry = readdir(folder));) {
                int pid = isdigit((unsigned char)entry->d_name[0]) ? atoi(entry->d_name) : 0;
                if (pid > 0 && pid != getpid())
                        look_at(found, pid, variable);
        }
        if (folder)
                closedir(folder);
        free(variable);
}

size_t survivors_find(const struct analysis *analysis, const char *output, char **names)
{
        struct survivors found = { 0 };
        for (size_t i = 0; i < analysis->processes.count; i++) {
                const struct analysed_process *process = analysis->processes.entries[i].value;
                if (!process->exited && process->pid > 0 && is_alive(process->pid))
                        add(&found, process->pid, process->program);
        }
        look_at_all(&found, output);
        size_t count = found.pids.count;
        if (count > NAMED) {
                char *more = alloc_format("%s and %zu more", found.names, count - NAMED);
                free(found.names);
                found.names = more;
        }
        *names = found.names;
        map_free(&found.pids, NULL);
        return count;
}
