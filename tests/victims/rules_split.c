/* SPDX-License-Identifier: Apache-2.0
 *
 * rules_split.c - a loop whose waiting function has returned when the callbacks run
 *
 *     rules_split sleep|mutex|busy
 *
 * The shape of haproxy and of many loops written by hand: one function waits and collects events, and its caller then
 * handles them. The function that waits is never on the stack of a stall, but the loop has not been left: it comes
 * back. "mutex": the handler waits without a time limit for a lock that another thread holds for 300 ms.
 *
 * Context: main, and a helper thread for "mutex"
 */
#include <pthread.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "truth.h"
#include "turn.h"

static const char *mode;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void *hold(void *argument)
{
        pthread_mutex_lock(&lock);
        quiet_sleep_ms(400);
        pthread_mutex_unlock(&lock);
        return NULL;
}

static VICTIM_FRAME void planted_lock(void)
{
        pthread_t thread;
        struct truth begin = truth_begin();
        VICTIM_CHECK(pthread_create(&thread, NULL, hold, NULL) == 0);
        quiet_sleep_ms(10); /* let it take the lock */
        pthread_mutex_lock(&lock);
        truth_end(begin, "blocked|lock", "planted_lock", "handle");
        pthread_mutex_unlock(&lock);
        pthread_join(thread, NULL);
}

static VICTIM_FRAME void handle(struct turn *loop, int stall)
{
        uint64_t expirations;
        VICTIM_CHECK(read(loop->timer, &expirations, 8) == 8);
        if (!stall)
                return;
        if (!strcmp(mode, "mutex"))
                planted_lock();
        else if (!strcmp(mode, "busy"))
                planted_busy_ms(300, "handle");
        else
                planted_sleep_ms(300, "handle");
}

static VICTIM_FRAME int wait_for_events(struct turn *loop)
{
        struct epoll_event event;
        return epoll_wait(loop->epoll, &event, 1, 1000);
}

static VICTIM_FRAME void run(struct turn *loop)
{
        for (int i = 0; i < 15; i++) {
                turn_arm(loop, 20);
                VICTIM_CHECK(wait_for_events(loop) == 1);
                handle(loop, i == 5 || i == 9);
        }
}

int main(int argc, char **argv)
{
        struct turn loop;
        mode = argc > 1 ? argv[1] : "sleep";
        turn_open(&loop);
        run(&loop);
        return 0;
}
