/* SPDX-License-Identifier: Apache-2.0
 *
 * libevent_server.c - a small server on libevent that loopdog watches in debug builds
 *
 *     cc -g libevent_server.c -o server $(pkg-config --cflags --libs loopdog libevent)
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
#include <loopdog/event.h>
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

static void on_client(evutil_socket_t fd, short what, void *argument)
{
        (void)what;
        (void)argument;
        serve(fd);
}
LOOPDOG_EVENT_CALLBACK(on_client)

static void on_listener(evutil_socket_t listener, short what, void *base)
{
        int fd = accept(listener, NULL, NULL);
        (void)what;
        if (fd < 0 || event_base_once(base, fd, EV_READ, on_client_watched, NULL, NULL) != 0)
                exit(1);
}

int main(void)
{
        struct event_base *base = event_base_new();
        struct event *listener = event_new(base, listening(), EV_READ | EV_PERSIST, on_listener, base);
        loopdog_event_attach(base, "main");
        event_add(listener, NULL);
        event_base_dispatch(base);
        return 0;
}
