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
#include <sys/types.h>

#define PROCESS_ENVIRONMENT_BYTES (256u << 10)

/* All of a file of /proc/PID, or up to `capacity`; bytes, or -errno. */
ssize_t process_read(int pid, const char *name, char *bytes, size_t capacity);

/* The same of a file of text: up to its first newline, as a string; "" where there is none. */
void process_read_line(int pid, const char *name, char *bytes, size_t capacity);

/* Does it run, and not only wait to be waited for? */
bool process_is_alive(int pid);

/* When it was started (CLOCK_REALTIME); 0 where it is not known. */
uint64_t process_start_ns(int pid);

/* What stands behind "NAME=" in an environment as /proc has it, NULL where there is none. */
const char *process_variable(const char *environment, size_t length, const char *name);

/* Call for the id of every process, but for this one. */
void process_each(void (*take)(void *context, int pid), void *context);

#endif
