/* SPDX-License-Identifier: Apache-2.0
 *
 * test_rest.c - calls that our signal cuts short move everything that was asked for, and others are left alone
 *
 * Context: unit tests; each runs in a process of its own
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <linux/io_uring.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "base/calls.h"
#include "capture/handler.h"
#include "capture/mend.h"
#include "capture/signal.h"
#include "victim.h"

#define BYTES (1024 * 1024)

static void begin(void)
{
        const char *why = NULL;
        cr_assert_eq(capture_start(0, &why), 0, "%s", why);
}

/* ---- moving a megabyte in a storm ---- */

struct flow {
        int out;
        int in;
        uint8_t *sent;
        uint8_t *received;
        long (*call)(struct flow *flow);
        _Atomic long result;
        _Atomic bool done;
        struct iovec parts[5];
};

static void make_bytes(struct flow *flow)
{
        flow->sent = malloc(BYTES);
        flow->received = calloc(1, BYTES);
        for (size_t i = 0; i < BYTES; i++)
                flow->sent[i] = (uint8_t)(i * 31 + i / 251);
}

/* Parts of odd sizes, one of them empty. */
static void make_parts(struct flow *flow, uint8_t *bytes)
{
        static const size_t ends[] = { 1, 1, 70001, 500000, BYTES };
        size_t from = 0;
        for (int i = 0; i < 5; i++) {
                flow->parts[i] = (struct iovec){ bytes + from, ends[i] - from };
                from = ends[i];
        }
}

static long write_all(struct flow *flow)
{
        return write(flow->out, flow->sent, BYTES);
}

static long writev_all(struct flow *flow)
{
        make_parts(flow, flow->sent);
        return writev(flow->out, flow->parts, 5);
}

static long send_all(struct flow *flow)
{
        return send(flow->out, flow->sent, BYTES, 0);
}

static long sendmsg_all(struct flow *flow)
{
        struct msghdr message = { .msg_iov = flow->parts, .msg_iovlen = 5 };
        make_parts(flow, flow->sent);
        return sendmsg(flow->out, &message, 0);
}

static long recv_all(struct flow *flow)
{
        return recv(flow->in, flow->received, BYTES, MSG_WAITALL);
}

static long recvmsg_all(struct flow *flow)
{
        struct msghdr message = { .msg_iov = flow->parts, .msg_iovlen = 5 };
        make_parts(flow, flow->received);
        return recvmsg(flow->in, &message, MSG_WAITALL);
}

static void *make_the_call(struct victim *victim)
{
        struct flow *flow = victim->argument;
        flow->result = flow->call(flow);
        flow->done = true;
        return NULL;
}

/* The other end: some KB each 300 us, so that the call sleeps often. */
static void *drain_slowly(struct victim *victim)
{
        struct flow *flow = victim->argument;
        size_t done = 0;
        while (done < BYTES) {
                ssize_t n = read(flow->in, flow->received + done, BYTES - done < 20000 ? BYTES - done : 20000);
                if (n <= 0)
                        break;
                done += (size_t)n;
                sleep_us(300);
        }
        return NULL;
}

static void *fill_slowly(struct victim *victim)
{
        struct flow *flow = victim->argument;
        for (size_t done = 0; done < BYTES;) {
                ssize_t n = write(flow->out, flow->sent + done, BYTES - done < 20000 ? BYTES - done : 20000);
                cr_assert_gt(n, 0);
                done += (size_t)n;
                sleep_us(300);
        }
        return NULL;
}

/* What is passed is whole, and what was mended on the way. */
static uint64_t pass(struct flow *flow, long (*call)(struct flow *), void *(*other_end)(struct victim *))
{
        struct victim victim, other;
        struct sample sample;
        uint64_t mended = atomic_load(&handler.mended);
        make_bytes(flow);
        flow->call = call;
        flow->done = false;
        victim_start(&victim, make_the_call, flow);
        victim_start(&other, other_end, flow);
        while (!atomic_load(&flow->done)) {
                struct task_call now;
                memset(&sample, 0, sizeof(sample));
                if (task_read_call(&victim.task, &now) == 0 && now.asleep && !atomic_load(&flow->done))
                        signal_ask(&victim.task, now_ns(), &sample);
                sleep_us(200);
        }
        victim_join(&victim);
        if (flow->result != BYTES) {
                close(flow->out);
                close(flow->in);
        }
        victim_join(&other);
        cr_assert_eq(flow->result, BYTES, "%ld", flow->result);
        cr_assert_eq(memcmp(flow->sent, flow->received, BYTES), 0);
        close(flow->out);
        close(flow->in);
        free(flow->sent);
        free(flow->received);
        return atomic_load(&handler.mended) - mended;
}

#define ATTEMPTS 50 /* on a busy machine the call may never be met asleep */

static void check_flow(void (*make)(struct flow *), long (*call)(struct flow *), void *(*other_end)(struct victim *))
{
        uint64_t mended = 0;
        for (int attempt = 0; attempt < ATTEMPTS && mended == 0; attempt++) {
                struct flow flow;
                make(&flow);
                mended = pass(&flow, call, other_end);
        }
        cr_assert_gt(mended, 0);
}

static void make_pipe(struct flow *flow)
{
        int fds[2];
        cr_assert_eq(pipe(fds), 0);
        flow->in = fds[0];
        flow->out = fds[1];
}

static void make_local(struct flow *flow)
{
        int fds[2];
        cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
        flow->in = fds[0];
        flow->out = fds[1];
}

static void make_tcp(struct flow *flow)
{
        struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        socklen_t length = sizeof(address);
        int listener = socket(AF_INET, SOCK_STREAM, 0);
        cr_assert_eq(bind(listener, (struct sockaddr *)&address, length), 0);
        cr_assert_eq(listen(listener, 1), 0);
        getsockname(listener, (struct sockaddr *)&address, &length);
        flow->out = socket(AF_INET, SOCK_STREAM, 0);
        cr_assert_eq(connect(flow->out, (struct sockaddr *)&address, length), 0);
        flow->in = accept(listener, NULL, NULL);
        close(listener);
}

Test(rest, a_write_to_a_pipe_is_whole, .init = begin)
{
        check_flow(make_pipe, write_all, drain_slowly);
}

Test(rest, a_writev_to_a_pipe_is_whole, .init = begin)
{
        check_flow(make_pipe, writev_all, drain_slowly);
}

Test(rest, what_is_sent_to_a_local_socket_is_whole, .init = begin)
{
        static long (*const calls[])(struct flow *) = { write_all, writev_all, send_all, sendmsg_all };
        for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
                check_flow(make_local, calls[i], drain_slowly);
}

Test(rest, what_is_received_with_waitall_is_whole, .init = begin)
{
        static long (*const calls[])(struct flow *) = { recv_all, recvmsg_all };
        for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
                check_flow(make_tcp, calls[i], fill_slowly);
}

#define RANDOM_BYTES (8 * 1024 * 1024)

static long get_random(struct flow *flow)
{
        return getrandom(flow->received, RANDOM_BYTES, 0);
}

static long read_device(struct flow *flow)
{
        return read(flow->in, flow->received, RANDOM_BYTES);
}

static long readv_device(struct flow *flow)
{
        struct iovec parts[] = { { flow->received, 100001 },
                                 { flow->received + 100001, 0 },
                                 { flow->received + 100001, RANDOM_BYTES - 100001 } };
        return readv(flow->in, parts, 3);
}

static void *fill_again_and_again(struct victim *victim)
{
        struct flow *flow = victim->argument;
        while (!atomic_load(&victim->stop)) {
                flow->result = flow->call(flow);
                if (flow->result != RANDOM_BYTES)
                        break;
        }
        return NULL;
}

/* Of a call that works for milliseconds on the CPU, and ends early at a signal. */
static void check_working(long (*call)(struct flow *flow), const char *device)
{
        struct flow flow = { .call = call, .received = malloc(RANDOM_BYTES) };
        struct victim victim;
        struct sample sample;
        uint64_t mended = atomic_load(&handler.mended);
        flow.in = device != NULL ? open(device, O_RDONLY | O_CLOEXEC) : -1;
        memset(flow.received, 1, RANDOM_BYTES); /* so that it takes no page faults */
        victim_start(&victim, fill_again_and_again, &flow);
        for (int i = 0; i < 5000 && (i < 200 || atomic_load(&handler.mended) == mended) && flow.result >= 0; i++) {
                capture_take(&victim.task, true, NULL, 0, &sample);
                sleep_us(1000);
        }
        victim_join(&victim);
        free(flow.received);
        close(flow.in);
        cr_assert_eq(flow.result, RANDOM_BYTES, "%s: %ld", device, flow.result);
        cr_assert_gt(atomic_load(&handler.mended), mended, "%s", device);
}

Test(rest, getrandom_is_whole, .init = begin)
{
        check_working(get_random, NULL);
}

Test(rest, what_is_read_of_an_endless_device_is_whole, .init = begin)
{
        check_working(read_device, "/dev/urandom");
        check_working(readv_device, "/dev/urandom");
        check_working(read_device, "/dev/zero");
        check_working(readv_device, "/dev/zero");
}

/* ---- what is left alone ---- */

static char bytes[1500];

/* Ask for the rest of a call that has moved 100 of 1500 bytes, as the stub does. Nothing would wake it if it waited:
 * the alarm kills the test then. */
static long rest_of(int64_t number, int fd, uint64_t flags, uint64_t lasted_ns)
{
        struct mend_frame frame = { .number = number,
                                    .result = 100,
                                    .arguments = { (uint64_t)fd, (uintptr_t)bytes, sizeof(bytes), flags, 0, 0 },
                                    .handler_ns = 10000000000ull,
                                    .running_ns = 10000000000ull - lasted_ns };
        cr_assert(mend_is_short_sigsafe(number, frame.arguments, 100));
        alarm(5);
        long result = mend_rest_sigsafe(&frame);
        alarm(0);
        return result;
}

Test(rest, a_datagram_may_be_short, .init = begin)
{
        struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        int fd = socket(AF_INET, SOCK_DGRAM, 0);
        cr_assert_eq(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
        cr_assert_eq(rest_of(SYS_recvfrom, fd, MSG_WAITALL, 1000), 100);
}

Test(rest, a_local_socket_may_end_a_message, .init = begin)
{
        int fds[2];
        cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
        cr_assert_eq(rest_of(SYS_recvfrom, fds[0], MSG_WAITALL, 1000), 100);
}

Test(rest, what_does_not_block_may_be_short, .init = begin)
{
        struct flow flow;
        make_tcp(&flow);
        cr_assert_eq(rest_of(SYS_sendto, flow.out, MSG_DONTWAIT, 1000), 100);
        cr_assert_eq(recv(flow.in, bytes, 1, MSG_DONTWAIT), -1);
        fcntl(flow.out, F_SETFL, O_NONBLOCK);
        cr_assert_eq(rest_of(SYS_write, flow.out, 0, 1000), 100);
        cr_assert_eq(recv(flow.in, bytes, 1, MSG_DONTWAIT), -1);
        fcntl(flow.out, F_SETFL, 0);
        cr_assert_eq(rest_of(SYS_write, flow.out, 0, 1000), 1500);
        cr_assert_eq(recv(flow.in, bytes, sizeof(bytes), 0), 1400);
}

Test(rest, a_time_limit_may_have_run_out, .init = begin)
{
        struct timeval limit = { 0, 100000 };
        struct flow flow;
        make_tcp(&flow);
        setsockopt(flow.in, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
        uint64_t begin_ns = now_ns();
        cr_assert_eq(rest_of(SYS_recvfrom, flow.in, MSG_WAITALL, 100000000), 100);
        cr_assert_lt(now_ns() - begin_ns, 90000000);
        begin_ns = now_ns();
        cr_assert_eq(rest_of(SYS_recvfrom, flow.in, MSG_WAITALL, 50000), 100);
        cr_assert_gt(now_ns() - begin_ns, 90000000, "it waits for the rest as long as the socket says");
}

Test(rest, a_regular_file_may_be_full, .init = begin)
{
        int fd = memfd_create("file", 0);
        cr_assert_eq(rest_of(SYS_write, fd, 0, 1000), 100);
        cr_assert_eq(lseek(fd, 0, SEEK_CUR), 0);
}

/* A read of anything else ends with what is there, and a further one could wait for ever. */
Test(rest, a_read_may_be_short, .init = begin)
{
        struct flow flow;
        int pipe_fds[2], pair[2];
        make_tcp(&flow);
        cr_assert_eq(pipe(pipe_fds), 0);
        cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
        int terminal = open("/dev/ptmx", O_RDWR | O_NOCTTY);
        int fds[] = { flow.in, pipe_fds[0], pair[0], memfd_create("file", 0), terminal };
        for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++) {
                struct mend_frame frame = { .number = SYS_read,
                                            .result = 128,
                                            .arguments = { (uint64_t)fds[i], (uintptr_t)bytes, sizeof(bytes), 0, 0, 0 },
                                            .handler_ns = 10000000000ull,
                                            .running_ns = 9999999000ull };
                alarm(5);
                cr_assert_eq(mend_rest_sigsafe(&frame), 128, "descriptor %zu", i);
                alarm(0);
        }
}

/* ---- an error is for the program ---- */

/* End a connection by a reset. */
static void reset(int fd)
{
        struct linger at_once = { 1, 0 };
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
        close(fd);
}

/* Until nothing more is taken, also after the kernel has moved what it has to the other end. */
static void fill(int fd)
{
        for (int quiet = 0; quiet < 5; quiet++, sleep_us(20000))
                while (send(fd, bytes, sizeof(bytes), MSG_DONTWAIT) > 0)
                        quiet = 0;
}

static void *reset_later(void *fd)
{
        sleep_us(50000);
        reset(*(int *)fd);
        return NULL;
}

Test(rest, an_error_is_left_to_the_next_send, .init = begin)
{
        struct flow flow;
        make_tcp(&flow);
        reset(flow.in);
        sleep_us(20000);
        cr_assert_eq(rest_of(SYS_write, flow.out, 0, 1000), 100);
        cr_assert_eq(send(flow.out, bytes, 1, 0), -1, "and no SIGPIPE");
        cr_assert_eq(errno, ECONNRESET, "%d", errno);
}

Test(rest, an_error_that_comes_while_it_waits_to_send_is_left_to_the_next_send, .init = begin)
{
        struct flow flow;
        pthread_t thread;
        make_tcp(&flow);
        fill(flow.out);
        pthread_create(&thread, NULL, reset_later, &flow.in);
        uint64_t begin_ns = now_ns();
        cr_assert_eq(rest_of(SYS_sendto, flow.out, 0, 1000), 100);
        cr_assert_gt(now_ns() - begin_ns, 40000000);
        pthread_join(thread, NULL);
        cr_assert_eq(send(flow.out, bytes, 1, 0), -1, "and no SIGPIPE");
        cr_assert_eq(errno, ECONNRESET, "%d", errno);
}

Test(rest, an_error_is_left_to_the_next_receive, .init = begin)
{
        struct flow flow;
        make_tcp(&flow);
        reset(flow.out);
        sleep_us(20000);
        cr_assert_eq(rest_of(SYS_recvfrom, flow.in, MSG_WAITALL, 1000), 100);
        cr_assert_eq(recv(flow.in, bytes, 1, 0), -1, "it would be the end of the stream");
        cr_assert_eq(errno, ECONNRESET, "%d", errno);
}

Test(rest, an_error_that_comes_while_it_waits_is_left_to_the_next_receive, .init = begin)
{
        struct flow flow;
        pthread_t thread;
        make_tcp(&flow);
        pthread_create(&thread, NULL, reset_later, &flow.out);
        uint64_t begin_ns = now_ns();
        cr_assert_eq(rest_of(SYS_recvfrom, flow.in, MSG_WAITALL, 1000), 100);
        cr_assert_gt(now_ns() - begin_ns, 40000000);
        pthread_join(thread, NULL);
        cr_assert_eq(recv(flow.in, bytes, 1, 0), -1, "it would be the end of the stream");
        cr_assert_eq(errno, ECONNRESET, "%d", errno);
}

/* The kernel gives what was received before the reset. */
Test(rest, what_came_before_an_error_is_received, .init = begin)
{
        static const size_t sent[] = { 300, 1400, 1500 };
        for (size_t i = 0; i < sizeof(sent) / sizeof(sent[0]); i++) {
                struct flow flow;
                make_tcp(&flow);
                cr_assert_eq(send(flow.out, bytes, sent[i], 0), (ssize_t)sent[i]);
                reset(flow.out);
                sleep_us(20000);
                long whole = 100 + (long)sent[i] < 1500 ? 100 + (long)sent[i] : 1500;
                cr_assert_eq(rest_of(SYS_recvfrom, flow.in, MSG_WAITALL, 1000), whole);
                if (sent[i] > 1400)
                        cr_assert_eq(recv(flow.in, bytes, sizeof(bytes), 0), 100);
                cr_assert_eq(recv(flow.in, bytes, 1, 0), -1);
                cr_assert_eq(errno, ECONNRESET, "%d", errno);
        }
}

Test(rest, the_end_of_the_stream_ends_a_receive, .init = begin)
{
        struct flow flow;
        make_tcp(&flow);
        cr_assert_eq(send(flow.out, bytes, 300, 0), 300);
        close(flow.out);
        cr_assert_eq(rest_of(SYS_recvfrom, flow.in, MSG_WAITALL, 1000), 400);
        cr_assert_eq(recv(flow.in, bytes, 1, 0), 0);
}

Test(rest, a_receive_that_ends_by_itself_at_fewer_bytes_may_be_short, .init = begin)
{
        struct flow flow;
        int least = 2000;
        make_tcp(&flow);
        cr_assert_eq(setsockopt(flow.in, SOL_SOCKET, SO_RCVLOWAT, &least, sizeof(least)), 0);
        cr_assert_eq(send(flow.out, bytes, 1400, 0), 1400);
        cr_assert_eq(rest_of(SYS_recvfrom, flow.in, MSG_WAITALL, 1000), 100, "poll would wait for 2000");
        cr_assert_eq(send(flow.out, "!", 1, MSG_OOB), 1);
        least = 1;
        cr_assert_eq(setsockopt(flow.in, SOL_SOCKET, SO_RCVLOWAT, &least, sizeof(least)), 0);
        sleep_us(20000);
        cr_assert_eq(rest_of(SYS_recvfrom, flow.in, MSG_WAITALL, 1000), 100, "it would go on beyond urgent data");
}

/* Poll wants a third of a socket's buffer to be free, and a reader that waits for the rest never frees that. */
Test(rest, what_fits_is_sent_though_poll_would_wait, .init = begin)
{
        struct flow flow;
        make_local(&flow);
        size_t queued = 0;
        for (ssize_t n; (n = send(flow.out, bytes, sizeof(bytes), MSG_DONTWAIT)) > 0;)
                queued += (size_t)n;
        for (size_t got = 0; got < queued / 4;)
                got += (size_t)recv(flow.in, bytes, sizeof(bytes), 0);
        struct pollfd room = { .fd = flow.out, .events = POLLOUT };
        cr_assert_eq(poll(&room, 1, 0), 0, "there is room enough for poll: this tries nothing");
        cr_assert_eq(rest_of(SYS_sendto, flow.out, 0, 1000), 1500);
}

Test(rest, the_programs_own_signal_may_cut_a_call_short, .init = begin)
{
        struct flow flow;
        sigset_t set;
        make_pipe(&flow);
        signal(SIGUSR1, SIG_DFL);
        struct sigaction action = { .sa_handler = (void (*)(int))(uintptr_t)abs };
        sigaction(SIGUSR1, &action, NULL);
        sigemptyset(&set);
        sigaddset(&set, SIGUSR1);
        pthread_sigmask(SIG_BLOCK, &set, NULL);
        pthread_kill(pthread_self(), SIGUSR1);
        cr_assert_eq(rest_of(SYS_write, flow.out, 0, 1000), 100);
        pthread_sigmask(SIG_BLOCK, NULL, &set);
        cr_assert_not(sigismember(&set, SIGUSR1), "its mask is in force again");
}

Test(rest, refused_system_calls_are_not_made, .init = begin)
{
        struct flow flow;
        make_pipe(&flow);
        call_refuse(SYS_fcntl);
        cr_assert_eq(rest_of(SYS_write, flow.out, 0, 1000), 100);
}

/* ---- events ---- */

Test(rest, io_getevents_goes_on_waiting_for_the_others, .init = begin)
{
        struct timespec limit = { 0, 100000000 };
        aio_context_t context = 0;
        struct io_event events[2];
        cr_assert_eq(syscall(SYS_io_setup, 8, &context), 0);
        struct mend_frame frame = { .number = SYS_io_getevents,
                                    .result = 1,
                                    .handler_ns = 10000000000ull,
                                    .running_ns = 10000000000ull - 1000,
                                    .arguments = { context, 2, 2, (uintptr_t)events, (uintptr_t)&limit, 0 } };
        uint64_t begin_ns = now_ns();
        cr_assert_eq(mend_rest_sigsafe(&frame), 1);
        cr_assert_gt(now_ns() - begin_ns, 90000000);
        frame.running_ns -= 200000000; /* then the limit may have run out before the signal came */
        begin_ns = now_ns();
        cr_assert_eq(mend_rest_sigsafe(&frame), 1);
        cr_assert_lt(now_ns() - begin_ns, 90000000);
}

struct ring {
        int fd;
        uint32_t *tail, *mask, *array;
        struct io_uring_sqe *entries;
};

static bool make_ring(struct ring *ring)
{
        struct io_uring_params params;
        memset(&params, 0, sizeof(params));
        ring->fd = (int)syscall(SYS_io_uring_setup, 4, &params);
        if (ring->fd < 0)
                return false;
        uint8_t *map = mmap(NULL, params.sq_off.array + 4 * params.sq_entries, PROT_READ | PROT_WRITE,
                            MAP_SHARED | MAP_POPULATE, ring->fd, IORING_OFF_SQ_RING);
        ring->entries = mmap(NULL, params.sq_entries * sizeof(struct io_uring_sqe), PROT_READ | PROT_WRITE,
                             MAP_SHARED | MAP_POPULATE, ring->fd, IORING_OFF_SQES);
        ring->tail = (uint32_t *)(map + params.sq_off.tail);
        ring->mask = (uint32_t *)(map + params.sq_off.ring_mask);
        ring->array = (uint32_t *)(map + params.sq_off.array);
        return true;
}

struct submission {
        struct ring ring;
        int fds[2];
        long result;
        uint64_t took_ns;
};

/* A read from a pipe is submitted and waited for in one call. */
static void *submit_and_wait(struct victim *victim)
{
        struct submission *submission = victim->argument;
        struct ring *ring = &submission->ring;
        uint32_t at = *ring->tail & *ring->mask;
        char c;
        ring->entries[at] = (struct io_uring_sqe){
                .opcode = IORING_OP_READ, .fd = submission->fds[0], .addr = (uintptr_t)&c, .len = 1
        };
        ring->array[at] = at;
        __atomic_store_n(ring->tail, *ring->tail + 1, __ATOMIC_RELEASE);
        uint64_t begin_ns = now_ns();
        long result;
        register uint64_t r10 __asm__("r10") = IORING_ENTER_GETEVENTS;
        register uint64_t r8 __asm__("r8") = 0;
        register uint64_t r9 __asm__("r9") = 0;
        __asm__ volatile("movl $426, %%eax\n\tsyscall"
                         : "=&a"(result)
                         : "D"((uint64_t)ring->fd), "S"(1ul), "d"(1ul), "r"(r10), "r"(r8), "r"(r9)
                         : "rcx", "r11", "memory");
        submission->result = result;
        submission->took_ns = now_ns() - begin_ns;
        return NULL;
}

/* Built by TSan, the victim is never seen asleep in its call; why is not known. */
Test(rest, io_uring_goes_on_waiting_after_submitting, .init = begin, .disabled = UNDER_TSAN)
{
        struct submission submission;
        struct victim victim;
        struct sample sample;
        if (!make_ring(&submission.ring))
                cr_skip_test("no io_uring here");
        cr_assert_eq(pipe(submission.fds), 0);
        victim_start(&victim, submit_and_wait, &submission);
        cr_assert(victim_sleeps(&victim, SYS_io_uring_enter));
        for (int i = 0; i < 20; i++) {
                memset(&sample, 0, sizeof(sample));
                signal_ask(&victim.task, now_ns(), &sample);
                sleep_us(5000);
        }
        cr_assert_gt(atomic_load(&handler.mended), 0);
        cr_assert_eq(write(submission.fds[1], "x", 1), 1);
        victim_join(&victim);
        cr_assert_eq(submission.result, 1);
        cr_assert_gt(submission.took_ns, 90000000);
}
