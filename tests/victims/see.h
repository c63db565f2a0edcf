/* SPDX-License-Identifier: Apache-2.0
 *
 * see.h - what a program sees of itself, in lines that are the same in every run
 *
 * The system tests run a program with the agent and without, and compare what it prints. So nothing printed here may
 * depend on anything but the program: no pid, no address, no time. One write() a line, so that processes don't mix
 * theirs.
 *
 * Context: any thread of a victim; not in a child of vfork
 */
#ifndef LOOPDOG_TESTS_SEE_H
#define LOOPDOG_TESTS_SEE_H

#include <sys/types.h>

#include "turn.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A line on stdout. */
void see(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* What a child inherits, may notice, or hands on: open descriptors, the number of threads, signals that are blocked,
 * pending, ignored or caught, users and groups. Not in a process with a watchdog, which is a thread and has a handler.
 */
void see_process(const char *who);

/* Its environment, but for what the test itself puts into it. */
void see_environment(const char *who);

/* A child's end, once it has come. */
void see_end(const char *who, pid_t child);

/* Some turns, a stall of 200 ms that is the truth's, some turns. The callbacks are on_sleep() and on_busy(). */
void stall_asleep(struct turn *loop);
void stall_busy(struct turn *loop);

#ifdef __cplusplus
}
#endif

#endif
