/* SPDX-License-Identifier: Apache-2.0
 *
 * trial.c - start a program of our own that stalls under the agent, and read what was recorded
 *
 * Context: reader
 */
#include "doctor/trial.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "alloc.h"
#include "launch/output.h"
#include "read/input.h"

#define SAID_BYTES 4096 /* of what the program and its loader print */

extern char **environ;

/* -------------------------------------------------------------------------------------------------------- starting */

/* Ours without any setting of loopdog's, and with those of the trial. */
static char **make_environment(const char *library, const char *output)
{
        size_t count = 0;
        while (environ[count])
                count++;
        char **result = alloc_zeroed(count + 4, sizeof(*result));
        char **next = result;
        for (size_t i = 0; i < count; i++)
                if (strncmp(environ[i], "LOOPDOG_", 8) != 0 && strncmp(environ[i], "LD_PRELOAD=", 11) != 0)
                        *next++ = alloc_string(environ[i]);
        *next++ = alloc_format("LD_PRELOAD=%s", library);
        *next++ = alloc_format("LOOPDOG_OUTPUT=%s", output);
        *next++ = alloc_string("LOOPDOG_THRESHOLD=20ms");
        return result;
}

static void free_environment(char **environment)
{
        for (char **entry = environment; *entry; entry++)
                free(*entry);
        free(environment);
}

/* The process, or -errno. What it prints, and what its loader complains of, comes out of `*said`. */
static pid_t start(char **environment, int *said)
{
        char name[] = "loopdog", command[] = "__trial";
        char *arguments[] = { name, command, NULL };
        posix_spawn_file_actions_t actions;
        int ends[2];
        pid_t pid;
        if (pipe2(ends, O_CLOEXEC) < 0)
                return -errno;
        posix_spawn_file_actions_init(&actions);
        posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
        posix_spawn_file_actions_adddup2(&actions, ends[1], STDERR_FILENO);
        int error = posix_spawn(&pid, "/proc/self/exe", &actions, NULL, arguments, environment);
        posix_spawn_file_actions_destroy(&actions);
        close(ends[1]);
        *said = ends[0];
        if (error == 0)
                return pid;
        close(ends[0]);
        return -error;
}

static char *read_to_end(int fd)
{
        char *bytes = alloc_zeroed(SAID_BYTES, 1);
        char rest[256];
        size_t used = 0;
        ssize_t got;
        while ((got = used + 1 < SAID_BYTES ? read(fd, bytes + used, SAID_BYTES - 1 - used)
                                            : read(fd, rest, sizeof(rest))) > 0)
                used += used + 1 < SAID_BYTES ? (size_t)got : 0;
        close(fd);
        return bytes;
}

/* Its first line is the library's version; what the loader says comes before that. */
static void take_said(struct trial *trial, const char *said, int status)
{
        const char *version = strncmp(said, "version ", 8) == 0 ? said : strstr(said, "\nversion ");
        if (version) {
                version += strcspn(version, " ") + 1;
                trial->version = alloc_bytes(version, strcspn(version, "\n"));
        }
        if (WIFEXITED(status) && WEXITSTATUS(status) == 0 && version)
                return;
        trial->crashed = WIFSIGNALED(status);
        if (trial->crashed)
                trial->trouble = alloc_format("it was ended by signal %d", WTERMSIG(status));
        else if (said[0] && !version)
                trial->trouble = alloc_bytes(said, strcspn(said, "\n"));
        else
                trial->trouble = alloc_format("its exit code was %d", WEXITSTATUS(status));
}

/* --------------------------------------------------------------------------------------------------------- reading */

static void take_stall(struct trial_stalls *stalls, const struct record_stall *stall)
{
        bool framed = false;
        stalls->seen++;
        for (size_t i = 0; i < stall->stacks_count; i++) {
                framed |= stall->stacks[i].frames_count > 0;
                if (stall->stacks[i].missing && !stalls->loss)
                        stalls->loss = alloc_string(stall->stacks[i].missing);
        }
        stalls->with_stack += framed || stall->stacks_omitted;
        for (size_t i = 0; i < stall->losses_count && !stalls->loss; i++)
                stalls->loss = alloc_string(stall->losses[i].reason);
}

static void take_record(void *context, const struct parsed *parsed, const char *line, size_t length)
{
        struct trial *trial = context;
        const struct record *record = &parsed->record;
        if (record->type == RECORD_PROCESS) {
                trial->recorded = true;
                for (size_t i = 0; i < record->process.notices_count; i++)
                        map_at_string(&trial->notices, record->process.notices[i]);
        } else if (record->type == RECORD_STALL) {
                bool asleep = record->stall.cause == RECORD_BLOCKED;
                take_stall(asleep ? &trial->asleep : &trial->running, &record->stall);
        }
}

static void run_in(struct trial *trial, const char *library, const struct output *output)
{
        int said = -1, status = 0;
        char **environment = make_environment(library, output->variable);
        pid_t pid = start(environment, &said);
        free_environment(environment);
        if (pid < 0) {
                trial->trouble = alloc_string(strerror((int)-pid));
                return;
        }
        char *text = read_to_end(said);
        while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
                ;
        take_said(trial, text, status);
        free(text);
        struct input input = { .take = take_record, .context = trial };
        if (!trial->trouble)
                input_read(&input, output->folder);
}

void trial_run(struct trial *trial, const char *library)
{
        struct output output;
        *trial = (struct trial){ 0 };
        if (output_prepare(&output, NULL))
                run_in(trial, library, &output);
        else
                trial->trouble = alloc_string("there is no folder for its records");
        output_remove(&output);
        output_free(&output);
}

void trial_free(struct trial *trial)
{
        free(trial->trouble);
        free(trial->version);
        free(trial->asleep.loss);
        free(trial->running.loss);
        map_free(&trial->notices, NULL);
        *trial = (struct trial){ 0 };
}
