/* SPDX-License-Identifier: Apache-2.0
 *
 * regions.c - callbacks that hold, again and again, the locks which a careless agent would wait for
 *
 *     regions REGION ROUNDS
 *
 * Each round is one stall of 100 ms, in which a region of tests/calls/regions.c is entered without a pause, while a
 * second thread contends for the same locks. "exit": the same within an exit handler, on the loop's thread. A deadlock
 * ends as the test's timeout.
 *
 * Context: one loop, in the main thread, and a thread that contends
 */
#include "../calls/regions.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "truth.h"
#include "turn.h"

#define ROUND_NS 100000000ull

static const struct region *region;
static _Atomic bool ends;
static struct truth last;

static VICTIM_FRAME void stay_inside(void)
{
        struct region_flag flag = { .pattern = REGION_PATTERN };
        uint64_t end_ns = truth_now_ns() + ROUND_NS;
        while (truth_now_ns() < end_ns)
                region->enter(&flag);
}

static VICTIM_FRAME void on_timer(struct turn *loop)
{
        struct truth begin = truth_begin();
        stay_inside();
        truth_end(begin, "", "", "on_timer");
}

static void in_exit_handler(void)
{
        stay_inside();
        truth_end(last, "", "", "on_last");
}

static VICTIM_FRAME void on_last(struct turn *loop)
{
        last = truth_begin();
        exit(0);
}

static void *contend(void *unused)
{
        struct region_flag flag = { .pattern = 0 };
        while (!atomic_load(&ends)) {
                region->enter(&flag);
                quiet_sleep_ms(1);
        }
        return NULL;
}

int main(int count, char **arguments)
{
        struct turn loop;
        pthread_t other;
        VICTIM_CHECK(count == 3);
        bool exits = strcmp(arguments[1], "exit") == 0;
        region = region_named(exits ? "malloc" : arguments[1]);
        VICTIM_CHECK(region != NULL);
        if (region->contended)
                VICTIM_CHECK(pthread_create(&other, NULL, contend, NULL) == 0);
        turn_open(&loop);
        turn_run(&loop, 5, NULL);
        for (int round = atoi(arguments[2]); round > 0; round--)
                turn_run(&loop, 1, on_timer);
        if (exits) {
                atexit(in_exit_handler);
                turn_run(&loop, 1, on_last);
        }
        turn_run(&loop, 5, NULL);
        atomic_store(&ends, true);
        if (region->contended)
                pthread_join(other, NULL);
        return 0;
}
