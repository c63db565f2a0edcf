/* SPDX-License-Identifier: Apache-2.0
 *
 * libuv_server.c - a small server on libuv that loopdog watches in debug builds
 *
 *     cc -g libuv_server.c -o server $(pkg-config --cflags --libs loopdog libuv)
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
#include <loopdog/uv.h>
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

static void on_closed(uv_handle_t *handle)
{
        free(handle);
}

static void on_client(uv_poll_t *client, int status, int events)
{
        uv_os_fd_t fd;
        (void)status;
        (void)events;
        uv_fileno((uv_handle_t *)client, &fd);
        uv_poll_stop(client);
        serve(fd);
        uv_close((uv_handle_t *)client, on_closed);
}
LOOPDOG_UV_POLL(on_client)

static void on_listener(uv_poll_t *listener, int status, int events)
{
        uv_os_fd_t fd;
        uv_poll_t *client = malloc(sizeof *client);
        (void)status;
        (void)events;
        uv_fileno((uv_handle_t *)listener, &fd);
        uv_poll_init(listener->loop, client, accept(fd, NULL, NULL));
        uv_poll_start(client, UV_READABLE, on_client_watched);
}

int main(void)
{
        uv_poll_t listener;
        loopdog_uv_attach(uv_default_loop(), "main");
        uv_poll_init(uv_default_loop(), &listener, listening());
        uv_poll_start(&listener, UV_READABLE, on_listener);
        return uv_run(uv_default_loop(), UV_RUN_DEFAULT);
}
