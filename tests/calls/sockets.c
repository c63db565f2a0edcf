/* SPDX-License-Identifier: Apache-2.0
 *
 * sockets.c - calls that wait at a socket, with its time limits and without
 *
 * Context: tests; any thread
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#include "calls.h"

/* ---- what the calls need ---- */

static void set_limits(int fd)
{
        NEED(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, calls_limit_val(), sizeof(struct timeval)) == 0);
        NEED(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, calls_limit_val(), sizeof(struct timeval)) == 0);
}

static void make_pair(struct scene *scene)
{
        NEED(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, scene->fds) == 0);
}

static void make_datagram_pair(struct scene *scene)
{
        NEED(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, scene->fds) == 0);
}

static void make_limited_pair(struct scene *scene)
{
        make_pair(scene);
        set_limits(scene->fds[0]);
}

static void make_full_pair(struct scene *scene)
{
        make_pair(scene);
        scene_fill(scene->fds[0]);
}

static void make_full_limited_pair(struct scene *scene)
{
        make_full_pair(scene);
        set_limits(scene->fds[0]);
}

static void make_full_datagram_pair(struct scene *scene)
{
        make_datagram_pair(scene);
        scene_fill(scene->fds[0]);
}

static struct sockaddr_in loopback(void)
{
        return (struct sockaddr_in){ .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
}

static void make_udp(struct scene *scene)
{
        struct sockaddr_in address = loopback();
        socklen_t length = sizeof(address);
        scene->fds[0] = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        scene->fds[1] = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        NEED(bind(scene->fds[0], (struct sockaddr *)&address, length) == 0);
        NEED(getsockname(scene->fds[0], (struct sockaddr *)&address, &length) == 0);
        NEED(connect(scene->fds[1], (struct sockaddr *)&address, length) == 0);
}

static struct sockaddr_in make_listener(struct scene *scene, int backlog)
{
        struct sockaddr_in address = loopback();
        socklen_t length = sizeof(address);
        scene->fds[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        NEED(bind(scene->fds[0], (struct sockaddr *)&address, sizeof(address)) == 0);
        NEED(listen(scene->fds[0], backlog) == 0);
        NEED(getsockname(scene->fds[0], (struct sockaddr *)&address, &length) == 0);
        return address;
}

static void make_idle_listener(struct scene *scene)
{
        make_listener(scene, 5);
}

static void make_limited_listener(struct scene *scene)
{
        make_listener(scene, 5);
        set_limits(scene->fds[0]);
}

/* Its queue is full, so that further connections wait. */
static void make_busy_listener(struct scene *scene)
{
        struct sockaddr_in *address = malloc(sizeof(*address));
        *address = make_listener(scene, 0);
        for (int i = 0; i < 4; i++) {
                int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
                connect(fd, (struct sockaddr *)address, sizeof(*address));
        }
        scene_pause(20);
        scene->fds[1] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        set_limits(scene->fds[1]);
        scene->object = address;
}

/* A local one, whose queue has room for one connection: the next waits until it is accepted. */
static void make_busy_local_listener(struct scene *scene)
{
        static _Atomic int number;
        struct sockaddr_un *address = calloc(1, sizeof(*address));
        address->sun_family = AF_UNIX;
        snprintf(address->sun_path + 1, sizeof(address->sun_path) - 1, "calls-%d-%d", (int)getpid(), ++number);
        scene->fds[0] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        NEED(bind(scene->fds[0], (struct sockaddr *)address, sizeof(*address)) == 0 && listen(scene->fds[0], 0) == 0);
        scene->id = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        NEED(connect(scene->id, (struct sockaddr *)address, sizeof(*address)) == 0);
        scene->fds[1] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        scene->object = address;
}

/* ---- receiving ---- */

static long saw_byte(struct scene *scene, long result, const char *byte)
{
        int error = errno;
        scene_saw(scene, "byte %d", *byte);
        errno = error;
        return result;
}

static long do_read(struct scene *scene)
{
        char c = 0;
        return saw_byte(scene, read(scene->fds[0], &c, 1), &c);
}

static long do_readv(struct scene *scene)
{
        char c = 0;
        struct iovec part = { &c, 1 };
        return saw_byte(scene, readv(scene->fds[0], &part, 1), &c);
}

static long do_recv(struct scene *scene)
{
        char c = 0;
        return saw_byte(scene, recv(scene->fds[0], &c, 1, 0), &c);
}

static long do_recv_peek(struct scene *scene)
{
        char c = 0, again = 0;
        long result = saw_byte(scene, recv(scene->fds[0], &c, 1, MSG_PEEK), &c);
        return result == 1 && recv(scene->fds[0], &again, 1, 0) == 1 && again == c ? 1 : result;
}

static long do_recvfrom(struct scene *scene)
{
        struct sockaddr_in from = { .sin_family = 77 };
        socklen_t length = sizeof(from);
        char c = 0;
        long result = saw_byte(scene, recvfrom(scene->fds[0], &c, 1, 0, (struct sockaddr *)&from, &length), &c);
        int error = errno;
        scene_saw(scene, "from family %d, %u bytes", from.sin_family, length);
        errno = error;
        return result;
}

static long do_recvmsg(struct scene *scene)
{
        char c = 0;
        struct iovec part = { &c, 1 };
        struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1 };
        long result = saw_byte(scene, recvmsg(scene->fds[0], &message, 0), &c);
        int error = errno;
        scene_saw(scene, "flags %x", (unsigned)message.msg_flags);
        errno = error;
        return result;
}

static long do_recvmmsg(struct scene *scene)
{
        char c = 0;
        struct iovec part = { &c, 1 };
        struct mmsghdr message = { .msg_hdr = { .msg_iov = &part, .msg_iovlen = 1 } };
        long result = saw_byte(scene, recvmmsg(scene->fds[0], &message, 1, 0, NULL), &c);
        int error = errno;
        scene_saw(scene, "length %u", message.msg_len);
        errno = error;
        return result;
}

/* ---- sending ---- */

static long do_write(struct scene *scene)
{
        return write(scene->fds[0], "x", 1);
}

static long do_writev(struct scene *scene)
{
        struct iovec part = { (void *)(uintptr_t) "x", 1 };
        return writev(scene->fds[0], &part, 1);
}

static long do_send(struct scene *scene)
{
        return send(scene->fds[0], "x", 1, 0);
}

static long do_sendmsg(struct scene *scene)
{
        struct iovec part = { (void *)(uintptr_t) "x", 1 };
        struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1 };
        return sendmsg(scene->fds[0], &message, 0);
}

static long do_sendmmsg(struct scene *scene)
{
        struct iovec part = { (void *)(uintptr_t) "x", 1 };
        struct mmsghdr message = { .msg_hdr = { .msg_iov = &part, .msg_iovlen = 1 } };
        return sendmmsg(scene->fds[0], &message, 1, 0);
}

/* ---- connections ---- */

static long saw_connection(struct scene *scene, long fd)
{
        int error = errno;
        scene_saw(scene, "close-on-exec %d", fd >= 0 ? fcntl((int)fd, F_GETFD) : -1);
        if (fd >= 0)
                close((int)fd);
        errno = error;
        return fd >= 0 ? 0 : -1;
}

static long do_accept(struct scene *scene)
{
        return saw_connection(scene, accept(scene->fds[0], NULL, NULL));
}

static long do_accept4(struct scene *scene)
{
        struct sockaddr_in peer = { .sin_family = 77 };
        socklen_t length = sizeof(peer);
        long result = accept4(scene->fds[0], (struct sockaddr *)&peer, &length, SOCK_CLOEXEC);
        int error = errno;
        scene_saw(scene, "family %d, %u bytes", peer.sin_family, length);
        errno = error;
        return saw_connection(scene, result);
}

static long do_connect(struct scene *scene)
{
        return connect(scene->fds[1], scene->object, sizeof(struct sockaddr_in));
}

static long do_connect_locally(struct scene *scene)
{
        return connect(scene->fds[1], scene->object, sizeof(struct sockaddr_un));
}

/* ---- what ends them ---- */

static void give_byte(struct scene *scene)
{
        scene_try(write(scene->fds[1], "x", 1) == 1);
}

static void take_bytes(struct scene *scene)
{
        char bytes[65536];
        while (recv(scene->fds[1], bytes, sizeof(bytes), MSG_DONTWAIT) > 0)
                ;
}

static void connect_to_it(struct scene *scene)
{
        struct sockaddr_in address;
        socklen_t length = sizeof(address);
        scene->fds[1] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        getsockname(scene->fds[0], (struct sockaddr *)&address, &length);
        scene_try(connect(scene->fds[1], (struct sockaddr *)&address, length) == 0);
}

static void accept_one(struct scene *scene)
{
        scene_try(accept4(scene->fds[0], NULL, NULL, SOCK_CLOEXEC) >= 0);
}

const struct call calls_sockets[] = {
        { "read, SO_RCVTIMEO", make_limited_pair, do_read, NULL, -1, EAGAIN, SYS_read, ANEW },
        { "readv, SO_RCVTIMEO", make_limited_pair, do_readv, NULL, -1, EAGAIN, SYS_readv, ANEW },
        { "recv, SO_RCVTIMEO", make_limited_pair, do_recv, NULL, -1, EAGAIN, SYS_recvfrom, ANEW },
        { "recvmsg, SO_RCVTIMEO", make_limited_pair, do_recvmsg, NULL, -1, EAGAIN, SYS_recvmsg, ANEW },
        { "recvmmsg, SO_RCVTIMEO", make_limited_pair, do_recvmmsg, NULL, -1, EAGAIN, SYS_recvmmsg, ANEW },
        { "write, SO_SNDTIMEO", make_full_limited_pair, do_write, NULL, -1, EAGAIN, SYS_write, ANEW },
        { "writev, SO_SNDTIMEO", make_full_limited_pair, do_writev, NULL, -1, EAGAIN, SYS_writev, ANEW },
        { "send, SO_SNDTIMEO", make_full_limited_pair, do_send, NULL, -1, EAGAIN, SYS_sendto, ANEW },
        { "sendmsg, SO_SNDTIMEO", make_full_limited_pair, do_sendmsg, NULL, -1, EAGAIN, SYS_sendmsg, ANEW },
        { "sendmmsg, SO_SNDTIMEO", make_full_limited_pair, do_sendmmsg, NULL, -1, EAGAIN, SYS_sendmmsg, ANEW },
        { "accept, SO_RCVTIMEO", make_limited_listener, do_accept, NULL, -1, EAGAIN, SYS_accept, ANEW },
        { "accept4, SO_RCVTIMEO", make_limited_listener, do_accept4, NULL, -1, EAGAIN, SYS_accept4, ANEW },
        { "connect, SO_SNDTIMEO", make_busy_listener, do_connect, NULL, -1, EINPROGRESS, SYS_connect, ANEW },
        { "read of a socket", make_pair, do_read, give_byte, 1, 0, SYS_read, RESTARTED },
        { "recv", make_pair, do_recv, give_byte, 1, 0, SYS_recvfrom, RESTARTED },
        { "recv, MSG_PEEK", make_pair, do_recv_peek, give_byte, 1, 0, SYS_recvfrom, RESTARTED },
        { "recv of a datagram", make_datagram_pair, do_recv, give_byte, 1, 0, SYS_recvfrom, RESTARTED },
        { "recvfrom, UDP", make_udp, do_recvfrom, give_byte, 1, 0, SYS_recvfrom, RESTARTED },
        { "recvmsg", make_pair, do_recvmsg, give_byte, 1, 0, SYS_recvmsg, RESTARTED },
        { "recvmmsg", make_pair, do_recvmmsg, give_byte, 1, 0, SYS_recvmmsg, RESTARTED },
        { "send", make_full_pair, do_send, take_bytes, 1, 0, SYS_sendto, RESTARTED },
        { "send of a datagram", make_full_datagram_pair, do_send, take_bytes, 1, 0, SYS_sendto, RESTARTED },
        { "accept", make_idle_listener, do_accept, connect_to_it, 0, 0, SYS_accept, RESTARTED },
        { "accept4", make_idle_listener, do_accept4, connect_to_it, 0, 0, SYS_accept4, RESTARTED },
        { "connect, local", make_busy_local_listener, do_connect_locally, accept_one, 0, 0, SYS_connect, RESTARTED },
        { 0 },
};
