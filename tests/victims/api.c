/* SPDX-License-Identifier: Apache-2.0
 *
 * api.c - a program that says what it does through loopdog.h
 *
 *     api CASE
 *
 * Its loop waits where no hook looks: in nanosleep. Each case is one matter of the API; what it plants is in the truth,
 * with the callback that must be named as `where`.
 *
 * Context: the main thread, and one more where a case says so
 */
#include <errno.h>
#include <loopdog.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "truth.h"
#include "turn.h"

static loopdog_loop *loop;

static void wait_ms(loopdog_loop *here, unsigned ms)
{
        struct timespec delay = { .tv_nsec = (long)ms * 1000000 };
        loopdog_wait_begin(here);
        nanosleep(&delay, NULL);
        loopdog_wait_end(here);
}

/* A few quick turns, so that start-up is over and the watchdog has looked. */
static void turns(unsigned count)
{
        for (unsigned i = 0; i < count; i++)
                wait_ms(loop, 20);
}

static VICTIM_FRAME void read_cb(unsigned ms)
{
        planted_sleep_ms(ms, "read_cb");
}

static VICTIM_FRAME void short_cb(unsigned ms)
{
        quiet_busy_ms(ms);
}

static void call(const char *name, void (*function)(unsigned), long fd, unsigned ms)
{
        loopdog_callback_begin(name, (void (*)(void))function, "fd", fd);
        function(ms);
        loopdog_callback_end();
}

/* Twenty callbacks in one iteration, of which one stalls. */
static void case_callbacks(void)
{
        for (long fd = 0; fd < 19; fd++)
                call("short_cb", short_cb, fd, 0);
        loopdog_callback_begin("outer", NULL, NULL, -1);
        call("read_cb", read_cb, 12, 300);
        loopdog_callback_end();
}

static void case_labels(void)
{
        loopdog_label("request", "GET /before");
        quiet_busy_ms(5);
        loopdog_label("request", "GET /users/42");
        loopdog_label("trace", "4bf92f3577b34da6");
        planted_busy_ms(300, "");
        loopdog_label("request", "GET /after");
        loopdog_label("trace", NULL);
}

/* A label of 1 MB, and one with what a terminal would obey. */
static void case_large_label(void)
{
        char *large = malloc(1 << 20);
        memset(large, 'x', (1 << 20) - 1);
        large[(1 << 20) - 1] = '\0';
        loopdog_label("large", large);
        loopdog_label("odd", "\x1b[31m\xff\xfe");
        loopdog_label("a key that is far longer than what is kept of it", "value");
        planted_sleep_ms(200, "");
        free(large);
}

static void case_section(void)
{
        loopdog_section_begin(400000000);
        quiet_sleep_ms(300);
        loopdog_section_end();
        turns(2);
        loopdog_section_begin(200000000);
        planted_sleep_ms(500, "");
        loopdog_section_end();
}

static void case_threshold(void)
{
        struct loopdog_loop_options options = { .size = sizeof options, .threshold_ns = 20000000 };
        loopdog_loop *second = loopdog_loop_open("quick", &options);
        quiet_sleep_ms(50);
        wait_ms(second, 20);
        planted_sleep_ms(50, "");
        wait_ms(second, 20);
        VICTIM_CHECK(loopdog_set_threshold(second, 1000000000) == 0);
        quiet_sleep_ms(200);
        wait_ms(second, 20);
        VICTIM_CHECK(loopdog_set_threshold(second, 1) == -22);
        loopdog_loop_close(second);
}

static void case_pause(void)
{
        loopdog_pause(loop);
        quiet_sleep_ms(300);
        turns(2);
        loopdog_resume(loop);
        planted_sleep_ms(200, "");
}

/* A loop that is run from within a callback of another, and waits: neither is stalled meanwhile. */
static void case_nested(void)
{
        loopdog_loop *inner = loopdog_loop_open("inner", NULL);
        for (int i = 0; i < 20; i++)
                wait_ms(inner, 20);
        planted_sleep_ms(200, "");
        wait_ms(inner, 20);
        loopdog_loop_close(inner);
        planted_busy_ms(200, "");
}

static _Atomic unsigned told;
static struct loopdog_stall last;
static char last_callback[32];

static void on_stall(const struct loopdog_stall *stall, void *context)
{
        VICTIM_CHECK(context == &told && stall->size == sizeof *stall);
        last = *stall;
        snprintf(last_callback, sizeof last_callback, "%s", stall->callback ? stall->callback : "");
        told++;
}

static void case_handler(void)
{
        loopdog_set_handler(on_stall, &told);
        call("read_cb", read_cb, 7, 250);
        turns(2);
        VICTIM_CHECK(loopdog_flush() == 0);
        VICTIM_CHECK(told == 1 && last.id == 1 && last.duration_ns >= 250000000 && last.callbacks == 1);
        VICTIM_CHECK(!strcmp(last_callback, "read_cb") && last.callback_ns >= 250000000);
        loopdog_set_handler(NULL, NULL);
        planted_sleep_ms(200, "");
        turns(2);
        loopdog_flush();
        VICTIM_CHECK(told == 1);
}

static void case_statistics(void)
{
        struct loopdog_statistics numbers = { .size = sizeof numbers };
        struct loopdog_bucket buckets[LOOPDOG_BUCKETS];
        uint64_t counted = 0;
        for (int i = 0; i < 10; i++) {
                quiet_busy_ms(10);
                wait_ms(loop, 10);
        }
        VICTIM_CHECK(loopdog_read_statistics(loop, &numbers) == 0);
        VICTIM_CHECK(numbers.iterations >= 10 && numbers.busy_ns >= 100000000 && numbers.idle_ns >= 100000000);
        VICTIM_CHECK(numbers.longest_ns >= 10000000 && numbers.percentile50_ns <= numbers.percentile99_ns);
        VICTIM_CHECK(numbers.utilisation > 0.05 && numbers.utilisation < 0.95);
        int count = loopdog_read_histogram(loop, buckets, LOOPDOG_BUCKETS);
        VICTIM_CHECK(count > 0 && loopdog_read_histogram(loop, NULL, 0) == count);
        for (int i = 0; i < count; i++)
                counted += buckets[i].count;
        VICTIM_CHECK(counted == numbers.iterations);
        VICTIM_CHECK(loopdog_read_statistics((loopdog_loop *)(uintptr_t)12345, &numbers) == -22);
        numbers.size = 1;
        VICTIM_CHECK(loopdog_read_statistics(loop, &numbers) == -22);
        planted_sleep_ms(200, "");
}

static void *elsewhere(void *argument)
{
        loopdog_wait_begin(loop);
        loopdog_wait_end(loop);
        loopdog_loop_close(loop);
        loopdog_callback_end();
        loopdog_label("key", "value");
        loopdog_pause(NULL);
        return argument;
}

/* All that must be harmless; half of it must be said, once. */
static void case_misuse(void)
{
        pthread_t thread;
        loopdog_loop *closed = loopdog_loop_open("closed", NULL);
        for (int i = 0; i < 3; i++) {
                loopdog_wait_end(loop);
                loopdog_callback_end();
                loopdog_section_end();
                loopdog_resume(loop);
                loopdog_loop_close(closed);
                loopdog_wait_begin(closed);
                loopdog_wait_end(closed);
                loopdog_wait_begin(NULL);
                loopdog_wait_end(NULL);
                loopdog_loop_close(NULL);
                loopdog_wait_begin((loopdog_loop *)&thread);
                loopdog_label(NULL, "x");
                loopdog_label("", NULL);
                loopdog_label(NULL, NULL);
                loopdog_callback_begin(NULL, NULL, NULL, 0);
                loopdog_callback_end();
                VICTIM_CHECK(loopdog_read_statistics(NULL, NULL) == -22);
                VICTIM_CHECK(loopdog_start(NULL) == 0);
        }
        for (int i = 0; i < 40; i++)
                loopdog_callback_begin("deep", NULL, NULL, i);
        for (int i = 0; i < 40; i++)
                loopdog_callback_end();
        VICTIM_CHECK(pthread_create(&thread, NULL, elsewhere, NULL) == 0 && pthread_join(thread, NULL) == 0);
        loopdog_wait_begin(loop);
        wait_ms(loop, 20);
        planted_sleep_ms(200, "");
}

/* The other loop of case_dump(): waits in read(), then computes, as the first one says. */
static _Atomic int turn;
static int turn_fds[2];

static VICTIM_FRAME void compute_cb(void)
{
        for (turn = 2; turn == 2;)
                ;
}

static void *second_loop(void *argument)
{
        loopdog_loop *second = loopdog_loop_open("second", NULL);
        wait_ms(second, 1);
        char byte;
        loopdog_wait_begin(second);
        turn = 1;
        VICTIM_CHECK(read(turn_fds[0], &byte, 1) == 1);
        loopdog_wait_end(second);
        loopdog_label("request", "GET /second");
        compute_cb();
        wait_ms(second, 1);
        loopdog_loop_close(second);
        return argument;
}

static VICTIM_FRAME void dump_cb(int loops)
{
        VICTIM_CHECK(loopdog_dump() == loops);
}

static void on_signal(int number)
{
        VICTIM_CHECK(number == SIGUSR1 && loopdog_dump() == 2);
}

/* Each loop as it is: from a callback, while one is paused, and from a signal's handler. What it dumps is judged by the
 * test; that nothing is dumped where nothing is watched, by itself. */
static void case_dump(void)
{
        pthread_t thread;
        struct loopdog_statistics numbers = { .size = sizeof numbers };
        VICTIM_CHECK(pipe(turn_fds) == 0 && pthread_create(&thread, NULL, second_loop, NULL) == 0);
        while (turn != 1)
                usleep(1000);
        usleep(20000); /* to come from there into read() */
        loopdog_label("request", "GET /first");
        loopdog_callback_begin("dump_cb", (void (*)(void))dump_cb, "fd", 12);
        dump_cb(2);
        loopdog_callback_end();
        VICTIM_CHECK(write(turn_fds[1], "", 1) == 1);
        while (turn != 2)
                usleep(1000);
        loopdog_pause(loop);
        dump_cb(2);
        loopdog_resume(loop);
        signal(SIGUSR1, on_signal);
        VICTIM_CHECK(raise(SIGUSR1) == 0);
        turn = 3;
        VICTIM_CHECK(pthread_join(thread, NULL) == 0 && loopdog_read_statistics(loop, &numbers) == 0);
        pid_t child = fork();
        if (child == 0)
                _exit(loopdog_dump() == -3 ? 0 : 1);
        int status = -1;
        VICTIM_CHECK(waitpid(child, &status, 0) == child && status == 0);
        turns(1);
        VICTIM_CHECK(loopdog_stop() == 0 && loopdog_dump() == -3);
}

/* Every function, with nothing, with rubbish and with sense. Whatever they answer, errno is the program's. */
static void call_all(loopdog_loop *here)
{
        struct loopdog_statistics numbers = { .size = sizeof numbers };
        struct loopdog_bucket bucket;
        struct loopdog_options no_size = { 0 };
        struct loopdog_loop_options odd = { .size = sizeof odd, .threshold_ns = 1, .flags = ~LOOPDOG_LOOP_HOOKED };
        errno = EINTR;
        VICTIM_CHECK(strcmp(loopdog_version(), LOOPDOG_VERSION) == 0);
        loopdog_set_handler(NULL, NULL);
        loopdog_loop_close(loopdog_loop_open(NULL, &odd));
        loopdog_wait_begin(here);
        loopdog_wait_end(here);
        loopdog_callback_begin(NULL, NULL, NULL, -1);
        loopdog_label("key", "value");
        loopdog_label(NULL, NULL);
        loopdog_section_begin(UINT64_MAX);
        loopdog_section_end();
        loopdog_callback_end();
        loopdog_pause(here);
        loopdog_resume(here);
        loopdog_set_threshold(here, 0);
        loopdog_set_threshold((loopdog_loop *)&numbers, 0);
        loopdog_read_statistics(here, &numbers);
        loopdog_read_histogram(here, &bucket, 1);
        loopdog_read_histogram((loopdog_loop *)&numbers, NULL, 1);
        VICTIM_CHECK(loopdog_start(&no_size) == -EINVAL);
        loopdog_flush();
        loopdog_dump();
        VICTIM_CHECK(errno == EINTR);
}

/* Before main(), and before any loop. */
__attribute__((constructor)) static void at_load(int argc, char **argv)
{
        if (argc == 2 && strcmp(argv[1], "anywhere") == 0)
                call_all(NULL);
}

/* What may be called in a signal's handler, wherever it strikes. */
static _Atomic unsigned strikes;

static void on_tick(int number)
{
        loopdog_callback_begin("on_tick", (void (*)(void))on_tick, "signal", number);
        loopdog_section_begin(1000);
        loopdog_section_end();
        loopdog_callback_end();
        loopdog_wait_begin(loop);
        loopdog_wait_end(loop);
        strikes++;
}

static void under_signals(void)
{
        struct itimerval often = { .it_interval.tv_usec = 200, .it_value.tv_usec = 200 },
                         never = { { 0, 0 }, { 0, 0 } };
        signal(SIGALRM, on_tick);
        VICTIM_CHECK(setitimer(ITIMER_REAL, &often, NULL) == 0);
        while (strikes < 200) {
                loopdog_callback_begin("outer", NULL, NULL, -1);
                loopdog_label("request", "GET /");
                loopdog_section_begin(1000);
                loopdog_section_end();
                loopdog_callback_end();
        }
        VICTIM_CHECK(setitimer(ITIMER_REAL, &never, NULL) == 0);
}

/* Before a loop, between waits, after a stop, in a child, in a signal's handler; then all is as it was. */
static void case_anywhere(void)
{
        call_all(NULL);
        call_all(loop);
        under_signals();
        pid_t child = fork();
        if (child == 0) {
                call_all(loop);
                VICTIM_CHECK(loopdog_stop() == 0);
                call_all(loop);
                _exit(0);
        }
        int status = -1;
        VICTIM_CHECK(waitpid(child, &status, 0) == child && status == 0);
        VICTIM_CHECK(loopdog_stop() == 0);
        call_all(loop);
        VICTIM_CHECK(loopdog_start(NULL) == 0);
        turns(3);
        call("read_cb", read_cb, 12, 200);
}

static void case_fork(void)
{
        pid_t child = fork();
        if (child == 0) {
                turns(3);
                planted_busy_ms(200, "");
                turns(2);
                exit(0);
        }
        loopdog_section_begin(3600000000000);
        VICTIM_CHECK(waitpid(child, NULL, 0) == child);
        loopdog_section_end();
        turns(2);
        planted_sleep_ms(200, "");
}

/* Off and on again: what happens in between is not told. */
static void case_stop(void)
{
        planted_sleep_ms(200, "");
        turns(2);
        VICTIM_CHECK(loopdog_stop() == 0 && loopdog_stop() == 0 && loopdog_flush() == -3);
        quiet_sleep_ms(200);
        turns(2);
        const char *const settings[] = { "LOOPDOG_INTERVAL=20ms", NULL };
        const char *const wrong[] = { "LOOPDOG_TRESHOLD=20ms", NULL };
        struct loopdog_options options = { .size = sizeof options, .settings = wrong };
        VICTIM_CHECK(loopdog_start(&options) == -22);
        options.settings = settings;
        VICTIM_CHECK(loopdog_start(&options) == 0);
        turns(3);
        VICTIM_CHECK(loopdog_start(&options) == -114);
        planted_sleep_ms(200, "");
}

static VICTIM_FRAME void on_unwatched(struct turn *hooked)
{
        quiet_sleep_ms(110);
}

static VICTIM_FRAME void on_watched(struct turn *hooked)
{
        planted_sleep_ms(200, "on_watched");
}

static void *stop_hooked_loop(void *unused)
{
        struct turn hooked;
        turn_open(&hooked);
        turn_run(&hooked, 5, NULL);
        VICTIM_CHECK(loopdog_stop() == 0);
        turn_run(&hooked, 20, on_unwatched); /* more than are remembered for the watchdog */
        VICTIM_CHECK(loopdog_start(NULL) == 0);
        turn_run(&hooked, 5, NULL);
        turn_run(&hooked, 1, on_watched);
        turn_run(&hooked, 2, NULL);
        return NULL;
}

/* The same with a loop that the hooks have found, which goes on to be counted. */
static void case_stop_hooked(void)
{
        pthread_t thread;
        loopdog_wait_begin(loop);
        VICTIM_CHECK(pthread_create(&thread, NULL, stop_hooked_loop, NULL) == 0 && pthread_join(thread, NULL) == 0);
        loopdog_wait_end(loop);
}

static void start_with(const char *threshold, unsigned flags)
{
        char output[1024], threshold_setting[64];
        const char *const settings[] = { threshold_setting, output, NULL };
        struct loopdog_options options = { .size = sizeof options, .flags = flags, .settings = settings };
        const char *path = getenv("LOOPDOG_OUTPUT");
        snprintf(output, sizeof output, "LOOPDOG_OUTPUT=%s", path != NULL ? path : "/dev/null");
        snprintf(threshold_setting, sizeof threshold_setting, "LOOPDOG_THRESHOLD=%s", threshold);
        VICTIM_CHECK(loopdog_start(&options) == 0);
        memset(output, 'x', sizeof output); /* they are copied */
        memset(threshold_setting, 'x', sizeof threshold_setting);
}

/* Who runs a program knows better than it, unless it says so. The environment says 100 ms. */
static void case_options(void)
{
        VICTIM_CHECK(loopdog_stop() == 0);
        start_with("20ms", LOOPDOG_START_IGNORE_ENVIRONMENT);
        turns(3);
        planted_sleep_ms(60, "");
        turns(2);
        VICTIM_CHECK(loopdog_stop() == 0);
        start_with("20ms", 0);
        turns(3);
        quiet_sleep_ms(60);
        turns(2);
        planted_sleep_ms(200, "");
}

static const struct victim_case cases[] = {
        { "callbacks", case_callbacks },
        { "labels", case_labels },
        { "large_label", case_large_label },
        { "section", case_section },
        { "threshold", case_threshold },
        { "pause", case_pause },
        { "nested", case_nested },
        { "handler", case_handler },
        { "statistics", case_statistics },
        { "misuse", case_misuse },
        { "fork", case_fork },
        { "dump", case_dump },
        { "anywhere", case_anywhere },
        { "stop", case_stop },
        { "stop-hooked", case_stop_hooked },
        { "options", case_options },
        { NULL, NULL },
};

int main(int argc, char **argv)
{
        VICTIM_CHECK(argc == 2);
        loop = loopdog_loop_open("main", NULL);
        turns(3);
        victim_case_of(cases, argv[1])->run();
        turns(2);
        loopdog_loop_close(loop);
        return 0;
}
