/* SPDX-License-Identifier: Apache-2.0
 *
 * child.h - the command, its signals and its end
 *
 * The command shares our process group, so the terminal treats both as one job: Ctrl-C and Ctrl-Z reach both, the
 * foreground is shared. What is sent to us alone is passed on.
 *
 * Context: reader
 */
#ifndef LOOPDOG_LAUNCH_CHILD_H
#define LOOPDOG_LAUNCH_CHILD_H

#include <signal.h>
#include <stdbool.h>
#include <sys/types.h>

struct child {
        int signals; /* signalfd: poll it and call child_handle() */
        pid_t pid;   /* 0: not started */
        bool ended;
        int status;    /* as from waitpid(), once it has ended */
        sigset_t mask; /* what the command gets back */
        struct sigaction pipe_action;
        struct sigaction child_action;
};

/* Take the signals over, before anything that may be written or waited for. 0 or -errno. */
int child_prepare(struct child *child);

/* Start the file at `path`; with `shell`, one that the kernel does not know is a script of the shell, as for execvp().
 * 0, or -errno of exec. */
int child_start(struct child *child, const char *path, bool shell, char **arguments, char **environment);

/* Pass on the signals that are pending, stop with the command where the terminal says so, and see whether it has
 * ended. */
void child_handle(struct child *child);

/* Its exit status as a shell gives it: 128 and the signal where one ended it. */
int child_exit_code(const struct child *child);

/* Give the signals back to us, so that Ctrl-C works again. */
void child_release(struct child *child);

#endif
