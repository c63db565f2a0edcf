/* SPDX-License-Identifier: Apache-2.0
 *
 * rules_errno.c - every hooked wait returns what it returned without the hook, errno included
 *
 *     rules_errno
 *
 * For each wait: success leaves errno alone; EBADF, EFAULT, EINVAL and an EINTR by the program's own signal arrive
 * unchanged; signal masks are in force during the wait and not after it; select() reports the time left. The whole list
 * runs in a thread of its own, where these are the first and the own waits, and in a stalled callback, where they are
 * nested; there calls that a capture must not interrupt follow. Another thread polls after stalls, and main forks.
 *
 * Context: main, and two threads before it
 */
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "truth.h"
#include "turn.h"

/* The checked forms that -D_FORTIFY_SOURCE makes programs call. */
int __poll_chk(struct pollfd *fds, nfds_t count, int timeout_ms, size_t bytes);
int __ppoll_chk(struct pollfd *fds, nfds_t count, const struct timespec *timeout, const sigset_t *mask, size_t bytes);

static int epoll;    /* an instance whose one descriptor is readable */
static int silent;   /* an instance with nothing ready */
static int ready[2]; /* a pipe with a byte in it */
static int empty[2];
/* volatile: the compiler knows these calls and would refuse the wrong arguments. */
static void *volatile bad = (void *)8;
static volatile nfds_t too_many = (nfds_t)-1;
static volatile sig_atomic_t signals;

#define KEEP 4711
/* One call, with errno at a value that nothing sets. Macros, because the call itself is the argument. */
#define EXPECT(call, result, error)                                                                                    \
        do {                                                                                                           \
                errno = KEEP;                                                                                          \
                long got = (call);                                                                                     \
                int got_errno = errno;                                                                                 \
                VICTIM_CHECK(got == (result) && got_errno == (error));                                                 \
        } while (0)

static void on_alarm(int number)
{
        signals++;
}

static void alarm_soon(void)
{
        struct itimerval when = { .it_value.tv_usec = 5000 };
        VICTIM_CHECK(setitimer(ITIMER_REAL, &when, NULL) == 0);
}

static struct pollfd entry(int fd)
{
        return (struct pollfd){ .fd = fd, .events = POLLIN };
}

static void epolls(void)
{
        struct epoll_event event;
        const struct timespec zero = { 0 }, wrong = { .tv_nsec = -1 };
        EXPECT(epoll_wait(epoll, &event, 1, 100), 1, KEEP);
        EXPECT(epoll_wait(silent, &event, 1, 0), 0, KEEP);
        EXPECT(epoll_wait(silent, &event, 1, 3), 0, KEEP);
        EXPECT(epoll_wait(-1, &event, 1, 0), -1, EBADF);
        EXPECT(epoll_wait(ready[0], &event, 1, 0), -1, EINVAL);
        EXPECT(epoll_wait(epoll, &event, 0, 0), -1, EINVAL);
        EXPECT(epoll_wait(epoll, (struct epoll_event *)bad, 1, 100), -1, EFAULT);
        EXPECT(epoll_pwait(epoll, &event, 1, 100, NULL), 1, KEEP);
        EXPECT(epoll_pwait(-1, &event, 1, 0, NULL), -1, EBADF);
        EXPECT(epoll_pwait(epoll, &event, 1, 0, (const sigset_t *)bad), -1, EFAULT);
        EXPECT(epoll_pwait2(epoll, &event, 1, &zero, NULL), 1, KEEP);
        EXPECT(epoll_pwait2(epoll, &event, 1, NULL, NULL), 1, KEEP);
        EXPECT(epoll_pwait2(epoll, &event, 1, &wrong, NULL), -1, EINVAL);
        EXPECT(epoll_pwait2(epoll, &event, 1, (const struct timespec *)bad, NULL), -1, EFAULT);
}

static void polls(void)
{
        struct pollfd fds[2] = { entry(ready[0]), entry(empty[0]) };
        struct timespec zero = { 0 }, wrong = { .tv_nsec = 1000000000 };
        EXPECT(poll(fds, 2, 100), 1, KEEP);
        VICTIM_CHECK(fds[0].revents == POLLIN && fds[1].revents == 0);
        EXPECT(poll(fds + 1, 1, 0), 0, KEEP);
        EXPECT(poll(fds + 1, 1, 3), 0, KEEP);
        EXPECT(poll(NULL, 0, 2), 0, KEEP);
        EXPECT(poll((struct pollfd *)bad, 1, 0), -1, EFAULT);
        EXPECT(poll(fds, too_many, 0), -1, EINVAL);
        EXPECT(ppoll(fds, 2, &zero, NULL), 1, KEEP);
        EXPECT(ppoll(fds, 2, NULL, NULL), 1, KEEP);
        EXPECT(ppoll(fds, 2, &wrong, NULL), -1, EINVAL);
        EXPECT(ppoll((struct pollfd *)bad, 1, &zero, NULL), -1, EFAULT);
        EXPECT(__poll_chk(fds, 2, 100, sizeof(fds)), 1, KEEP);
        EXPECT(__poll_chk(fds + 1, 1, 2, sizeof(fds[1])), 0, KEEP);
        EXPECT(__ppoll_chk(fds, 2, &zero, NULL, sizeof(fds)), 1, KEEP);
        EXPECT(__ppoll_chk(fds, 2, &wrong, NULL, sizeof(fds)), -1, EINVAL);
}

static void selects(void)
{
        fd_set set;
        struct timeval timeout = { .tv_usec = 50000 };
        const struct timespec zero = { 0 }, wrong = { .tv_nsec = -1 };
        FD_ZERO(&set);
        FD_SET(ready[0], &set);
        EXPECT(select(ready[0] + 1, &set, NULL, NULL, &timeout), 1, KEEP);
        VICTIM_CHECK(FD_ISSET(ready[0], &set));
        VICTIM_CHECK(timeout.tv_sec == 0 && timeout.tv_usec > 0 && timeout.tv_usec <= 50000);
        timeout = (struct timeval){ .tv_usec = 3000 };
        EXPECT(select(0, NULL, NULL, NULL, &timeout), 0, KEEP);
        VICTIM_CHECK(timeout.tv_sec == 0 && timeout.tv_usec == 0);
        EXPECT(select(-1, NULL, NULL, NULL, &timeout), -1, EINVAL);
        EXPECT(select(ready[0] + 1, (fd_set *)bad, NULL, NULL, &timeout), -1, EFAULT);
        FD_ZERO(&set);
        int closed = dup(ready[0]);
        close(closed);
        FD_SET(closed, &set);
        EXPECT(select(closed + 1, &set, NULL, NULL, &timeout), -1, EBADF);
        FD_ZERO(&set);
        FD_SET(ready[0], &set);
        EXPECT(pselect(ready[0] + 1, &set, NULL, NULL, &zero, NULL), 1, KEEP);
        EXPECT(pselect(ready[0] + 1, &set, NULL, NULL, &wrong, NULL), -1, EINVAL);
        EXPECT(pselect(ready[0] + 1, (fd_set *)bad, NULL, NULL, &zero, NULL), -1, EFAULT);
}

#define EXPECT_EINTR(call)                                                                                             \
        do {                                                                                                           \
                int before = signals;                                                                                  \
                alarm_soon();                                                                                          \
                EXPECT(call, -1, EINTR);                                                                               \
                VICTIM_CHECK(signals == before + 1);                                                                   \
        } while (0)

static void interrupted(void)
{
        struct epoll_event event;
        struct pollfd fd = entry(empty[0]);
        struct timeval timeout = { .tv_sec = 2 };
        const struct timespec two_seconds = { .tv_sec = 2 };
        fd_set set;
        FD_ZERO(&set);
        FD_SET(empty[0], &set);
        EXPECT_EINTR(epoll_wait(silent, &event, 1, 2000));
        EXPECT_EINTR(epoll_pwait(silent, &event, 1, 2000, NULL));
        EXPECT_EINTR(epoll_pwait2(silent, &event, 1, &two_seconds, NULL));
        EXPECT_EINTR(poll(&fd, 1, 2000));
        EXPECT_EINTR(ppoll(&fd, 1, &two_seconds, NULL));
        EXPECT_EINTR(__poll_chk(&fd, 1, 2000, sizeof(fd)));
        EXPECT_EINTR(__ppoll_chk(&fd, 1, &two_seconds, NULL, sizeof(fd)));
        EXPECT_EINTR(select(empty[0] + 1, &set, NULL, NULL, &timeout));
        FD_SET(empty[0], &set);
        EXPECT_EINTR(pselect(empty[0] + 1, &set, NULL, NULL, &two_seconds, NULL));
}

/* SIGALRM is blocked outside and let in by the wait's own mask only. */
static void masks(void)
{
        struct epoll_event event;
        struct pollfd fd = entry(empty[0]);
        const struct timespec two_seconds = { .tv_sec = 2 };
        sigset_t blocked, none, now;
        sigemptyset(&none);
        sigemptyset(&blocked);
        sigaddset(&blocked, SIGALRM);
        VICTIM_CHECK(sigprocmask(SIG_BLOCK, &blocked, NULL) == 0);
        EXPECT_EINTR(epoll_pwait(silent, &event, 1, 2000, &none));
        EXPECT_EINTR(epoll_pwait2(silent, &event, 1, &two_seconds, &none));
        EXPECT_EINTR(ppoll(&fd, 1, &two_seconds, &none));
        EXPECT_EINTR(pselect(0, NULL, NULL, NULL, &two_seconds, &none));
        int before = signals;
        alarm_soon();
        EXPECT(epoll_wait(silent, &event, 1, 20), 0, KEEP);
        VICTIM_CHECK(signals == before && sigprocmask(SIG_SETMASK, NULL, &now) == 0 && sigismember(&now, SIGALRM) == 1);
        VICTIM_CHECK(sigprocmask(SIG_UNBLOCK, &blocked, NULL) == 0 && signals == before + 1);
}

static void all(void)
{
        epolls();
        polls();
        selects();
        interrupted();
        masks();
}

/* None of these may be cut short by a capture; the threshold is 5 ms, so there are many of them. */
static void uninterrupted(void)
{
        struct timespec pause = { .tv_nsec = 100000000 };
        struct pollfd fd = entry(empty[0]);
        struct epoll_event event;
        struct timeval timeout = { .tv_usec = 100000 };
        uint64_t begin_ns = truth_now_ns();
        EXPECT(nanosleep(&pause, &pause), 0, KEEP);
        EXPECT(clock_nanosleep(CLOCK_MONOTONIC, 0, &pause, NULL), 0, KEEP);
        EXPECT(poll(&fd, 1, 100), 0, KEEP);
        EXPECT(epoll_wait(silent, &event, 1, 100), 0, KEEP);
        EXPECT(select(0, NULL, NULL, NULL, &timeout), 0, KEEP);
        EXPECT(usleep(100000), 0, KEEP);
        uint64_t took_ns = truth_now_ns() - begin_ns;
        VICTIM_CHECK(took_ns >= 600000000 && took_ns < 900000000);
}

/* The own waits of a poll loop after a stall: it is looked at again whether it serves one client at a time, and what is
 * in its set need be no socket. It does, so nothing of this is reported. */
static void *poll_after_stalls(void *unused)
{
        struct sockaddr_in any = { .sin_family = AF_INET };
        int listening = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        VICTIM_CHECK(bind(listening, (struct sockaddr *)&any, sizeof any) == 0 && listen(listening, 5) == 0);
        struct pollfd fds[2] = { entry(listening), entry(empty[0]) };
        fd_set set;
        for (int i = 0; i < 8; i++) {
                EXPECT(poll(fds, 2, 2), 0, KEEP);
                quiet_sleep_ms(i < 4 ? 0 : 20);
        }
        for (int i = 0; i < 8; i++) {
                struct timeval timeout = { .tv_usec = 2000 };
                FD_ZERO(&set);
                FD_SET(listening, &set);
                FD_SET(empty[0], &set);
                EXPECT(select(listening + 1, &set, NULL, NULL, &timeout), 0, KEEP);
                quiet_sleep_ms(i < 4 ? 0 : 20);
        }
        close(listening);
        return NULL;
}

/* Neither fork() nor the first wait after one changes it, in parent and child. */
static void forks(void)
{
        struct epoll_event event;
        int status = -1;
        errno = KEEP;
        pid_t child = fork();
        VICTIM_CHECK(child >= 0 && errno == KEEP);
        EXPECT(epoll_wait(silent, &event, 1, 2), 0, KEEP);
        EXPECT(epoll_wait(silent, &event, 1, 2), 0, KEEP);
        if (child == 0)
                _exit(0);
        VICTIM_CHECK(waitpid(child, &status, 0) == child && status == 0);
}

static VICTIM_FRAME void on_timer(struct turn *loop)
{
        struct truth begin = truth_begin();
        quiet_busy_ms(50);
        all();
        uninterrupted();
        truth_end(begin, "blocked", "", "on_timer");
}

static void prepare(void)
{
        struct epoll_event event = { .events = EPOLLIN };
        struct sigaction action = { .sa_handler = on_alarm };
        VICTIM_CHECK(pipe(ready) == 0 && pipe(empty) == 0 && write(ready[1], "x", 1) == 1);
        epoll = epoll_create1(0);
        silent = epoll_create1(0);
        VICTIM_CHECK(epoll_ctl(epoll, EPOLL_CTL_ADD, ready[0], &event) == 0);
        VICTIM_CHECK(epoll_ctl(silent, EPOLL_CTL_ADD, empty[0], &event) == 0);
        VICTIM_CHECK(sigaction(SIGALRM, &action, NULL) == 0);
}

/* SIGALRM must come to this thread: main blocks it meanwhile. */
static void *run_alone(void *argument)
{
        sigset_t none;
        sigemptyset(&none);
        VICTIM_CHECK(pthread_sigmask(SIG_SETMASK, &none, NULL) == 0);
        all();
        return NULL;
}

static void run_in_thread(void *(*run)(void *))
{
        pthread_t thread;
        sigset_t blocked, before;
        sigemptyset(&blocked);
        sigaddset(&blocked, SIGALRM);
        VICTIM_CHECK(pthread_sigmask(SIG_BLOCK, &blocked, &before) == 0);
        VICTIM_CHECK(pthread_create(&thread, NULL, run, NULL) == 0 && pthread_join(thread, NULL) == 0);
        VICTIM_CHECK(pthread_sigmask(SIG_SETMASK, &before, NULL) == 0);
}

int main(void)
{
        struct turn loop;
        prepare();
        run_in_thread(run_alone);
        run_in_thread(poll_after_stalls);
        turn_open(&loop);
        turn_run(&loop, 5, NULL);
        turn_run(&loop, 1, on_timer);
        turn_run(&loop, 5, NULL);
        forks();
        return 0;
}
