/* SPDX-License-Identifier: Apache-2.0
 *
 * io_uring_server.c - a small server on io_uring that loopdog watches in debug builds
 *
 *     cc -g io_uring_server.c -o server $(pkg-config --cflags --libs loopdog liburing)
 *     ./server & printf slow | nc 127.0.0.1 PORT          # it prints its PORT
 *
 * It answers each connection with a line and closes it; "slow" makes it stall. Built with -DNDEBUG nothing of it is
 * watched, and libloopdog need not be there.
 *
 * Context: one thread
 */
#ifdef NDEBUG
#define LOOPDOG_DISABLE
#endif
#include <arpa/inet.h>
#include <liburing.h>
#include <loopdog.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* A socket that listens on a free port of this machine, whose number is printed. */
static int listening(void)
{
        struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        socklen_t length = sizeof address;
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        if (fd < 0 || bind(fd, (struct sockaddr *)&address, length) != 0 || listen(fd, 16) != 0 ||
            getsockname(fd, (struct sockaddr *)&address, &length) != 0)
                exit(1);
        printf("%d\n", ntohs(address.sin_port));
        fflush(stdout);
        return fd;
}

/* What the server does for a living. */
static void serve(int fd)
{
        char request[64] = "";
        ssize_t length = read(fd, request, sizeof request - 1);
        if (length > 0)
                loopdog_label("request", request);
        if (strncmp(request, "slow", 4) == 0)
                usleep(300000); /* the mistake */
        if (length >= 0 && write(fd, "done\n", 5) != 5)
                perror("write");
        close(fd);
}

/* Ask the ring for the next connection, or (fd >= 0) for this one's first bytes. */
static void ask(struct io_uring *ring, int listener, int fd)
{
        struct io_uring_sqe *entry = io_uring_get_sqe(ring);
        if (fd >= 0)
                io_uring_prep_poll_add(entry, fd, POLLIN);
        else
                io_uring_prep_accept(entry, listener, NULL, NULL, 0);
        io_uring_sqe_set_data64(entry, (unsigned long long)(fd + 1));
}

static void on_client(int fd)
{
        loopdog_callback_begin("on_client", (void (*)(void))on_client, "fd", fd);
        serve(fd);
        loopdog_callback_end();
}

static void on_completion(struct io_uring *ring, int listener, const struct io_uring_cqe *done)
{
        int fd = (int)io_uring_cqe_get_data64(done) - 1;
        if (fd >= 0) {
                on_client(fd);
                return;
        }
        if (done->res >= 0)
                ask(ring, listener, done->res);
        ask(ring, listener, -1);
}

int main(void)
{
        struct io_uring ring;
        struct io_uring_cqe *done;
        int listener = listening();
        loopdog_loop *watched = loopdog_loop_open("ring", NULL);
        if (io_uring_queue_init(64, &ring, 0) != 0)
                return 77; /* not allowed here */
        ask(&ring, listener, -1);
        for (;;) {
                loopdog_wait_begin(watched); /* no hook sees a ring: the program says where it waits */
                int error = io_uring_submit_and_wait(&ring, 1);
                loopdog_wait_end(watched);
                if (error < 0)
                        return 1;
                while (io_uring_peek_cqe(&ring, &done) == 0) {
                        on_completion(&ring, listener, done);
                        io_uring_cqe_seen(&ring, done);
                }
        }
}
