/* SPDX-License-Identifier: Apache-2.0
 *
 * symbols.h - which of a process's modules have names and lines here
 *
 * Context: reader
 */
#ifndef LOOPDOG_DOCTOR_SYMBOLS_H
#define LOOPDOG_DOCTOR_SYMBOLS_H

#include <stdbool.h>
#include <stddef.h>

#include "doctor/subject.h"

struct symbols {
        size_t modules;
        size_t with_lines;
        size_t with_names; /* symbols but no lines */
        bool program_has_lines, program_has_names;
};

/* Look at every ELF object that the process has mapped. 0 or -errno. */
int symbols_look(struct symbols *symbols, const struct subject *subject);

#endif
