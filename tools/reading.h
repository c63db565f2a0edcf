/* SPDX-License-Identifier: Apache-2.0
 *
 * reading.h - all that a command reads, added up
 *
 * Context: reader
 */
#ifndef LOOPDOG_TOOLS_READING_H
#define LOOPDOG_TOOLS_READING_H

#include "analyse/analysis.h"
#include "progress.h"
#include "read/input.h"

struct reading {
        struct input input;
        struct progress progress;
        struct symbolizer *symbolizer; /* learns where the records lie; NULL: nobody is interested */
        struct analysis analysis;      /* its filter and on_stall are set by the caller beforehand */
        /* Called for each record as it is read, before it is added up; NULL: nobody asks. */
        void (*also)(void *context, const struct record *record, const char *line, size_t length);
        void *context;
};

/* Read files, folders or "-" and finish the analysis. False, said, where nothing could be read; a file that is empty
 * because its process ended too early counts as read. */
bool reading_all(struct reading *reading, char *const *paths, int count);

void reading_free(struct reading *reading);

/* The end of a command whose results went to stdout: EXIT_FINE, or EXIT_FAILED with the reason said. Whoever reads them
 * may have seen enough (SIGPIPE is to be ignored). */
int stdout_finish(void);

#endif
