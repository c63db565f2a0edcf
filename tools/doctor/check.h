/* SPDX-License-Identifier: Apache-2.0
 *
 * check.h - what `loopdog doctor` looks at, and what it found
 *
 * One row a check: its name, and a function that answers with a verdict, what was found, and what to do. A new check is
 * one row in machine.c, process.c or records.c.
 *
 * Context: reader
 */
#ifndef LOOPDOG_DOCTOR_CHECK_H
#define LOOPDOG_DOCTOR_CHECK_H

#include <stddef.h>

#include "doctor/record_account.h"
#include "doctor/subject.h"
#include "doctor/trial.h"

enum verdict {
        VERDICT_NONE,    /* does not apply: nothing is said */
        VERDICT_OK,      /* works */
        VERDICT_NOTE,    /* works, with less than there could be; or can't be seen from here */
        VERDICT_PROBLEM, /* nothing, or nothing of use, will be recorded */
};

const char *verdict_name(enum verdict verdict); /* "ok", "note", "problem" */

struct finding {
        enum verdict verdict;
        char *found; /* a sentence; its own */
        char *fix;   /* what to do, in one line; NULL: nothing */
};

/* All that the checks go by. */
struct examined {
        const char *library;           /* libloopdog.so that `loopdog run` preloads; NULL: */
        const char *library_trouble;   /* why there is none */
        const struct trial *trial;     /* a program of our own under that library */
        const struct subject *subject; /* the process that was asked for; NULL: none */
        const struct account *account; /* what its records say; NULL without a process */
};

struct check {
        const char *name; /* one word */
        struct finding (*look)(const struct examined *examined);
};

/* Each ended by a row without a name. */
extern const struct check machine_checks[];
extern const struct check process_checks[]; /* what can be seen of the process */
extern const struct check record_checks[];  /* what it has recorded */

/* Both strings are taken; `fix` may be NULL. */
struct finding finding_make(enum verdict verdict, char *found, char *fix);

/* A finding with nothing to do about it. */
struct finding finding_ok(const char *format, ...) __attribute__((format(printf, 1, 2)));
void finding_free(struct finding *finding);

#endif
