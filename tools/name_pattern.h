/* SPDX-License-Identifier: Apache-2.0
 *
 * name_pattern.h - names of files as patterns for fnmatch()
 *
 * Context: reader
 */
#ifndef LOOPDOG_TOOLS_NAME_PATTERN_H
#define LOOPDOG_TOOLS_NAME_PATTERN_H

/* A pattern that this name alone matches, to be freed. */
char *name_pattern_literal(const char *name);

/* A pattern of the names that the last part of a LOOPDOG_OUTPUT can become, to be freed. A `pid` above 0, as the
 * process itself calls it, stands for %p, so that only that process's files match. */
char *name_pattern_of_output(const char *name, int pid);

#endif
