/* SPDX-License-Identifier: Apache-2.0
 *
 * rules_locals.c - a program with large thread-local variables
 *
 *     rules_locals
 *
 * libc puts them into the stack of each thread, also the watchdog's: asking for a small stack fails, or leaves next to
 * nothing of it. Built twice: with more of them than the watchdog's stack is large, and with nearly as much. One stall.
 *
 * Context: one loop, in the main thread
 */
#include "truth.h"
#include "turn.h"

#ifndef LOCAL_BYTES
#define LOCAL_BYTES (2 << 20)
#endif

static _Thread_local volatile char local[LOCAL_BYTES];

static VICTIM_FRAME void on_timer(struct turn *loop)
{
        planted_busy_ms(300, "on_timer");
}

int main(void)
{
        struct turn loop;
        local[LOCAL_BYTES - 1] = 1;
        turn_open(&loop);
        turn_run(&loop, 5, NULL);
        turn_run(&loop, 1, on_timer);
        turn_run(&loop, 5, NULL);
        return 0;
}
