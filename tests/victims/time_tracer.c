/* SPDX-License-Identifier: Apache-2.0
 *
 * time_tracer.c - a debugger: attaches to all threads of a process, stops them, lets them run, and counts their signals
 *
 *     time_tracer PID HOLD_MS FOLLOW_MS
 *
 * Stops all threads for HOLD_MS (0: not at all), then lets them run for FOLLOW_MS under its eyes, as `continue` in gdb
 * and as strace do. Each signal that stops a thread meanwhile is passed on; real-time signals, at which gdb would wait
 * for its user, are counted. Writes "threads N signals N" at the end.
 *
 * Context: not watched
 */
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

#include "truth.h"

#define THREADS 64

static pid_t threads[THREADS];
static unsigned threads_count, signals;

static void attach(pid_t tid)
{
        VICTIM_CHECK(threads_count < THREADS);
        if (ptrace(PTRACE_SEIZE, tid, NULL, NULL) == 0)
                threads[threads_count++] = tid;
        else
                VICTIM_CHECK(errno == ESRCH);
}

static void attach_to_all(const char *pid)
{
        char path[64];
        snprintf(path, sizeof(path), "/proc/%s/task", pid);
        DIR *folder = opendir(path);
        VICTIM_CHECK(folder != NULL);
        for (struct dirent *entry; (entry = readdir(folder)) != NULL;)
                if (entry->d_name[0] != '.')
                        attach((pid_t)atoi(entry->d_name));
        closedir(folder);
        VICTIM_CHECK(threads_count > 0);
}

static void stop(pid_t tid)
{
        int status;
        VICTIM_CHECK(ptrace(PTRACE_INTERRUPT, tid, NULL, NULL) == 0);
        VICTIM_CHECK(waitpid(tid, &status, __WALL) == tid && WIFSTOPPED(status));
}

/* Pass on what stopped a thread. An event-stop (of PTRACE_INTERRUPT, or SIGSTOP's) is no signal. */
static void pass_on(pid_t tid, int status)
{
        int number = WSTOPSIG(status);
        bool delivered = status >> 16 == 0;
        signals += delivered && number >= SIGRTMIN;
        ptrace(PTRACE_CONT, tid, NULL, delivered ? number : 0);
}

static void follow(unsigned follow_ms)
{
        int status;
        for (uint64_t end_ns = truth_now_ns() + follow_ms * 1000000ull; truth_now_ns() < end_ns; quiet_sleep_ms(1))
                for (pid_t tid; (tid = waitpid(-1, &status, __WALL | WNOHANG)) > 0;)
                        if (WIFSTOPPED(status))
                                pass_on(tid, status);
}

int main(int argc, char **argv)
{
        VICTIM_CHECK(argc == 4);
        unsigned hold_ms = (unsigned)atoi(argv[2]);
        attach_to_all(argv[1]);
        for (unsigned i = 0; hold_ms > 0 && i < threads_count; i++)
                stop(threads[i]);
        quiet_sleep_ms(hold_ms);
        for (unsigned i = 0; hold_ms > 0 && i < threads_count; i++)
                ptrace(PTRACE_CONT, threads[i], NULL, 0);
        follow((unsigned)atoi(argv[3]));
        for (unsigned i = 0; i < threads_count; i++) {
                stop(threads[i]);
                ptrace(PTRACE_DETACH, threads[i], NULL, NULL);
        }
        printf("threads %u signals %u\n", threads_count, signals);
        return 0;
}
