/* SPDX-License-Identifier: Apache-2.0
 *
 * libev_server.c - a small server on libev that loopdog watches in debug builds
 *
 *     cc -g libev_server.c -o server $(pkg-config --cflags --libs loopdog) -lev
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
#include <loopdog/ev.h>
#include <netinet/in.h>
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

static void on_client(struct ev_loop *loop, ev_io *watcher, int events)
{
        (void)events;
        ev_io_stop(loop, watcher);
        serve(watcher->fd);
        free(watcher);
}
LOOPDOG_EV_IO(on_client)

static void on_listener(struct ev_loop *loop, ev_io *watcher, int events)
{
        ev_io *client = malloc(sizeof *client);
        int fd = accept(watcher->fd, NULL, NULL);
        (void)events;
        if (fd < 0 || client == NULL)
                exit(1);
        ev_io_init(client, on_client_watched, fd, EV_READ);
        ev_io_start(loop, client);
}

int main(void)
{
        static struct loopdog_ev watch;
        ev_io listener;
        loopdog_ev_attach(&watch, EV_DEFAULT, "main");
        ev_io_init(&listener, on_listener, listening(), EV_READ);
        ev_io_start(EV_DEFAULT, &listener);
        ev_run(EV_DEFAULT, 0);
        return 0;
}
