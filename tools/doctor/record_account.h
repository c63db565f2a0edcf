/* SPDX-License-Identifier: Apache-2.0
 *
 * record_account.h - what the process has recorded so far
 *
 * Context: reader
 */
#ifndef LOOPDOG_DOCTOR_RECORD_ACCOUNT_H
#define LOOPDOG_DOCTOR_RECORD_ACCOUNT_H

#include "doctor/subject.h"
#include "map.h"
#include "reading.h"

struct account {
        char *output;           /* the value of LOOPDOG_OUTPUT, NULL: none, or not visible */
        char *path;             /* of its record file, as it names it; NULL: none was found */
        char *trouble;          /* why that could not be read; NULL */
        char *run;              /* of the process; "": it has no line in the file */
        char *version;          /* of the agent */
        struct reading reading; /* the whole file, which others may share */
        struct map notices;     /* what the agent said; no values */
        struct map losses;      /* why samples have no stack; no values, the first is the most recent */
        uint64_t stalls;        /* with all below: of this run alone */
        uint64_t samples;
        uint64_t samples_lost;
        uint64_t latest_ns; /* the watchdog came so much too late to a stall */
        bool exited;
};

/* Find the file by the watchdog's descriptors, else by the process's environment, and read it. */
void account_read(struct account *account, const struct subject *subject);
void account_free(struct account *account);

#endif
