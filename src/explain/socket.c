/* SPDX-License-Identifier: Apache-2.0
 *
 * socket.c - what a socket of the host is connected to
 *
 * Three ways lead there. /proc/net/tcp is made by a walk through the whole hash table of the kernel: 1.8 ms on a
 * machine with two connections. Netlink (sock_diag) makes the same walk unless both addresses are known already, which
 * is what we ask for. So the descriptor itself is copied into the watchdog's own table (pidfd_getfd), asked, and closed
 * again: 4 us, however many sockets there are. A socket is not flushed when a copy is closed; should the host close its
 * own within these microseconds, it is closed by us. Containers may refuse pidfd_getfd: then the addresses are not
 * known.
 *
 * Context: watchdog
 */
#include "explain/socket.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/calls.h"
#include "base/config.h"
#include "base/descriptors.h"
#include "base/proc.h"
#include "base/thread.h"
#include "explain/address.h"
#include "explain/openfile.h"
#include "explain/process.h"

struct end {
        struct sockaddr_storage address;
        socklen_t length; /* 0: there is none */
};

struct ends {
        struct end own, peer;
        int family;
        int type;
        bool listens;
        int tcp_state; /* -1: no TCP */
};

static const char *const tcp_states[] = {
        [TCP_ESTABLISHED] = "ESTABLISHED",
        [TCP_SYN_SENT] = "SYN_SENT",
        [TCP_SYN_RECV] = "SYN_RECV",
        [TCP_FIN_WAIT1] = "FIN_WAIT1",
        [TCP_FIN_WAIT2] = "FIN_WAIT2",
        [TCP_TIME_WAIT] = "TIME_WAIT",
        [TCP_CLOSE] = "CLOSE",
        [TCP_CLOSE_WAIT] = "CLOSE_WAIT",
        [TCP_LAST_ACK] = "LAST_ACK",
        [TCP_LISTEN] = "LISTEN",
        [TCP_CLOSING] = "CLOSING",
};

static int option_of(int fd, int name)
{
        int value = -1;
        socklen_t length = sizeof value;
        return getsockopt(fd, SOL_SOCKET, name, &value, &length) == 0 ? value : -1;
}

static int tcp_state_of(int fd)
{
        struct tcp_info info = { .tcpi_state = 0 };
        socklen_t length = 8; /* of more than 200 bytes, which cost the socket's lock for longer */
        bool known =
                option_of(fd, SO_PROTOCOL) == IPPROTO_TCP && getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length) == 0;
        return known ? info.tcpi_state : -1;
}

static void ask(int fd, struct ends *ends)
{
        *ends = (struct ends){ .own.length = sizeof ends->own.address, .peer.length = sizeof ends->peer.address };
        if (getsockname(fd, (struct sockaddr *)&ends->own.address, &ends->own.length) != 0)
                ends->own.length = 0;
        if (getpeername(fd, (struct sockaddr *)&ends->peer.address, &ends->peer.length) != 0)
                ends->peer.length = 0;
        ends->family = ends->own.length != 0 ? ends->own.address.ss_family : AF_UNSPEC;
        ends->type = option_of(fd, SO_TYPE);
        ends->listens = option_of(fd, SO_ACCEPTCONN) == 1;
        ends->tcp_state = ends->family == AF_INET || ends->family == AF_INET6 ? tcp_state_of(fd) : -1;
}

bool socket_put_peer(struct text *text, const void *bytes, size_t length)
{
        if (!(config.redact & CONFIG_REDACT_PEERS))
                return address_put(text, bytes, length);
        text_string(text, "(redacted)");
        return true;
}

/* ---- internet ---- */

/* Ports that the kernel gives to those who connect. Read once: it is the same for the life of a process. */
static bool is_given_port(unsigned port)
{
        static unsigned from, to;
        char line[64];
        if (from == 0) {
                from = 32768;
                to = 60999;
                if (proc_read("sys/net/ipv4/ip_local_port_range", line, sizeof line) > 0)
                        process_parse_pair(line, &from, &to);
        }
        return port >= from && port <= to;
}

/* Who has called whom? Only the ports tell. */
static const char *direction(const struct ends *ends)
{
        bool own = is_given_port(address_port(&ends->own.address, ends->own.length));
        bool peer = is_given_port(address_port(&ends->peer.address, ends->peer.length));
        return own == peer ? " <-> " : own ? " -> " : " <- ";
}

static void put_internet(struct text *what, const struct ends *ends)
{
        text_string(what, ends->tcp_state >= 0 ? "tcp " : ends->type == SOCK_DGRAM ? "udp " : "ip ");
        address_put(what, &ends->own.address, ends->own.length);
        if (ends->peer.length != 0) {
                text_string(what, direction(ends));
                socket_put_peer(what, &ends->peer.address, ends->peer.length);
        }
        bool known = ends->tcp_state > 0 && ends->tcp_state < (int)(sizeof tcp_states / sizeof *tcp_states);
        if (known && ends->tcp_state != TCP_ESTABLISHED)
                text_format(what, " (%s)", tcp_states[ends->tcp_state]);
}

/* ---- unix ---- */

/* The process that connected or listened; a socket that was inherited since may be another's by now. */
static void put_peer_process(struct text *what, int fd)
{
        struct ucred peer;
        socklen_t length = sizeof peer;
        char name[PROCESS_NAME];
        if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) != 0 || peer.pid <= 0)
                return;
        if (peer.pid == process_id()) {
                text_string(what, ", both ends made by this process");
                return;
        }
        process_name(peer.pid, name);
        text_format(what, ", peer %s (%d)", name, (int)peer.pid);
}

static void put_unix(struct text *what, int fd, const struct ends *ends)
{
        text_string(what, ends->type == SOCK_DGRAM ? "unix datagram" : "unix");
        const struct end *named = ends->own.length > sizeof(sa_family_t) ? &ends->own : &ends->peer;
        char bytes[128];
        struct text path = TEXT_IN(bytes);
        if (named->length != 0 && address_put(&path, &named->address, named->length))
                text_format(what, " %s", openfile_path(bytes));
        text_string(what, ends->listens ? " (LISTEN)" : "");
        if (!ends->listens)
                put_peer_process(what, fd);
}

/* ---- public ---- */

static void put_asked(struct text *what, int fd, const char *link)
{
        struct ends ends;
        ask(fd, &ends);
        if (ends.family == AF_UNIX)
                put_unix(what, fd, &ends);
        else if (ends.family == AF_INET || ends.family == AF_INET6)
                put_internet(what, &ends);
        else
                text_format(what, "%s of family %d", link, ends.family);
}

void socket_put(struct text *what, int fd, const char *link)
{
        bool may = call_allowed_sigsafe(SYS_getsockname) && call_allowed_sigsafe(SYS_getpeername) &&
                   call_allowed_sigsafe(SYS_getsockopt);
        int copy = may ? descriptor_borrow(fd) : PROC_FILTERED;
        if (copy < 0) {
                text_string(what, link);
                return;
        }
        put_asked(what, copy, link);
        descriptor_close(copy);
}
