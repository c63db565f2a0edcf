/* SPDX-License-Identifier: Apache-2.0
 *
 * loop_libevent.c - stalls in each kind of libevent callback, with the backend named on the command line
 *
 *     loop_libevent epoll|poll|select [kinds]
 *
 * libevent 2.1 has no idle or prepare watchers; an event made active by hand (event_active) takes their place: it runs
 * after a poll that does not sleep. One timer walks through the plan as in loop_libev.c; with "kinds" it is a signal's
 * event and one that runs once. A child's end is a signal, too.
 *
 * Context: one thread
 */
#include <event2/event.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "truth.h"

#ifdef VICTIM_ATTACHED
#include <loopdog/event.h>
#endif

#define KINDS 10 /* the first step of that plan */

static struct event_base *base;
static struct event *timer, *reader, *active, *signals;
static int pipe_fds[2];
static int step;

static void arm(unsigned delay_ms)
{
        struct timeval delay = { .tv_usec = delay_ms * 1000 };
        VICTIM_CHECK(event_add(timer, &delay) == 0);
}

static void next_step(void)
{
        step++;
        event_base_update_cache_time(base);
        arm(60);
}

static VICTIM_FRAME void on_io(evutil_socket_t fd, short what, void *argument)
{
        char byte;
        VICTIM_CHECK(read(fd, &byte, 1) == 1);
        if (byte == 's')
                planted_sleep_ms(200, "on_io");
        else
                planted_busy_ms(200, "on_io");
        next_step();
}

static VICTIM_FRAME void on_active(evutil_socket_t fd, short what, void *argument)
{
        planted_busy_ms(200, "on_active");
        next_step();
}

static VICTIM_FRAME void on_signal(evutil_socket_t number, short what, void *argument)
{
        planted_sleep_ms(200, "on_signal");
        next_step();
}

static VICTIM_FRAME void on_once(evutil_socket_t fd, short what, void *argument)
{
        planted_busy_ms(200, "on_once");
        next_step();
}

static void run_once(void);

static VICTIM_FRAME void on_timer(evutil_socket_t fd, short what, void *argument)
{
        switch (step) {
        case 0:
                planted_sleep_ms(200, "on_timer");
                break;
        case 1:
                planted_busy_ms(200, "on_timer");
                break;
        case 2:
                VICTIM_CHECK(write(pipe_fds[1], "s", 1) == 1);
                return;
        case 3:
                VICTIM_CHECK(write(pipe_fds[1], "b", 1) == 1);
                return;
        case 4:
                event_active(active, EV_TIMEOUT, 0);
                return;
        case KINDS:
                VICTIM_CHECK(kill(getpid(), SIGUSR2) == 0);
                return;
        case KINDS + 1:
                run_once();
                return;
        default:
                event_base_loopbreak(base);
                return;
        }
        next_step();
}

#ifdef VICTIM_ATTACHED
LOOPDOG_EVENT_CALLBACK(on_io)
LOOPDOG_EVENT_CALLBACK(on_timer)
LOOPDOG_EVENT_CALLBACK(on_active)
LOOPDOG_EVENT_CALLBACK(on_signal)
LOOPDOG_EVENT_CALLBACK(on_once)
#else
#define on_io_watched on_io
#define on_timer_watched on_timer
#define on_active_watched on_active
#define on_signal_watched on_signal
#define on_once_watched on_once
#endif

static void run_once(void)
{
        struct timeval delay = { .tv_usec = 20000 };
        VICTIM_CHECK(event_base_once(base, -1, EV_TIMEOUT, on_once_watched, NULL, &delay) == 0);
}

static struct event_base *base_with(const char *backend)
{
        struct event_config *config = event_config_new();
        static const char *const all[] = { "epoll", "poll", "select" };
        VICTIM_CHECK(config);
        for (size_t i = 0; i < 3; i++)
                if (strcmp(all[i], backend))
                        event_config_avoid_method(config, all[i]);
        struct event_base *made = event_base_new_with_config(config);
        event_config_free(config);
        VICTIM_CHECK(made && !strcmp(event_base_get_method(made), backend));
        return made;
}

int main(int argc, char **argv)
{
        base = base_with(argc > 1 ? argv[1] : "epoll");
        VICTIM_CHECK(pipe(pipe_fds) == 0);
        timer = evtimer_new(base, on_timer_watched, NULL);
        reader = event_new(base, pipe_fds[0], EV_READ | EV_PERSIST, on_io_watched, NULL);
        active = event_new(base, -1, 0, on_active_watched, NULL);
        signals = evsignal_new(base, SIGUSR2, on_signal_watched, NULL);
        VICTIM_CHECK(timer && reader && active && event_add(reader, NULL) == 0);
        VICTIM_CHECK(signals && event_add(signals, NULL) == 0);
        step = argc > 2 && !strcmp(argv[2], "kinds") ? KINDS : 0;
        arm(50);
#ifdef VICTIM_ATTACHED
        loopdog_event_attach(base, "main");
#endif
        event_base_dispatch(base);
        event_free(signals);
        event_free(active);
        event_free(reader);
        event_free(timer);
        event_base_free(base);
        return 0;
}
