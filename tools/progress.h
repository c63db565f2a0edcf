/* SPDX-License-Identifier: Apache-2.0
 *
 * progress.h - how far a long read has come, on a terminal
 *
 * Context: reader
 */
#ifndef LOOPDOG_TOOLS_PROGRESS_H
#define LOOPDOG_TOOLS_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct progress {
        bool wanted;          /* stderr is a terminal that can rewrite a line */
        uint64_t total_bytes; /* of all that is going to be read; 0: not known */
        uint64_t done_bytes;
        uint64_t next_ns; /* when to write it again */
};

/* Reading these files and folders begins. Nothing is shown of what takes less than half a second. */
void progress_begin(struct progress *progress, char *const *paths, int count);
void progress_add(struct progress *progress, uint64_t bytes);
void progress_end(struct progress *progress);

/* "reading: 45 % of 1.2 GB [=========>          ]" for so many columns; to be freed. */
char *progress_text(uint64_t done_bytes, uint64_t total_bytes, unsigned columns);

#endif
