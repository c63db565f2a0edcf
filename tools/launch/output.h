/* SPDX-License-Identifier: Apache-2.0
 *
 * output.h - where the records of `loopdog run` go, and where they are read back
 *
 * Context: reader
 */
#ifndef LOOPDOG_LAUNCH_OUTPUT_H
#define LOOPDOG_LAUNCH_OUTPUT_H

#include <stdbool.h>

struct output {
        char *variable; /* the value of LOOPDOG_OUTPUT for the command */
        char *folder;   /* that has the files */
        char *pattern;  /* of their names, as for fnmatch() */
        bool temporary; /* ours alone, to be removed */
};

/* Make ready for writing: `path` as in LOOPDOG_OUTPUT, or NULL for a private folder. What can't be written to is
 * said and answered by false, before anything has been started. */
bool output_prepare(struct output *output, const char *path);

/* Where the files of a LOOPDOG_OUTPUT that begins with '/' are, each to be freed: their folder, and for fnmatch() their
 * names in it, with a `pid` above 0 of that process alone. False where that can't be told: there is a placeholder in
 * the name of its folder. */
bool output_split(const char *value, int pid, char **folder, char **pattern);

/* Remove a private folder with its files. */
void output_remove(const struct output *output);

void output_free(struct output *output);

#endif
