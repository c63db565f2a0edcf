/* SPDX-License-Identifier: Apache-2.0
 *
 * guest_filter.c - loops under filters that end the process for one system call each
 *
 *     guest_filter kill|errno before|all|own CALL...
 *
 *     guest_filter tsc
 *
 * tsc: a loop forbids itself to read the TSC (PR_SET_TSC) when it has been watched for a while, and goes on.
 *
 * For each CALL, a number, a child puts itself under a filter, waits a few times, and stalls asleep and on the CPU;
 * then it is told how it ended. "before": the filter comes before the first wait. "all": when the loop is under way,
 * for all threads. "own": when a loop of the first thread is under way, another thread puts itself alone under the
 * filter before its first wait. "kill" ends the process, "errno" answers EACCES. Where the program itself makes the
 * call, it ends in the same way without the agent.
 *
 * Context: main and one thread
 */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "truth.h"

#define TOGETHER 12 /* children at a time */
#define STALL_NS 60000000

static struct {
        uint32_t action;
        const char *when;
        uint32_t number;
} filter;

/* By plain system calls, as libseccomp does it. */
static void install(unsigned flags)
{
        struct sock_filter program[] = {
                BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
                BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, filter.number, 0, 1),
                BPF_STMT(BPF_RET | BPF_K, filter.action),
                BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        };
        struct sock_fprog whole = { .len = sizeof program / sizeof *program, .filter = program };
        if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &whole) != 0)
                _exit(90);
}

static void turns(int epoll, unsigned count)
{
        struct epoll_event event;
        for (unsigned i = 0; i < count; i++)
                epoll_wait(epoll, &event, 1, 20);
}

static uint64_t now_ns(void)
{
        struct timespec now;
        clock_gettime(CLOCK_MONOTONIC, &now); /* no system call */
        return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* Most programs never make the calls of usleep() and of anything else here. */
static void loop(int epoll)
{
        turns(epoll, 4);
        usleep(STALL_NS / 1000);
        turns(epoll, 2);
        for (uint64_t begin_ns = now_ns(); now_ns() - begin_ns < STALL_NS;)
                ;
        turns(epoll, 2);
}

static void *thread(void *unused)
{
        int epoll = epoll_create1(0);
        (void)unused;
        install(0);
        loop(epoll);
        close(epoll);
        _exit(0); /* libc ends threads by calls that may be forbidden */
}

static void run(void)
{
        struct rlimit none = { 0, 0 };
        pthread_t other;
        int epoll = epoll_create1(0);
        setrlimit(RLIMIT_CORE, &none);
        syscall(SYS_prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
        if (strcmp(filter.when, "before") != 0)
                turns(epoll, 8);
        if (strcmp(filter.when, "own") == 0) {
                pthread_create(&other, NULL, thread, NULL);
                for (;;)
                        turns(epoll, 1);
        }
        install(strcmp(filter.when, "all") == 0 ? SECCOMP_FILTER_FLAG_TSYNC : 0);
        loop(epoll);
        close(epoll);
        exit(0);
}

/* 500 ms are long enough for the watchdog to have measured the TSC, and what comes before a stall to be told by it. */
static int forbid_tsc(void)
{
        int epoll = epoll_create1(0);
        turns(epoll, 25);
        VICTIM_CHECK(prctl(PR_SET_TSC, PR_TSC_SIGSEGV, 0, 0, 0) == 0);
        turns(epoll, 3);
        usleep(200000);
        turns(epoll, 3);
        puts("alive");
        return 0;
}

static void tell(const char *call, pid_t child)
{
        int status;
        VICTIM_CHECK(waitpid(child, &status, 0) == child);
        printf("%s: %s %d\n", call, WIFSIGNALED(status) ? "signal" : "exit",
               WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
        fflush(stdout);
}

int main(int argc, char **argv)
{
        pid_t children[TOGETHER];
        if (argc == 2 && strcmp(argv[1], "tsc") == 0)
                return forbid_tsc();
        VICTIM_CHECK(argc > 3);
        filter.action = strcmp(argv[1], "kill") == 0 ? SECCOMP_RET_KILL_PROCESS : SECCOMP_RET_ERRNO | EACCES;
        filter.when = argv[2];
        for (int first = 3; first < argc; first += TOGETHER) {
                int last = first + TOGETHER < argc ? first + TOGETHER : argc;
                for (int i = first; i < last; i++) {
                        filter.number = (uint32_t)atoi(argv[i]);
                        children[i - first] = fork();
                        if (children[i - first] == 0)
                                run();
                }
                for (int i = first; i < last; i++)
                        tell(argv[i], children[i - first]);
        }
        return 0;
}
