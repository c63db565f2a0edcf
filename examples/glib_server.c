/* SPDX-License-Identifier: Apache-2.0
 *
 * glib_server.c - a small server on GLib that loopdog watches in debug builds
 *
 *     cc -g glib_server.c -o server $(pkg-config --cflags --libs loopdog glib-2.0)
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
#include <glib-unix.h>
#include <loopdog/glib.h>
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

static gboolean on_client(gint fd, GIOCondition condition, gpointer data)
{
        (void)condition;
        (void)data;
        serve(fd);
        return G_SOURCE_REMOVE;
}

static gboolean on_listener(gint listener, GIOCondition condition, gpointer data)
{
        int fd = accept(listener, NULL, NULL);
        GSource *client = g_unix_fd_source_new(fd, G_IO_IN);
        (void)condition;
        (void)data;
        g_source_set_name(client, "client");
        g_source_set_callback(client, (GSourceFunc)(void (*)(void))on_client, NULL, NULL);
        loopdog_glib_watch_source(client);
        g_source_attach(client, NULL);
        g_source_unref(client);
        return G_SOURCE_CONTINUE;
}

int main(void)
{
        static struct loopdog_glib watch;
        GMainLoop *loop = g_main_loop_new(NULL, FALSE);
        loopdog_glib_attach(&watch, NULL, "main");
        g_unix_fd_add(listening(), G_IO_IN, on_listener, NULL);
        g_main_loop_run(loop);
        return 0;
}
