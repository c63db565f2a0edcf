/* SPDX-License-Identifier: Apache-2.0
 *
 * child.c - the command, its signals and its end
 *
 * Signals are blocked and read from a descriptor. Their dispositions stay as they are, so that what was ignored
 * when we came (nohup) is ignored by the command too. Who sent a signal decides: the kernel's own (the terminal) go
 * to the whole process group anyway, a person's or a supervisor's are for the command. One that was sent to the
 * whole group by kill() reaches the command twice: it can't be told from one sent to us alone, and losing that
 * would be worse.
 *
 * Context: reader
 */
#include "launch/child.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

/* Not taken over: those that can't be, those that say that we are at fault or out of resources ourselves, those by
 * which the terminal stops a job in the background, and SIGPIPE, which is ignored. */
static const int own_signals[] = {
        SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGSYS, SIGTTIN, SIGTTOU, SIGPIPE, SIGXCPU, SIGXFSZ,
};

static void taken_signals(sigset_t *set)
{
        sigfillset(set);
        for (size_t i = 0; i < sizeof(own_signals) / sizeof(*own_signals); i++)
                sigdelset(set, own_signals[i]);
}

int child_prepare(struct child *child)
{
        struct sigaction ignore = { .sa_handler = SIG_IGN };
        struct sigaction fallback = { .sa_handler = SIG_DFL };
        sigset_t taken;
        *child = (struct child){ 0 };
        taken_signals(&taken);
        sigaction(SIGPIPE, &ignore, &child->pipe_action);
        /* Where it was ignored when we came, the command's status would be lost. */
        sigaction(SIGCHLD, &fallback, &child->child_action);
        sigprocmask(SIG_BLOCK, &taken, &child->mask);
        child->signals = signalfd(-1, &taken, SFD_CLOEXEC | SFD_NONBLOCK);
        return child->signals < 0 ? -errno : 0;
}

/* Instead of its own name in `arguments` the shell gets the path to read. */
static void run_shell(const char *path, char **arguments, char **environment)
{
        size_t count = 0;
        while (arguments[count])
                count++;
        char **list = calloc(count + 2, sizeof(*list));
        if (!list)
                return;
        list[0] = (char *)"/bin/sh";
        list[1] = (char *)path;
        memcpy(list + 2, arguments + 1, count * sizeof(*list)); /* with the NULL */
        execve(list[0], list, environment);
}

static void run_command(const struct child *child, const char *path, bool shell, char **arguments, char **environment)
{
        sigaction(SIGPIPE, &child->pipe_action, NULL);
        sigaction(SIGCHLD, &child->child_action, NULL);
        sigprocmask(SIG_SETMASK, &child->mask, NULL);
        execve(path, arguments, environment);
        if (errno == ENOEXEC && shell)
                run_shell(path, arguments, environment);
}

int child_start(struct child *child, const char *path, bool shell, char **arguments, char **environment)
{
        int report[2]; /* closed by exec; else it says why that failed */
        int error = 0;
        if (pipe2(report, O_CLOEXEC) < 0)
                return -errno;
        child->pid = fork();
        if (child->pid == 0) {
                run_command(child, path, shell, arguments, environment);
                error = errno;
                _exit(write(report[1], &error, sizeof(error)) < 0 ? EXIT_FAILURE : EXIT_SUCCESS);
        }
        if (child->pid < 0)
                error = errno;
        close(report[1]);
        while (!error && read(report[0], &error, sizeof(error)) < 0 && errno == EINTR)
                ;
        close(report[0]);
        if (error && child->pid > 0)
                waitpid(child->pid, NULL, 0);
        if (error)
                child->pid = 0;
        return -error;
}

static void pass_on(const struct child *child, const struct signalfd_siginfo *info)
{
        int number = (int)info->ssi_signo;
        bool from_process = info->ssi_code <= 0;
        if (!from_process || child->pid <= 0 || child->ended || (pid_t)info->ssi_pid == child->pid)
                return;
        if (info->ssi_code == SI_QUEUE) {
                union sigval value = { .sival_ptr = (void *)(uintptr_t)info->ssi_ptr };
                sigqueue(child->pid, number, value);
        } else {
                kill(child->pid, number);
        }
}

/* Stop as the terminal wants it, by the signal's own action: the kernel knows when a job must not be stopped. */
static void stop_ourselves(void)
{
        sigset_t stop;
        sigemptyset(&stop);
        sigaddset(&stop, SIGTSTP);
        raise(SIGTSTP);
        sigprocmask(SIG_UNBLOCK, &stop, NULL);
        sigprocmask(SIG_BLOCK, &stop, NULL);
}

/* All that have ended: as the first process of a container we inherit those of others. */
static void reap(struct child *child)
{
        int status;
        pid_t pid;
        while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
                if (pid != child->pid)
                        continue;
                child->ended = true;
                child->status = status;
        }
}

void child_handle(struct child *child)
{
        struct signalfd_siginfo info;
        while (read(child->signals, &info, sizeof(info)) == sizeof(info)) {
                if (info.ssi_signo == SIGCHLD) {
                        reap(child);
                        continue;
                }
                pass_on(child, &info);
                if (info.ssi_signo == SIGTSTP)
                        stop_ourselves();
        }
}

int child_exit_code(const struct child *child)
{
        if (WIFSIGNALED(child->status))
                return 128 + WTERMSIG(child->status);
        return WEXITSTATUS(child->status);
}

void child_release(struct child *child)
{
        if (child->signals < 0)
                return;
        close(child->signals);
        child->signals = -1;
        sigprocmask(SIG_SETMASK, &child->mask, NULL);
}
