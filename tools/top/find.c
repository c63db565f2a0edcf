/* SPDX-License-Identifier: Apache-2.0
 *
 * find.c - where a process that was named, or any of this machine, writes its records
 *
 * Context: reader
 */
#include "top/find.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "process.h"
#include "record_file.h"

void found_free(struct found *found)
{
        record_file_free(&found->file);
        *found = (struct found){ 0 };
}

static bool is_watchdog(int pid, int tid)
{
        char name[64];
        char comm[32];
        snprintf(name, sizeof(name), "task/%d/comm", tid);
        process_read_line(pid, name, comm, sizeof(comm));
        return strcmp(comm, "loopdog") == 0;
}

static bool find_open_file(int pid, const char *process, struct found *found)
{
        char path[64];
        snprintf(path, sizeof(path), "%s/task", process);
        DIR *threads = opendir(path);
        for (struct dirent *entry; threads && !found->open && (entry = readdir(threads));) {
                int tid = atoi(entry->d_name);
                found->open = tid > 0 && is_watchdog(pid, tid) && record_file_find_open(process, tid, &found->file);
        }
        if (threads)
                closedir(threads);
        return found->open;
}

static bool find_by_environment(int pid, const char *process, struct found *found, const char **error)
{
        size_t length = 0;
        char *environment = process_read(pid, "environ", &length);
        *error = environment ? NULL : strerror(errno);
        const char *output = process_variable(environment, length, "LOOPDOG_OUTPUT");
        const char *started_in = process_variable(environment, length, "PWD");
        bool named = record_file_find_named(process, output, started_in, 0, &found->file);
        free(environment);
        return named;
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
        char process[32];
        const char *error = NULL;
        snprintf(process, sizeof(process), "/proc/%d", pid);
        *found = (struct found){ .pid = own_pid(pid) };
        if (find_open_file(pid, process, found) || find_by_environment(pid, process, found, &error))
                return true;
        if (why)
                *why = advise(pid, error);
        return false;
}
