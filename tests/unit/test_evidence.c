/* SPDX-License-Identifier: Apache-2.0
 *
 * test_evidence.c - the arguments of system calls, on descriptors and memory of this very process
 *
 * No thread blocks here (tests/system/test_causes_blocked.py does that): each sample says that this thread sleeps in a
 * call, and what is found about its arguments must be true.
 *
 * Context: unit test; Criterion gives each test a process of its own
 */
#include "explain/evidence.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/config.h"

static struct evidences evidences;

static struct evidence *look(int call, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e)
{
        struct sample sample = { .state = 'S', .syscall = call, .syscall_known = true, .arguments = { a, b, c, d, e } };
        struct evidence *found = evidences_look(&evidences, gettid(), &sample);
        if (found != NULL)
                evidences_confirm(found);
        return found;
}

#define ADDRESS(object) ((uint64_t)(uintptr_t)(object))

static const char *what_is(int fd)
{
        static char bytes[LIMIT_WHAT];
        struct openfile file;
        struct text what = TEXT_IN(bytes);
        text_clear(&what);
        if (!openfile_look(&file, gettid(), fd))
                return NULL;
        openfile_put(&what, &file);
        return bytes;
}

/* ---- descriptors ---- */

Test(descriptor, of_each_kind_is_named)
{
        int fds[2];
        char link[32];
        cr_assert(pipe(fds) == 0);
        cr_expect_str_eq(what_is(open("/dev/null", O_RDONLY)), "/dev/null");
        cr_expect_eq(strncmp(what_is(fds[0]), "pipe:[", 6), 0);
        cr_expect_str_eq(what_is(eventfd(5, 0)), "eventfd, count 5");
        cr_expect_str_eq(what_is(epoll_create1(0)), "epoll");
        cr_expect_null(what_is(99));
        cr_expect_null(what_is(-1));
        int pidfd = (int)syscall(SYS_pidfd_open, getpid(), 0);
        snprintf(link, sizeof link, "pidfd of process %d", (int)getpid());
        cr_expect_str_eq(what_is(pidfd), link);
}

Test(descriptor, of_a_timer_says_when_it_fires)
{
        int timer = timerfd_create(CLOCK_MONOTONIC, 0);
        struct itimerspec when = { .it_value.tv_sec = 100 };
        cr_expect_str_eq(what_is(timer), "timerfd, not set or expired");
        timerfd_settime(timer, 0, &when, NULL);
        cr_expect_eq(strncmp(what_is(timer), "timerfd, fires in 1 min", 23), 0, "%s", what_is(timer));
}

static int tcp_socket(struct sockaddr_in *address, bool listens)
{
        socklen_t length = sizeof *address;
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        *address = (struct sockaddr_in){ .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        if (listens)
                cr_assert(bind(fd, (struct sockaddr *)address, length) == 0 && listen(fd, 5) == 0);
        getsockname(fd, (struct sockaddr *)address, &length);
        return fd;
}

Test(descriptor, of_a_tcp_socket_has_both_addresses_and_its_state)
{
        struct sockaddr_in address, own;
        char wanted[128];
        int server = tcp_socket(&address, true), client = tcp_socket(&own, false);
        snprintf(wanted, sizeof wanted, "tcp 127.0.0.1:%d (LISTEN)", ntohs(address.sin_port));
        cr_expect_str_eq(what_is(server), wanted);
        cr_assert(connect(client, (struct sockaddr *)&address, sizeof address) == 0);
        getsockname(client, (struct sockaddr *)&own, &(socklen_t){ sizeof own });
        snprintf(wanted, sizeof wanted, "tcp 127.0.0.1:%d <-> 127.0.0.1:%d", ntohs(own.sin_port),
                 ntohs(address.sin_port));
        cr_expect_str_eq(what_is(client), wanted);
        close(accept(server, NULL, NULL));
        strcat(wanted, " (CLOSE_WAIT)");
        cr_expect_str_eq(what_is(client), wanted);
        config.redact = CONFIG_REDACT_PEERS;
        snprintf(wanted, sizeof wanted, "tcp 127.0.0.1:%d <-> (redacted) (CLOSE_WAIT)", ntohs(own.sin_port));
        cr_expect_str_eq(what_is(client), wanted);
}

Test(descriptor, of_a_unix_socket_has_its_path)
{
        char wanted[128];
        int pair[2], server = socket(AF_UNIX, SOCK_STREAM, 0);
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        snprintf(address.sun_path, sizeof address.sun_path, "/tmp/unit_evidence.%d", (int)getpid());
        cr_assert(bind(server, (struct sockaddr *)&address, sizeof address) == 0 && listen(server, 5) == 0);
        snprintf(wanted, sizeof wanted, "unix %s (LISTEN)", address.sun_path);
        cr_expect_str_eq(what_is(server), wanted);
        config.redact = CONFIG_REDACT_PATHS;
        snprintf(wanted, sizeof wanted, "unix unit_evidence.%d (LISTEN)", (int)getpid());
        cr_expect_str_eq(what_is(server), wanted);
        unlink(address.sun_path);
        cr_assert(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
        cr_expect_str_eq(what_is(pair[0]), "unix, both ends made by this process");
}

Test(descriptor, that_is_looked_at_stays_what_it_was)
{
        int pair[2];
        char byte;
        cr_assert(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
        int next = dup(0);
        close(next);
        for (int i = 0; i < 100; i++)
                what_is(pair[0]);
        cr_expect_eq(write(pair[0], "x", 1), 1);
        cr_expect_eq(read(pair[1], &byte, 1), 1);
        close(pair[0]);
        cr_expect_eq(read(pair[1], &byte, 1), 0, "no copy is left");
        cr_expect_eq(dup(0), pair[0], "no descriptor is left");
}

/* ---- arguments ---- */

Test(arguments, of_sleeps_are_their_length)
{
        struct timespec pause = { 2, 500000000 }, wrong = { 1, 1000000000 }, until;
        cr_expect_eq(look(SYS_nanosleep, ADDRESS(&pause), 0, 0, 0, 0)->timeout_ns, 2500000000);
        cr_expect_eq(look(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, ADDRESS(&pause), 0, 0)->timeout_ns, 2500000000);
        evidences_clear(&evidences);
        cr_expect_eq(look(SYS_nanosleep, ADDRESS(&wrong), 0, 0, 0, 0)->timeout_ns, 0);
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_sec += 10;
        const struct evidence *left = look(SYS_clock_nanosleep, CLOCK_MONOTONIC, TIMER_ABSTIME, ADDRESS(&until), 0, 0);
        cr_expect(left->left_ns > 9000000000 && left->left_ns <= 10000000000 && left->timeout_ns == 0);
}

Test(arguments, of_connect_are_the_address)
{
        struct sockaddr_in address = { .sin_family = AF_INET,
                                       .sin_port = htons(5432),
                                       .sin_addr.s_addr = htonl(0x0a000005) };
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        const struct evidence *found = look(SYS_connect, (uint64_t)fd, ADDRESS(&address), sizeof address, 0, 0);
        cr_expect_str_eq(found->address, "10.0.0.5:5432");
        cr_expect(found->fd_known && found->file.fd == fd);
        evidences_clear(&evidences);
        config.redact = CONFIG_REDACT_PEERS;
        found = look(SYS_connect, (uint64_t)fd, ADDRESS(&address), sizeof address, 0, 0);
        cr_expect_str_eq(found->address, "(redacted)");
}

/* A name whose last page can be read no further. */
Test(arguments, of_open_are_the_path)
{
        char *pages = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        mprotect(pages + 4096, 4096, PROT_NONE);
        memcpy(pages + 4096 - 9, "/srv/a.db", 9);
        pages[4095] = '\0';
        const struct evidence *found = look(SYS_openat, (uint64_t)AT_FDCWD, ADDRESS(pages + 4096 - 9), 0, 0, 0);
        cr_expect_str_eq(found->what, "/srv/a.d");
        cr_expect(!found->fd_known);
        memset(pages + 4096 - 9, 'x', 9);
        evidences_clear(&evidences);
        found = look(SYS_openat, (uint64_t)AT_FDCWD, ADDRESS(pages + 4096 - 9), 0, 0, 0);
        cr_expect_str_eq(found->what, "xxxxxxxxx");
}

Test(arguments, that_point_nowhere_are_left_out)
{
        static const uint64_t addresses[] = { 0, 1, 4095, UINT64_C(0x7fffffffe000), UINT64_MAX - 7, UINT64_MAX };
        static const int calls[] = { SYS_nanosleep, SYS_clock_nanosleep, SYS_poll,   SYS_ppoll,  SYS_select,
                                     SYS_pselect6,  SYS_connect,         SYS_sendto, SYS_openat, SYS_open,
                                     SYS_waitid,    SYS_wait4,           SYS_flock,  SYS_fcntl,  SYS_recvmmsg,
                                     SYS_rename,    SYS_sendfile };
        for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
                for (size_t j = 0; j < sizeof addresses / sizeof *addresses; j++) {
                        uint64_t at = addresses[j];
                        evidences_clear(&evidences);
                        const struct evidence *found = look(calls[i], at, at, at, at, at);
                        cr_expect(found == NULL || (found->address[0] == '\0' && found->left_ns == 0));
                }
        }
}

/* ---- sets ---- */

Test(set, of_poll_is_described_and_bounded)
{
        static struct pollfd set[2000];
        int fds[2];
        cr_assert(pipe(fds) == 0);
        for (int i = 0; i < 2000; i++)
                set[i] = (struct pollfd){ .fd = i < 3 ? -1 : fds[i % 2], .events = POLLIN };
        const struct evidence *found = look(SYS_poll, ADDRESS(set), 5, 250, 0, 0);
        cr_expect(found->waits_for_count == 2 && found->waits_for_more == 0 && found->timeout_ns == 250000000);
        cr_expect_eq(found->waits_for[0].fd, fds[1]);
        cr_expect_eq(strncmp(found->waits_for[0].what, "pipe:[", 6), 0);
        evidences_clear(&evidences);
        found = look(SYS_poll, ADDRESS(set), 2000, (uint64_t)-1, 0, 0);
        cr_expect_eq(found->waits_for_count + found->waits_for_more, 1997);
        cr_expect_eq(found->timeout_ns, 0);
}

Test(set, of_select_is_read_as_far_as_it_goes)
{
        fd_set read, write;
        struct timeval limit = { .tv_sec = 1, .tv_usec = 5 };
        int fds[2];
        cr_assert(pipe(fds) == 0);
        FD_ZERO(&read);
        FD_ZERO(&write);
        FD_SET(fds[0], &read);
        FD_SET(fds[1], &write);
        FD_SET(1000, &read);
        uint64_t count = (uint64_t)fds[1] + 1;
        const struct evidence *found = look(SYS_select, count, ADDRESS(&read), ADDRESS(&write), 0, ADDRESS(&limit));
        cr_assert_eq(found->waits_for_count, 2);
        cr_expect(found->waits_for[0].events == EPOLLIN && found->waits_for[1].events == EPOLLOUT);
        cr_expect_eq(found->timeout_ns, 1000005000);
}

Test(set, of_epoll_is_the_instances_list)
{
        int fds[2], epoll = epoll_create1(0);
        struct epoll_event event = { .events = EPOLLIN, .data.ptr = &evidences };
        cr_assert(pipe(fds) == 0 && epoll_ctl(epoll, EPOLL_CTL_ADD, fds[0], &event) == 0);
        const struct evidence *found = look(SYS_epoll_wait, (uint64_t)epoll, 0, 1, (uint64_t)-1, 0);
        cr_assert_eq(found->waits_for_count, 1);
        cr_expect(found->waits_for[0].fd == fds[0] && found->waits_for[0].events == EPOLLIN);
        for (int i = 0; i < LIMIT_EPOLL_TARGETS; i++)
                cr_assert(dup(fds[0]) >= 0);
        evidences_clear(&evidences);
        found = look(SYS_epoll_wait, (uint64_t)epoll, 0, 1, (uint64_t)-1, 0);
        cr_expect_eq(found->waits_for_count, 0, "the list is not asked for: it could be long");
}

/* ---- other processes ---- */

static pid_t child_with(int keep, int drop)
{
        pid_t child = fork();
        if (child == 0) {
                close(drop);
                for (;;)
                        pause();
        }
        cr_assert(child > 0 && keep >= 0);
        return child;
}

static void end(pid_t child)
{
        kill(child, SIGKILL);
        waitpid(child, NULL, 0);
}

/* Within some samples, for each looks at a few processes only. */
static const struct evidence *search(int call, int fd)
{
        const struct evidence *found = NULL;
        for (int i = 0; i < LIMIT_SEARCH_STEPS && (found == NULL || found->holders_confirmed == 0); i++) {
                const struct evidence *now = look(call, (uint64_t)fd, 0, 0, 0, 0);
                found = now != NULL ? now : found;
        }
        return found;
}

Test(pipe, tells_who_has_its_other_end)
{
        int fds[2];
        cr_assert(pipe(fds) == 0);
        pid_t child = child_with(fds[1], fds[0]);
        close(fds[1]);
        const struct evidence *found = search(SYS_read, fds[0]);
        cr_assert_eq(found->holders_confirmed, 1);
        cr_expect_eq(found->holders[0].pid, child);
        cr_expect_str_eq(found->holders[0].role, "other-end");
        end(child);
}

/* To its end, however many processes there are. */
static const struct evidence *search_all(int call, int fd)
{
        struct evidence *found = NULL;
        for (int i = 0; i < 100000 && (found == NULL || found->search.going_on); i++) {
                struct evidence *now = look(call, (uint64_t)fd, 0, 0, 0, 0);
                found = now != NULL ? now : found;
                if (found != NULL)
                        found->search.steps = 0;
        }
        return found;
}

Test(pipe, names_a_process_once_however_often_it_has_the_end)
{
        int fds[2];
        cr_assert(pipe(fds) == 0);
        int again = dup(fds[1]);
        pid_t child = child_with(fds[1], fds[0]);
        close(fds[1]);
        close(again);
        const struct evidence *found = search_all(SYS_read, fds[0]);
        cr_expect_eq(found->holders_confirmed, 1);
        cr_expect_eq(found->holders[0].pid, child);
        end(child);
}

Test(pipe, whose_ends_are_both_ours_says_so)
{
        int fds[2];
        cr_assert(pipe(fds) == 0);
        const struct evidence *found = search_all(SYS_read, fds[0]);
        cr_assert_eq(found->holders_confirmed, 1);
        cr_expect_eq(found->holders[0].pid, getpid());
}

Test(child, is_named_with_its_command)
{
        char *const argv[] = { (char *)"/bin/sleep", (char *)"1000", NULL };
        pid_t child = fork();
        if (child == 0)
                execv(argv[0], argv);
        char command[64] = "";
        for (int i = 0; i < 1000 && strcmp(command, "/bin/sleep") != 0; i++) {
                process_command(child, command, sizeof command);
                usleep(1000);
        }
        const struct evidence *found = look(SYS_wait4, (uint64_t)child, 0, 0, 0, 0);
        cr_assert_eq(found->holders_count, 1);
        cr_expect_eq(found->holders[0].pid, child);
        cr_expect_str_eq(found->holders[0].name, "sleep");
        cr_expect_str_eq(found->holders[0].command, "/bin/sleep");
        evidences_clear(&evidences);
        found = look(SYS_wait4, (uint64_t)-1, 0, 0, 0, 0);
        cr_expect(found->holders_count == 1 && found->holders[0].pid == child);
        evidences_clear(&evidences);
        found = look(SYS_waitid, P_PID, (uint64_t)child, 0, 0, 0);
        cr_expect(found->holders_count == 1 && found->holders[0].pid == child);
        end(child);
}

/* ---- those of a stall ---- */

Test(stall, keeps_one_of_each_call_and_names_that_of_most_samples)
{
        struct timespec pause[20] = { { 1, 0 } };
        int fds[2];
        cr_assert(pipe(fds) == 0);
        look(SYS_nanosleep, ADDRESS(&pause[0]), 0, 0, 0, 0);
        for (int i = 0; i < 3; i++)
                look(SYS_accept, (uint64_t)fds[0], (uint64_t)i, 0, 0, 0);
        look(SYS_accept, (uint64_t)fds[1], 0, 0, 0, 0);
        cr_expect_eq(evidences.count, 2 + (evidences.all[1].samples == 3));
        cr_expect_eq(evidences_of(&evidences, SYS_accept)->file.fd, fds[0], "of its buffers nothing is said");
        cr_expect_null(evidences_of(&evidences, SYS_read));
        for (int i = 0; i < 20; i++)
                look(SYS_nanosleep, ADDRESS(&pause[i]), 0, 0, 0, 0);
        cr_expect(evidences.count == LIMIT_EVIDENCES && evidences_of(&evidences, SYS_accept)->samples == 3);
}

Test(stall, forgets_what_was_found_when_the_thread_went_on)
{
        struct timespec pause = { 1, 0 };
        struct evidence *found = look(SYS_nanosleep, ADDRESS(&pause), 0, 0, 0, 0);
        evidences_withdraw(&evidences, found);
        cr_expect_eq(evidences.count, 0);
        cr_expect_null(evidences_of(&evidences, SYS_nanosleep));
}

Test(stall, descriptor_that_leads_elsewhere_is_another)
{
        int fds[2];
        cr_assert(pipe(fds) == 0);
        look(SYS_accept, (uint64_t)fds[0], 0, 0, 0, 0);
        cr_assert_eq(dup2(open("/dev/null", O_RDONLY), fds[0]), fds[0]);
        const struct evidence *found = look(SYS_accept, (uint64_t)fds[0], 0, 0, 0, 0);
        cr_assert_not_null(found);
        cr_expect_str_eq(found->what, "/dev/null");
        cr_expect_eq(evidences.count, 2);
}
