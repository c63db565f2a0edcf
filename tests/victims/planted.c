/* SPDX-License-Identifier: Apache-2.0
 *
 * planted.c - many stalls of chosen lengths, with the victim's own clocks as truth
 *
 *     planted [-t THRESHOLD_MS] [-s SEED] [-n COUNT] [-g GAP_MS] [FACTOR ...]
 *
 * Plants COUNT (1000) stalls in an epoll loop. Their lengths are FACTORs of the threshold (100 ms), each used equally
 * often and in an order that follows from SEED; without FACTORs they are spread evenly over 0.2 to 5. Half of them
 * sleep in a nested wait (epoll, poll, select on another descriptor), the others compute or sleep. A timerfd or an
 * eventfd in turn begins each after GAP_MS (30) of idleness.
 *
 * Each line of the truth log is the whole iteration, from the return of the loop's wait to its next entry, which is
 * what loopdog measures; `where` is "planted" plus the factor in thousandths.
 *
 * Context: one thread
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/select.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "truth.h"

enum kind {
        KIND_BUSY,
        KIND_SLEEP,
        KIND_EPOLL, /* the nested waits */
        KIND_POLL,
        KIND_SELECT,
        KINDS,
};

static const char *const culprits[KINDS] = { "planted_compute", "planted_pause", "planted_wait", "planted_wait",
                                             "planted_wait" };

struct plan {
        unsigned threshold_ms;
        unsigned count;
        unsigned gap_ms;
        uint64_t seed;
        double *factors; /* one a stall, in order */
        enum kind *kinds;
};

static int epoll, timer_fd, event_fd, silent_epoll, silent_pipe[2];

/* splitmix64: the same order on every machine. */
static uint64_t draw(uint64_t *state)
{
        uint64_t z = *state += 0x9e3779b97f4a7c15u;
        z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
        z = (z ^ z >> 27) * 0x94d049bb133111ebu;
        return z ^ z >> 31;
}

static struct timespec duration(uint64_t duration_ns)
{
        return (struct timespec){ .tv_sec = (time_t)(duration_ns / 1000000000u),
                                  .tv_nsec = (long)(duration_ns % 1000000000u) };
}

static VICTIM_FRAME void planted_compute(uint64_t duration_ns)
{
        for (uint64_t end_ns = truth_now_ns() + duration_ns; truth_now_ns() < end_ns;)
                for (volatile int i = 0; i < 1000; i++)
                        ;
}

static VICTIM_FRAME void planted_pause(uint64_t duration_ns)
{
        struct timespec pause = duration(duration_ns);
        VICTIM_CHECK(nanosleep(&pause, NULL) == 0);
}

static VICTIM_FRAME void planted_wait(enum kind kind, uint64_t duration_ns)
{
        struct timespec timeout = duration(duration_ns);
        struct epoll_event event;
        struct pollfd fd = { .fd = silent_pipe[0], .events = POLLIN };
        int count;
        if (kind == KIND_EPOLL)
                count = epoll_pwait2(silent_epoll, &event, 1, &timeout, NULL);
        else if (kind == KIND_POLL)
                count = ppoll(&fd, 1, &timeout, NULL);
        else
                count = pselect(0, NULL, NULL, NULL, &timeout, NULL);
        VICTIM_CHECK(count == 0);
}

static VICTIM_FRAME void callback(const struct plan *plan, unsigned index)
{
        uint64_t duration_ns = (uint64_t)(plan->factors[index] * plan->threshold_ms * 1e6);
        if (plan->kinds[index] == KIND_BUSY)
                planted_compute(duration_ns);
        else if (plan->kinds[index] == KIND_SLEEP)
                planted_pause(duration_ns);
        else
                planted_wait(plan->kinds[index], duration_ns);
}

static void arm(const struct plan *plan, unsigned index)
{
        struct itimerspec when = { .it_value = duration(plan->gap_ms * 1000000ull) };
        VICTIM_CHECK(timerfd_settime(timer_fd, 0, &when, NULL) == 0);
}

/* The timer either begins the stall itself or, every other time, through the eventfd. Returns true for a stall. */
static int take_event(int fd, unsigned index)
{
        uint64_t value = 1;
        VICTIM_CHECK(read(fd, &value, 8) == 8);
        if (fd == event_fd || index % 2 == 0)
                return 1;
        value = 1;
        VICTIM_CHECK(write(event_fd, &value, 8) == 8);
        return 0;
}

static VICTIM_FRAME void run(const struct plan *plan)
{
        struct truth begin = { 0 };
        char where[32] = "";
        arm(plan, 0);
        for (unsigned index = 0; index < plan->count;) {
                struct epoll_event event;
                int count = epoll_wait(epoll, &event, 1, 10000);
                begin = truth_begin();
                VICTIM_CHECK(count == 1);
                if (!take_event(event.data.fd, index))
                        continue;
                callback(plan, index);
                snprintf(where, sizeof(where), "planted %.0f", plan->factors[index] * 1000);
                arm(plan, index);
                truth_end(begin, plan->kinds[index] == KIND_BUSY ? "cpu" : "blocked", culprits[plan->kinds[index]],
                          where);
                index++;
        }
        struct epoll_event event; /* the last stall ends by a wait as well */
        VICTIM_CHECK(epoll_wait(epoll, &event, 1, 10000) == 1);
}

static void add(int instance, int fd)
{
        struct epoll_event event = { .events = EPOLLIN, .data.fd = fd };
        VICTIM_CHECK(fd >= 0 && epoll_ctl(instance, EPOLL_CTL_ADD, fd, &event) == 0);
}

static void open_loop(void)
{
        epoll = epoll_create1(EPOLL_CLOEXEC);
        silent_epoll = epoll_create1(EPOLL_CLOEXEC);
        timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
        event_fd = eventfd(0, EFD_CLOEXEC);
        VICTIM_CHECK(pipe(silent_pipe) == 0);
        add(epoll, timer_fd);
        add(epoll, event_fd);
        add(silent_epoll, silent_pipe[0]);
}

/* Fill in the order: equally many of each factor and of each kind, then both shuffled on their own. */
static void make_plan(struct plan *plan, char **factors, unsigned factors_count)
{
        uint64_t state = plan->seed;
        plan->factors = calloc(plan->count, sizeof(*plan->factors));
        plan->kinds = calloc(plan->count, sizeof(*plan->kinds));
        VICTIM_CHECK(plan->factors && plan->kinds);
        for (unsigned i = 0; i < plan->count; i++) {
                plan->factors[i] = factors_count ? atof(factors[i % factors_count])
                                                 : 0.2 + 4.8 * i / (plan->count > 1 ? plan->count - 1 : 1);
                VICTIM_CHECK(plan->factors[i] > 0 && plan->factors[i] <= 100);
                plan->kinds[i] = i % 2 ? KIND_EPOLL + i / 2 % 3 : i / 2 % 2 ? KIND_SLEEP : KIND_BUSY;
        }
        for (unsigned i = plan->count; i-- > 1;) {
                unsigned a = (unsigned)(draw(&state) % (i + 1)), b = (unsigned)(draw(&state) % (i + 1));
                double factor = plan->factors[i];
                plan->factors[i] = plan->factors[a];
                plan->factors[a] = factor;
                enum kind kind = plan->kinds[i];
                plan->kinds[i] = plan->kinds[b];
                plan->kinds[b] = kind;
        }
}

int main(int argc, char **argv)
{
        struct plan plan = { .threshold_ms = 100, .count = 1000, .gap_ms = 30, .seed = 1 };
        for (int option; (option = getopt(argc, argv, "t:s:n:g:")) != -1;) {
                if (option == 't')
                        plan.threshold_ms = (unsigned)atoi(optarg);
                else if (option == 's')
                        plan.seed = strtoull(optarg, NULL, 0);
                else if (option == 'n')
                        plan.count = (unsigned)atoi(optarg);
                else if (option == 'g')
                        plan.gap_ms = (unsigned)atoi(optarg);
                else
                        return 2;
        }
        VICTIM_CHECK(plan.threshold_ms > 0 && plan.count > 0 && plan.gap_ms > 0);
        make_plan(&plan, argv + optind, (unsigned)(argc - optind));
        open_loop();
        for (unsigned i = 0; i < 5; i++) { /* past start-up and candidacy */
                struct epoll_event event;
                VICTIM_CHECK(epoll_wait(epoll, &event, 1, 20) == 0);
        }
        run(&plan);
        free(plan.factors);
        free(plan.kinds);
        return 0;
}
