/* SPDX-License-Identifier: Apache-2.0
 *
 * many.h - several loops in one process, one within another, and one after the other
 *
 * Each many_LIBRARY.c brings many_run(): a loop of its library from its making to its destruction, attached by its
 * adapter, whose timer fires three times. many_main() runs one in a second thread beside another in the first, there
 * one within a callback where the library's loops may be nested, and one more when the first is gone.
 *
 * Context: two threads
 */
#ifndef LOOPDOG_TESTS_MANY_H
#define LOOPDOG_TESTS_MANY_H

#define MANY_TIMER_MS 20

/* One loop. */
struct many {
        const char *name;
        const struct many *within; /* a loop to be run in a callback of this one; NULL: none */
        int ticks;                 /* how often its timer has fired */
};

/* Its timer has fired. Returns 0 where it is to fire again: the loop within is run at the second time, and at the third
 * there is a stall. */
int many_tick(struct many *loop);

/* Of each library's victim. */
void many_run(struct many *loop);

int many_main(int may_nest);

#endif
