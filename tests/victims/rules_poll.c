/* SPDX-License-Identifier: Apache-2.0
 *
 * rules_poll.c - which poll and select calls are a loop
 *
 *     rules_poll sockets|select|listening|pipes|one-socket|twice|serial|other-site|other-set
 *
 * A poll or select loop outside a loop library needs three waits at one call site and two sockets, or a listening
 * one, in its set ("sockets", "select", "listening": that and a client); so pipes, one socket and two waits are none.
 * "serial": of sockets only a listening one, and a pipe as gunicorn has it: a loop with LOOPDOG_LOOPS=all.
 * "other-site", "other-set": once it is a loop, a poll at another call site, or at the same one without a common
 * descriptor, is nested and so a stall.
 *
 * Context: one thread
 */
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <unistd.h>

#include "truth.h"

static struct pollfd set[2];
static int other; /* a socket that never says anything */

static int listening_socket(void)
{
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        VICTIM_CHECK(fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0 && listen(fd, 5) == 0);
        return fd;
}

static int client_socket(void)
{
        int listener = listening_socket();
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        struct sockaddr_in address;
        socklen_t length = sizeof(address);
        VICTIM_CHECK(getsockname(listener, (struct sockaddr *)&address, &length) == 0);
        VICTIM_CHECK(connect(fd, (struct sockaddr *)&address, length) == 0);
        return fd; /* the other end stays in the listener's queue: nothing is ever readable */
}

static void use_silent(int index, int is_socket)
{
        int fds[2];
        VICTIM_CHECK(pipe(fds) == 0);
        set[index] = (struct pollfd){ .fd = is_socket ? client_socket() : fds[0], .events = POLLIN };
}

static void make_set(const char *mode)
{
        if (!strcmp(mode, "listening") || !strcmp(mode, "serial")) {
                set[0] = (struct pollfd){ .fd = listening_socket(), .events = POLLIN };
                use_silent(1, mode[0] == 'l');
                return;
        }
        int sockets = !strcmp(mode, "pipes") ? 0 : !strcmp(mode, "one-socket") ? 1 : 2;
        use_silent(0, sockets > 0);
        use_silent(1, sockets > 1);
}

static VICTIM_FRAME int wait_poll(struct pollfd *fds, nfds_t length, int timeout_ms)
{
        int count = poll(fds, length, timeout_ms);
        VICTIM_CHECK(count == 0);
        return count;
}

static VICTIM_FRAME int wait_select(int timeout_ms)
{
        fd_set readable;
        FD_ZERO(&readable);
        FD_SET(set[0].fd, &readable);
        FD_SET(set[1].fd, &readable);
        struct timeval timeout = { .tv_usec = timeout_ms * 1000 };
        int count = select((set[0].fd > set[1].fd ? set[0].fd : set[1].fd) + 1, &readable, NULL, NULL, &timeout);
        VICTIM_CHECK(count == 0);
        return count;
}

static VICTIM_FRAME void planted_nested(int same_site)
{
        struct pollfd fds = same_site ? (struct pollfd){ .fd = other, .events = POLLIN } : set[0];
        struct truth begin = truth_begin();
        if (same_site)
                wait_poll(&fds, 1, 300);
        else
                VICTIM_CHECK(poll(&fds, 1, 300) == 0);
        truth_end(begin, "blocked", "", "planted_nested");
}

static VICTIM_FRAME void on_event(const char *mode)
{
        if (!strcmp(mode, "other-site"))
                planted_nested(0);
        else if (!strcmp(mode, "other-set"))
                planted_nested(1);
        else if (!strcmp(mode, "pipes") || !strcmp(mode, "one-socket") || !strcmp(mode, "twice"))
                quiet_sleep_ms(500);
        else
                planted_sleep_ms(300, "on_event");
}

static VICTIM_FRAME void run(const char *mode, int turns)
{
        for (int i = 0; i < turns; i++) {
                if (!strcmp(mode, "select"))
                        wait_select(40);
                else
                        wait_poll(set, 2, 40);
        }
        on_event(mode);
        if (!strcmp(mode, "twice"))
                return;
        for (int i = 0; i < 5; i++) {
                if (!strcmp(mode, "select"))
                        wait_select(40);
                else
                        wait_poll(set, 2, 40);
        }
}

int main(int argc, char **argv)
{
        const char *mode = argc > 1 ? argv[1] : "sockets";
        other = client_socket();
        make_set(mode);
        run(mode, !strcmp(mode, "twice") ? 2 : 6);
        return 0;
}
