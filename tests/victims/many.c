/* SPDX-License-Identifier: Apache-2.0
 *
 * many.c - several loops in one process, one within another, and one after the other
 *
 * Context: two threads
 */
#include "many.h"

#include <pthread.h>

#include "truth.h"

int many_tick(struct many *loop)
{
        loop->ticks++;
        if (loop->ticks == 2 && loop->within) {
                struct many within = *loop->within;
                many_run(&within);
        }
        if (loop->ticks != 3)
                return 0;
        struct truth begun = truth_begin();
        quiet_sleep_ms(200);
        truth_end(begun, "", "", "on_timer"); /* which loop it is in is the matter, not why */
        return 1;
}

static void *beside(void *argument)
{
        many_run(argument);
        return NULL;
}

int many_main(int may_nest)
{
        static const struct many inner = { .name = "inner" };
        struct many second = { .name = "second" }, again = { .name = "again" };
        struct many outer = { .name = "outer", .within = may_nest ? &inner : NULL };
        pthread_t thread;
        VICTIM_CHECK(pthread_create(&thread, NULL, beside, &second) == 0);
        many_run(&outer);
        VICTIM_CHECK(pthread_join(thread, NULL) == 0);
        many_run(&again);
        return 0;
}
