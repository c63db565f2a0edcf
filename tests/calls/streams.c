/* SPDX-License-Identifier: Apache-2.0
 *
 * streams.c - calls that have moved a part when they wait, and those that move bytes between descriptors
 *
 * What is seen of a short result is that it is short, not how short: that depends on when the signal came.
 *
 * Context: tests; any thread
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "calls.h"

#define BYTES (512 * 1024)
#define STEPS 16

/* ---- what the calls need ---- */

static void make_tcp(struct scene *scene)
{
        struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        socklen_t length = sizeof(address);
        int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), small = 4096;
        NEED(bind(listener, (struct sockaddr *)&address, length) == 0 && listen(listener, 1) == 0);
        NEED(getsockname(listener, (struct sockaddr *)&address, &length) == 0);
        scene->fds[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        setsockopt(scene->fds[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
        NEED(connect(scene->fds[0], (struct sockaddr *)&address, length) == 0);
        scene->fds[1] = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        close(listener);
}

static void make_pair(struct scene *scene)
{
        NEED(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, scene->fds) == 0);
}

/* The other end: reads a little from time to time, and all of it at the end. */
static void *take_slowly(void *opaque)
{
        struct scene *scene = opaque;
        char bytes[65536];
        int from = scene->id;
        while (atomic_load(&scene->begin_ns) == 0)
                scene_pause(1);
        uint64_t end_ns = atomic_load(&scene->begin_ns) + calls_ms() * 1000000ull;
        while (scene_now_ns() < end_ns && atomic_load(&scene->end_ns) == 0) {
                scene_try(read(from, bytes, 3000) > 0);
                scene_pause(calls_ms() / STEPS);
        }
        for (int i = 0; atomic_load(&scene->end_ns) == 0 && i < 10000; i++)
                if (read(from, bytes, sizeof(bytes)) <= 0)
                        scene_pause(1);
        return NULL;
}

static void start_taker(struct scene *scene, int fd)
{
        scene->id = fd;
        fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
        scene->object = malloc(BYTES);
        memset(scene->object, 'x', BYTES);
        scene_partner(scene, take_slowly);
}

/* fds[1] is where bytes go in, as for a pipe. */
static void make_slow_pipe(struct scene *scene)
{
        scene_pipe(scene);
        start_taker(scene, scene->fds[0]);
}

static void make_slow_pair(struct scene *scene)
{
        make_pair(scene);
        start_taker(scene, scene->fds[0]);
}

static void make_slow_tcp(struct scene *scene)
{
        make_tcp(scene);
        int in = scene->fds[0];
        scene->fds[0] = scene->fds[1];
        scene->fds[1] = in;
        start_taker(scene, scene->fds[0]);
}

/* A part of what will be asked for is there. */
static void make_partly_sent(struct scene *scene)
{
        make_tcp(scene);
        scene->object = malloc(BYTES);
        NEED(send(scene->fds[1], "1234567890", 10, 0) == 10);
}

static void make_partly_sent_pair(struct scene *scene)
{
        make_pair(scene);
        scene->object = malloc(BYTES);
        NEED(send(scene->fds[1], "1234567890", 10, 0) == 10);
}

static void send_rest(struct scene *scene)
{
        scene_try(send(scene->fds[1], "1234567890", 10, MSG_NOSIGNAL) == 10);
}

/* ---- partly done ---- */

static long do_write(struct scene *scene)
{
        return scene_share(write(scene->fds[1], scene->object, BYTES), BYTES);
}

static long do_writev(struct scene *scene)
{
        struct iovec parts[3] = { { scene->object, 1 }, { scene->object, 100000 }, { scene->object, BYTES - 100001 } };
        return scene_share(writev(scene->fds[1], parts, 3), BYTES);
}

static long do_send(struct scene *scene)
{
        return scene_share(send(scene->fds[1], scene->object, BYTES, 0), BYTES);
}

static long do_sendmsg(struct scene *scene)
{
        struct iovec parts[2] = { { scene->object, 100000 }, { scene->object, BYTES - 100000 } };
        struct msghdr message = { .msg_iov = parts, .msg_iovlen = 2 };
        return scene_share(sendmsg(scene->fds[1], &message, 0), BYTES);
}

static long do_receive_all(struct scene *scene)
{
        return recv(scene->fds[0], scene->object, 20, MSG_WAITALL);
}

static long do_receive_message(struct scene *scene)
{
        struct iovec parts[2] = { { scene->object, 5 }, { (char *)scene->object + 5, 15 } };
        struct msghdr message = { .msg_iov = parts, .msg_iovlen = 2 };
        return recvmsg(scene->fds[0], &message, MSG_WAITALL);
}

/* ---- pipes ---- */

static void make_full_pipe(struct scene *scene)
{
        scene_pipe(scene);
        scene_fill(scene->fds[1]);
}

static void give_byte(struct scene *scene)
{
        scene_try(write(scene->fds[1], "x", 1) == 1);
}

static void take_bytes(struct scene *scene)
{
        char bytes[65536];
        scene_try(read(scene->fds[0], bytes, sizeof(bytes)) > 0);
}

static long do_read_pipe(struct scene *scene)
{
        char bytes[10];
        return read(scene->fds[0], bytes, sizeof(bytes));
}

static long do_readv_pipe(struct scene *scene)
{
        char bytes[10];
        struct iovec parts[2] = { { bytes, 3 }, { bytes + 3, 7 } };
        return readv(scene->fds[0], parts, 2);
}

static long do_preadv2_pipe(struct scene *scene)
{
        char bytes[10];
        struct iovec part = { bytes, sizeof(bytes) };
        return preadv2(scene->fds[0], &part, 1, -1, 0);
}

static long do_write_pipe(struct scene *scene)
{
        return write(scene->fds[1], "x", 1);
}

static void make_two_pipes(struct scene *scene)
{
        int *second = malloc(2 * sizeof(int));
        scene_pipe(scene);
        NEED(pipe2(second, O_CLOEXEC) == 0);
        scene->object = second;
}

static long do_splice(struct scene *scene)
{
        int *to = scene->object;
        return splice(scene->fds[0], NULL, to[1], NULL, 100, 0);
}

static void make_pipe_to_full_pair(struct scene *scene)
{
        int *pair = malloc(2 * sizeof(int));
        scene_pipe(scene);
        NEED(write(scene->fds[1], "1234567890", 10) == 10);
        NEED(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
        scene_fill(pair[1]);
        scene->object = pair;
}

static void take_from_pair(struct scene *scene)
{
        const int *pair = scene->object;
        char bytes[65536];
        while (recv(pair[0], bytes, sizeof(bytes), MSG_DONTWAIT) > 0)
                ;
}

static long do_tee(struct scene *scene)
{
        int *to = scene->object;
        return tee(scene->fds[0], to[1], 100, 0);
}

static long do_vmsplice(struct scene *scene)
{
        static char page[4096];
        struct iovec part = { page, 1 };
        return vmsplice(scene->fds[1], &part, 1, 0);
}

static void make_file_and_full_pair(struct scene *scene)
{
        make_pair(scene);
        scene_fill(scene->fds[1]);
        scene->id = memfd_create("calls", MFD_CLOEXEC);
        NEED(write(scene->id, "12345", 5) == 5);
}

static void take_all(struct scene *scene)
{
        char bytes[65536];
        while (recv(scene->fds[0], bytes, sizeof(bytes), MSG_DONTWAIT) > 0)
                ;
}

static long do_sendfile(struct scene *scene)
{
        off_t offset = 0;
        long result = sendfile(scene->fds[1], scene->id, &offset, 5);
        int error = errno;
        scene_saw(scene, "offset %ld", (long)offset);
        errno = error;
        return result;
}

const struct call calls_streams[] = {
        { "write to a pipe, partly done", make_slow_pipe, do_write, NULL, SHARE_WHOLE, 0, SYS_write, SHORTENED },
        { "writev to a pipe, partly done", make_slow_pipe, do_writev, NULL, SHARE_WHOLE, 0, SYS_writev, SHORTENED },
        { "write to a socket, partly done", make_slow_pair, do_write, NULL, SHARE_WHOLE, 0, SYS_write, SHORTENED },
        { "writev to a socket, partly done", make_slow_pair, do_writev, NULL, SHARE_WHOLE, 0, SYS_writev, SHORTENED },
        { "send, partly done", make_slow_pair, do_send, NULL, SHARE_WHOLE, 0, SYS_sendto, SHORTENED },
        { "send by TCP, partly done", make_slow_tcp, do_send, NULL, SHARE_WHOLE, 0, SYS_sendto, SHORTENED },
        { "sendmsg, partly done", make_slow_pair, do_sendmsg, NULL, SHARE_WHOLE, 0, SYS_sendmsg, SHORTENED },
        { "recv, MSG_WAITALL", make_partly_sent, do_receive_all, send_rest, 20, 0, SYS_recvfrom, SHORTENED },
        { "recvmsg, MSG_WAITALL", make_partly_sent, do_receive_message, send_rest, 20, 0, SYS_recvmsg, SHORTENED },
        { "recv, MSG_WAITALL, local", make_partly_sent_pair, do_receive_all, send_rest, 20, 0, SYS_recvfrom, LIMITED },
        { "read of a pipe", scene_pipe, do_read_pipe, give_byte, 1, 0, SYS_read, RESTARTED },
        { "readv of a pipe", scene_pipe, do_readv_pipe, give_byte, 1, 0, SYS_readv, RESTARTED },
        { "preadv2 of a pipe", scene_pipe, do_preadv2_pipe, give_byte, 1, 0, SYS_preadv2, RESTARTED },
        { "write to a full pipe", make_full_pipe, do_write_pipe, take_bytes, 1, 0, SYS_write, RESTARTED },
        { "splice of an empty pipe", make_two_pipes, do_splice, give_byte, 1, 0, SYS_splice, RESTARTED },
        { "splice to a full socket", make_pipe_to_full_pair, do_splice, take_from_pair, 10, 0, SYS_splice, RESTARTED },
        { "tee of an empty pipe", make_two_pipes, do_tee, give_byte, 1, 0, SYS_tee, RESTARTED },
        { "vmsplice to a full pipe", make_full_pipe, do_vmsplice, take_bytes, 1, 0, SYS_vmsplice, RESTARTED },
        { "sendfile to a full socket", make_file_and_full_pair, do_sendfile, take_all, 5, 0, SYS_sendfile, RESTARTED },
        { 0 },
};
