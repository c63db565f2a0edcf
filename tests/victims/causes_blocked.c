/* SPDX-License-Identifier: Apache-2.0
 *
 * causes_blocked.c - an epoll loop whose callback blocks in one system call
 *
 *     causes_blocked CASE [FILE]
 *
 * The loop serves a socketpair: each stall begins when a byte comes there. It stalls for 250 ms, or until whoever it
 * waits for is done; FILE is what the test has prepared (a FIFO, a file that is locked, one on a slow file system).
 *
 * Context: one thread; children of its own
 */
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/select.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "truth.h"

#define STALL_MS 250

static const char *path;
static int own_epoll, requests[2];
static int silent[2]; /* a pipe into which nobody writes */

static struct timespec pause_of(unsigned ms)
{
        return (struct timespec){ .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L };
}

/* Start a shell's script, with `end` as its descriptor `as`. Not by fork(): that would stop the watchdog until the next
 * wait, and is not how a loop starts programs. */
static pid_t start_script(const char *script, int end, int as)
{
        posix_spawn_file_actions_t actions;
        char *const argv[] = { (char *)"sh", (char *)"-c", (char *)script, NULL };
        pid_t child;
        posix_spawn_file_actions_init(&actions);
        if (end >= 0)
                posix_spawn_file_actions_adddup2(&actions, end, as);
        VICTIM_CHECK(posix_spawn(&child, "/bin/sh", &actions, NULL, argv, environ) == 0);
        posix_spawn_file_actions_destroy(&actions);
        return child;
}

static void reap(pid_t child)
{
        VICTIM_CHECK(waitpid(child, NULL, 0) == child);
}

static int local_listener(int backlog, struct sockaddr_in *address)
{
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        socklen_t length = sizeof *address;
        *address = (struct sockaddr_in){ .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        VICTIM_CHECK(bind(fd, (struct sockaddr *)address, sizeof *address) == 0 && listen(fd, backlog) == 0 &&
                     getsockname(fd, (struct sockaddr *)address, &length) == 0);
        return fd;
}

static int open_file(int flags)
{
        int fd = open(path, flags | O_CLOEXEC, 0600);
        VICTIM_CHECK(fd >= 0);
        return fd;
}

/* ---- the cases ---- */

static void block_nanosleep(void)
{
        struct timespec pause = pause_of(STALL_MS);
        VICTIM_CHECK(nanosleep(&pause, NULL) == 0);
}

static void block_until(void)
{
        struct timespec until;
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_nsec += STALL_MS * 1000000L;
        until.tv_sec += until.tv_nsec / 1000000000;
        until.tv_nsec %= 1000000000;
        VICTIM_CHECK(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == 0);
}

static void read_answer(int fd, int other_end)
{
        char byte;
        pid_t child = start_script("sleep 0.25; echo", other_end, STDOUT_FILENO);
        close(other_end);
        VICTIM_CHECK(read(fd, &byte, 1) == 1);
        close(fd);
        reap(child);
}

static void block_fifo(void)
{
        int both = open_file(O_RDWR); /* so that opening its ends does not wait */
        int end = open_file(O_RDONLY), other_end = open_file(O_WRONLY);
        close(both);
        read_answer(end, other_end);
}

static void block_pipe(void)
{
        int fds[2];
        VICTIM_CHECK(pipe2(fds, O_CLOEXEC) == 0);
        read_answer(fds[0], fds[1]);
}

static void block_write(void)
{
        static char bytes[65536 + 10];
        int fds[2];
        VICTIM_CHECK(pipe2(fds, O_CLOEXEC) == 0);
        pid_t child = start_script("sleep 0.25; exec cat >/dev/null", fds[0], STDIN_FILENO);
        close(fds[0]);
        VICTIM_CHECK(write(fds[1], bytes, sizeof bytes) == sizeof bytes);
        close(fds[1]);
        reap(child);
}

static void block_connect(void)
{
        struct sockaddr_in address;
        int full = local_listener(0, &address), fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        int first = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        struct timeval limit = { .tv_usec = STALL_MS * 1000 };
        VICTIM_CHECK(connect(first, (struct sockaddr *)&address, sizeof address) == 0);
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
        VICTIM_CHECK(connect(fd, (struct sockaddr *)&address, sizeof address) == -1);
        close(fd);
        close(first);
        close(full);
}

static void block_recv(void)
{
        struct sockaddr_in address;
        int server = local_listener(5, &address), fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        struct timeval limit = { .tv_usec = STALL_MS * 1000 };
        char byte;
        VICTIM_CHECK(connect(fd, (struct sockaddr *)&address, sizeof address) == 0);
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
        VICTIM_CHECK(recv(fd, &byte, 1, 0) == -1);
        close(fd);
        close(server);
}

static void block_unix(void)
{
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        struct timeval limit = { .tv_usec = STALL_MS * 1000 };
        char byte;
        snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
        VICTIM_CHECK(connect(fd, (struct sockaddr *)&address, sizeof address) == 0);
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
        VICTIM_CHECK(recv(fd, &byte, 1, 0) == -1);
        close(fd);
}

static void block_accept(void)
{
        struct sockaddr_in address;
        int server = local_listener(5, &address);
        struct timeval limit = { .tv_usec = STALL_MS * 1000 };
        setsockopt(server, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
        VICTIM_CHECK(accept(server, NULL, NULL) == -1);
        close(server);
}

static void block_poll(void)
{
        struct pollfd set[2] = { { .fd = silent[0], .events = POLLIN }, { .fd = silent[1], .events = POLLERR } };
        VICTIM_CHECK(poll(set, 2, STALL_MS) == 0);
}

static void block_select(void)
{
        fd_set set;
        struct timeval limit = { .tv_usec = STALL_MS * 1000 };
        FD_ZERO(&set);
        FD_SET(silent[0], &set);
        VICTIM_CHECK(select(silent[0] + 1, &set, NULL, NULL, &limit) == 0);
}

static void block_epoll(void)
{
        struct epoll_event event = { .events = EPOLLIN };
        int other = epoll_create1(EPOLL_CLOEXEC);
        VICTIM_CHECK(epoll_ctl(other, EPOLL_CTL_ADD, silent[0], &event) == 0);
        VICTIM_CHECK(epoll_wait(other, &event, 1, STALL_MS) == 0);
        close(other);
}

/* The holders of locks are other processes, which the test has started. */
static void block_flock(void)
{
        int fd = open_file(O_RDWR);
        VICTIM_CHECK(flock(fd, LOCK_EX) == 0);
        close(fd);
}

static void block_fcntl(void)
{
        struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
        int fd = open_file(O_RDWR);
        VICTIM_CHECK(fcntl(fd, F_SETLKW, &lock) == 0);
        close(fd);
}

static void block_ofd(void)
{
        struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
        int fd = open_file(O_RDWR);
        VICTIM_CHECK(fcntl(fd, F_OFD_SETLKW, &lock) == 0);
        close(fd);
}

static void block_eventfd(void)
{
        uint64_t value;
        int fd = eventfd(0, EFD_CLOEXEC);
        pid_t child = start_script("sleep 0.25; printf '\\1\\0\\0\\0\\0\\0\\0\\0'", fd, STDOUT_FILENO);
        VICTIM_CHECK(read(fd, &value, sizeof value) == sizeof value && value == 1);
        close(fd);
        reap(child);
}

static void block_timerfd(void)
{
        uint64_t times;
        int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
        struct itimerspec when = { .it_value = pause_of(STALL_MS) };
        VICTIM_CHECK(timerfd_settime(fd, 0, &when, NULL) == 0);
        VICTIM_CHECK(read(fd, &times, sizeof times) == sizeof times);
        close(fd);
}

static void block_wait(void)
{
        reap(start_script("exec sleep 0.25", -1, 0));
}

static void block_read(void)
{
        char byte;
        int fd = open_file(O_RDONLY);
        VICTIM_CHECK(read(fd, &byte, 1) == 1);
        close(fd);
}

static void block_fsync(void)
{
        int fd = open_file(O_RDWR);
        VICTIM_CHECK(fsync(fd) == 0);
        close(fd);
}

static void block_open(void)
{
        close(open_file(O_RDONLY));
}

static void block_sendfile(void)
{
        int fds[2], fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
        struct timeval limit = { .tv_usec = STALL_MS * 1000 };
        VICTIM_CHECK(fd >= 0 && socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0);
        setsockopt(fds[0], SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
        while (sendfile(fds[0], fd, &(off_t){ 0 }, 65536) > 0)
                ;
        close(fds[0]);
        close(fds[1]);
        close(fd);
}

static const struct victim_case cases[] = {
        { "nanosleep", block_nanosleep },
        { "until", block_until },
        { "fifo", block_fifo },
        { "pipe", block_pipe },
        { "write", block_write },
        { "connect", block_connect },
        { "recv", block_recv },
        { "unix", block_unix },
        { "accept", block_accept },
        { "poll", block_poll },
        { "select", block_select },
        { "epoll", block_epoll },
        { "flock", block_flock },
        { "fcntl", block_fcntl },
        { "wait", block_wait },
        { "read", block_read },
        { "fsync", block_fsync },
        { "open", block_open },
        { "sendfile", block_sendfile },
        { "ofd", block_ofd },
        { "eventfd", block_eventfd },
        { "timerfd", block_timerfd },
        { NULL, NULL },
};
static void (*block)(void);

/* ---- the loop ---- */

static VICTIM_FRAME void planted_block(void)
{
        struct truth begin = truth_begin();
        block();
        truth_end(begin, "blocked", "", "on_request");
}

static VICTIM_FRAME void on_request(void)
{
        char byte;
        VICTIM_CHECK(read(requests[0], &byte, 1) == 1);
        if (byte == 's')
                planted_block();
}

static VICTIM_FRAME void turn(void)
{
        struct epoll_event event;
        if (epoll_wait(own_epoll, &event, 1, 30) == 1)
                on_request();
}

static void ask(char what)
{
        VICTIM_CHECK(write(requests[1], &what, 1) == 1);
        turn();
}

/* The test prepares each stall (another process takes the lock): it writes a line for each, and reads one after it. */
static void follow_orders(void)
{
        char line[16];
        printf("ready\n");
        fflush(stdout);
        while (fgets(line, sizeof line, stdin)) {
                ask('s');
                turn();
                printf("done\n");
                fflush(stdout);
        }
}

int main(int argc, char **argv)
{
        path = argc > 2 ? argv[2] : "";
        VICTIM_CHECK(argc > 1);
        block = victim_case_of(cases, argv[1])->run;
        VICTIM_CHECK(pipe2(silent, O_CLOEXEC) == 0);
        VICTIM_CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, requests) == 0);
        own_epoll = epoll_create1(EPOLL_CLOEXEC);
        struct epoll_event event = { .events = EPOLLIN, .data.fd = requests[0] };
        VICTIM_CHECK(epoll_ctl(own_epoll, EPOLL_CTL_ADD, requests[0], &event) == 0);
        for (int i = 0; i < 5; i++)
                turn();
        follow_orders();
        return 0;
}
