/* SPDX-License-Identifier: Apache-2.0
 *
 * child.h - a child process that ends when it is told to
 *
 * For the callbacks of loop libraries that tell of a child's end. It is made before the loop runs, because making one
 * may take as long as a stall on a busy machine.
 *
 * Context: one thread
 */
#ifndef LOOPDOG_TESTS_CHILD_H
#define LOOPDOG_TESTS_CHILD_H

#include <sys/types.h>

/* Once a process. */
pid_t child_start(void);
void child_end(void);

#endif
