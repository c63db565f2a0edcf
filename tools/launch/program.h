/* SPDX-License-Identifier: Apache-2.0
 *
 * program.h - can the agent be preloaded into a command, and if not, why
 *
 * Context: reader
 */
#ifndef LOOPDOG_LAUNCH_PROGRAM_H
#define LOOPDOG_LAUNCH_PROGRAM_H

#include <stdbool.h>

/* What is in the way of a preload. */
enum program_kind {
        PROGRAM_REACHED, /* nothing that is known */
        PROGRAM_FOREIGN, /* another processor or word size */
        PROGRAM_SECURE,  /* set-user-ID and the like */
        PROGRAM_GO,
        PROGRAM_STATIC,
        PROGRAM_OTHER_LOADER, /* musl's */
};

struct program {
        enum program_kind kind;
        char *path;     /* the file that execvp() would start; NULL: none is found */
        char *examined; /* the ELF file that runs in the end, a script's interpreter; NULL: not known */
        char *missing;  /* the interpreter of a script or the loader of a program, if that does not exist; NULL */
        char *obstacle; /* a sentence on why no loop of it can be seen; NULL: nothing is in the way */
        bool elf;       /* `examined` is an ELF file */
        bool refuses;   /* its loader would fail or complain about the agent: do not preload it */
};

/* Look at what `command` would start: found on PATH, scripts followed to their interpreter. */
void program_examine(struct program *program, const char *command);

/* Look at a program that runs already: its file can be read at `path` (/proc/PID/exe) and is called `name`. How it was
 * started (secure mode) is not asked here: the process itself knows. */
void program_examine_running(struct program *program, const char *path, const char *name);
void program_free(struct program *program);

#endif
