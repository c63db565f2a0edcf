/* SPDX-License-Identifier: Apache-2.0
 *
 * test_sink_stderr.c - the host's stderr, whatever it is: nothing blocks, nothing of it changes
 *
 * Each test puts something else in the place of descriptor 2 and its own back before it asserts.
 *
 * Context: unit test; Criterion gives each test a process of its own
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/calls.h"
#include "base/descriptors.h"
#include "base/proc.h"
#include "record/sink.h"

#define REPORT "loopdog: stall 500 ms in block()\n"
#define REPORT_BYTES (sizeof REPORT - 1)

static int own;

static void keep_own_stderr(void)
{
        signal(SIGPIPE, SIG_IGN); /* the watchdog blocks all signals */
        own = fcntl(2, F_DUPFD_CLOEXEC, 100);
        alarm(20); /* whatever blocks is killed */
}

static void put_own_back(void)
{
        dup2(own, 2);
}
TestSuite(sink_stderr, .init = keep_own_stderr, .fini = put_own_back);

/* Make `fd` the stderr that the program was started with. */
static void start_with(int fd)
{
        cr_assert(ge(int, dup2(fd, 2), 0));
        sink_setup(NULL, 1000);
}

static void report(void)
{
        sink_text(REPORT, REPORT_BYTES);
}

/* What can be read from `fd` at once. */
static const char *arrived_at(int fd)
{
        static char bytes[200000];
        fcntl(fd, F_SETFL, O_NONBLOCK);
        ssize_t n = read(fd, bytes, sizeof bytes - 1);
        bytes[n > 0 ? n : 0] = '\0';
        return bytes;
}

static int temporary_file(void)
{
        char path[] = "/tmp/loopdog-stderr-XXXXXX";
        int fd = mkstemp(path);
        cr_assert(ge(int, fd, 0));
        unlink(path);
        return fd;
}

static const char *content_of(int fd)
{
        static char bytes[8192];
        ssize_t n = pread(fd, bytes, sizeof bytes - 1, 0);
        bytes[n > 0 ? n : 0] = '\0';
        return bytes;
}

/* ---- pipes ---- */

Test(sink_stderr, gets_the_text_through_a_pipe)
{
        int pipes[2];
        cr_assert(zero(int, pipe(pipes)));
        start_with(pipes[1]);
        report();
        put_own_back();
        cr_expect_str_eq(arrived_at(pipes[0]), REPORT);
        cr_expect(zero(u64, sink_bytes_dropped()));
        cr_expect(not(sink_is_file()));
}

Test(sink_stderr, is_not_made_non_blocking_for_the_host)
{
        int pipes[2];
        cr_assert(zero(int, pipe(pipes)));
        start_with(pipes[1]);
        report();
        int flags = fcntl(2, F_GETFL);
        put_own_back();
        cr_expect(zero(int, (flags & (O_NONBLOCK | O_APPEND))));
}

static void fill(int fd)
{
        char bytes[4096] = { 0 };
        int flags = fcntl(fd, F_GETFL);
        fcntl(fd, F_SETFL, flags | O_NONBLOCK);
        while (write(fd, bytes, sizeof bytes) > 0 || write(fd, bytes, 1) > 0)
                ;
        fcntl(fd, F_SETFL, flags);
}

Test(sink_stderr, never_blocks_on_a_full_pipe)
{
        int pipes[2];
        cr_assert(zero(int, pipe(pipes)));
        start_with(pipes[1]);
        fill(2);
        report();
        report();
        put_own_back();
        cr_expect(eq(u64, sink_bytes_dropped(), 2 * REPORT_BYTES));
}

Test(sink_stderr, counts_what_does_not_fit_into_a_pipe)
{
        int pipes[2];
        static char much[150000];
        memset(much, 'x', sizeof much);
        cr_assert(zero(int, pipe(pipes)));
        start_with(pipes[1]);
        sink_text(much, sizeof much);
        put_own_back();
        size_t arrived = strlen(arrived_at(pipes[0]));
        cr_expect(lt(sz, arrived, sizeof much));
        cr_expect(eq(u64, sink_bytes_dropped(), sizeof much - arrived));
}

Test(sink_stderr, may_be_a_pipe_without_a_reader)
{
        int pipes[2];
        cr_assert(zero(int, pipe(pipes)));
        start_with(pipes[1]);
        close(pipes[0]);
        report();
        put_own_back();
        cr_expect(eq(u64, sink_bytes_dropped(), REPORT_BYTES));
}

/* ---- sockets ---- */

Test(sink_stderr, gets_the_text_through_a_socket)
{
        int fds[2];
        cr_assert(zero(int, socketpair(AF_UNIX, SOCK_STREAM, 0, fds)));
        start_with(fds[1]);
        report();
        int flags = fcntl(2, F_GETFL);
        put_own_back();
        cr_expect_str_eq(arrived_at(fds[0]), REPORT);
        cr_expect(zero(int, (flags & O_NONBLOCK)));
}

Test(sink_stderr, never_blocks_on_a_full_socket)
{
        int fds[2];
        cr_assert(zero(int, socketpair(AF_UNIX, SOCK_STREAM, 0, fds)));
        start_with(fds[1]);
        fill(2);
        report();
        put_own_back();
        cr_expect(eq(u64, sink_bytes_dropped(), REPORT_BYTES));
}

Test(sink_stderr, raises_no_signal_on_a_socket_without_a_reader)
{
        int fds[2];
        signal(SIGPIPE, SIG_DFL);
        cr_assert(zero(int, socketpair(AF_UNIX, SOCK_STREAM, 0, fds)));
        start_with(fds[1]);
        close(fds[0]);
        report();
        put_own_back();
        cr_expect(eq(u64, sink_bytes_dropped(), REPORT_BYTES));
}

/* ---- files and terminals ---- */

Test(sink_stderr, shares_the_position_in_a_file_with_the_host)
{
        int fd = temporary_file();
        start_with(fd);
        cr_assert(eq(sz, (size_t)write(2, "host 1\n", 7), 7));
        report();
        cr_assert(eq(sz, (size_t)write(2, "host 2\n", 7), 7));
        put_own_back();
        cr_expect_str_eq(content_of(fd), "host 1\n" REPORT "host 2\n");
}

Test(sink_stderr, gets_the_text_on_a_terminal_that_stays_whose_it_is)
{
        int master = posix_openpt(O_RDWR | O_NOCTTY);
        cr_assert(ge(int, master, 0));
        cr_assert(zero(int, grantpt(master) | unlockpt(master)));
        int slave = open(ptsname(master), O_RDWR | O_NOCTTY);
        cr_assert(ge(int, slave, 0));
        int status;
        pid_t child = fork();
        if (child == 0) {
                setsid(); /* has no terminal now, and would get the next that it opens without O_NOCTTY */
                start_with(slave);
                report();
                _exit(open("/dev/tty", O_RDONLY) >= 0 || sink_bytes_dropped() != 0);
        }
        waitpid(child, &status, 0);
        cr_expect(zero(int, status));
        cr_expect(eq(int, strncmp(arrived_at(master), REPORT, REPORT_BYTES - 1), 0));
}

/* ---- nowhere ---- */

Test(sink_stderr, stays_silent_where_it_was_closed_from_the_start)
{
        close(2);
        sink_setup(NULL, 1000);
        int fd = temporary_file();
        cr_expect(eq(int, fd, 2), "the host's first file takes its place");
        int file = dup(fd);
        report();
        put_own_back();
        cr_expect_str_eq(content_of(file), "", "a report in the host's own file");
}

Test(sink_stderr, stays_silent_where_it_was_closed_since)
{
        int pipes[2];
        cr_assert(zero(int, pipe(pipes)));
        start_with(pipes[1]);
        close(2);
        report();
        put_own_back();
        cr_expect_str_eq(arrived_at(pipes[0]), "");
}

Test(sink_stderr, stays_silent_where_it_was_changed)
{
        int before = temporary_file(), now = temporary_file();
        start_with(before);
        dup2(now, 2);
        report();
        put_own_back();
        cr_expect_str_eq(content_of(before), "");
        cr_expect_str_eq(content_of(now), "");
}

Test(sink_stderr, is_written_to_again_when_it_is_what_it_was)
{
        int before = temporary_file(), now = temporary_file();
        start_with(before);
        dup2(now, 2);
        report();
        dup2(before, 2);
        report();
        put_own_back();
        cr_expect_str_eq(content_of(before), REPORT);
        cr_expect_str_eq(content_of(now), "");
}

Test(sink_stderr, is_left_alone_where_it_is_dev_null)
{
        start_with(open("/dev/null", O_WRONLY));
        report();
        put_own_back();
        cr_expect(zero(u64, sink_bytes_dropped()), "nobody wants to read it: nothing is lost");
}

Test(sink_stderr, may_be_a_device_that_is_always_full)
{
        start_with(open("/dev/full", O_WRONLY));
        report();
        put_own_back();
        cr_expect(eq(u64, sink_bytes_dropped(), REPORT_BYTES));
}

Test(sink_stderr, may_be_open_for_reading_only)
{
        int pipes[2];
        cr_assert(zero(int, pipe(pipes)));
        start_with(pipes[0]);
        report();
        put_own_back();
        cr_expect(le(u64, sink_bytes_dropped(), REPORT_BYTES));
}

/* ---- other tables, other roots, other users ---- */

static void *report_from_own_table(void *unused)
{
        cr_assert(zero(int, unshare(CLONE_FILES)));
        close_range(0, ~0u, 0);
        report();
        return NULL;
}

Test(sink_stderr, is_found_by_a_thread_with_a_descriptor_table_of_its_own)
{
        int pipes[2];
        pthread_t thread;
        cr_assert(zero(int, pipe(pipes)));
        start_with(pipes[1]);
        pthread_create(&thread, NULL, report_from_own_table, NULL);
        pthread_join(thread, NULL);
        put_own_back();
        cr_expect_str_eq(arrived_at(pipes[0]), REPORT);
}

static void *report_under_a_services_filter(void *unused)
{
        call_refuse(SYS_pidfd_getfd);
        descriptors_unshare(sink_descriptor_to_keep());
        report();
        return NULL;
}

/* systemd's usual filter has no pidfd_getfd(), and a socket can't be reopened. */
Test(sink_stderr, reaches_the_journal_where_nothing_can_be_borrowed)
{
        for (int is_journal = 0; is_journal < 2; is_journal++) {
                int pair[2];
                char stream[64];
                struct stat status;
                pthread_t thread;
                cr_assert(zero(int, socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair)));
                cr_assert(zero(int, fstat(pair[1], &status)));
                snprintf(stream, sizeof stream, "%lu:%lu", status.st_dev, status.st_ino + !is_journal);
                setenv("JOURNAL_STREAM", stream, 1);
                start_with(pair[1]);
                pthread_create(&thread, NULL, report_under_a_services_filter, NULL);
                pthread_join(thread, NULL);
                put_own_back();
                char bytes[256] = "";
                ssize_t n = recv(pair[0], bytes, sizeof bytes - 1, 0);
                cr_expect(eq(int, n > 0, is_journal));
                cr_expect_str_eq(bytes, is_journal ? REPORT : "", "another peer may wait for the end of the socket");
        }
}

static void give_up_root_directory(void)
{
        char folder[] = "/tmp/loopdog-root-XXXXXX";
        cr_assert(zero(int, proc_keep()));
        cr_assert(mkdtemp(folder) != NULL && chdir(folder) == 0 && rmdir(folder) == 0);
        cr_assert(zero(int, chroot(".")));
}

static void become_nobody(void)
{
        cr_assert(zero(int, setgid(65534)));
        cr_assert(zero(int, setuid(65534)));
}

/* What arrives when a child reports to `to` after it gave something up, as servers do that are started by root. */
static const char *reported_after(void (*give_up)(void), int from, int to)
{
        int status;
        pid_t child = fork();
        if (child == 0) {
                start_with(to);
                give_up();
                report();
                _exit(sink_bytes_dropped() != 0);
        }
        waitpid(child, &status, 0);
        cr_expect(zero(int, status));
        return arrived_at(from);
}

static void need_root(void)
{
        if (geteuid() != 0)
                cr_skip_test("only root can give up its rights");
}

Test(sink_stderr, is_reached_from_another_root_directory)
{
        int pipes[2], fds[2];
        need_root();
        cr_assert(zero(int, pipe(pipes) | socketpair(AF_UNIX, SOCK_STREAM, 0, fds)));
        cr_expect_str_eq(reported_after(give_up_root_directory, pipes[0], pipes[1]), REPORT);
        cr_expect_str_eq(reported_after(give_up_root_directory, fds[0], fds[1]), REPORT);
}

Test(sink_stderr, is_reached_as_another_user)
{
        int pipes[2], fds[2];
        need_root();
        cr_assert(zero(int, pipe(pipes) | socketpair(AF_UNIX, SOCK_STREAM, 0, fds)));
        cr_expect_str_eq(reported_after(become_nobody, pipes[0], pipes[1]), REPORT);
        cr_expect_str_eq(reported_after(become_nobody, fds[0], fds[1]), REPORT);
        int fd = temporary_file();
        reported_after(become_nobody, fd, fd);
        cr_expect_str_eq(content_of(fd), REPORT);
}

static void become_nobody_and_fill(void)
{
        become_nobody();
        fill(2);
}

Test(sink_stderr, never_blocks_as_another_user_either)
{
        int pipes[2], status;
        need_root();
        cr_assert(zero(int, pipe(pipes)));
        pid_t child = fork();
        if (child == 0) {
                start_with(pipes[1]);
                become_nobody_and_fill();
                alarm(10);
                report();
                _exit(sink_bytes_dropped() != REPORT_BYTES);
        }
        waitpid(child, &status, 0);
        cr_expect(zero(int, status));
}
