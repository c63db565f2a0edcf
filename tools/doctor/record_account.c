/* SPDX-License-Identifier: Apache-2.0
 *
 * record_account.c - find the process's record file, and add up what it says
 *
 * Context: reader
 */
#include "doctor/record_account.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "alloc.h"
#include "record_file.h"

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

/* The path of its file for us, to be freed; NULL: there is none, or it may not be seen. */
static char *find_file(const struct subject *subject, const char *output)
{
        struct record_file file = { 0 };
        char *path = NULL;
        if ((subject->watchdog_tid && record_file_find_open(subject->folder, subject->watchdog_tid, &file)) ||
            record_file_find_named(subject->folder, output, subject_variable(subject, "PWD"), subject->inner_pid,
                                   &file))
                path = record_file_newest(&file);
        record_file_free(&file);
        return path;
}

void account_read(struct account *account, const struct subject *subject)
{
        const char *output = subject_variable(subject, "LOOPDOG_OUTPUT");
        *account = (struct account){ .run = alloc_string("") };
        if (record_file_is_named(output))
                account->output = alloc_string(output);
        char *path = find_file(subject, output);
        if (!path)
                return;
        account->path = alloc_string(record_file_shown(subject->folder, path));
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
