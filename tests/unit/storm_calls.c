/* SPDX-License-Identifier: Apache-2.0
 *
 * storm_calls.c - system calls that wait for 150 ms
 *
 * One row a call: what it needs, the call, what ends it unless its time limit does, and what the program must see of
 * it. To cover a further call, add a row.
 *
 * Context: unit tests
 */
#include "storm_calls.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <linux/aio_abi.h>
#include <linux/futex.h>
#include <linux/io_uring.h>
#include <netinet/in.h>
#include <poll.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/select.h>
#include <sys/sem.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>

#include "capture/handler.h"

_Atomic int handled;

static void on_usr2(int number)
{
        handled++;
}

static const struct timespec limit_spec = { 0, CALL_MS * 1000000 };

static struct timespec in_150_ms(clockid_t clock)
{
        struct timespec t;
        clock_gettime(clock, &t);
        t.tv_nsec += CALL_MS * 1000000;
        if (t.tv_nsec >= 1000000000) {
                t.tv_sec++;
                t.tv_nsec -= 1000000000;
        }
        return t;
}

static long answer(long result)
{
        if (result >= 0)
                return result;
        errno = (int)-result;
        return -1;
}

/* The raw call, with its number right before it in the code, as compilers do; sets errno. */
#define RAW(number, a, b, c, d, e, f)                                                                                  \
        ({                                                                                                             \
                register uint64_t r10 __asm__("r10") = (uint64_t)(d);                                                  \
                register uint64_t r8 __asm__("r8") = (uint64_t)(e);                                                    \
                register uint64_t r9 __asm__("r9") = (uint64_t)(f);                                                    \
                long raw_result;                                                                                       \
                __asm__ volatile("movl %1, %%eax\n\tsyscall"                                                           \
                                 : "=&a"(raw_result)                                                                   \
                                 : "i"(number), "D"((uint64_t)(a)), "S"((uint64_t)(b)), "d"((uint64_t)(c)), "r"(r10),  \
                                   "r"(r8), "r"(r9)                                                                    \
                                 : "rcx", "r11", "memory");                                                            \
                answer(raw_result);                                                                                    \
        })

/* ---- what the calls need ---- */

static void no_scene(struct scene *scene)
{
}

static void set_timeouts(int fd)
{
        struct timeval limit = { 0, CALL_MS * 1000 };
        cr_assert_eq(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)), 0);
        cr_assert_eq(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)), 0);
}

static void make_pipe(struct scene *scene)
{
        cr_assert_eq(pipe(scene->fds), 0);
}

static void make_pair(struct scene *scene)
{
        cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, scene->fds), 0);
        set_timeouts(scene->fds[0]);
}

static void make_full_pair(struct scene *scene)
{
        static char bytes[4096];
        make_pair(scene);
        while (send(scene->fds[0], bytes, sizeof(bytes), MSG_DONTWAIT) > 0)
                ;
        while (send(scene->fds[0], bytes, 1, MSG_DONTWAIT) > 0)
                ;
}

static struct sockaddr_in make_listener(struct scene *scene, int backlog)
{
        struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        socklen_t length = sizeof(address);
        scene->fds[0] = socket(AF_INET, SOCK_STREAM, 0);
        cr_assert_eq(bind(scene->fds[0], (struct sockaddr *)&address, sizeof(address)), 0);
        cr_assert_eq(listen(scene->fds[0], backlog), 0);
        cr_assert_eq(getsockname(scene->fds[0], (struct sockaddr *)&address, &length), 0);
        set_timeouts(scene->fds[0]);
        return address;
}

static void make_idle_listener(struct scene *scene)
{
        make_listener(scene, 5);
}

static struct sockaddr_in busy_address;

/* Its queue is full, so that further connections wait. */
static void make_busy_listener(struct scene *scene)
{
        busy_address = make_listener(scene, 0);
        for (int i = 0; i < 4; i++) {
                int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
                connect(fd, (struct sockaddr *)&busy_address, sizeof(busy_address));
        }
        sleep_us(20000);
        scene->fds[1] = socket(AF_INET, SOCK_STREAM, 0);
        set_timeouts(scene->fds[1]);
}

static void make_epoll(struct scene *scene)
{
        struct epoll_event event = { .events = EPOLLIN };
        make_pipe(scene);
        scene->id = epoll_create1(0);
        cr_assert_eq(epoll_ctl(scene->id, EPOLL_CTL_ADD, scene->fds[0], &event), 0);
}

static void make_semaphore(struct scene *scene)
{
        scene->id = semget(IPC_PRIVATE, 1, 0600);
        cr_assert_geq(scene->id, 0);
}

static void make_queue(struct scene *scene)
{
        scene->id = msgget(IPC_PRIVATE, 0600);
        cr_assert_geq(scene->id, 0);
}

struct message {
        long type;
        char text[1024];
};

static void make_full_queue(struct scene *scene)
{
        struct message message = { .type = 1 };
        make_queue(scene);
        while (msgsnd(scene->id, &message, sizeof(message.text), IPC_NOWAIT) == 0)
                ;
}

static void make_aio(struct scene *scene)
{
        cr_assert_eq(syscall(SYS_io_setup, 8, &scene->context), 0);
}

static void make_ring(struct scene *scene)
{
        struct io_uring_params params;
        memset(&params, 0, sizeof(params));
        scene->id = (int)syscall(SYS_io_uring_setup, 4, &params);
}

static void use_usr2(struct scene *scene)
{
        struct sigaction action = { .sa_handler = on_usr2, .sa_flags = SA_RESTART };
        sigaction(SIGUSR2, &action, NULL);
}

/* ---- the calls ---- */

static long do_nanosleep(struct scene *scene)
{
        return nanosleep(&limit_spec, NULL);
}

static long do_nanosleep_in_place(struct scene *scene)
{
        struct timespec t = limit_spec;
        long result = nanosleep(&t, &t);
        cr_assert(t.tv_sec == 0 && t.tv_nsec == limit_spec.tv_nsec, "the program's %ld ns are %ld ns now",
                  limit_spec.tv_nsec, t.tv_nsec);
        return result;
}

static long do_raw_nanosleep(struct scene *scene)
{
        struct timespec left;
        return RAW(SYS_nanosleep, &limit_spec, &left, 0, 0, 0, 0);
}

static long do_clock_nanosleep(struct scene *scene)
{
        errno = clock_nanosleep(CLOCK_BOOTTIME, 0, &limit_spec, NULL);
        return errno == 0 ? 0 : -1;
}

static long do_clock_nanosleep_until(struct scene *scene)
{
        struct timespec t = in_150_ms(CLOCK_REALTIME);
        errno = clock_nanosleep(CLOCK_REALTIME, TIMER_ABSTIME, &t, NULL);
        return errno == 0 ? 0 : -1;
}

static long do_usleep(struct scene *scene)
{
        return usleep(CALL_MS * 1000);
}

static long do_poll(struct scene *scene)
{
        struct pollfd fd = { .fd = scene->fds[0], .events = POLLIN };
        return poll(&fd, 1, CALL_MS);
}

static long do_poll_without_limit(struct scene *scene)
{
        struct pollfd fd = { .fd = scene->fds[0], .events = POLLIN };
        long result = poll(&fd, 1, -1);
        cr_assert_eq(fd.revents, POLLIN);
        return result;
}

static long do_ppoll(struct scene *scene)
{
        struct pollfd fd = { .fd = scene->fds[0], .events = POLLIN };
        return ppoll(&fd, 1, &limit_spec, NULL);
}

static long do_ppoll_with_constant_limit(struct scene *scene)
{
        return RAW(SYS_ppoll, NULL, 0, &limit_spec, 0, 8, 0);
}

static sigset_t all_but_usr2(void)
{
        sigset_t set;
        sigfillset(&set);
        sigdelset(&set, SIGUSR2);
        return set;
}

static void block_usr2(void)
{
        sigset_t set;
        sigemptyset(&set);
        sigaddset(&set, SIGUSR2);
        pthread_sigmask(SIG_BLOCK, &set, NULL);
}

static void check_usr2_is_blocked(void)
{
        sigset_t set;
        pthread_sigmask(SIG_BLOCK, NULL, &set);
        for (int number = 1; number < 65; number++)
                if (number != 32 && number != 33)
                        cr_assert_eq(sigismember(&set, number), number == SIGUSR2, "signal %d", number);
}

static long do_ppoll_for_a_signal(struct scene *scene)
{
        sigset_t set = all_but_usr2();
        sigdelset(&set, atomic_load(&handler.number));
        block_usr2();
        long result = ppoll(NULL, 0, NULL, &set);
        check_usr2_is_blocked();
        return result;
}

static long do_pselect_for_a_signal(struct scene *scene)
{
        sigset_t set = all_but_usr2();
        sigdelset(&set, atomic_load(&handler.number));
        block_usr2();
        long result = pselect(0, NULL, NULL, NULL, NULL, &set);
        check_usr2_is_blocked();
        return result;
}

static long do_sigsuspend(struct scene *scene)
{
        sigset_t set = all_but_usr2();
        sigdelset(&set, atomic_load(&handler.number));
        block_usr2();
        long result = sigsuspend(&set);
        check_usr2_is_blocked();
        return result;
}

static long do_pause(struct scene *scene)
{
        return pause();
}

static long do_sigtimedwait(struct scene *scene)
{
        sigset_t set;
        sigemptyset(&set);
        sigaddset(&set, SIGUSR2);
        block_usr2();
        return sigtimedwait(&set, NULL, &limit_spec);
}

static long do_sigtimedwait_for_long(struct scene *scene)
{
        static const struct timespec long_spec = { 60, 0 };
        sigset_t set;
        sigemptyset(&set);
        sigaddset(&set, SIGUSR2);
        block_usr2();
        return sigtimedwait(&set, NULL, &long_spec);
}

static long do_select(struct scene *scene)
{
        struct timeval t = { 0, CALL_MS * 1000 };
        fd_set set;
        FD_ZERO(&set);
        FD_SET(scene->fds[0], &set);
        long result = select(scene->fds[0] + 1, &set, NULL, NULL, &t);
        cr_assert(t.tv_sec == 0 && t.tv_usec == 0);
        return result;
}

static long do_raw_select_with_constant_limit(struct scene *scene)
{
        static const struct timeval limit_val = { 0, CALL_MS * 1000 };
        return RAW(SYS_select, 0, 0, 0, 0, &limit_val, 0);
}

static long do_raw_select(struct scene *scene)
{
        struct timeval t = { 0, CALL_MS * 1000 };
        long result = RAW(SYS_select, 0, 0, 0, 0, &t, 0);
        cr_assert(t.tv_sec == 0 && t.tv_usec == 0);
        return result;
}

static long do_pselect(struct scene *scene)
{
        return pselect(0, NULL, NULL, NULL, &limit_spec, NULL);
}

static long do_epoll_wait(struct scene *scene)
{
        struct epoll_event event;
        return epoll_wait(scene->id, &event, 1, CALL_MS);
}

static long do_epoll_wait_without_limit(struct scene *scene)
{
        struct epoll_event event;
        long result = epoll_wait(scene->id, &event, 1, -1);
        cr_assert_eq(event.events, EPOLLIN);
        return result;
}

static long do_epoll_pwait(struct scene *scene)
{
        struct epoll_event event;
        sigset_t set;
        sigemptyset(&set);
        return epoll_pwait(scene->id, &event, 1, CALL_MS, &set);
}

static long do_epoll_pwait2(struct scene *scene)
{
        struct epoll_event event;
        return epoll_pwait2(scene->id, &event, 1, &limit_spec, NULL);
}

static long do_futex(struct scene *scene)
{
        _Atomic int word = 0;
        return RAW(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 0, &limit_spec, 0, 0);
}

static long do_sem_timedwait(struct scene *scene)
{
        struct timespec t = in_150_ms(CLOCK_REALTIME);
        sem_t semaphore;
        sem_init(&semaphore, 0, 0);
        return sem_timedwait(&semaphore, &t);
}

static long do_sem_clockwait(struct scene *scene)
{
        struct timespec t = in_150_ms(CLOCK_MONOTONIC);
        sem_t semaphore;
        sem_init(&semaphore, 0, 0);
        return sem_clockwait(&semaphore, CLOCK_MONOTONIC, &t);
}

static long do_semop(struct scene *scene)
{
        struct sembuf take = { .sem_num = 0, .sem_op = -1 };
        return semop(scene->id, &take, 1);
}

static long do_raw_semop(struct scene *scene)
{
        struct sembuf take = { .sem_num = 0, .sem_op = -1 };
        return RAW(SYS_semop, scene->id, &take, 1, 0, 0, 0);
}

static long do_semtimedop(struct scene *scene)
{
        struct sembuf take = { .sem_num = 0, .sem_op = -1 };
        return semtimedop(scene->id, &take, 1, &limit_spec);
}

static long do_msgrcv(struct scene *scene)
{
        struct message message;
        return msgrcv(scene->id, &message, sizeof(message.text), 0, 0);
}

static long do_msgsnd(struct scene *scene)
{
        struct message message = { .type = 1 };
        return msgsnd(scene->id, &message, sizeof(message.text), 0);
}

static long do_io_getevents(struct scene *scene)
{
        struct io_event event;
        return RAW(SYS_io_getevents, scene->context, 1, 1, &event, &limit_spec, 0);
}

static long do_io_pgetevents(struct scene *scene)
{
        struct io_event event;
        return RAW(SYS_io_pgetevents, scene->context, 1, 1, &event, &limit_spec, 0);
}

static long do_io_uring_enter(struct scene *scene)
{
        struct io_uring_getevents_arg argument = { .ts = (uintptr_t)&limit_spec };
        return RAW(SYS_io_uring_enter, scene->id, 0, 1, IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG, &argument,
                   sizeof(argument));
}

static long do_read(struct scene *scene)
{
        char c;
        return read(scene->fds[0], &c, 1);
}

static long do_readv(struct scene *scene)
{
        char c;
        struct iovec part = { &c, 1 };
        return readv(scene->fds[0], &part, 1);
}

static long do_recv(struct scene *scene)
{
        char c;
        return recv(scene->fds[0], &c, 1, 0);
}

static long do_recvmsg(struct scene *scene)
{
        char c;
        struct iovec part = { &c, 1 };
        struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1 };
        return recvmsg(scene->fds[0], &message, 0);
}

static long do_recvmmsg(struct scene *scene)
{
        char c;
        struct iovec part = { &c, 1 };
        struct mmsghdr message = { .msg_hdr = { .msg_iov = &part, .msg_iovlen = 1 } };
        return recvmmsg(scene->fds[0], &message, 1, 0, NULL);
}

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

static long do_accept(struct scene *scene)
{
        return accept(scene->fds[0], NULL, NULL);
}

static long do_accept4(struct scene *scene)
{
        return accept4(scene->fds[0], NULL, NULL, SOCK_CLOEXEC);
}

static long do_connect(struct scene *scene)
{
        return connect(scene->fds[1], (struct sockaddr *)&busy_address, sizeof(busy_address));
}

/* ---- what ends them after CALL_MS ---- */

static void send_byte(struct scene *scene)
{
        cr_assert_eq(write(scene->fds[1], "x", 1), 1);
}

void send_usr2(struct scene *scene)
{
        pthread_kill(scene->victim.thread, SIGUSR2);
}

static void give_semaphore(struct scene *scene)
{
        struct sembuf give = { .sem_num = 0, .sem_op = 1 };
        cr_assert_eq(semop(scene->id, &give, 1), 0);
}

static void send_message(struct scene *scene)
{
        struct message message = { .type = 1 };
        cr_assert_eq(msgsnd(scene->id, &message, sizeof(message.text), 0), 0);
}

static void take_message(struct scene *scene)
{
        struct message message;
        cr_assert_geq(msgrcv(scene->id, &message, sizeof(message.text), 0, 0), 0);
}

/* ---- the table ---- */

const struct row rows[] = {
        { "nanosleep", no_scene, do_nanosleep, NULL, 0, 0, SYS_clock_nanosleep, MENDED },
        { "nanosleep in place", no_scene, do_nanosleep_in_place, NULL, 0, 0, SYS_clock_nanosleep, CHECKED },
        { "nanosleep, raw", no_scene, do_raw_nanosleep, NULL, 0, 0, SYS_nanosleep, MENDED },
        { "clock_nanosleep", no_scene, do_clock_nanosleep, NULL, 0, 0, SYS_clock_nanosleep, MENDED },
        { "clock_nanosleep until", no_scene, do_clock_nanosleep_until, NULL, 0, 0, SYS_clock_nanosleep, MENDED },
        { "usleep", no_scene, do_usleep, NULL, 0, 0, SYS_clock_nanosleep, MENDED },
        { "poll", make_pipe, do_poll, NULL, 0, 0, SYS_poll, MENDED },
        { "poll without limit", make_pipe, do_poll_without_limit, send_byte, 1, 0, SYS_poll, CHECKED },
        { "ppoll", make_pipe, do_ppoll, NULL, 0, 0, SYS_ppoll, MENDED },
        { "ppoll, constant limit", no_scene, do_ppoll_with_constant_limit, NULL, 0, 0, SYS_ppoll, MENDED },
        { "ppoll for a signal", use_usr2, do_ppoll_for_a_signal, send_usr2, -1, EINTR, SYS_ppoll, MENDED },
        { "select", make_pipe, do_select, NULL, 0, 0, SYS_pselect6, CHECKED },
        { "select, raw", no_scene, do_raw_select, NULL, 0, 0, SYS_select, CHECKED },
        { "select, constant limit", no_scene, do_raw_select_with_constant_limit, NULL, 0, 0, SYS_select, MENDED },
        { "pselect", no_scene, do_pselect, NULL, 0, 0, SYS_pselect6, MENDED },
        { "pselect for a signal", use_usr2, do_pselect_for_a_signal, send_usr2, -1, EINTR, SYS_pselect6, MENDED },
        { "epoll_wait", make_epoll, do_epoll_wait, NULL, 0, 0, SYS_epoll_wait, MENDED },
        { "epoll_wait without limit", make_epoll, do_epoll_wait_without_limit, send_byte, 1, 0, SYS_epoll_wait,
          CHECKED },
        { "epoll_pwait", make_epoll, do_epoll_pwait, NULL, 0, 0, SYS_epoll_pwait, MENDED },
        { "epoll_pwait2", make_epoll, do_epoll_pwait2, NULL, 0, 0, SYS_epoll_pwait2, MENDED },
        { "futex", no_scene, do_futex, NULL, -1, ETIMEDOUT, SYS_futex, MENDED },
        { "sem_timedwait", no_scene, do_sem_timedwait, NULL, -1, ETIMEDOUT, SYS_futex, MENDED },
        { "sem_clockwait", no_scene, do_sem_clockwait, NULL, -1, ETIMEDOUT, SYS_futex, MENDED },
        { "pause", use_usr2, do_pause, send_usr2, -1, EINTR, SYS_pause, MENDED },
        { "sigsuspend", use_usr2, do_sigsuspend, send_usr2, -1, EINTR, SYS_rt_sigsuspend, MENDED },
        { "sigtimedwait", no_scene, do_sigtimedwait, NULL, -1, EAGAIN, SYS_rt_sigtimedwait, MENDED },
        { "sigtimedwait for its signal", no_scene, do_sigtimedwait_for_long, send_usr2, SIGUSR2, 0, SYS_rt_sigtimedwait,
          MENDED },
        { "semop", make_semaphore, do_semop, give_semaphore, 0, 0, SYS_semtimedop, MENDED },
        { "semop, raw", make_semaphore, do_raw_semop, give_semaphore, 0, 0, SYS_semop, MENDED },
        { "semtimedop", make_semaphore, do_semtimedop, NULL, -1, EAGAIN, SYS_semtimedop, MENDED },
        { "msgrcv", make_queue, do_msgrcv, send_message, 1024, 0, SYS_msgrcv, MENDED },
        { "msgsnd", make_full_queue, do_msgsnd, take_message, 0, 0, SYS_msgsnd, MENDED },
        { "io_getevents", make_aio, do_io_getevents, NULL, 0, 0, SYS_io_getevents, MENDED },
        { "io_pgetevents", make_aio, do_io_pgetevents, NULL, 0, 0, SYS_io_pgetevents, MENDED },
        { "io_uring_enter", make_ring, do_io_uring_enter, NULL, -1, ETIME, SYS_io_uring_enter, MENDED },
        { "read, SO_RCVTIMEO", make_pair, do_read, NULL, -1, EAGAIN, SYS_read, ANEW },
        { "read, SO_RCVTIMEO, data", make_pair, do_read, send_byte, 1, 0, SYS_read, ANEW },
        { "readv, SO_RCVTIMEO", make_pair, do_readv, NULL, -1, EAGAIN, SYS_readv, ANEW },
        { "recv, SO_RCVTIMEO", make_pair, do_recv, NULL, -1, EAGAIN, SYS_recvfrom, ANEW },
        { "recvmsg, SO_RCVTIMEO", make_pair, do_recvmsg, NULL, -1, EAGAIN, SYS_recvmsg, ANEW },
        { "recvmmsg, SO_RCVTIMEO", make_pair, do_recvmmsg, NULL, -1, EAGAIN, SYS_recvmmsg, ANEW },
        { "write, SO_SNDTIMEO", make_full_pair, do_write, NULL, -1, EAGAIN, SYS_write, ANEW },
        { "writev, SO_SNDTIMEO", make_full_pair, do_writev, NULL, -1, EAGAIN, SYS_writev, ANEW },
        { "send, SO_SNDTIMEO", make_full_pair, do_send, NULL, -1, EAGAIN, SYS_sendto, ANEW },
        { "sendmsg, SO_SNDTIMEO", make_full_pair, do_sendmsg, NULL, -1, EAGAIN, SYS_sendmsg, ANEW },
        { "sendmmsg, SO_SNDTIMEO", make_full_pair, do_sendmmsg, NULL, -1, EAGAIN, SYS_sendmmsg, ANEW },
        { "accept, SO_RCVTIMEO", make_idle_listener, do_accept, NULL, -1, EAGAIN, SYS_accept, ANEW },
        { "accept4, SO_RCVTIMEO", make_idle_listener, do_accept4, NULL, -1, EAGAIN, SYS_accept4, ANEW },
        { "connect, SO_SNDTIMEO", make_busy_listener, do_connect, NULL, -1, EINPROGRESS, SYS_connect, ANEW },
        { "read", make_pipe, do_read, send_byte, 1, 0, SYS_read, RESTARTED },
};

const size_t rows_count = sizeof(rows) / sizeof(rows[0]);
