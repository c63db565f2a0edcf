/* SPDX-License-Identifier: Apache-2.0
 *
 * see.c - what a program sees of itself, in lines that are the same in every run
 *
 * Context: any thread of a victim
 */
#include "see.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "truth.h"

#define NUMBERS 1100 /* descriptors that are looked at */

extern char **environ;

void see(const char *format, ...)
{
        char line[4096];
        va_list list;
        va_start(list, format);
        int length = vsnprintf(line, sizeof line - 1, format, list);
        va_end(list);
        VICTIM_CHECK(length >= 0 && length < (int)sizeof line - 1);
        line[length] = '\n';
        VICTIM_CHECK(write(STDOUT_FILENO, line, (size_t)length + 1) == length + 1);
}

static void see_descriptors(const char *who)
{
        char list[2048] = "";
        size_t length = 0;
        for (int fd = 0; fd < NUMBERS; fd++) {
                int flags = fcntl(fd, F_GETFD);
                if (flags < 0)
                        continue;
                const char *mark = flags & FD_CLOEXEC ? "c" : "";
                length += (size_t)snprintf(list + length, sizeof list - length, " %d%s", fd, mark);
                VICTIM_CHECK(length < sizeof list);
        }
        see("%s: descriptors%s", who, list);
}

/* Signals 32 and 33 are libc's: it has handlers of them from the first pthread_create() on, ours too. */
static void leave_libcs_out(char *line)
{
        char *mask = strchr(line, ':') + 1;
        snprintf(mask, 20, "\t%016llx", strtoull(mask, NULL, 16) & ~(3ull << 31));
}

void see_process(const char *who)
{
        static const char *const names[] = { "Threads:", "SigPnd:", "ShdPnd:", "SigBlk:", "SigIgn:",     "SigCgt:",
                                             "Uid:",     "Gid:",    "Groups:", "CapEff:", "NoNewPrivs:", "Seccomp:" };
        char line[512];
        FILE *status = fopen("/proc/self/status", "re");
        VICTIM_CHECK(status != NULL);
        while (fgets(line, sizeof line, status) != NULL)
                for (size_t i = 0; i < sizeof names / sizeof *names; i++)
                        if (strncmp(line, names[i], strlen(names[i])) == 0) {
                                if (strcmp(names[i], "SigCgt:") == 0)
                                        leave_libcs_out(line);
                                see("%s: %.*s", who, (int)strcspn(line, "\n"), line);
                        }
        fclose(status);
        see_descriptors(who);
}

void see_environment(const char *who)
{
        static const char *const ours[] = { "LD_PRELOAD=", "LOOPDOG_", "VICTIM_TRUTH=" };
        for (char **variable = environ; variable != NULL && *variable != NULL; variable++) {
                bool is_ours = false;
                for (size_t i = 0; i < sizeof ours / sizeof *ours; i++)
                        is_ours = is_ours || strncmp(*variable, ours[i], strlen(ours[i])) == 0;
                if (!is_ours)
                        see("%s: %s", who, *variable);
        }
}

void see_end(const char *who, pid_t child)
{
        int status;
        VICTIM_CHECK(child > 0 && waitpid(child, &status, __WALL) == child);
        if (WIFEXITED(status))
                see("%s: exited with %d", who, WEXITSTATUS(status));
        else
                see("%s: killed by %d", who, WTERMSIG(status));
}

static VICTIM_FRAME void on_sleep(struct turn *loop)
{
        planted_sleep_ms(200, "on_sleep");
}

static VICTIM_FRAME void on_busy(struct turn *loop)
{
        planted_busy_ms(200, "on_busy");
}

static void stall(struct turn *loop, turn_callback *callback)
{
        turn_run(loop, 3, NULL);
        turn_run(loop, 1, callback);
        turn_run(loop, 2, NULL);
}

void stall_asleep(struct turn *loop)
{
        stall(loop, on_sleep);
}

void stall_busy(struct turn *loop)
{
        stall(loop, on_busy);
}
