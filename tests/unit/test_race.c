/* SPDX-License-Identifier: Apache-2.0
 *
 * test_race.c - our signal at the very moment when the thread enters a call, or gets a signal of its own
 *
 * Context: unit tests; each runs in a process of its own
 */
#include <criterion/criterion.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/epoll.h>

#include "capture/handler.h"
#include "capture/signal.h"
#include "victim.h"

static void begin(void)
{
        const char *why = NULL;
        cr_assert_eq(capture_start(0, &why), 0, "%s", why);
}

static void handle(int number, void (*function)(int))
{
        struct sigaction action = { .sa_handler = function };
        sigaction(number, &action, NULL);
}

/* ---- a running thread enters a call meanwhile ---- */

struct race {
        int epoll;
        int which;
        _Atomic uint64_t calls;
        uint64_t wrong;
        uint64_t early;
        uint64_t longest_ns;
};

static long short_call(const struct race *race)
{
        static const struct timespec one_ms = { 0, 1000000 };
        struct epoll_event event;
        switch (race->which) {
        case 0:
                return epoll_wait(race->epoll, &event, 1, 1);
        case 1:
                return poll(NULL, 0, 1);
        default:
                return nanosleep(&one_ms, NULL);
        }
}

/* Runs for 0 to 80 us, then sleeps for 1 ms. */
static void *run_and_call(struct victim *victim)
{
        struct race *race = victim->argument;
        while (!atomic_load(&victim->stop)) {
                uint64_t calls = atomic_fetch_add(&race->calls, 1);
                for (uint64_t end_ns = now_ns() + calls % 80 * 1000; now_ns() < end_ns;)
                        ;
                uint64_t begin_ns = now_ns();
                race->wrong += short_call(race) != 0;
                uint64_t took_ns = now_ns() - begin_ns;
                race->early += took_ns < 1000000;
                if (took_ns > race->longest_ns)
                        race->longest_ns = took_ns;
        }
        return NULL;
}

/* Each time it begins to run: with the looks before the signal it is caught running, entering its call, or in it. */
static void catch_it(struct race *race, struct victim *victim)
{
        struct sample sample;
        for (uint64_t end_ns = now_ns() + 1000000000; now_ns() < end_ns;) {
                uint64_t calls = atomic_load(&race->calls);
                while (atomic_load(&race->calls) == calls)
                        ;
                memset(&sample, 0, sizeof(sample));
                signal_take(&victim->task, &sample);
        }
}

Test(race, calls_that_a_running_thread_enters_meanwhile_are_mended, .init = begin)
{
        static const char *const names[] = { "epoll_wait", "poll", "nanosleep" };
        uint64_t all = 0;
        for (int which = 0; which < 3; which++) {
                struct race race = { .which = which, .epoll = epoll_create1(0) };
                uint64_t mended = atomic_load(&handler.mended), arrived = atomic_load(&handler.arrived);
                struct victim victim;
                victim_start(&victim, run_and_call, &race);
                for (int tries = 0; tries < 5 && atomic_load(&handler.mended) == mended; tries++)
                        catch_it(&race, &victim);
                victim_join(&victim);
                mended = atomic_load(&handler.mended) - mended;
                arrived = atomic_load(&handler.arrived) - arrived;
                printf("%s: %lu signals to the running thread, %lu calls mended, longest of 1 ms: %.2f ms\n",
                       names[which], (unsigned long)arrived, (unsigned long)mended, (double)race.longest_ns / 1e6);
                cr_assert_eq(race.wrong, 0, "%s: %lu failed", names[which], (unsigned long)race.wrong);
                cr_assert_eq(race.early, 0, "%s: %lu ended early", names[which], (unsigned long)race.early);
                all += mended;
        }
        if (sysconf(_SC_NPROCESSORS_ONLN) > 1)
                cr_assert_gt(all, 0);
}

/* ---- the program's own signals at the same time ---- */

struct duel {
        struct victim victim;
        _Atomic unsigned round;
        _Atomic unsigned answered;
        _Atomic unsigned hidden;
        bool with_mask;
        unsigned limit_ms; /* for the rounds that the signal did not end */
};

static _Atomic unsigned duel_handled;

static void count_duel(int number)
{
        duel_handled++;
}

/* Each round's wait must be ended by the program's own signal. */
static void *wait_for_own_signals(struct victim *victim)
{
        struct duel *duel = victim->argument;
        struct timespec limit = { duel->limit_ms / 1000, duel->limit_ms % 1000 * 1000000 };
        sigset_t set, open;
        sigemptyset(&open);
        sigemptyset(&set);
        sigaddset(&set, SIGUSR1);
        pthread_sigmask(duel->with_mask ? SIG_BLOCK : SIG_UNBLOCK, &set, NULL);
        while (!atomic_load(&victim->stop)) {
                atomic_fetch_add(&duel->round, 1);
                int result = duel->with_mask ? ppoll(NULL, 0, &limit, &open) : poll(NULL, 0, (int)duel->limit_ms);
                if (result == 0)
                        duel->hidden++;
                duel->answered++;
        }
        return NULL;
}

/* The next round's wait has begun (its caller is not only about to wait). */
static bool next_wait(struct duel *duel, unsigned *round)
{
        struct task_call call;
        if (atomic_load(&duel->round) == *round)
                return false;
        if (task_read_call(&duel->victim.task, &call) != 0 || !call.asleep)
                return false;
        *round = atomic_load(&duel->round);
        return true;
}

static void spin_ns(uint64_t ns)
{
        for (uint64_t end_ns = now_ns() + ns; now_ns() < end_ns;)
                ;
}

/* The program's signal comes from a thread of its own, from 60 us before to 60 us after ours. */
static void *send_own_signals(struct victim *victim)
{
        struct duel *duel = victim->argument;
        unsigned round = 0;
        while (!atomic_load(&victim->stop)) {
                if (!next_wait(duel, &round)) {
                        sched_yield();
                        continue;
                }
                spin_ns(round * 7919 % 120000);
                pthread_kill(duel->victim.thread, SIGUSR1);
                while (atomic_load(&duel->answered) < round && !atomic_load(&victim->stop))
                        sched_yield();
        }
        return NULL;
}

static void fight(bool with_mask)
{
        struct duel duel = { .with_mask = with_mask, .limit_ms = 50 };
        struct victim sender;
        struct sample sample;
        unsigned round = 0;
        uint64_t mended = atomic_load(&handler.mended);
        handle(SIGUSR1, count_duel);
        duel_handled = 0;
        victim_start(&duel.victim, wait_for_own_signals, &duel);
        victim_start(&sender, send_own_signals, &duel);
        for (uint64_t end_ns = now_ns() + 2000000000; now_ns() < end_ns;) {
                if (!next_wait(&duel, &round))
                        continue;
                spin_ns(60000);
                memset(&sample, 0, sizeof(sample));
                signal_ask(&duel.victim.task, now_ns(), &sample);
        }
        atomic_store(&duel.victim.stop, true);
        sleep_us(100000);
        victim_join(&duel.victim);
        victim_join(&sender);
        mended = atomic_load(&handler.mended) - mended;
        unsigned rounds = atomic_load(&duel.answered), hidden = atomic_load(&duel.hidden);
        printf("own signal within 60 us of ours, %s: %u rounds, %lu calls mended, %u EINTRs hidden\n",
               with_mask ? "ppoll" : "poll", rounds, (unsigned long)mended, hidden);
        cr_assert_gt(rounds, 100);
        cr_assert_leq(hidden, 1 + rounds / 50, "%u of %u hidden; the last round may have none", hidden, rounds);
}

Test(race, an_own_signal_close_to_ours_ends_the_call, .init = begin)
{
        fight(false);
}

Test(race, an_own_signal_close_to_ours_ends_a_call_with_a_mask, .init = begin)
{
        fight(true);
}

/* As the watchdog does it, again and again: a thread that sleeps is captured from outside; then its own signal wakes
 * it. Ours must not come when that signal's handler returns, as its EINTR would be taken for one of ours. */
Test(race, a_thread_that_its_own_signal_wakes_gets_none_of_ours, .init = begin)
{
        struct duel duel = { .with_mask = false, .limit_ms = 1000 };
        struct victim sender;
        struct sample sample;
        unsigned asleep = 0;
        handle(SIGUSR1, count_duel);
        victim_start(&duel.victim, wait_for_own_signals, &duel);
        victim_start(&sender, send_own_signals, &duel);
        for (uint64_t end_ns = now_ns() + 3000000000; now_ns() < end_ns;) {
                capture_take(&duel.victim.task, true, NULL, 0, &sample);
                asleep += sample.loss == CAPTURE_OK && !sample.by_signal;
        }
        atomic_store(&duel.victim.stop, true);
        pthread_kill(duel.victim.thread, SIGUSR1);
        victim_join(&duel.victim);
        victim_join(&sender);
        unsigned rounds = atomic_load(&duel.answered), hidden = atomic_load(&duel.hidden);
        unsigned long arrived = (unsigned long)atomic_load(&handler.arrived);
        printf("own signals, captured all the time: %u rounds, %u captures asleep, %lu signals, %u EINTRs hidden\n",
               rounds, asleep, arrived, hidden);
        cr_assert_gt(rounds, 100);
        cr_assert_leq(arrived, 10 + rounds / 1000, "%lu signals in %u rounds", arrived, rounds);
        cr_assert_leq(hidden, 1 + rounds / 1000, "%u of %u hidden; the last round may have none", hidden, rounds);
}
