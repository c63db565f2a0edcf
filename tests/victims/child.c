/* SPDX-License-Identifier: Apache-2.0
 *
 * child.c - a child process that ends when it is told to
 *
 * Context: one thread
 */
#include "child.h"

#include <unistd.h>

#include "truth.h"

static int fds[2]; /* it reads until the other end is closed */

pid_t child_start(void)
{
        char byte;
        VICTIM_CHECK(pipe(fds) == 0);
        pid_t pid = fork();
        VICTIM_CHECK(pid >= 0);
        if (pid != 0) {
                close(fds[0]);
                return pid;
        }
        close(fds[1]);
        _exit(read(fds[0], &byte, 1) == 0 ? 0 : 1);
}

void child_end(void)
{
        VICTIM_CHECK(close(fds[1]) == 0);
}
