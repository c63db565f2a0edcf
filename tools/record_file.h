/* SPDX-License-Identifier: Apache-2.0
 *
 * record_file.h - where a running process writes its records
 *
 * Context: reader
 */
#ifndef LOOPDOG_TOOLS_RECORD_FILE_H
#define LOOPDOG_TOOLS_RECORD_FILE_H

#include <stdbool.h>

/* One file, or all that a LOOPDOG_OUTPUT can stand for. */
struct record_file {
        char *folder;  /* as a path of ours, who may have another root than the process */
        char *pattern; /* of the names in it, as for fnmatch() */
};

/* The file that the thread `watchdog_tid` of `process` ("/proc/4242") has open to append records to. It counts as long
 * as its name leads to it and it has a record in it: else it is another's, or has been rotated away. */
bool record_file_find_open(const char *process, int watchdog_tid, struct record_file *file);

/* Does a LOOPDOG_OUTPUT, which may be NULL, name files? */
bool record_file_is_named(const char *output);

/* The files that such an `output` of `process` names. A relative one begins in `started_in`, which is its PWD; NULL: in
 * its present folder. A `pid` above 0: only those of the process that calls itself so. False: it names none that could
 * be found. */
bool record_file_find_named(const char *process, const char *output, const char *started_in, int pid,
                            struct record_file *file);

/* The path of the one that was written to last, to be freed; NULL: there is none, or none may be seen. */
char *record_file_newest(const struct record_file *file);

/* The part of a path of ours that the process itself calls it by. */
const char *record_file_shown(const char *process, const char *path);

void record_file_free(struct record_file *file);

#endif
