/* SPDX-License-Identifier: Apache-2.0
 *
 * interpreter.h - which language's runtime is in a process, and are its frames told
 *
 * Context: reader
 */
#ifndef LOOPDOG_DOCTOR_INTERPRETER_H
#define LOOPDOG_DOCTOR_INTERPRETER_H

#include <stdbool.h>

#include "doctor/subject.h"

struct interpreter {
        const char *name;                /* "CPython"; NULL: none was found */
        const struct subject_file *file; /* that it is in; borrowed */
        bool python;
        unsigned minor;     /* of CPython 3; 0: not known */
        bool free_threaded; /* CPython without its global lock */
        bool readable;      /* its file could be looked into */
};

void interpreter_find(struct interpreter *interpreter, const struct subject *subject);

/* Of CPython: which version, by what its file exports. */
void interpreter_look(struct interpreter *interpreter, const struct subject *subject);

/* Are the frames of its scripts told? */
bool interpreter_is_supported(const struct interpreter *interpreter);

#endif
