/* SPDX-License-Identifier: Apache-2.0
 *
 * trial.h - a program of our own that stalls under the agent
 *
 * Whether a library can be preloaded, whether a thread may be looked at, whether a signal gets through: on a given
 * machine all of that is known best by trying it. So the doctor starts itself once more with a small loop that stalls a
 * few times, asleep and on the CPU, and reads the records of it.
 *
 * Context: reader
 */
#ifndef LOOPDOG_DOCTOR_TRIAL_H
#define LOOPDOG_DOCTOR_TRIAL_H

#include <stdbool.h>

#include "map.h"

/* Of the stalls of one kind. */
struct trial_stalls {
        unsigned seen;
        unsigned with_stack;
        char *loss; /* why one of them has none; NULL */
};

struct trial {
        char *trouble; /* why it could not be started, or did not come to its end; NULL */
        bool crashed;  /* it was ended by a signal */
        char *version; /* as the library itself says; NULL: it was not in the process */
        bool recorded; /* the agent has made its file */
        struct trial_stalls asleep;
        struct trial_stalls running;
        struct map notices; /* what the agent said of this machine; no values */
};

/* Takes some 0.4 s. */
void trial_run(struct trial *trial, const char *library);
void trial_free(struct trial *trial);

/* The program that stalls: `loopdog __trial`. Its exit code. */
int trial_stall(void);

#endif
