/* SPDX-License-Identifier: Apache-2.0
 *
 * quiet_tokio.c - an executor of tokio's shape, idle after load
 *
 *     quiet_tokio SECONDS
 *
 * Four workers share one epoll instance. A worker without work takes the driver if it is free and waits on the
 * instance, otherwise it parks in a raw futex without a time limit, on a word of its own. New work wakes a parked
 * worker through its futex or the driver through an eventfd. Load for a fifth of the time, then idle, then a last
 * burst.
 *
 * Context: four threads and main
 */
#include <linux/futex.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "truth.h"

#define WORKERS 4

static int epoll, event_fd;
static atomic_int queued; /* pieces of work that nobody has taken */
static atomic_flag driver = ATOMIC_FLAG_INIT;
static atomic_int parked[WORKERS]; /* 1: asleep on this word */
static atomic_bool stop;

static void wake_one(void)
{
        for (int i = 0; i < WORKERS; i++) {
                int asleep = 1;
                if (atomic_compare_exchange_strong(&parked[i], &asleep, 0)) {
                        syscall(SYS_futex, &parked[i], FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
                        return;
                }
        }
        uint64_t one = 1;
        VICTIM_CHECK(write(event_fd, &one, 8) == 8);
}

static int take(void)
{
        int count = queued;
        while (count > 0)
                if (atomic_compare_exchange_weak(&queued, &count, count - 1))
                        return 1;
        return 0;
}

static void park(int self)
{
        struct epoll_event event;
        uint64_t value;
        if (!atomic_flag_test_and_set(&driver)) {
                if (epoll_wait(epoll, &event, 1, queued > 0 || stop ? 0 : -1) == 1)
                        VICTIM_CHECK(read(event_fd, &value, 8) == 8);
                atomic_flag_clear(&driver);
                return;
        }
        parked[self] = 1;
        while (parked[self] == 1 && queued == 0 && !stop)
                syscall(SYS_futex, &parked[self], FUTEX_WAIT_PRIVATE, 1, NULL, NULL, 0);
        parked[self] = 0;
}

static void *work(void *argument)
{
        int self = (int)(intptr_t)argument;
        while (!stop) {
                if (take())
                        quiet_busy_ms(1);
                else
                        park(self);
        }
        return NULL;
}

static void burst(int pieces)
{
        atomic_fetch_add(&queued, pieces);
        for (int i = 0; i < pieces; i++)
                wake_one();
        uint64_t one = 1;
        VICTIM_CHECK(write(event_fd, &one, 8) == 8);
}

int main(int argc, char **argv)
{
        double seconds = argc > 1 ? atof(argv[1]) : 5;
        pthread_t threads[WORKERS];
        epoll = epoll_create1(EPOLL_CLOEXEC);
        event_fd = eventfd(0, EFD_CLOEXEC);
        struct epoll_event event = { .events = EPOLLIN };
        VICTIM_CHECK(epoll_ctl(epoll, EPOLL_CTL_ADD, event_fd, &event) == 0);
        for (intptr_t i = 0; i < WORKERS; i++)
                pthread_create(&threads[i], NULL, work, (void *)i);
        for (uint64_t end_ns = truth_now_ns() + (uint64_t)(seconds * 2e8); truth_now_ns() < end_ns;) {
                burst(2);
                quiet_sleep_ms(20);
        }
        quiet_sleep_ms((unsigned)(seconds * 700));
        burst(8);
        quiet_sleep_ms((unsigned)(seconds * 100));
        stop = 1;
        burst(WORKERS);
        for (int i = 0; i < WORKERS; i++)
                pthread_join(threads[i], NULL);
        return 0;
}
