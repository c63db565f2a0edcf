/* SPDX-License-Identifier: Apache-2.0
 *
 * rules_threads.c - threads that are loops for a while
 *
 *     rules_threads many|ended|parallel|crowd|main-ends|few-files
 *
 * "many": 5,000 threads, one after the other, each with a loop of two waits: more than there are slots, so each must be
 * given back; the last one stalls. "ended": a thread ends from within its stalled callback. "parallel": 8 loops at the
 * same time, each with a stall, all overlapping. "crowd": the same with 40, more than can be followed at a time.
 * "main-ends": the first thread ends by pthread_exit() before the loop begins, which sleeps and computes in two stalls.
 * "few-files": 400 loops under a limit of 1,024 descriptors; the last one to begin stalls twice.
 *
 * Context: the threads named above
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "truth.h"
#include "turn.h"

static VICTIM_FRAME void on_timer(struct turn *loop)
{
        planted_sleep_ms(300, "on_timer");
}

static VICTIM_FRAME void on_last(struct turn *loop)
{
        planted_sleep_ms(300, "on_last");
        pthread_exit(NULL);
}

static void *short_loop(void *argument)
{
        struct turn loop;
        turn_open(&loop);
        turn_arm(&loop, 1);
        turn_wait(&loop, 0, NULL);
        turn_wait(&loop, 0, NULL);
        turn_close(&loop);
        return NULL;
}

static void *stalling_loop(void *argument)
{
        struct turn loop;
        turn_open(&loop);
        turn_run(&loop, 5, NULL);
        turn_arm(&loop, 20);
        turn_wait(&loop, 1000, argument ? on_last : on_timer);
        turn_run(&loop, 5, NULL);
        turn_close(&loop);
        return NULL;
}

static VICTIM_FRAME void on_busy(struct turn *loop)
{
        planted_busy_ms(300, "on_busy");
}

static void *loop_without_main(void *main_thread)
{
        struct turn loop;
        pthread_join(*(pthread_t *)main_thread, NULL);
        turn_open(&loop);
        turn_run(&loop, 5, NULL);
        turn_run(&loop, 1, on_timer);
        turn_run(&loop, 5, NULL);
        turn_run(&loop, 1, on_busy);
        turn_run(&loop, 5, NULL);
        exit(0);
}

static void *waiting_loop(void *stop)
{
        struct turn loop;
        turn_open(&loop);
        turn_run(&loop, 2, NULL);
        while (!atomic_load((atomic_bool *)stop))
                turn_wait(&loop, 100, NULL);
        turn_close(&loop);
        return NULL;
}

static void be_many(void)
{
        static pthread_t threads[400];
        static atomic_bool stop;
        struct rlimit limit = { 1024, 1024 };
        struct turn last;
        VICTIM_CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
        for (int i = 0; i < 400; i++)
                VICTIM_CHECK(pthread_create(&threads[i], NULL, waiting_loop, &stop) == 0);
        quiet_sleep_ms(300);
        turn_open(&last);
        turn_run(&last, 5, NULL);
        turn_run(&last, 1, on_timer);
        turn_run(&last, 5, NULL);
        turn_run(&last, 1, on_busy);
        turn_run(&last, 5, NULL);
        atomic_store(&stop, true);
        for (int i = 0; i < 400; i++)
                pthread_join(threads[i], NULL);
        turn_close(&last);
        exit(0);
}

static void leave_main(void)
{
        static pthread_t main_thread;
        pthread_t thread;
        main_thread = pthread_self();
        VICTIM_CHECK(pthread_create(&thread, NULL, loop_without_main, &main_thread) == 0);
        pthread_exit(NULL);
}

int main(int argc, char **argv)
{
        const char *mode = argc > 1 ? argv[1] : "many";
        pthread_t threads[40];
        int count = !strcmp(mode, "parallel") ? 8 : !strcmp(mode, "crowd") ? 40 : 1;
        void *ends = !strcmp(mode, "ended") ? threads : NULL;
        if (!strcmp(mode, "main-ends"))
                leave_main();
        if (!strcmp(mode, "few-files"))
                be_many();
        if (!strcmp(mode, "many"))
                for (int i = 0; i < 5000; i++) {
                        VICTIM_CHECK(pthread_create(threads, NULL, short_loop, NULL) == 0);
                        pthread_join(threads[0], NULL);
                }
        for (int i = 0; i < count; i++)
                VICTIM_CHECK(pthread_create(&threads[i], NULL, stalling_loop, ends) == 0);
        for (int i = 0; i < count; i++)
                pthread_join(threads[i], NULL);
        quiet_sleep_ms(300); /* the watchdog still sees the thread's end */
        return 0;
}
