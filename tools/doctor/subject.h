/* SPDX-License-Identifier: Apache-2.0
 *
 * subject.h - what /proc tells of the process that the doctor was asked about
 *
 * Read once, before any check, so that all of them speak of the same moment. What may not be seen keeps the error that
 * came instead: of another user's process that is most of it.
 *
 * Context: reader
 */
#ifndef LOOPDOG_DOCTOR_SUBJECT_H
#define LOOPDOG_DOCTOR_SUBJECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* A mapped file. */
struct subject_file {
        char *path; /* without " (deleted)" */
        bool deleted;
        uint64_t inode;
        unsigned major, minor; /* of its device */
};

struct subject {
        int pid;
        char *folder;      /* "/proc/4242" */
        bool exists;       /* else nothing below is known */
        char state;        /* as in its stat: 'Z' has ended */
        char *name;        /* short name */
        bool kernel;       /* a thread of the kernel's own */
        int inner_pid;     /* its number in its own PID namespace, as its records have it */
        unsigned uid;      /* effective */
        unsigned file_uid; /* owner of its files in /proc: root where it is not dumpable */
        unsigned seccomp;  /* 0 none, 1 strict, 2 filters */
        unsigned filters;  /* how many; 0 where the kernel does not tell */
        bool no_new_privileges;
        char *executable; /* where its link leads; NULL: not visible */
        int executable_error;
        struct subject_file *files; /* what it has mapped, each once, in order */
        size_t files_count;
        int maps_error;     /* 0, or errno: `files` is not known */
        char **environment; /* as it was at the start, ended by NULL */
        char *environment_bytes;
        size_t environment_length; /* of these bytes */
        size_t environment_count;
        int environment_error; /* 0, or errno */
        bool secure_known;     /* started in secure mode or not: */
        bool secure;           /* its loader ignored LD_PRELOAD */
        int watchdog_tid;      /* the thread called loopdog; 0: none */
        size_t threads;
        size_t threads_deaf; /* without the watchdog: those that block every real-time signal */
        bool first_deaf;     /* the first thread is one of them */
};

/* Read what `proc` ("/proc", or another folder in tests) has on the process. */
void subject_read(struct subject *subject, const char *proc, int pid);
void subject_free(struct subject *subject);

/* The value of a variable in its environment, or NULL. */
const char *subject_variable(const struct subject *subject, const char *name);

/* The first mapped file whose name (behind the last slash) begins so, or NULL. */
const struct subject_file *subject_find_file(const struct subject *subject, const char *prefix);

/* Where the file at `path` of that process is for us, who may have another root: to be freed. */
char *subject_path(const struct subject *subject, const char *path);

#endif
