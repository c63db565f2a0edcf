/* SPDX-License-Identifier: Apache-2.0
 *
 * rules_reentrant.c - the loop's own wait, entered again from a callback
 *
 *     rules_reentrant yield|sleep|flat
 *
 * "yield": as redis does within a long Lua script, the callback serves events without sleeping every 10 ms; the stall
 * goes on and counts them. "sleep": the callback runs a nested main loop that sleeps; that is idle time, and a stall
 * within it is its own. "flat": a loop that polls its own instance with timeout 0 between pieces of 10 ms; no piece
 * is a stall, and they must not be added up.
 *
 * Context: one thread
 */
#include <string.h>

#include "truth.h"
#include "turn.h"

static const char *mode;
static int served;

static VICTIM_FRAME void on_inner(struct turn *loop)
{
        served++;
        if (served == 3)
                planted_sleep_ms(300, "on_inner");
}

static VICTIM_FRAME void planted_yielding(struct turn *loop)
{
        struct truth begin = truth_begin();
        for (int i = 0; i < 50; i++) {
                quiet_busy_ms(10);
                VICTIM_CHECK(turn_wait(loop, 0, NULL) == 0);
        }
        truth_end(begin, "cpu", "", "on_timer");
}

static VICTIM_FRAME void nested_main_loop(struct turn *loop)
{
        for (int i = 0; i < 5; i++) {
                turn_arm(loop, 250);
                VICTIM_CHECK(turn_wait(loop, 1000, on_inner) == 1);
        }
}

static VICTIM_FRAME void on_timer(struct turn *loop)
{
        if (!strcmp(mode, "yield"))
                planted_yielding(loop);
        else
                nested_main_loop(loop);
}

static void flat(struct turn *loop)
{
        for (int i = 0; i < 60; i++) {
                quiet_busy_ms(10);
                turn_wait(loop, 0, NULL);
        }
}

int main(int argc, char **argv)
{
        struct turn loop;
        mode = argc > 1 ? argv[1] : "yield";
        turn_open(&loop);
        turn_run(&loop, 5, NULL);
        if (!strcmp(mode, "flat")) {
                flat(&loop);
        } else {
                turn_arm(&loop, 20);
                turn_wait(&loop, 1000, on_timer);
        }
        turn_run(&loop, 5, NULL);
        return 0;
}
