/* SPDX-License-Identifier: Apache-2.0
 *
 * accuracy.c - stalls from 0.2 to 5 thresholds, with a truth that is exact to the clock readings beside the wait
 *
 *     accuracy THRESHOLD_MS COUNT FROM TO SEED
 *
 * Lengths are spread evenly from FROM to TO thresholds and shuffled. Half of the stalls sleep in a nested wait
 * (epoll, poll, select), the others compute or sleep. Other than planted.c it keeps its log in memory until the end,
 * so that nothing but two clock readings lies between an iteration's end and the wait: under a CPU hog a thread that
 * writes a log there is taken off the CPU for milliseconds that would be counted as errors of the agent. And each
 * stall runs below one of CALLBACKS functions, so that signatures seldom repeat and the agent leaves no stack out as
 * known.
 *
 * The log, in truth.c's format, goes to VICTIM_TRUTH; `where` is the callback's name.
 *
 * Context: one thread
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "../victims/truth.h"

#define GAP_MS 20

enum kind {
        KIND_COMPUTE,
        KIND_EPOLL,
        KIND_PAUSE,
        KIND_POLL,
        KIND_COMPUTE_AGAIN,
        KIND_SELECT,
        KINDS,
};

struct stall {
        uint64_t duration_ns; /* planned */
        enum kind kind;
        struct truth begin;
        uint64_t end_ns;
        uint64_t end_real_ns;
};

static int epoll, timer, silent_epoll, silent_pipe[2];

static struct timespec duration(uint64_t duration_ns)
{
        return (struct timespec){ .tv_sec = (time_t)(duration_ns / 1000000000u),
                                  .tv_nsec = (long)(duration_ns % 1000000000u) };
}

/* Reads the clock itself: a sample taken in a function of ours that it calls would have that one as its culprit. */
static VICTIM_FRAME void accuracy_compute(uint64_t duration_ns)
{
        struct timespec now;
        for (uint64_t end_ns = truth_now_ns() + duration_ns, now_ns = 0; now_ns < end_ns;) {
                for (volatile int i = 0; i < 1000; i++)
                        ;
                clock_gettime(CLOCK_MONOTONIC, &now);
                now_ns = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
        }
}

static VICTIM_FRAME void accuracy_pause(uint64_t duration_ns)
{
        struct timespec pause = duration(duration_ns);
        VICTIM_CHECK(nanosleep(&pause, NULL) == 0);
}

static VICTIM_FRAME void accuracy_wait(enum kind kind, uint64_t duration_ns)
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

static VICTIM_FRAME void stall(const struct stall *it)
{
        if (it->kind == KIND_COMPUTE || it->kind == KIND_COMPUTE_AGAIN)
                accuracy_compute(it->duration_ns);
        else if (it->kind == KIND_PAUSE)
                accuracy_pause(it->duration_ns);
        else
                accuracy_wait(it->kind, it->duration_ns);
}

/* 64 functions that differ in nothing but their names. */
#define CALLBACK(n)                                                                                                    \
        static VICTIM_FRAME void callback_##n(const struct stall *it)                                                  \
        {                                                                                                              \
                stall(it);                                                                                             \
        }
#define EIGHT(X, n) X(n##0) X(n##1) X(n##2) X(n##3) X(n##4) X(n##5) X(n##6) X(n##7)
#define ALL(X) EIGHT(X, 0) EIGHT(X, 1) EIGHT(X, 2) EIGHT(X, 3) EIGHT(X, 4) EIGHT(X, 5) EIGHT(X, 6) EIGHT(X, 7)
#define ROW(n) { "callback_" #n, callback_##n },

ALL(CALLBACK)

static const struct {
        const char *name;
        void (*function)(const struct stall *it);
} callbacks[] = { ALL(ROW) };
#define CALLBACKS (sizeof(callbacks) / sizeof(callbacks[0]))

static void arm(unsigned delay_ms)
{
        struct itimerspec when = { .it_value = duration(delay_ms * 1000000ull) };
        VICTIM_CHECK(timerfd_settime(timer, 0, &when, NULL) == 0);
}

static void take_timer(void)
{
        uint64_t expirations;
        VICTIM_CHECK(read(timer, &expirations, 8) == 8);
}

/* The last reading before each wait ends the stall, the first one after it begins the next. */
static VICTIM_FRAME void run(struct stall *stalls, unsigned count)
{
        struct epoll_event event;
        arm(GAP_MS);
        for (unsigned i = 0; i <= count; i++) {
                if (i > 0) {
                        stalls[i - 1].end_real_ns = truth_real_ns();
                        stalls[i - 1].end_ns = truth_now_ns();
                }
                int events = epoll_wait(epoll, &event, 1, 10000);
                struct truth begin = truth_begin();
                VICTIM_CHECK(events == 1);
                take_timer();
                if (i == count)
                        return;
                stalls[i].begin = begin;
                callbacks[i % CALLBACKS].function(&stalls[i]);
                arm(GAP_MS);
        }
}

/* splitmix64: the same order on every machine. */
static uint64_t draw(uint64_t *state)
{
        uint64_t z = *state += 0x9e3779b97f4a7c15u;
        z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
        z = (z ^ z >> 27) * 0x94d049bb133111ebu;
        return z ^ z >> 31;
}

/* Kinds take turns along the lengths, so that each kind has its share of each length; then the order is shuffled. */
static void plan(struct stall *stalls, unsigned count, double threshold_ns, double from, double to, uint64_t seed)
{
        for (unsigned i = 0; i < count; i++) {
                stalls[i].kind = (enum kind)(i % KINDS);
                double factor = from + (to - from) * i / (count > 1 ? count - 1 : 1);
                stalls[i].duration_ns = (uint64_t)(threshold_ns * factor);
        }
        for (unsigned i = count; i-- > 1;) {
                unsigned other = (unsigned)(draw(&seed) % (i + 1));
                struct stall kept = stalls[i];
                stalls[i] = stalls[other];
                stalls[other] = kept;
        }
}

static void write_log(const struct stall *stalls, unsigned count)
{
        static const char *const causes[KINDS] = { "cpu", "blocked", "blocked", "blocked", "cpu", "blocked" };
        static const char *const culprits[KINDS] = { "accuracy_compute", "accuracy_wait",    "accuracy_pause",
                                                     "accuracy_wait",    "accuracy_compute", "accuracy_wait" };
        const char *path = getenv("VICTIM_TRUTH");
        FILE *log = path ? fopen(path, "we") : NULL;
        VICTIM_CHECK(log);
        for (unsigned i = 0; i < count; i++)
                fprintf(log,
                        "{\"pid\":%d,\"tid\":%d,\"begin_ns\":%llu,\"end_ns\":%llu,\"begin_real_ns\":%llu,"
                        "\"end_real_ns\":%llu,\"cause\":\"%s\",\"culprit\":\"%s\",\"where\":\"%s\"}\n",
                        (int)getpid(), (int)gettid(), (unsigned long long)stalls[i].begin.begin_ns,
                        (unsigned long long)stalls[i].end_ns, (unsigned long long)stalls[i].begin.begin_real_ns,
                        (unsigned long long)stalls[i].end_real_ns, causes[stalls[i].kind], culprits[stalls[i].kind],
                        callbacks[i % CALLBACKS].name);
        VICTIM_CHECK(fclose(log) == 0);
}

static void add(int instance, int fd)
{
        struct epoll_event event = { .events = EPOLLIN, .data.fd = fd };
        VICTIM_CHECK(instance >= 0 && fd >= 0 && epoll_ctl(instance, EPOLL_CTL_ADD, fd, &event) == 0);
}

int main(int argc, char **argv)
{
        if (argc != 6)
                return 2;
        double threshold_ns = atof(argv[1]) * 1e6;
        unsigned count = (unsigned)atoi(argv[2]);
        struct stall *stalls = calloc(count, sizeof(*stalls));
        VICTIM_CHECK(stalls && count > 0 && threshold_ns >= 1e6);
        plan(stalls, count, threshold_ns, atof(argv[3]), atof(argv[4]), strtoull(argv[5], NULL, 0));
        epoll = epoll_create1(EPOLL_CLOEXEC);
        silent_epoll = epoll_create1(EPOLL_CLOEXEC);
        timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
        VICTIM_CHECK(pipe(silent_pipe) == 0);
        add(epoll, timer);
        add(silent_epoll, silent_pipe[0]);
        for (unsigned i = 0; i < 15; i++) { /* past start-up, candidacy and the calibration of the agent's clock */
                struct epoll_event event;
                VICTIM_CHECK(epoll_wait(epoll, &event, 1, 20) == 0);
        }
        run(stalls, count);
        write_log(stalls, count);
        free(stalls);
        return 0;
}
