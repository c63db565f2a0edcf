/* SPDX-License-Identifier: Apache-2.0
 *
 * find.h - where a process that was named, or any of this machine, writes its records
 *
 * Context: reader
 */
#ifndef LOOPDOG_TOP_FIND_H
#define LOOPDOG_TOP_FIND_H

#include <stdbool.h>
#include <stdint.h>

#include "record_file.h"

struct found {
        struct record_file file;
        int32_t pid; /* as the process itself calls it: in a container it is another */
        bool open;   /* it has a file of records open; else its environment names one, whoever reads that */
};

/* Where does it write? False where that is not known: then `why`, unless it is NULL, is set to a sentence that says
 * what to do about it, to be freed. */
bool find_records(int pid, struct found *found, char **why);

/* Is the agent in that process? */
bool find_is_under_loopdog(int pid);

void found_free(struct found *found);

#endif
