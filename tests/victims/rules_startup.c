/* SPDX-License-Identifier: Apache-2.0
 *
 * rules_startup.c - until a loop has slept in its own wait, its stalls are start-up
 *
 *     rules_startup polls|grace
 *
 * "polls": as a server that imports its application inside the loop, two stalls between waits with timeout 0; then the
 * loop sleeps once, and the third stall is a real one. "grace": the loop sleeps at once, one stall 0.3 s after the
 * first wait and one 1.5 s after it, for LOOPDOG_GRACE=1s.
 *
 * Context: one thread
 */
#include <string.h>

#include "truth.h"
#include "turn.h"

static VICTIM_FRAME void import_application(struct turn *loop)
{
        planted_busy_ms(250, "startup");
}

static VICTIM_FRAME void on_timer(struct turn *loop)
{
        planted_sleep_ms(300, "on_timer");
}

static VICTIM_FRAME void on_early(struct turn *loop)
{
        planted_sleep_ms(300, "startup");
}

static void polls(struct turn *loop)
{
        for (int i = 0; i < 2; i++) {
                turn_wait(loop, 0, NULL);
                import_application(loop);
        }
        turn_wait(loop, 0, NULL);
        turn_run(loop, 5, NULL);
}

static void grace(struct turn *loop)
{
        turn_run(loop, 15, NULL);
        turn_run(loop, 1, on_early);
        turn_arm(loop, 1000);
        turn_wait(loop, 2000, NULL);
}

int main(int argc, char **argv)
{
        struct turn loop;
        turn_open(&loop);
        if (argc > 1 && !strcmp(argv[1], "grace"))
                grace(&loop);
        else
                polls(&loop);
        turn_arm(&loop, 20);
        turn_wait(&loop, 1000, on_timer);
        turn_run(&loop, 5, NULL);
        return 0;
}
