/* SPDX-License-Identifier: Apache-2.0
 *
 * loop_libev.c - stalls in each kind of libev callback, with the backend named on the command line
 *
 *     loop_libev epoll|poll|select|iouring [kinds|offered]
 *
 * One timer walks through the plan; each step stalls in another callback, 60 ms of idleness apart. In a step for the
 * idle or prepare watcher the timer only starts that watcher, so that its stall is an iteration of its own. With
 * "kinds" it is the kinds that are the same with every backend: check, async, signal, child.
 *
 * Context: one thread
 */
#include <ev.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "child.h"
#include "truth.h"

#ifdef VICTIM_ATTACHED
#include <loopdog/ev.h>
#endif

#define KINDS 10   /* the first step of that plan */
#define LACKING 77 /* exit code */

static struct ev_loop *loop;
static ev_timer timer;
static ev_io io;
static ev_idle idle;
static ev_prepare prepare;
static ev_check check;
static ev_async async;
static ev_signal signals;
static ev_child child;
static int pipe_fds[2];
static int step;
static int prepared;

static void next_step(void)
{
        step++;
        ev_timer_stop(loop, &timer);
        ev_timer_set(&timer, 0.06, 0.);
        ev_now_update(loop);
        ev_timer_start(loop, &timer);
}

static VICTIM_FRAME void on_io(EV_P_ ev_io *watcher, int events)
{
        char byte;
        VICTIM_CHECK(read(pipe_fds[0], &byte, 1) == 1);
        if (byte == '-') /* only to wake the loop, for the check watcher */
                return;
        if (byte == 's')
                planted_sleep_ms(200, "on_io");
        else
                planted_busy_ms(200, "on_io");
        next_step();
}

static VICTIM_FRAME void on_idle(EV_P_ ev_idle *watcher, int events)
{
        ev_idle_stop(loop, watcher);
        planted_busy_ms(200, "on_idle");
        next_step();
}

/* The first call belongs to the iteration that started the watcher: only the second stalls. */
static VICTIM_FRAME void on_prepare(EV_P_ ev_prepare *watcher, int events)
{
        if (prepared++ == 0)
                return;
        ev_prepare_stop(loop, watcher);
        planted_sleep_ms(200, "on_prepare");
        next_step();
}

static VICTIM_FRAME void on_check(EV_P_ ev_check *watcher, int events)
{
        ev_check_stop(loop, watcher);
        planted_sleep_ms(200, "on_check");
        next_step();
}

static VICTIM_FRAME void on_async(EV_P_ ev_async *watcher, int events)
{
        planted_busy_ms(200, "on_async");
        next_step();
}

static VICTIM_FRAME void on_signal(EV_P_ ev_signal *watcher, int events)
{
        planted_sleep_ms(200, "on_signal");
        next_step();
}

static VICTIM_FRAME void on_child(EV_P_ ev_child *watcher, int events)
{
        ev_child_stop(loop, watcher);
        planted_busy_ms(200, "on_child");
        next_step();
}

static VICTIM_FRAME void on_timer(EV_P_ ev_timer *watcher, int events)
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
                ev_idle_start(loop, &idle);
                return;
        case 5:
                ev_prepare_start(loop, &prepare);
                if (prepared == 0) { /* come back once, so that the stall follows a wait */
                        ev_timer_set(&timer, 0.02, 0.);
                        ev_timer_start(loop, &timer);
                }
                return;
        case KINDS:
                ev_check_start(loop, &check);
                VICTIM_CHECK(write(pipe_fds[1], "-", 1) == 1);
                return;
        case KINDS + 1:
                ev_async_send(loop, &async);
                return;
        case KINDS + 2:
                VICTIM_CHECK(kill(getpid(), SIGUSR2) == 0);
                return;
        case KINDS + 3:
                child_end();
                return;
        default:
                ev_break(loop, EVBREAK_ALL);
                return;
        }
        next_step();
}

#ifdef VICTIM_ATTACHED
static struct loopdog_ev watch;
LOOPDOG_EV_IO(on_io)
LOOPDOG_EV_CALLBACK(ev_timer, on_timer)
LOOPDOG_EV_CALLBACK(ev_idle, on_idle)
LOOPDOG_EV_CALLBACK(ev_prepare, on_prepare)
LOOPDOG_EV_CALLBACK(ev_check, on_check)
LOOPDOG_EV_CALLBACK(ev_async, on_async)
LOOPDOG_EV_SIGNAL(on_signal)
LOOPDOG_EV_CHILD(on_child)
#else
#define on_io_watched on_io
#define on_timer_watched on_timer
#define on_idle_watched on_idle
#define on_prepare_watched on_prepare
#define on_check_watched on_check
#define on_async_watched on_async
#define on_signal_watched on_signal
#define on_child_watched on_child
#endif

static unsigned backend_named(const char *name)
{
        if (!strcmp(name, "poll"))
                return EVBACKEND_POLL;
        if (!strcmp(name, "select"))
                return EVBACKEND_SELECT;
        if (!strcmp(name, "iouring"))
                return EVBACKEND_IOURING;
        VICTIM_CHECK(!strcmp(name, "epoll"));
        return EVBACKEND_EPOLL;
}

int main(int argc, char **argv)
{
        unsigned backend = backend_named(argc > 1 ? argv[1] : "epoll");
        loop = ev_default_loop(backend | EVFLAG_NOENV);
        if (!loop || ev_backend(loop) != backend)
                return LACKING; /* this libev or this kernel does not offer it */
        if (argc > 2 && !strcmp(argv[2], "offered"))
                return 0;
        VICTIM_CHECK(pipe(pipe_fds) == 0);
        step = argc > 2 && !strcmp(argv[2], "kinds") ? KINDS : 0;
        ev_io_init(&io, on_io_watched, pipe_fds[0], EV_READ);
        ev_timer_init(&timer, on_timer_watched, 0.05, 0.);
        ev_idle_init(&idle, on_idle_watched);
        ev_prepare_init(&prepare, on_prepare_watched);
        ev_check_init(&check, on_check_watched);
        ev_async_init(&async, on_async_watched);
        ev_signal_init(&signals, on_signal_watched, SIGUSR2);
        ev_child_init(&child, on_child_watched, child_start(), 0);
        ev_child_start(loop, &child);
        ev_async_start(loop, &async);
        ev_signal_start(loop, &signals);
        ev_io_start(loop, &io);
        ev_timer_start(loop, &timer);
#ifdef VICTIM_ATTACHED
        loopdog_ev_attach(&watch, loop, "main");
#endif
        ev_run(loop, 0);
        return 0;
}
