/* SPDX-License-Identifier: Apache-2.0
 *
 * guest_signals.c - a program that has plans for the real-time signals itself
 *
 *     guest_signals blocked | handled | handled-late | sigwait | signalfd | reset | reset-often [N] |
 *                   notified N
 *
 * "blocked": its loop blocks every signal. "handled": it has handlers for every real-time signal and sends itself each
 * of them, within stalls too; "handled-late": the same from when the loop is watched. "sigwait", "signalfd": every
 * signal is blocked and waited for, by a thread, or by the loop itself. "reset": all actions are set to the default in
 * the middle of a stall; "reset-often": N times (2,000), by another thread, while the loop is captured. "notified": a
 * message queue, whose descriptor is the first free one from N on, notifies it before and after a stall.
 *
 * Context: main, and a thread for "sigwait" and "reset-often"
 */
#include <fcntl.h>
#include <mqueue.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "see.h"
#include "truth.h"
#include "turn.h"

static struct turn loop;
static unsigned count;

static void block_all(void)
{
        sigset_t all;
        sigfillset(&all);
        VICTIM_CHECK(pthread_sigmask(SIG_SETMASK, &all, NULL) == 0);
}

static void stall_both(void)
{
        stall_asleep(&loop);
        stall_busy(&loop);
}

static void blocked(void)
{
        turn_run(&loop, 3, NULL); /* the signal is chosen when nobody blocks it */
        block_all();
        stall_both();
}

/* ---- handlers for all ---- */

static atomic_uint arrived[65];
static atomic_int wrong;

static void on_signal(int number, siginfo_t *info, void *context)
{
        atomic_fetch_add(&arrived[number], 1);
        if (info->si_code != SI_QUEUE || info->si_value.sival_int != number * 3 || info->si_pid != getpid())
                atomic_fetch_add(&wrong, 1);
}

static void install_all(void)
{
        struct sigaction action = { .sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_RESTART };
        for (int number = SIGRTMIN; number <= SIGRTMAX; number++)
                VICTIM_CHECK(sigaction(number, &action, NULL) == 0);
}

static void send_all(void)
{
        for (int number = SIGRTMIN; number <= SIGRTMAX; number++)
                VICTIM_CHECK(sigqueue(getpid(), number, (union sigval){ .sival_int = number * 3 }) == 0);
}

static VICTIM_FRAME void on_send(struct turn *turn)
{
        struct truth begin = truth_begin();
        for (int i = 0; i < 20; i++) {
                send_all();
                quiet_busy_ms(10);
        }
        truth_end(begin, "cpu", "", "on_send");
}

static void see_arrived(void)
{
        unsigned least = UINT32_MAX, most = 0;
        for (int number = SIGRTMIN; number <= SIGRTMAX; number++) {
                unsigned value = atomic_load(&arrived[number]);
                least = value < least ? value : least;
                most = value > most ? value : most;
        }
        see("of each real-time signal %u to %u arrived, %d of them wrong", least, most, atomic_load(&wrong));
}

static void handle_all(void)
{
        install_all();
        stall_both();
        turn_run(&loop, 1, on_send);
        turn_run(&loop, 2, NULL);
        see_arrived();
        for (int number = SIGRTMIN; number <= SIGRTMAX; number++) {
                struct sigaction action;
                VICTIM_CHECK(sigaction(number, NULL, &action) == 0 && action.sa_sigaction == on_signal);
        }
}

static void handled_late(void)
{
        stall_both();
        handle_all();
}

/* ---- waiting for all ---- */

static void *wait_for_all(void *taken)
{
        sigset_t all;
        siginfo_t info;
        sigfillset(&all);
        while (sigwaitinfo(&all, &info) != SIGTERM)
                if (info.si_signo >= SIGRTMIN)
                        atomic_fetch_add((atomic_uint *)taken, 1);
        return NULL;
}

static VICTIM_FRAME void on_kill(struct turn *turn)
{
        planted_busy_ms(200, "on_kill");
        send_all();
}

static void wait_by_thread(void)
{
        atomic_uint taken = 0;
        pthread_t thread;
        turn_run(&loop, 3, NULL);
        block_all();
        VICTIM_CHECK(pthread_create(&thread, NULL, wait_for_all, &taken) == 0);
        stall_both();
        for (int i = 0; i < 3; i++) {
                turn_run(&loop, 1, on_kill);
                turn_run(&loop, 2, NULL);
        }
        kill(getpid(), SIGTERM);
        pthread_join(thread, NULL);
        see("sigwait took %u of %d", atomic_load(&taken), 3 * (SIGRTMAX - SIGRTMIN + 1));
}

/* Everything that the loop finds in its descriptor. */
static unsigned take_from(int fd)
{
        struct signalfd_siginfo info;
        unsigned taken = 0;
        while (read(fd, &info, sizeof info) == sizeof info)
                taken += (int)info.ssi_signo >= SIGRTMIN;
        return taken;
}

static void wait_by_descriptor(void)
{
        sigset_t all;
        unsigned taken = 0;
        sigfillset(&all);
        turn_run(&loop, 3, NULL);
        block_all();
        int fd = signalfd(-1, &all, SFD_NONBLOCK | SFD_CLOEXEC);
        VICTIM_CHECK(fd >= 0);
        stall_both();
        for (int i = 0; i < 3; i++) {
                turn_run(&loop, 1, on_kill);
                taken += take_from(fd);
                turn_run(&loop, 2, NULL);
                taken += take_from(fd);
        }
        see("signalfd took %u of %d", taken, 3 * (SIGRTMAX - SIGRTMIN + 1));
}

/* ---- back to the default ---- */

static void reset_all(void)
{
        for (int number = 1; number <= SIGRTMAX; number++)
                signal(number, SIG_DFL); /* fails for those that can't be changed, and libc's own */
}

static VICTIM_FRAME void on_reset(struct turn *turn)
{
        struct truth begin = truth_begin();
        quiet_busy_ms(100);
        reset_all();
        quiet_busy_ms(150);
        truth_end(begin, "cpu", "", "on_reset");
}

static void reset(void)
{
        stall_both();
        turn_run(&loop, 1, on_reset);
        stall_both();
        see("reset: alive");
}

static atomic_bool done;

static void *reset_again_and_again(void *unused)
{
        for (unsigned i = 0; i < count; i++) {
                reset_all();
                quiet_sleep_ms(0);
        }
        atomic_store(&done, true);
        return NULL;
}

static VICTIM_FRAME void on_reset_often(struct turn *turn)
{
        struct truth begin = truth_begin();
        while (!atomic_load(&done) || truth_now_ns() - begin.begin_ns < 200000000)
                for (volatile int i = 0; i < 1000; i++)
                        ;
        truth_end(begin, "cpu", "", "on_reset_often");
}

static void reset_often(void)
{
        pthread_t thread;
        turn_run(&loop, 3, NULL);
        VICTIM_CHECK(pthread_create(&thread, NULL, reset_again_and_again, NULL) == 0);
        turn_run(&loop, 1, on_reset_often);
        pthread_join(thread, NULL);
        turn_run(&loop, 2, NULL);
        see("reset often: alive");
}

/* ---- a message queue ---- */

static atomic_uint notices;

static void on_notice(int number)
{
        atomic_fetch_add(&notices, 1);
}

static void notified(void)
{
        struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1 };
        char name[64], byte;
        snprintf(name, sizeof name, "/loopdog-victim-%d", (int)getpid());
        struct mq_attr attributes = { .mq_maxmsg = 1, .mq_msgsize = 1 };
        mqd_t first = mq_open(name, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0600, &attributes);
        mqd_t queue = fcntl(first, F_DUPFD_CLOEXEC, (int)count);
        VICTIM_CHECK(first >= 0 && queue >= 0 && close(first) == 0 && mq_unlink(name) == 0);
        signal(SIGUSR1, on_notice);
        for (int i = 0; i < 2; i++) {
                VICTIM_CHECK(mq_notify(queue, &event) == 0);
                stall_asleep(&loop);
                VICTIM_CHECK(mq_send(queue, "", 1, 0) == 0);
                see("notified: %u", atomic_load(&notices));
                VICTIM_CHECK(mq_receive(queue, &byte, 1, NULL) == 1);
        }
}

int main(int argc, char **argv)
{
        static const struct victim_case cases[] = {
                { "blocked", blocked },         { "handled", handle_all },          { "handled-late", handled_late },
                { "sigwait", wait_by_thread },  { "signalfd", wait_by_descriptor }, { "reset", reset },
                { "reset-often", reset_often }, { "notified", notified },           { NULL, NULL },
        };
        VICTIM_CHECK(argc > 1);
        count = argc > 2 ? (unsigned)atoi(argv[2]) : 2000;
        turn_open(&loop);
        victim_case_of(cases, argv[1])->run();
        return 0;
}
