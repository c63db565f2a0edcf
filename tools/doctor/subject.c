/* SPDX-License-Identifier: Apache-2.0
 *
 * subject.c - what /proc tells of the process that the doctor was asked about
 *
 * Context: reader
 * Limits:  FILE_BYTES of each file of /proc
 */
#include "doctor/subject.h"

#include <ctype.h>
#include <dirent.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "alloc.h"
#include "process.h"
#include "read_file.h"

#define DELETED " (deleted)"

/* --------------------------------------------------------------------------------------------------------- status */

/* The number behind "Name:" in the text of a `status`, in `base`; `fallback` where there is none. */
static uint64_t status_number(const char *status, const char *name, int base, uint64_t fallback)
{
        char *field = alloc_format("\n%s:", name);
        const char *at = strstr(status, field);
        size_t length = strlen(field);
        free(field);
        return at ? strtoull(at + length, NULL, base) : fallback;
}

/* "Uid: real effective saved file" */
static unsigned effective_uid(const char *status)
{
        unsigned real = 0, effective = 0;
        const char *at = strstr(status, "\nUid:");
        return at && sscanf(at, "\nUid: %u %u", &real, &effective) == 2 ? effective : 0;
}

static void take_status(struct subject *subject, const char *status)
{
        const char *state = strstr(status, "\nState:");
        size_t length = strcspn(status, "\n");
        subject->exists = true;
        subject->name = strncmp(status, "Name:\t", 6) == 0 ? alloc_bytes(status + 6, length - 6) : alloc_string("?");
        subject->state = '?';
        if (state)
                sscanf(state, "\nState: %c", &subject->state);
        subject->inner_pid = process_inner_pid(status, subject->pid);
        subject->uid = effective_uid(status);
        subject->seccomp = (unsigned)status_number(status, "Seccomp", 10, 0);
        subject->filters = (unsigned)status_number(status, "Seccomp_filters", 10, 0);
        subject->no_new_privileges = status_number(status, "NoNewPrivs", 10, 0) == 1;
        subject->kernel = status_number(status, "Kthread", 10, 0) == 1 || !strstr(status, "\nVmSize:");
}

/* -------------------------------------------------------------------------------------------------------- threads */

static uint64_t real_time_signals(void)
{
        uint64_t all = 0;
        for (int number = SIGRTMIN; number <= SIGRTMAX; number++)
                all |= UINT64_C(1) << (number - 1);
        return all;
}

static void look_at_thread(struct subject *subject, const char *tid)
{
        char *name = alloc_format("task/%s/status", tid);
        char *status = read_file_in(subject->folder, name, NULL);
        free(name);
        if (!status)
                return;
        subject->threads++;
        if (strncmp(status, "Name:\tloopdog\n", 14) == 0 && atoi(tid) != subject->pid)
                subject->watchdog_tid = atoi(tid);
        else if ((status_number(status, "SigBlk", 16, 0) & real_time_signals()) == real_time_signals()) {
                subject->threads_deaf++;
                subject->first_deaf |= atoi(tid) == subject->pid;
        }
        free(status);
}

static void look_at_threads(struct subject *subject)
{
        char *path = alloc_format("%s/task", subject->folder);
        DIR *folder = opendir(path);
        for (struct dirent *entry; folder && (entry = readdir(folder));)
                if (isdigit((unsigned char)entry->d_name[0]))
                        look_at_thread(subject, entry->d_name);
        if (folder)
                closedir(folder);
        free(path);
}

/* ----------------------------------------------------------------------------------------------------------- maps */

static bool is_known_file(const struct subject *subject, const struct subject_file *file)
{
        for (size_t i = subject->files_count; i-- > 0;)
                if (subject->files[i].inode == file->inode && strcmp(subject->files[i].path, file->path) == 0)
                        return true;
        return false;
}

/* "7f00-7f01 r-xp 00000000 08:01 1234   /usr/lib/libc.so.6 (deleted)" */
static void take_mapping(struct subject *subject, const char *line)
{
        struct subject_file file = { 0 };
        unsigned long long inode = 0;
        int path_at = 0;
        if (sscanf(line, "%*s %*s %*s %x:%x %llu %n", &file.major, &file.minor, &inode, &path_at) != 3 ||
            line[path_at] != '/')
                return;
        file.inode = inode;
        file.path = alloc_string(line + path_at);
        size_t length = strlen(file.path), suffix = strlen(DELETED);
        file.deleted = length > suffix && strcmp(file.path + length - suffix, DELETED) == 0;
        if (file.deleted)
                file.path[length - suffix] = '\0';
        if (is_known_file(subject, &file)) {
                free(file.path);
                return;
        }
        subject->files = alloc_resize(subject->files, subject->files_count + 1, sizeof(file));
        subject->files[subject->files_count++] = file;
}

static void take_maps(struct subject *subject)
{
        char *maps = read_file_in(subject->folder, "maps", NULL);
        char *rest = NULL;
        if (!maps || !*maps) /* empty where it may be opened, but not be read */
                subject->maps_error = maps ? EACCES : errno;
        for (char *line = maps ? strtok_r(maps, "\n", &rest) : NULL; line; line = strtok_r(NULL, "\n", &rest))
                take_mapping(subject, line);
        free(maps);
}

/* ----------------------------------------------------------------------------------------------------- environment */

static void take_environment(struct subject *subject)
{
        size_t length;
        char *bytes = read_file_in(subject->folder, "environ", &length);
        if (!bytes || (length == 0 && subject->maps_error))
                subject->environment_error = bytes ? subject->maps_error : errno;
        subject->environment_bytes = bytes;
        subject->environment_length = bytes ? length + 1 : 0; /* with a NUL, whatever was written over it */
        subject->environment = alloc_zeroed(1, sizeof(char *));
        if (!bytes)
                return;
        for (char *entry = bytes; entry < bytes + length; entry += strlen(entry) + 1) {
                if (!strchr(entry, '='))
                        continue; /* empty, or overwritten by a title */
                subject->environment =
                        alloc_resize(subject->environment, subject->environment_count + 2, sizeof(char *));
                subject->environment[subject->environment_count++] = entry;
                subject->environment[subject->environment_count] = NULL;
        }
}

static void take_secure_mode(struct subject *subject)
{
        size_t length;
        char *bytes = read_file_in(subject->folder, "auxv", &length);
        for (size_t at = 0; bytes && at + sizeof(Elf64_auxv_t) <= length; at += sizeof(Elf64_auxv_t)) {
                Elf64_auxv_t entry;
                memcpy(&entry, bytes + at, sizeof(entry));
                if (entry.a_type != AT_SECURE)
                        continue;
                subject->secure_known = true;
                subject->secure = entry.a_un.a_val != 0;
        }
        free(bytes);
}

/* ------------------------------------------------------------------------------------------------------ all of it */

static void take_executable(struct subject *subject)
{
        char target[PATH_MAX];
        char *path = alloc_format("%s/exe", subject->folder);
        ssize_t length = readlink(path, target, sizeof(target) - 1);
        free(path);
        if (length < 0) {
                subject->executable_error = errno;
                return;
        }
        target[length] = '\0';
        size_t suffix = strlen(DELETED);
        if ((size_t)length > suffix && strcmp(target + length - suffix, DELETED) == 0)
                target[length - (ssize_t)suffix] = '\0';
        subject->executable = alloc_string(target);
}

static bool stat_in(const char *folder, const char *name, struct stat *status)
{
        char *path = alloc_format("%s/%s", folder, name);
        bool found = stat(path, status) == 0;
        free(path);
        return found;
}

void subject_read(struct subject *subject, const char *proc, int pid)
{
        struct stat status;
        *subject = (struct subject){ .pid = pid, .inner_pid = pid, .folder = alloc_format("%s/%d", proc, pid) };
        char *text = read_file_in(subject->folder, "status", NULL);
        if (!text)
                return;
        take_status(subject, text);
        free(text);
        subject->file_uid = stat_in(subject->folder, "status", &status) ? status.st_uid : subject->uid;
        look_at_threads(subject);
        take_executable(subject);
        take_maps(subject);
        if (!subject->executable && subject->files_count > 0) /* the link may be hidden where the mappings are not */
                subject->executable = alloc_string(subject->files[0].path);
        take_environment(subject);
        take_secure_mode(subject);
}

void subject_free(struct subject *subject)
{
        for (size_t i = 0; i < subject->files_count; i++)
                free(subject->files[i].path);
        free(subject->files);
        free(subject->environment);
        free(subject->environment_bytes);
        free(subject->executable);
        free(subject->name);
        free(subject->folder);
        *subject = (struct subject){ 0 };
}

/* ------------------------------------------------------------------------------------------------------ questions */

const char *subject_variable(const struct subject *subject, const char *name)
{
        return process_variable(subject->environment_bytes, subject->environment_length, name);
}

const struct subject_file *subject_find_file(const struct subject *subject, const char *prefix)
{
        for (size_t i = 0; i < subject->files_count; i++) {
                const char *name = strrchr(subject->files[i].path, '/') + 1;
                if (strncmp(name, prefix, strlen(prefix)) == 0)
                        return &subject->files[i];
        }
        return NULL;
}

char *subject_path(const struct subject *subject, const char *path)
{
        if (path[0] == '/')
                return alloc_format("%s/root%s", subject->folder, path);
        return alloc_format("%s/cwd/%s", subject->folder, path);
}
