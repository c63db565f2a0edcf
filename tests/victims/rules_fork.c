/* SPDX-License-Identifier: Apache-2.0
 *
 * rules_fork.c - parent and child go on, each watched on its own
 *
 *     rules_fork between|within|deep|spawn|raw|threads|exits
 *
 * "between": fork between two callbacks; both stall later. "within": fork in the middle of a stall, which is the
 * parent's only. "deep": a chain of three forks. "spawn": posix_spawn and vfork in the middle of a stall. "raw": the
 * clone system call without libc's handlers. "threads": 200 forks while 3 threads open and close libraries: none may
 * hang. "exits": children of _Fork(), clone and vfork() that call exit(), or fork(), at once: none may wait for a
 * watchdog that it does not have, nor end its parent's.
 *
 * Context: main (and helper threads for "threads")
 */
#include <dlfcn.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "truth.h"
#include "turn.h"

extern char **environ;
static struct turn loop;
static atomic_bool stop;

static VICTIM_FRAME void on_timer(struct turn *turn)
{
        planted_sleep_ms(300, "on_timer");
}

static void go_on(void)
{
        turn_run(&loop, 5, NULL);
        turn_run(&loop, 1, on_timer);
        turn_run(&loop, 5, NULL);
}

/* A child shares the parent's timer and epoll instance: it needs its own. */
static void child_loop(void)
{
        turn_close(&loop);
        turn_open(&loop);
        go_on();
}

static pid_t child_within;

static VICTIM_FRAME void on_fork_within(struct turn *turn)
{
        struct truth begin = truth_begin();
        quiet_sleep_ms(150);
        child_within = fork();
        if (child_within == 0) {
                child_loop();
                _exit(0);
        }
        quiet_sleep_ms(200);
        truth_end(begin, "blocked", "quiet_sleep_ms", "on_fork_within");
}

static VICTIM_FRAME void on_spawn(struct turn *turn)
{
        struct truth begin = truth_begin();
        char *arguments[] = { (char *)"/bin/true", NULL };
        pid_t child;
        quiet_sleep_ms(150);
        VICTIM_CHECK(posix_spawn(&child, arguments[0], NULL, NULL, arguments, environ) == 0);
        pid_t second = vfork();
        if (second == 0) {
                execve(arguments[0], arguments, environ);
                _exit(1);
        }
        quiet_sleep_ms(200);
        VICTIM_CHECK(waitpid(child, NULL, 0) == child && waitpid(second, NULL, 0) == second);
        truth_end(begin, "blocked", "", "on_spawn");
}

static void *load_and_unload(void *argument)
{
        while (!stop) {
                void *library = dlopen("libresolv.so.2", RTLD_NOW);
                VICTIM_CHECK(library);
                dlclose(library);
        }
        return NULL;
}

/* Each child waits in a loop of its own, so that the agent really starts there. */
static void fork_often(void)
{
        pthread_t threads[3];
        for (int i = 0; i < 3; i++)
                pthread_create(&threads[i], NULL, load_and_unload, NULL);
        for (int i = 0; i < 200; i++) {
                pid_t child = fork();
                if (child == 0) {
                        struct turn own;
                        turn_open(&own);
                        turn_wait(&own, 1, NULL);
                        turn_wait(&own, 1, NULL);
                        _exit(0);
                }
                turn_run(&loop, 1, NULL);
                turn_until_ended(&loop, child);
        }
        stop = true;
        for (int i = 0; i < 3; i++)
                pthread_join(threads[i], NULL);
}

static void fork_chain(int depth)
{
        pid_t child = depth > 0 ? fork() : -1;
        if (child == 0) {
                turn_close(&loop);
                turn_open(&loop);
                turn_run(&loop, 2, NULL);
                fork_chain(depth - 1);
                _exit(0);
        }
        go_on();
        if (child > 0)
                turn_until_ended(&loop, child);
}

static void fork_raw(void)
{
        long child = syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
        VICTIM_CHECK(child >= 0);
        if (child == 0) {
                child_loop();
                _exit(0);
        }
        go_on();
        turn_until_ended(&loop, (pid_t)child);
}

static void forks_at_once(void)
{
        pid_t child = fork();
        if (child == 0)
                _exit(0);
        VICTIM_CHECK(waitpid(child, NULL, 0) == child);
        exit(0);
}

static void exits(void)
{
        uint64_t begin_ns = truth_now_ns();
        pid_t children[4];
        if ((children[0] = _Fork()) == 0)
                exit(0);
        if ((children[1] = (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0)) == 0)
                exit(0);
        if ((children[2] = _Fork()) == 0)
                forks_at_once();
        if ((children[3] = vfork()) == 0)
                exit(0);
        for (int i = 0; i < 4; i++)
                VICTIM_CHECK(waitpid(children[i], NULL, 0) == children[i]);
        VICTIM_CHECK(truth_now_ns() - begin_ns < 500000000);
}

static VICTIM_FRAME void on_exits(struct turn *turn)
{
        struct truth begin = truth_begin();
        exits();
        quiet_sleep_ms(300);
        truth_end(begin, "blocked|", "", "on_exits");
}

int main(int argc, char **argv)
{
        const char *mode = argc > 1 ? argv[1] : "between";
        turn_open(&loop);
        turn_run(&loop, 5, NULL);
        if (!strcmp(mode, "within")) {
                turn_run(&loop, 1, on_fork_within);
                turn_run(&loop, 5, NULL);
                turn_until_ended(&loop, child_within);
        } else if (!strcmp(mode, "spawn")) {
                turn_run(&loop, 1, on_spawn);
                turn_run(&loop, 5, NULL);
        } else if (!strcmp(mode, "threads")) {
                fork_often();
        } else if (!strcmp(mode, "exits")) {
                turn_run(&loop, 1, on_exits);
                turn_run(&loop, 5, NULL);
        } else if (!strcmp(mode, "raw")) {
                fork_raw();
        } else {
                fork_chain(!strcmp(mode, "deep") ? 3 : 1);
        }
        return 0;
}
