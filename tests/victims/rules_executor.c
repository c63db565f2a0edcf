/* SPDX-License-Identifier: Apache-2.0
 *
 * rules_executor.c - two threads that take turns on one epoll instance
 *
 *     rules_executor
 *
 * The shape of Boost.Asio: whoever finds no work and no leader waits on the instance, the others sleep on a condition
 * variable. Both threads get to wait on the instance during 40 pieces of work; then 1.2 s of idleness, in which one
 * of them sleeps in a futex and must not be taken for a stalled loop; then a stall in a handler, which must be found.
 *
 * Context: two threads and main
 */
#include <pthread.h>
#include <stdbool.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "truth.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t more = PTHREAD_COND_INITIALIZER;
static int epoll, event_fd;
static int queued;  /* pieces of work that are ready; under the lock */
static bool leader; /* somebody waits on the instance */
static bool stall;  /* the next piece of work stalls */
static bool stop;
static int waits[2]; /* of each thread on the instance */

static VICTIM_FRAME void handler(bool long_one)
{
        if (long_one)
                planted_sleep_ms(300, "handler");
        else
                quiet_busy_ms(1);
}

static void wait_for_work(int self)
{
        struct epoll_event event;
        waits[self]++;
        leader = true;
        pthread_mutex_unlock(&lock);
        int count = epoll_wait(epoll, &event, 1, -1);
        uint64_t value = 0;
        VICTIM_CHECK(count == 1 && read(event_fd, &value, 8) == 8);
        pthread_mutex_lock(&lock);
        leader = false;
        queued += (int)value;
        pthread_cond_broadcast(&more);
}

static void *run(void *argument)
{
        int self = argument != NULL;
        pthread_mutex_lock(&lock);
        while (!stop) {
                if (queued > 0) {
                        queued--;
                        bool long_one = stall;
                        stall = false;
                        pthread_mutex_unlock(&lock);
                        handler(long_one);
                        pthread_mutex_lock(&lock);
                } else if (!leader) {
                        wait_for_work(self);
                } else {
                        pthread_cond_wait(&more, &lock);
                }
        }
        pthread_mutex_unlock(&lock);
        return NULL;
}

static void post(uint64_t pieces)
{
        VICTIM_CHECK(write(event_fd, &pieces, 8) == 8);
}

int main(void)
{
        pthread_t threads[2];
        epoll = epoll_create1(EPOLL_CLOEXEC);
        event_fd = eventfd(0, EFD_CLOEXEC);
        struct epoll_event event = { .events = EPOLLIN };
        VICTIM_CHECK(epoll_ctl(epoll, EPOLL_CTL_ADD, event_fd, &event) == 0);
        for (int i = 0; i < 2; i++)
                pthread_create(&threads[i], NULL, run, i ? threads : NULL);
        for (int i = 0; i < 40; i++) {
                post(2);
                quiet_sleep_ms(5);
        }
        quiet_sleep_ms(1200);
        pthread_mutex_lock(&lock);
        VICTIM_CHECK(waits[0] > 0 && waits[1] > 0);
        stall = true;
        pthread_mutex_unlock(&lock);
        post(1);
        quiet_sleep_ms(600);
        post(2);
        quiet_sleep_ms(50);
        pthread_mutex_lock(&lock);
        stop = true;
        pthread_cond_broadcast(&more);
        pthread_mutex_unlock(&lock);
        post(1);
        for (int i = 0; i < 2; i++)
                pthread_join(threads[i], NULL);
        return 0;
}
