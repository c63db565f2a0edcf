/* SPDX-License-Identifier: Apache-2.0
 *
 * record_account.c - find the process's record file, and add up what it says
 *
 * The watchdog has a descriptor table of its own with the file open in it: that is the surest way, also after a chroot
 * and in another container, and where a server has written its title over its environment.
 *
 * Context: reader
 */
#include "doctor/record_account.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "alloc.h"
#include "base/text.h"

/* -------------------------------------------------------------------------------------------------- the open file */

/* Regular, and open to be appended to: the watchdog has no other such file. */
static bool is_appended_to(const struct subject *subject, const char *descriptor, const char *path)
{
        struct stat status;
        unsigned flags = 0;
        if (stat(path, &status) < 0 || !S_ISREG(status.st_mode))
                return false;
        char *name = alloc_format("%s/task/%d/fdinfo/%s", subject->folder, subject->watchdog_tid, descriptor);
        FILE *info = fopen(name, "re");
        free(name);
        if (!info)
                return false;
        bool known = fscanf(info, "pos: %*d flags: %o", &flags) == 1;
        fclose(info);
        return known && (flags & O_APPEND) && (flags & O_ACCMODE) == O_WRONLY;
}

/* Where we can open it; `shown` is what the process calls it. NULL: there is none, or we may not see it. */
static char *find_open_file(const struct subject *subject, char **shown)
{
        char target[PATH_MAX];
        char *found = NULL;
        char *path = alloc_format("%s/task/%d/fd", subject->folder, subject->watchdog_tid);
        DIR *folder = opendir(path);
        for (struct dirent *entry; folder && !found && (entry = readdir(folder));) {
                if (!isdigit((unsigned char)entry->d_name[0]))
                        continue;
                char *link = alloc_format("%s/%s", path, entry->d_name);
                ssize_t length = readlink(link, target, sizeof(target) - 1);
                if (length > 0 && is_appended_to(subject, entry->d_name, link)) {
                        *shown = alloc_bytes(target, (size_t)length);
                        found = link;
                } else {
                        free(link);
                }
        }
        if (folder)
                closedir(folder);
        free(path);
        return found;
}

/* ------------------------------------------------------------------------------------------------- by environment */

/* A pattern for fnmatch() of the last part of LOOPDOG_OUTPUT: what the process fills in is known but for the time. */
static char *name_pattern(const struct subject *subject, const char *name)
{
        char bytes[1024];
        struct text pattern = TEXT_IN(bytes);
        text_clear(&pattern);
        for (; *name; name++) {
                char next = *name == '%' ? name[1] : '\0';
                if (next == 'p')
                        text_signed(&pattern, subject->inner_pid);
                else if (next == 'n' || next == 't')
                        text_char(&pattern, '*');
                else if (next == '%')
                        text_char(&pattern, '%');
                else if (strchr("*?[]\\", *name))
                        text_format(&pattern, "\\%c", *name);
                else
                        text_char(&pattern, *name);
                name += next == 'p' || next == 'n' || next == 't' || next == '%';
        }
        return alloc_string(bytes);
}

/* The newest file of the folder whose name matches; NULL. */
static char *find_newest(const char *folder, const char *pattern)
{
        struct timespec newest = { 0 };
        char *found = NULL;
        DIR *entries = opendir(folder);
        for (struct dirent *entry; entries && (entry = readdir(entries));) {
                struct stat status;
                if (fnmatch(pattern, entry->d_name, FNM_PERIOD) != 0 ||
                    fstatat(dirfd(entries), entry->d_name, &status, 0) < 0 || !S_ISREG(status.st_mode))
                        continue;
                bool newer = status.st_mtim.tv_sec > newest.tv_sec ||
                             (status.st_mtim.tv_sec == newest.tv_sec && status.st_mtim.tv_nsec >= newest.tv_nsec);
                if (found && !newer)
                        continue;
                newest = status.st_mtim;
                free(found);
                found = alloc_format("%s/%s", folder, entry->d_name);
        }
        if (entries)
                closedir(entries);
        return found;
}

static char *find_named_file(const struct subject *subject, const char *output, char **shown)
{
        struct stat status;
        char *path = subject_path(subject, output);
        char *pattern;
        if (stat(path, &status) == 0 && S_ISDIR(status.st_mode)) {
                pattern = alloc_format("loopdog.*.%d.jsonl", subject->inner_pid);
        } else {
                char *slash = strrchr(path, '/');
                pattern = name_pattern(subject, slash + 1);
                *slash = '\0';
        }
        char *found = find_newest(path, pattern);
        if (found)
                *shown = alloc_format("%.*s%s", (int)(strrchr(output, '/') ? strrchr(output, '/') + 1 - output : 0),
                                      output, strrchr(found, '/') + 1);
        free(pattern);
        free(path);
        return found;
}

/* --------------------------------------------------------------------------------------------------------- reading */

/* Another run of the same number: what was before is another process's. */
static void begin_run(struct account *account, const char *run)
{
        free(account->run);
        account->run = alloc_string(run);
        map_free(&account->notices, NULL);
        map_free(&account->losses, NULL);
        account->stalls = account->samples = account->samples_lost = account->latest_ns = 0;
        account->exited = false;
}

static void take_stall(struct account *account, const struct record_stall *stall)
{
        account->stalls++;
        account->samples += stall->samples;
        account->samples_lost += stall->samples_lost;
        account->latest_ns = stall->late_ns > account->latest_ns ? stall->late_ns : account->latest_ns;
        for (size_t i = 0; i < stall->losses_count; i++)
                map_at_string(&account->losses, stall->losses[i].reason);
}

struct taking {
        struct account *account;
        int pid;
};

static void take_record(void *context, const struct record *record, const char *line, size_t length)
{
        const struct taking *taking = context;
        struct account *account = taking->account;
        if (record->pid != taking->pid)
                return;
        if (strcmp(record->run, account->run) != 0)
                begin_run(account, record->run);
        account->exited = record->type == RECORD_EXIT;
        if (record->type == RECORD_PROCESS) {
                free(account->version);
                account->version = alloc_string(record->process.agent_version);
                for (size_t i = 0; i < record->process.notices_count; i++)
                        map_at_string(&account->notices, record->process.notices[i]);
        } else if (record->type == RECORD_STALL) {
                take_stall(account, &record->stall);
        }
}

static void read_file_at(struct account *account, const struct subject *subject, char *path)
{
        struct taking taking = { .account = account, .pid = subject->inner_pid };
        struct input *input = &account->reading.input;
        account->reading.also = take_record;
        account->reading.context = &taking;
        if (access(path, R_OK) < 0) {
                account->trouble = alloc_string(strerror(errno));
                return;
        }
        reading_all(&account->reading, &path, 1);
        if (input->files_bad > 0)
                account->trouble = alloc_string("it could not be read to its end");
}

void account_read(struct account *account, const struct subject *subject)
{
        const char *output = subject_variable(subject, "LOOPDOG_OUTPUT");
        *account = (struct account){ .run = alloc_string("") };
        if (output && output[0] && strcmp(output, "stderr") != 0)
                account->output = alloc_string(output);
        char *path = subject->watchdog_tid ? find_open_file(subject, &account->path) : NULL;
        if (!path && account->output)
                path = find_named_file(subject, account->output, &account->path);
        if (path)
                read_file_at(account, subject, path);
        free(path);
}

void account_free(struct account *account)
{
        free(account->output);
        free(account->path);
        free(account->trouble);
        free(account->run);
        free(account->version);
        map_free(&account->notices, NULL);
        map_free(&account->losses, NULL);
        reading_free(&account->reading);
        *account = (struct account){ 0 };
}
