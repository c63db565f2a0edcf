/* SPDX-License-Identifier: Apache-2.0
 *
 * rules_cancel.c - a thread cancelled while it waits
 *
 *     rules_cancel
 *
 * One thread for each hooked wait: it stalls once, then waits without end and is cancelled there. Its clean-up
 * handler must run, its result be PTHREAD_CANCELED, and its slot come free. A wait with a cancellation already
 * pending must act on it, and with cancellation disabled must not.
 *
 * Context: one thread at a time, and main
 */
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <unistd.h>

#include "truth.h"
#include "turn.h"

enum wait {
        WAIT_EPOLL,
        WAIT_EPOLL_P,
        WAIT_EPOLL_P2,
        WAIT_POLL,
        WAIT_PPOLL,
        WAIT_SELECT,
        WAIT_PSELECT,
        WAITS,
};

struct job {
        enum wait wait;
        bool pending; /* the cancellation comes before the wait */
        int cleaned;
        atomic_bool waits; /* nearly: its next step is the wait */
        struct turn loop;
};

static VICTIM_FRAME void on_timer(struct turn *loop)
{
        planted_sleep_ms(200, "on_timer");
}

static VICTIM_FRAME void wait_without_end(struct job *job)
{
        struct epoll_event event;
        struct pollfd fd = { .fd = job->loop.epoll, .events = POLLIN };
        fd_set set;
        FD_ZERO(&set);
        FD_SET(job->loop.epoll, &set);
        switch (job->wait) {
        case WAIT_EPOLL:
                epoll_wait(job->loop.epoll, &event, 1, -1);
                break;
        case WAIT_EPOLL_P:
                epoll_pwait(job->loop.epoll, &event, 1, -1, NULL);
                break;
        case WAIT_EPOLL_P2:
                epoll_pwait2(job->loop.epoll, &event, 1, NULL, NULL);
                break;
        case WAIT_POLL:
                poll(&fd, 1, -1);
                break;
        case WAIT_PPOLL:
                ppoll(&fd, 1, NULL, NULL);
                break;
        case WAIT_SELECT:
                select(fd.fd + 1, &set, NULL, NULL, NULL);
                break;
        default:
                pselect(fd.fd + 1, &set, NULL, NULL, NULL, NULL);
                break;
        }
}

static void clean(void *argument)
{
        struct job *job = argument;
        job->cleaned++;
        turn_close(&job->loop);
}

static void *run(void *argument)
{
        struct job *job = argument;
        turn_open(&job->loop);
        pthread_cleanup_push(clean, job);
        turn_run(&job->loop, 3, NULL);
        turn_run(&job->loop, 1, on_timer);
        turn_run(&job->loop, 2, NULL);
        if (job->pending) {
                pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
                pthread_cancel(pthread_self());
                turn_run(&job->loop, 1, NULL); /* disabled: nothing happens here */
                pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, NULL);
        }
        job->waits = true;
        wait_without_end(job);
        VICTIM_CHECK(!"the wait returned");
        pthread_cleanup_pop(0);
        return NULL;
}

static void cancel_one(enum wait wait, bool pending)
{
        struct job job = { .wait = wait, .pending = pending };
        pthread_t thread;
        void *result = NULL;
        VICTIM_CHECK(pthread_create(&thread, NULL, run, &job) == 0);
        while (!job.waits)
                quiet_sleep_ms(1);
        quiet_sleep_ms(40); /* less than the threshold: waits on other things than the instance are nested */
        if (!pending)
                VICTIM_CHECK(pthread_cancel(thread) == 0);
        VICTIM_CHECK(pthread_join(thread, &result) == 0 && result == PTHREAD_CANCELED && job.cleaned == 1);
}

int main(void)
{
        for (int wait = 0; wait < WAITS; wait++)
                cancel_one((enum wait)wait, false);
        cancel_one(WAIT_EPOLL, true);
        cancel_one(WAIT_PPOLL, true);
        return 0;
}
