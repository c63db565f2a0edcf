/* SPDX-License-Identifier: Apache-2.0
 *
 * rules_exit.c - a process that ends in the middle of a stall
 *
 *     rules_exit exit|_exit|other|hang|quick|return
 *
 * "exit": the callback computes for 300 ms and calls exit(3). "_exit": the same with _exit(3). "other": another thread
 * calls exit(3) while the loop sleeps in its callback. "hang": the callback never returns; the test sends a signal.
 * "quick": exit at the third wait. "return": a normal end.
 *
 * Context: main (and one helper thread for "other")
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "truth.h"
#include "turn.h"

static const char *mode;

static void *end_it(void *argument)
{
        quiet_sleep_ms(400);
        exit(3);
}

static VICTIM_FRAME void on_timer(struct turn *loop)
{
        pthread_t thread;
        if (!strcmp(mode, "hang") || !strcmp(mode, "other")) {
                if (mode[0] == 'o')
                        pthread_create(&thread, NULL, end_it, NULL);
                for (;;)
                        quiet_sleep_ms(1000);
        }
        if (strcmp(mode, "quick") != 0)
                planted_busy_ms(300, "on_timer");
        if (!strcmp(mode, "_exit"))
                _exit(3);
        if (strcmp(mode, "return") != 0)
                exit(3);
}

int main(int argc, char **argv)
{
        struct turn loop;
        mode = argc > 1 ? argv[1] : "exit";
        turn_open(&loop);
        turn_run(&loop, 3, NULL);
        turn_run(&loop, 1, on_timer);
        turn_run(&loop, 3, NULL);
        return 0;
}
