/* SPDX-License-Identifier: Apache-2.0
 *
 * server.c - a small HTTP server with a mistake in it
 *
 * One event loop (libev) serves everybody. Most requests are answered at once, but GET /report asks a slow "database"
 * and waits for its answer in a plain read(): for half a second nobody is served. It knows nothing of loopdog.
 *
 * Usage: server SOCKET      (a UNIX socket, so that no port has to be free)
 *
 * Context: the demo
 */
#include <ev.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define DATABASE_TAKES_MS 500

static int database;

/* The other end: a process that takes its time for each question. */
static void serve_database(int questions)
{
        char question[64];
        while (read(questions, question, sizeof question) > 0) {
                nanosleep(&(struct timespec){ .tv_nsec = DATABASE_TAKES_MS * 1000000L }, NULL);
                if (write(questions, "42 orders", 9) != 9)
                        break;
        }
        _exit(0);
}

static void start_database(void)
{
        int pair[2];
        if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) != 0) {
                perror("server: socketpair");
                exit(1);
        }
        switch (fork()) {
        case -1:
                perror("server: fork");
                exit(1);
        case 0:
                close(pair[0]);
                serve_database(pair[1]);
        }
        close(pair[1]);
        database = pair[0];
}

static void answer(int client, const char *text)
{
        char response[256];
        int length = snprintf(response, sizeof response,
                              "HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %zu\r\n\r\n%s\n",
                              strlen(text) + 1, text);
        if (write(client, response, (size_t)length) != length)
                perror("server: write");
}

/* The mistake: everybody waits until the database has answered. */
static void handle_report(int client)
{
        char orders[64] = "";
        if (write(database, "how many orders?", 16) != 16)
                perror("server: the database is gone");
        ssize_t length = read(database, orders, sizeof orders - 1);
        answer(client, length > 0 ? orders : "nobody knows");
}

static void on_request(struct ev_loop *loop, ev_io *watcher, int events)
{
        char request[1024];
        ssize_t length = read(watcher->fd, request, sizeof request - 1);
        if (length > 0) {
                request[length] = '\0';
                if (strncmp(request, "GET /report ", 12) == 0)
                        handle_report(watcher->fd);
                else
                        answer(watcher->fd, "hello");
        }
        ev_io_stop(loop, watcher);
        close(watcher->fd);
        free(watcher);
}

static void on_connection(struct ev_loop *loop, ev_io *listener, int events)
{
        int client = accept(listener->fd, NULL, NULL);
        if (client < 0)
                return;
        ev_io *watcher = malloc(sizeof *watcher);
        if (watcher == NULL) {
                close(client);
                return;
        }
        ev_io_init(watcher, on_request, client, EV_READ);
        ev_io_start(loop, watcher);
}

static int listen_at(const char *path)
{
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        if (strlen(path) >= sizeof address.sun_path) {
                fprintf(stderr, "server: %s: too long a path for a socket\n", path);
                exit(1);
        }
        strcpy(address.sun_path, path);
        int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
        if (listener < 0 || bind(listener, (struct sockaddr *)&address, sizeof address) != 0 ||
            listen(listener, 16) != 0) {
                perror("server: listen");
                exit(1);
        }
        return listener;
}

int main(int argc, char **argv)
{
        if (argc != 2) {
                fprintf(stderr, "Usage: server SOCKET\n");
                return 2;
        }
        start_database();
        ev_io listener;
        ev_io_init(&listener, on_connection, listen_at(argv[1]), EV_READ);
        ev_io_start(EV_DEFAULT, &listener);
        ev_run(EV_DEFAULT, 0);
        return 0;
}
