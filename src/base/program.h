/* SPDX-License-Identifier: Apache-2.0
 *
 * program.h - can the loader of a program use our preload?
 *
 * Context: app thread, children of fork and vfork included; async-signal-safe
 */
#ifndef LOOPDOG_BASE_PROGRAM_H
#define LOOPDOG_BASE_PROGRAM_H

#include <stdbool.h>

/* Open a program's file to look at it, never waiting for it. A descriptor or -errno. */
int program_open(int directory, const char *path);

/* Look at the file, and at those of the interpreters that it names ("#!"), and close it. false: a loader that is not
 * glibc's for this processor would be given the preload. What can't be read or found out fits. */
bool program_fits(int fd);

#endif
