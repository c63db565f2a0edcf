/* SPDX-License-Identifier: Apache-2.0
 *
 * rules_left.c - a thread that has left its loop for good is not stalled
 *
 *     rules_left join|cond|sigwait|pause|accept
 *
 * The loop runs, stalls once and returns; the thread then waits 1.2 s without a time limit for another thread's end, a
 * condition, a signal or a connection. Only the planted stall may be reported.
 *
 * Context: main, with one helper thread that ends the wait
 */
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "truth.h"
#include "turn.h"

static const char *mode;
static pthread_t main_thread;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static int done;
static int listener;
static struct sockaddr_in address;
static volatile sig_atomic_t signalled;

static void on_signal(int number)
{
        signalled = 1;
}

static void *helper(void *argument)
{
        quiet_sleep_ms(1200);
        if (!strcmp(mode, "cond")) {
                pthread_mutex_lock(&lock);
                done = 1;
                pthread_cond_signal(&changed);
                pthread_mutex_unlock(&lock);
        } else if (!strcmp(mode, "sigwait") || !strcmp(mode, "pause")) {
                pthread_kill(main_thread, SIGUSR1);
        } else if (!strcmp(mode, "accept")) {
                int fd = socket(AF_INET, SOCK_STREAM, 0);
                VICTIM_CHECK(connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0);
                close(fd);
        }
        return NULL;
}

static VICTIM_FRAME void on_timer(struct turn *loop)
{
        planted_sleep_ms(300, "on_timer");
}

static VICTIM_FRAME void run_loop(void)
{
        struct turn loop;
        turn_open(&loop);
        turn_run(&loop, 5, NULL);
        turn_run(&loop, 1, on_timer);
        turn_run(&loop, 5, NULL);
}

static void wait_outside(pthread_t thread)
{
        sigset_t set;
        int number;
        sigemptyset(&set);
        sigaddset(&set, SIGUSR1);
        if (!strcmp(mode, "join")) {
                return;
        } else if (!strcmp(mode, "cond")) {
                pthread_mutex_lock(&lock);
                while (!done)
                        pthread_cond_wait(&changed, &lock);
                pthread_mutex_unlock(&lock);
        } else if (!strcmp(mode, "sigwait")) {
                VICTIM_CHECK(sigwait(&set, &number) == 0 && number == SIGUSR1);
        } else if (!strcmp(mode, "pause")) {
                pause();
                VICTIM_CHECK(signalled);
        } else {
                VICTIM_CHECK(accept(listener, NULL, NULL) >= 0);
        }
}

static void prepare(void)
{
        sigset_t set;
        sigemptyset(&set);
        sigaddset(&set, SIGUSR1);
        if (!strcmp(mode, "sigwait"))
                sigprocmask(SIG_BLOCK, &set, NULL);
        else
                signal(SIGUSR1, on_signal);
        listener = socket(AF_INET, SOCK_STREAM, 0);
        address = (struct sockaddr_in){ .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        socklen_t length = sizeof(address);
        VICTIM_CHECK(bind(listener, (struct sockaddr *)&address, length) == 0 && listen(listener, 1) == 0);
        VICTIM_CHECK(getsockname(listener, (struct sockaddr *)&address, &length) == 0);
}

int main(int argc, char **argv)
{
        pthread_t thread;
        mode = argc > 1 ? argv[1] : "join";
        main_thread = pthread_self();
        prepare();
        run_loop();
        pthread_create(&thread, NULL, helper, NULL);
        wait_outside(thread);
        pthread_join(thread, NULL);
        return 0;
}
