/* SPDX-License-Identifier: Apache-2.0
 *
 * rules_rights.c - root gives up its rights when its loop is already watched
 *
 *     rules_rights seteuid|chroot|threads
 *
 * It stalls, then changes its user (or root directory), stalls again, forks, and parent and child stall: all of that
 * must be on file with stacks. The child's stall is on the CPU: its own `syscall` file belongs to root. "threads": the
 * second loop is a thread that is made after the change, and stalls on the CPU too.
 *
 * Context: main (and one thread)
 */
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "see.h"
#include "truth.h"
#include "turn.h"

static struct turn loop;

static void *second_loop(void *unused)
{
        struct turn own;
        turn_open(&own);
        stall_busy(&own);
        turn_close(&own);
        return NULL;
}

int main(int argc, char **argv)
{
        const char *mode = argc > 1 ? argv[1] : "seteuid";
        turn_open(&loop);
        stall_asleep(&loop);
        if (strcmp(mode, "chroot") == 0) {
                /* The truth is logged by its path: the new root must have that too. */
                VICTIM_CHECK(chroot(getenv("TMPDIR")) == 0 && chdir("/") == 0);
                VICTIM_CHECK(setenv("VICTIM_TRUTH", "/truth", 1) == 0);
        }
        VICTIM_CHECK(seteuid(65534) == 0);
        stall_asleep(&loop);
        if (strcmp(mode, "threads") == 0) {
                pthread_t thread;
                VICTIM_CHECK(pthread_create(&thread, NULL, second_loop, NULL) == 0);
                turn_run(&loop, 40, NULL);
                pthread_join(thread, NULL);
                return 0;
        }
        pid_t child = fork();
        if (child == 0) {
                turn_close(&loop);
                turn_open(&loop);
                stall_busy(&loop);
                _exit(0);
        }
        stall_asleep(&loop);
        turn_until_ended(&loop, child);
        return 0;
}
