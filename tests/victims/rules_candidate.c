/* SPDX-License-Identifier: Apache-2.0
 *
 * rules_candidate.c - the first wait makes a candidate, not yet a loop
 *
 *     rules_candidate once|twice
 *
 * "once": a single wait, then 1 s of work and the end: a program that happened to wait for something once. "twice":
 * it waits there again, so the stall between the two, held back until then, is reported.
 *
 * Context: one thread
 */
#include <string.h>

#include "truth.h"
#include "turn.h"

static VICTIM_FRAME void on_timer(struct turn *loop)
{
        planted_sleep_ms(300, "on_timer");
}

int main(int argc, char **argv)
{
        struct turn loop;
        turn_open(&loop);
        turn_arm(&loop, 50);
        if (argc > 1 && !strcmp(argv[1], "twice")) {
                turn_wait(&loop, 1000, on_timer);
                turn_run(&loop, 5, NULL);
                return 0;
        }
        turn_wait(&loop, 1000, NULL);
        quiet_busy_ms(500);
        quiet_sleep_ms(500);
        return 0;
}
