/* SPDX-License-Identifier: Apache-2.0
 *
 * process.c - what /proc says of another process of this machine
 *
 * Context: reader
 */
#include "process.h"

#include <ctype.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "now.h"
#include "read_file.h"

#define STAT_BYTES 1024
#define START_FIELD 19 /* behind the name and its bracket; see proc(5) */

char *process_read(int pid, const char *name, size_t *length)
{
        char folder[32];
        snprintf(folder, sizeof(folder), "/proc/%d", pid);
        return read_file_in(folder, name, length);
}

void process_read_line(int pid, const char *name, char *bytes, size_t capacity)
{
        char *text = process_read(pid, name, NULL);
        snprintf(bytes, capacity, "%.*s", text ? (int)strcspn(text, "\n") : 0, text ? text : "");
        free(text);
}

/* What stands in `stat` behind the name, which may have anything in it; NULL. */
static const char *read_stat(int pid, char stat[static STAT_BYTES])
{
        process_read_line(pid, "stat", stat, STAT_BYTES);
        const char *end = strrchr(stat, ')');
        return end && end[1] == ' ' ? end + 2 : NULL;
}

bool process_is_alive(int pid)
{
        char stat[STAT_BYTES];
        const char *state = read_stat(pid, stat);
        return state && state[0] != 'Z' && state[0] != 'X';
}

uint64_t process_start_ns(int pid)
{
        char stat[STAT_BYTES];
        const char *field = read_stat(pid, stat);
        for (int i = 0; field && i < START_FIELD; i++) {
                field = strchr(field, ' ');
                field = field ? field + 1 : NULL;
        }
        uint64_t ticks = field ? strtoull(field, NULL, 10) : 0;
        long per_second = sysconf(_SC_CLK_TCK);
        if (ticks == 0 || per_second <= 0)
                return 0;
        uint64_t boot_ns = now_ns(CLOCK_REALTIME) - now_ns(CLOCK_BOOTTIME);
        return boot_ns + ticks * (UINT64_C(1000000000) / (uint64_t)per_second);
}

int process_inner_pid(const char *status, int fallback)
{
        const char *at = strstr(status, "\nNSpid:");
        const char *end = at ? at + 1 + strcspn(at + 1, "\n") : NULL;
        while (end && end > at && end[-1] >= '0' && end[-1] <= '9')
                end--;
        int pid = end ? atoi(end) : 0;
        return pid > 0 ? pid : fallback;
}

const char *process_variable(const char *environment, size_t length, const char *name)
{
        size_t size = strlen(name);
        for (size_t at = 0; at < length; at += strnlen(environment + at, length - at) + 1) {
                bool whole = strnlen(environment + at, length - at) < length - at;
                if (whole && strncmp(environment + at, name, size) == 0 && environment[at + size] == '=')
                        return environment + at + size + 1;
        }
        return NULL;
}

void process_each(void (*take)(void *context, int pid), void *context)
{
        DIR *folder = opendir("/proc");
        for (struct dirent *entry; folder && (entry = readdir(folder));) {
                int pid = isdigit((unsigned char)entry->d_name[0]) ? atoi(entry->d_name) : 0;
                if (pid > 0 && pid != getpid())
                        take(context, pid);
        }
        if (folder)
                closedir(folder);
}
