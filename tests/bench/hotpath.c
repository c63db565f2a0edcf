/* SPDX-License-Identifier: Apache-2.0
 *
 * hotpath.c - what a hook adds to the call behind it
 *
 *     LD_PRELOAD=libloopdog.so hotpath CASE BLOCKS CALLS
 *
 * Both functions are called in one process, in blocks that take turns: the hook (what dlsym finds first) and libc's
 * own (by libc's handle), the latter twice, so that the difference between equals is known beside the one that is
 * asked for. All go through the same code and the same kind of pointer. Blocks should be short, so that most of them
 * run without an interruption. One line a turn: nanoseconds a call of libc's function, of the hook, and of libc's
 * function again.
 *
 * BENCH_CLOCK=clock_gettime needs libbench_agent.so (clock_switch.c) as the preload and makes the agent read that
 * one.
 *
 * Context: one thread
 */
#include <arpa/inet.h>
#include <dlfcn.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../victims/truth.h"

#define WARM_NS 400000000u /* the agent turns to the TSC 100 ms after the first wait, at the watchdog's next pass */

typedef int epoll_function(int, struct epoll_event *, int, int);
typedef int poll_function(struct pollfd *, nfds_t, int);
typedef int select_function(int, fd_set *, fd_set *, fd_set *, struct timeval *);
typedef int close_function(int);

static int loop_epoll, ready_epoll, sockets[2];

/* ---- the blocks: `calls` times one call, from one call site and one frame ---- */

static VICTIM_FRAME void block_epoll(void *function, unsigned calls, int fd)
{
        epoll_function *wait = (epoll_function *)function;
        struct epoll_event event;
        for (unsigned i = 0; i < calls; i++)
                wait(fd, &event, 1, 0);
}

static void block_ready(void *function, unsigned calls)
{
        block_epoll(function, calls, ready_epoll);
}

static void block_empty(void *function, unsigned calls)
{
        block_epoll(function, calls, loop_epoll);
}

static VICTIM_FRAME void block_poll(void *function, unsigned calls)
{
        poll_function *wait = (poll_function *)function;
        struct pollfd fds[2] = { { .fd = sockets[0], .events = POLLIN }, { .fd = sockets[1], .events = POLLIN } };
        for (unsigned i = 0; i < calls; i++)
                wait(fds, 2, 0);
}

static VICTIM_FRAME void block_select(void *function, unsigned calls)
{
        select_function *wait = (select_function *)function;
        int top = sockets[0] > sockets[1] ? sockets[0] : sockets[1];
        for (unsigned i = 0; i < calls; i++) {
                struct timeval now = { 0 };
                fd_set read;
                FD_ZERO(&read);
                FD_SET(sockets[0], &read);
                FD_SET(sockets[1], &read);
                wait(top + 1, &read, NULL, NULL, &now);
        }
}

/* A descriptor that is not open, with a number beside the loop's: the longest way through a hook that ends no loop. */
static VICTIM_FRAME void block_close(void *function, unsigned calls)
{
        close_function *end = (close_function *)function;
        for (unsigned i = 0; i < calls; i++)
                end(63);
}

/* ---- the cases ---- */

static const struct bench {
        const char *name;
        const char *function;
        void (*block)(void *function, unsigned calls);
        bool nested; /* within an iteration of another loop, on loop_epoll; else the blocks are the loop's own waits, */
        bool pipe;   /* or, where they wait for a pipe's ends, those of a thread that is no loop */
} benches[] = {
        { "epoll", "epoll_wait", block_ready, false, false },
        { "epoll-empty", "epoll_wait", block_empty, false, false },
        { "epoll-nested", "epoll_wait", block_ready, true, false },
        { "poll", "poll", block_poll, false, false },
        { "poll-nested", "poll", block_poll, true, false },
        { "poll-no-loop", "poll", block_poll, false, true },
        { "select", "select", block_select, false, false },
        { "select-nested", "select", block_select, true, false },
        { "select-no-loop", "select", block_select, false, true },
        { "close", "close", block_close, true, false },
};

/* As a server's: the ends of a socketpair make no loop. */
static int connected_sockets(void)
{
        struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        socklen_t length = sizeof address;
        sockets[0] = socket(AF_INET, SOCK_DGRAM, 0);
        sockets[1] = socket(AF_INET, SOCK_DGRAM, 0);
        if (bind(sockets[0], (struct sockaddr *)&address, length) != 0 ||
            getsockname(sockets[0], (struct sockaddr *)&address, &length) != 0)
                return -1;
        return connect(sockets[1], (struct sockaddr *)&address, length);
}

static void open_all(bool as_pipe)
{
        struct epoll_event event = { .events = EPOLLIN };
        loop_epoll = epoll_create1(EPOLL_CLOEXEC);
        ready_epoll = epoll_create1(EPOLL_CLOEXEC);
        VICTIM_CHECK((as_pipe ? pipe(sockets) : connected_sockets()) == 0);
        VICTIM_CHECK(loop_epoll >= 0 && ready_epoll >= 0 && sockets[1] < 63);
        VICTIM_CHECK(epoll_ctl(ready_epoll, EPOLL_CTL_ADD, sockets[0], &event) == 0);
        VICTIM_CHECK(write(sockets[1], "", 1) == 1); /* so all but loop_epoll are ready: iterations that count */
}

/* The outer loop's wait ends the iteration that the nested waits belong to, so that nothing stalls. */
static void turn(const struct bench *bench)
{
        if (bench->nested)
                block_epoll(dlsym(RTLD_DEFAULT, "epoll_wait"), 1, loop_epoll);
}

static double run_block(const struct bench *bench, void *function, unsigned calls)
{
        turn(bench);
        uint64_t begin_ns = truth_now_ns();
        bench->block(function, calls);
        return (double)(truth_now_ns() - begin_ns) / calls;
}

static void warm(const struct bench *bench, void *hook, void *plain)
{
        turn(bench); /* of two places, the one that is waited at twice first is the loop */
        turn(bench);
        for (uint64_t end_ns = truth_now_ns() + WARM_NS; truth_now_ns() < end_ns;) {
                run_block(bench, hook, 500);
                run_block(bench, plain, 500);
        }
}

static void use_clock(void)
{
        const char *wanted = getenv("BENCH_CLOCK");
        if (!wanted)
                return;
        int (*use)(const char *) = (int (*)(const char *))dlsym(RTLD_DEFAULT, "bench_use_clock");
        VICTIM_CHECK(use && use(wanted) == 0);
}

static const struct bench *find(const char *name)
{
        for (size_t i = 0; i < sizeof(benches) / sizeof(benches[0]); i++)
                if (strcmp(benches[i].name, name) == 0)
                        return &benches[i];
        fprintf(stderr, "hotpath: no case %s\n", name);
        exit(2);
}

int main(int argc, char **argv)
{
        if (argc != 4)
                return 2;
        const struct bench *bench = find(argv[1]);
        unsigned blocks = (unsigned)atoi(argv[2]), calls = (unsigned)atoi(argv[3]);
        void *libc = dlopen("libc.so.6", RTLD_LAZY | RTLD_NOLOAD);
        void *hook = dlsym(RTLD_DEFAULT, bench->function), *plain = libc ? dlsym(libc, bench->function) : NULL;
        if (!plain || hook == plain || blocks == 0 || calls == 0) {
                fprintf(stderr, "hotpath: %s is not hooked\n", bench->function);
                return 2;
        }
        open_all(bench->pipe);
        warm(bench, hook, plain);
        use_clock();
        for (unsigned i = 0; i < blocks; i++) {
                double ns[3];
                for (unsigned j = 0; j < 3; j++) {
                        unsigned side = (i % 2 ? 5 - j + i / 2 : j + i / 2) % 3; /* all six orders in turn */
                        ns[side] = run_block(bench, side == 1 ? hook : plain, calls);
                }
                printf("%.2f %.2f %.2f\n", ns[0], ns[1], ns[2]);
        }
        return 0;
}
