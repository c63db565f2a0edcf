/* SPDX-License-Identifier: Apache-2.0
 *
 * guest_children.c - every way to make another process, from a loop that is watched
 *
 *     guest_children forks [N] | hangs [N] | bomb [N] | vfork | spawn | daemon | clones | execs | self
 *
 * "forks": N forks (40) by another thread while the loop computes and is captured; it tells how long they took.
 * "hangs": the same of N forks where records are written to a disk that hangs. "bomb": N children (200), 20 at a time,
 * each a loop of its own for a moment; every fiftieth stalls. "vfork": children that close, wait and change signals in
 * the memory of their parent, in the middle of a stall. "spawn": posix_spawn with all its attributes, system() and
 * popen(). "daemon": daemon(3), then a stall. "clones": children without libc's handlers, that share more or less with
 * their parent. "execs": programs run in every way. "self": what these programs are: they print what they see, and
 * stall.
 *
 * Context: main, and one thread for "forks"
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "see.h"
#include "truth.h"
#include "turn.h"

#define AT_A_TIME 20
#define STALLS_EVERY 50
#define STACK_BYTES 65536

extern char **environ;
static struct turn loop;
static char *program;
static unsigned count;

/* ---- forks by another thread ---- */

static atomic_bool stop;

static int compare(const void *one, const void *other)
{
        uint64_t a = *(const uint64_t *)one, b = *(const uint64_t *)other;
        return (a > b) - (a < b);
}

/* A short poll between two forks: from the next wait of the thread that forked on, the watchdog is there again. */
static void *fork_again_and_again(void *unused)
{
        unsigned failed = 0;
        uint64_t *took_ns = calloc(count, sizeof *took_ns);
        VICTIM_CHECK(took_ns != NULL);
        for (unsigned i = 0; i < count; i++) {
                int status;
                uint64_t begin_ns = truth_now_ns();
                pid_t child = fork();
                if (child != 0)
                        took_ns[i] = truth_now_ns() - begin_ns;
                if (child == 0) {
                        if (i == 0)
                                see_process("forked");
                        raise(i % 2 == 0 ? SIGUSR1 : SIGUSR2);
                        _exit((int)i % 7);
                }
                VICTIM_CHECK(waitpid(child, &status, 0) == child);
                failed += !WIFEXITED(status) || WEXITSTATUS(status) != (int)i % 7;
                poll(NULL, 0, 2);
        }
        see("forks: %u of %u children failed", failed, count);
        qsort(took_ns, count, sizeof *took_ns, compare);
        see("fork took: %llu us, at most %llu us", (unsigned long long)took_ns[count / 2] / 1000,
            (unsigned long long)took_ns[count - 1] / 1000);
        free(took_ns);
        stop = true;
        return NULL;
}

static VICTIM_FRAME void on_forks(struct turn *turn)
{
        struct truth begin = truth_begin();
        while (!stop || truth_now_ns() - begin.begin_ns < 200000000)
                for (volatile int i = 0; i < 1000; i++)
                        ;
        truth_end(begin, "cpu", "on_forks", "on_forks");
}

static void forks(void)
{
        pthread_t thread;
        signal(SIGUSR1, SIG_IGN);
        signal(SIGUSR2, SIG_IGN);
        turn_run(&loop, 3, NULL);
        VICTIM_CHECK(pthread_create(&thread, NULL, fork_again_and_again, NULL) == 0);
        turn_run(&loop, 1, on_forks);
        pthread_join(thread, NULL);
        turn_run(&loop, 3, NULL);
}

/* ---- forks while the disk hangs that records are written to ---- */

static void see_time(const char *what, uint64_t begin_ns)
{
        see("%s: %llu ms", what, (unsigned long long)(truth_now_ns() - begin_ns) / 1000000);
}

static void hangs(void)
{
        stall_asleep(&loop);
        uint64_t begin_ns = truth_now_ns();
        turn_run(&loop, 5, NULL);
        see_time("turns", begin_ns);
        begin_ns = truth_now_ns();
        for (unsigned i = 0; i < count; i++) {
                pid_t child = fork();
                if (child == 0)
                        _exit(0);
                VICTIM_CHECK(waitpid(child, NULL, 0) == child);
        }
        see_time("forks", begin_ns);
        see("hangs: done");
}

/* ---- a bomb ---- */

static void be_a_child(unsigned number)
{
        struct turn own;
        turn_close(&loop);
        turn_open(&own);
        turn_arm(&own, 1);
        turn_wait(&own, 100, NULL);
        turn_wait(&own, 0, NULL);
        if (number % STALLS_EVERY != 0)
                _exit((int)number % 100);
        stall_asleep(&own);
        exit((int)number % 100);
}

static void bomb(void)
{
        unsigned made = 0, living = 0, sum = 0;
        while (made < count || living > 0) {
                while (made < count && living < AT_A_TIME) {
                        pid_t child = fork();
                        VICTIM_CHECK(child >= 0);
                        if (child == 0)
                                be_a_child(made);
                        made++;
                        living++;
                }
                turn_arm(&loop, 1);
                turn_wait(&loop, 100, NULL);
                for (int status; living > 0 && waitpid(-1, &status, WNOHANG) > 0; living--) {
                        VICTIM_CHECK(WIFEXITED(status));
                        sum += (unsigned)WEXITSTATUS(status);
                }
        }
        see("bomb: %u children, sum of their codes %u", made, sum);
        VICTIM_CHECK(waitpid(-1, NULL, __WALL) == -1 && errno == ECHILD);
        stall_asleep(&loop);
}

/* ---- vfork ---- */

/* All of this is the child's own; its memory is not. */
static __attribute__((noinline)) void change_and_wait(void)
{
        signal(SIGUSR1, SIG_IGN);
        signal(SIGTERM, SIG_DFL);
        for (int number = SIGRTMIN; number <= SIGRTMAX; number++)
                signal(number, SIG_DFL);
        dup2(STDOUT_FILENO, loop.timer);
        close(loop.epoll);
        close_range(3, ~0u, 0);
        closefrom(3);
        if (geteuid() == 0)
                VICTIM_CHECK(setgid(65534) == 0 && setuid(65534) == 0);
        poll(NULL, 0, 2);
}

static pid_t vforked(char *const *arguments)
{
        pid_t child = vfork();
        if (child == 0) {
                change_and_wait();
                if (arguments != NULL)
                        execve(arguments[0], arguments, environ);
                _exit(7);
        }
        return child;
}

static VICTIM_FRAME void on_vfork(struct turn *turn)
{
        char *good[] = { (char *)"/bin/true", NULL }, *bad[] = { (char *)"/nonexistent", NULL };
        struct truth begin = truth_begin();
        quiet_sleep_ms(120);
        see_end("vfork, exit", vforked(NULL));
        see_end("vfork, exec", vforked(good));
        see_end("vfork, failed exec", vforked(bad));
        quiet_busy_ms(120);
        truth_end(begin, "", "", "on_vfork");
}

static void vforks(void)
{
        turn_run(&loop, 3, NULL);
        turn_run(&loop, 1, on_vfork);
        stall_asleep(&loop); /* the loop is still the same */
}

/* ---- posix_spawn, system, popen ---- */

static void spawn(void)
{
        char *arguments[] = { program, (char *)"self", NULL };
        posix_spawn_file_actions_t actions;
        posix_spawnattr_t attributes;
        sigset_t set;
        pid_t child;
        posix_spawn_file_actions_init(&actions);
        posix_spawn_file_actions_adddup2(&actions, STDOUT_FILENO, 9);
        posix_spawn_file_actions_addclosefrom_np(&actions, 10);
        posix_spawnattr_init(&attributes);
        sigfillset(&set);
        posix_spawnattr_setsigdefault(&attributes, &set);
        sigemptyset(&set);
        sigaddset(&set, SIGUSR1);
        posix_spawnattr_setsigmask(&attributes, &set);
        posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_RESETIDS |
                                                      POSIX_SPAWN_SETSID);
        VICTIM_CHECK(posix_spawn(&child, program, &actions, &attributes, arguments, environ) == 0);
        see_end("spawned", child);
        see("spawn of nothing: %d", posix_spawn(&child, "/nonexistent", NULL, NULL, arguments, environ));
}

static void run_in_shells(void)
{
        char command[512], line[512];
        snprintf(command, sizeof command, "exec %s self", program);
        see("system: %x", system(command));
        snprintf(command, sizeof command, "%s self; exit 3", program);
        FILE *pipe = popen(command, "re");
        VICTIM_CHECK(pipe != NULL);
        while (fgets(line, sizeof line, pipe) != NULL)
                see("popen: %.*s", (int)strcspn(line, "\n"), line);
        see("popen: %x", pclose(pipe));
}

static VICTIM_FRAME void on_spawn(struct turn *turn)
{
        struct truth begin = truth_begin();
        spawn();
        run_in_shells();
        truth_end(begin, "blocked", "", "on_spawn");
}

static void spawns(void)
{
        turn_run(&loop, 3, NULL);
        turn_run(&loop, 1, on_spawn);
        turn_run(&loop, 3, NULL);
}

/* ---- daemon ---- */

static void become_daemon(void)
{
        int output = dup(STDOUT_FILENO);
        stall_asleep(&loop);
        VICTIM_CHECK(daemon(0, 0) == 0);
        VICTIM_CHECK(dup2(output, STDOUT_FILENO) == STDOUT_FILENO && close(output) == 0);
        see_process("daemon");
        turn_close(&loop);
        turn_open(&loop);
        stall_asleep(&loop);
        see("daemon: done");
}

/* ---- clone ---- */

static void live_as(const char *who)
{
        struct turn own;
        see("%s: lives", who);
        turn_open(&own);
        stall_asleep(&own);
        turn_close(&own);
}

static int live_as_clone(void *who)
{
        live_as(who);
        exit(5);
}

static void clones(void)
{
        static const struct {
                const char *name;
                int flags;
        } kinds[] = {
                { "clone", SIGCHLD },
                { "clone with files", SIGCHLD | CLONE_FILES },
                { "clone with directory", SIGCHLD | CLONE_FS | CLONE_SYSVSEM },
                { "clone without a signal", 0 },
        };
        char *stack = mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        VICTIM_CHECK(stack != MAP_FAILED);
        stall_asleep(&loop);
        for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
                see_end(kinds[i].name,
                        clone(live_as_clone, stack + STACK_BYTES, kinds[i].flags, (void *)(uintptr_t)kinds[i].name));
        struct clone_args arguments = { .exit_signal = SIGCHLD, .flags = CLONE_CLEAR_SIGHAND };
        long child = syscall(SYS_clone3, &arguments, sizeof arguments);
        if (child == 0) {
                live_as("clone3 without handlers");
                exit(6);
        }
        see_end("clone3 without handlers", (pid_t)child);
        stall_asleep(&loop);
}

/* ---- exec ---- */

static void exec_in_way(int way)
{
        char *arguments[] = { program, (char *)"self", NULL };
        switch (way) {
        case 0:
                execv(program, arguments);
                break;
        case 1:
                execvp(program, arguments);
                break;
        case 2:
                execle(program, program, "self", (char *)NULL, environ);
                break;
        case 3:
                fexecve(open(program, O_RDONLY | O_CLOEXEC), arguments, environ);
                break;
        default: /* past all hooks */
                syscall(SYS_execve, program, arguments, environ);
                break;
        }
        _exit(98);
}

static VICTIM_FRAME void on_execs(struct turn *turn)
{
        struct truth begin = truth_begin();
        for (int way = 0; way < 5; way++) {
                pid_t child = fork();
                if (child == 0)
                        exec_in_way(way);
                see_end("exec", child);
        }
        truth_end(begin, "", "", "on_execs");
}

static void execs(void)
{
        turn_run(&loop, 3, NULL);
        turn_run(&loop, 1, on_execs);
        turn_run(&loop, 3, NULL);
}

/* What it prints is the same whoever has started it; its loop is watched where children are followed. */
static void be_self(void)
{
        see_process("self");
        see_environment("self");
        turn_open(&loop);
        stall_asleep(&loop);
        exit(4);
}

int main(int argc, char **argv)
{
        static const struct victim_case cases[] = {
                { "forks", forks },   { "hangs", hangs },  { "bomb", bomb },
                { "vfork", vforks },  { "spawn", spawns }, { "daemon", become_daemon },
                { "clones", clones }, { "execs", execs },  { "self", be_self },
                { NULL, NULL },
        };
        VICTIM_CHECK(argc > 1);
        const struct victim_case *chosen = victim_case_of(cases, argv[1]);
        program = argv[0];
        count = argc > 2 ? (unsigned)atoi(argv[2]) : chosen->run == bomb ? 200 : 40;
        if (chosen->run == be_self)
                be_self();
        turn_open(&loop);
        chosen->run();
        return 0;
}
