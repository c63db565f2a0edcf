/* SPDX-License-Identifier: Apache-2.0
 *
 * process.h - what /proc says of another process of this machine
 *
 * Context: reader
 */
#ifndef LOOPDOG_TOOLS_PROCESS_H
#define LOOPDOG_TOOLS_PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A file of /proc/PID: see read_file(). */
char *process_read(int pid, const char *name, size_t *length);

/* The first line of one, as far as it fits; "" where there is none. */
void process_read_line(int pid, const char *name, char *bytes, size_t capacity);

/* Does it run, and not only wait to be waited for? */
bool process_is_alive(int pid);

/* When it was started (CLOCK_REALTIME); 0 where it is not known. */
uint64_t process_start_ns(int pid);

/* The process's number in the innermost of its namespaces, of the text of its `status`: the last of "NSpid: 4242 7". */
int process_inner_pid(const char *status, int fallback);

/* What stands behind "NAME=" in an environment as /proc has it, NULL where there is none. */
const char *process_variable(const char *environment, size_t length, const char *name);

/* Call for the id of every process, but for this one. */
void process_each(void (*take)(void *context, int pid), void *context);

#endif
