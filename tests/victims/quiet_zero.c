/* SPDX-License-Identifier: Apache-2.0
 *
 * quiet_zero.c - a loop that never sleeps
 *
 *     quiet_zero SECONDS
 *
 * It sleeps once in its wait, so that it is past its start-up, and then polls with timeout 0 without end; every tenth
 * turn computes 2 ms. A busy-polling loop is no stall.
 *
 * Context: one thread
 */
#include <stdlib.h>

#include "truth.h"
#include "turn.h"

int main(int argc, char **argv)
{
        double seconds = argc > 1 ? atof(argv[1]) : 5;
        struct turn loop;
        turn_open(&loop);
        turn_run(&loop, 2, NULL);
        uint64_t end_ns = truth_now_ns() + (uint64_t)(seconds * 1e9);
        for (unsigned turns = 0; truth_now_ns() < end_ns; turns++) {
                turn_wait(&loop, 0, NULL);
                if (turns % 10 == 0)
                        quiet_busy_ms(2);
        }
        return 0;
}
