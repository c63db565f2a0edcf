/* SPDX-License-Identifier: Apache-2.0
 *
 * rules_unwind.cc - C++ exceptions and pthread_exit that pass through a hooked wait
 *
 *     rules_unwind handler|callback|exit-in-handler|exit-in-callback
 *
 * "handler": a signal handler that interrupted the wait throws; the exception passes the hook's frame and is caught
 * in the loop. "callback": a callback throws out of the loop function. "exit-in-*": pthread_exit does the same.
 * Destructors must run, and a loop that goes on must be watched as before.
 *
 * Context: main or one thread
 */
#include <csignal>
#include <cstring>
#include <pthread.h>
#include <sys/time.h>

#include "truth.h"
#include "turn.h"

static int destroyed;

struct witness {
        ~witness()
        {
                destroyed++;
        }
};

static void throw_from_handler(int)
{
        throw 17;
}

static void exit_from_handler(int)
{
        pthread_exit(nullptr);
}

/* Of C, so that its name is the same in every compiler. */
extern "C" VICTIM_FRAME void on_timer(struct turn *)
{
        planted_sleep_ms(300, "on_timer");
}

static VICTIM_FRAME void on_throw(struct turn *)
{
        witness local;
        throw 17;
}

static VICTIM_FRAME void on_exit_thread(struct turn *)
{
        witness local;
        pthread_exit(nullptr);
}

/* SIGALRM in 20 ms, in the middle of the wait. The handler is left by an exception: the mask must not stay. */
static void alarm_soon(void (*handler)(int))
{
        struct sigaction action = {};
        action.sa_handler = handler;
        action.sa_flags = SA_NODEFER;
        sigaction(SIGALRM, &action, nullptr);
        struct itimerval when = {};
        when.it_value.tv_usec = 20000;
        setitimer(ITIMER_REAL, &when, nullptr);
}

static int caught;

static VICTIM_FRAME void wait_and_catch(struct turn *loop, void (*handler)(int), turn_callback *callback)
{
        try {
                witness local;
                if (handler)
                        alarm_soon(handler);
                else
                        turn_arm(loop, 20);
                turn_wait(loop, 2000, callback);
                VICTIM_CHECK(!"the wait returned");
        } catch (int number) {
                VICTIM_CHECK(number == 17);
                caught++;
        }
}

static void *run(void *argument)
{
        const char *mode = static_cast<const char *>(argument);
        struct turn loop;
        witness local;
        turn_open(&loop);
        turn_run(&loop, 5, nullptr);
        bool in_handler = strstr(mode, "handler") != nullptr;
        if (!strncmp(mode, "exit", 4)) {
                turn_run(&loop, 1, on_timer);
                wait_and_catch(&loop, in_handler ? exit_from_handler : nullptr, on_exit_thread);
        }
        for (int i = 0; i < 3; i++)
                wait_and_catch(&loop, in_handler ? throw_from_handler : nullptr, on_throw);
        turn_run(&loop, 5, nullptr);
        turn_run(&loop, 1, on_timer); /* found only if the hook's state survived */
        turn_run(&loop, 5, nullptr);
        return nullptr;
}

int main(int argc, char **argv)
{
        const char *mode = argc > 1 ? argv[1] : "handler";
        pthread_t thread;
        VICTIM_CHECK(pthread_create(&thread, nullptr, run, const_cast<char *>(mode)) == 0);
        sigset_t set;
        sigemptyset(&set);
        sigaddset(&set, SIGALRM);
        pthread_sigmask(SIG_BLOCK, &set, nullptr); /* the signal goes to the loop's thread */
        pthread_join(thread, nullptr);
        bool in_handler = strstr(mode, "handler") != nullptr;
        if (!strncmp(mode, "exit", 4))
                VICTIM_CHECK(destroyed == (in_handler ? 2 : 3) && caught == 0);
        else
                VICTIM_CHECK(destroyed == (in_handler ? 4 : 7) && caught == 3);
        return 0;
}
