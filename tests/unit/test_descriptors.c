/* SPDX-License-Identifier: Apache-2.0
 *
 * test_descriptors.c - what is ours in a table that is not
 *
 * Context: unit tests; each runs in a process of its own
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <fcntl.h>
#include <mqueue.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/calls.h"
#include "base/descriptors.h"
#include "base/proc.h"

static int open_null(void)
{
        return open("/dev/null", O_RDWR | O_CLOEXEC);
}

static bool is_open(int fd)
{
        return fcntl(fd, F_GETFD) >= 0;
}

static bool not_open(int fd)
{
        return !is_open(fd);
}

Test(descriptors, a_taken_one_stands_high_and_is_closed_by_exec)
{
        int low = open_null();
        int fd = descriptor_take(low);
        cr_expect(ge(int, fd, 900));
        cr_expect(not(is_open(low)));
        cr_expect(eq(int, fcntl(fd, F_GETFD), FD_CLOEXEC));
        cr_expect(descriptor_is_ours(fd) && descriptor_is_kept(fd));
        descriptor_close(fd);
        cr_expect(not(is_open(fd)));
        cr_expect(not(descriptor_is_ours(fd)));
        cr_expect(eq(int, descriptor_take(-ENOENT), -ENOENT));
        cr_expect(not(descriptor_is_ours(-1)));
        descriptor_close(-1);
}

Test(descriptors, one_that_the_host_has_used_again_is_neither_ours_nor_closed)
{
        int pair[2], fd = descriptor_take(open_null());
        cr_assert(zero(int, socketpair(AF_UNIX, SOCK_STREAM, 0, pair)));
        close(fd);
        cr_expect(not(descriptor_is_ours(fd)));
        cr_assert(eq(int, dup2(pair[0], fd), fd));
        cr_expect(not(descriptor_is_ours(fd)));
        descriptor_close(fd);
        cr_expect(is_open(fd));
        cr_expect(eq(int, descriptor_borrow_kept(fd), -EBADF));
}

Test(descriptors, with_few_numbers_it_stays_low)
{
        struct rlimit few = { 64, 64 };
        setrlimit(RLIMIT_NOFILE, &few);
        int fd = descriptor_take(open_null());
        cr_expect(fd >= 0 && fd < 64);
        cr_expect(descriptor_is_ours(fd));
        descriptor_close(fd);
        cr_expect(not(is_open(fd)));
}

/* ---- a table of our own ---- */

struct own {
        int refused; /* a system call */
        bool unshared;
        bool kept_there;
        bool others_there;
        int opened;
        int kept;
        int other;
        int later; /* taken in the host's table when ours was made already */
        int borrowed;
        _Atomic int step;
};

static void wait_for_step(struct own *own, int step)
{
        while (own->step < step)
                usleep(1000);
}

static void *have_own_table(void *argument)
{
        struct own *own = argument;
        if (own->refused != 0)
                call_refuse(own->refused);
        own->unshared = descriptors_unshare(-1) == DESCRIPTORS_OWN;
        own->kept_there = descriptor_is_kept(own->kept) && is_open(own->kept);
        own->others_there = is_open(own->other);
        own->opened = descriptor_take(open_null());
        own->step = 1;
        wait_for_step(own, 2);
        own->borrowed = descriptor_borrow_kept(own->later);
        own->step = 3;
        wait_for_step(own, 4);
        return NULL;
}

static void try_own_table(struct own *own)
{
        pthread_t thread;
        own->kept = descriptor_take(open_null());
        own->other = open_null();
        pthread_create(&thread, NULL, have_own_table, own);
        wait_for_step(own, 1);
        cr_expect(own->unshared);
        cr_expect(own->kept_there);
        cr_expect(not(own->others_there));
        cr_expect(lt(int, own->opened, 900), "nobody else needs the low numbers there");
        cr_expect(own->opened == own->other || own->opened < 3 || not_open(own->opened));
        cr_expect(is_open(own->kept) && is_open(own->other), "nothing of the host's is closed");
        own->later = descriptor_take(open("/dev/zero", O_RDONLY));
        own->step = 2;
        wait_for_step(own, 3);
        cr_expect(eq(int, own->borrowed >= 0, own->refused != SYS_pidfd_getfd));
        own->step = 4;
        pthread_join(thread, NULL);
}

Test(descriptors, a_table_of_its_own_holds_what_was_taken_and_nothing_else)
{
        struct own own = { .refused = 0 };
        try_own_table(&own);
}

Test(descriptors, where_nothing_can_be_borrowed_what_was_taken_is_there_too)
{
        struct own own = { .refused = SYS_pidfd_getfd };
        try_own_table(&own);
}

static void *keep_without_first_thread(void *first)
{
        struct own own = { .kept = descriptor_take(open_null()) };
        pthread_t thread;
        pthread_join(*(pthread_t *)first, NULL);
        pthread_create(&thread, NULL, have_own_table, &own);
        wait_for_step(&own, 1);
        _exit(own.unshared && own.kept_there ? 0 : 1);
}

/* By it the host's table would be found. */
Test(descriptors, what_was_taken_is_there_too_where_the_first_thread_has_ended)
{
        static pthread_t first;
        int status = -1;
        pid_t child = fork();
        if (child == 0) {
                pthread_t other;
                first = pthread_self();
                pthread_create(&other, NULL, keep_without_first_thread, &first);
                pthread_exit(NULL);
        }
        cr_expect(eq(int, waitpid(child, &status, 0), child));
        cr_expect(zero(int, status));
}

Test(descriptors, where_close_range_may_not_be_called_the_table_is_the_hosts)
{
        int other = open_null();
        call_refuse(SYS_close_range);
        cr_expect(eq(int, descriptors_unshare(-1), DESCRIPTORS_REFUSED));
        cr_expect(is_open(other));
        cr_expect(ge(int, descriptor_take(open_null()), 900));
}

/* ---- the host's descriptors do not notice ---- */

#define QUEUE "/loopdog-test-descriptors"

static volatile sig_atomic_t notified;

static void on_message(int number)
{
        notified++;
}

struct other {
        enum descriptors_table table;
        _Atomic int tid;
};

static void *unshare_only(void *argument)
{
        struct other *other = argument;
        other->tid = gettid();
        other->table = descriptors_unshare(-1);
        return NULL;
}

/* Until the thread's table is closed, too, which joining it does not wait for. */
static enum descriptors_table unshare_in_a_thread(void)
{
        struct other other = { .tid = 0 };
        pthread_t thread;
        pthread_create(&thread, NULL, unshare_only, &other);
        pthread_join(thread, NULL);
        while (tgkill(getpid(), other.tid, 0) == 0)
                usleep(1000);
        return other.table;
}

static void expect_notified(int at_least, enum descriptors_table table)
{
        struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1 };
        mqd_t low = mq_open(QUEUE, O_CREAT | O_RDWR | O_CLOEXEC, 0600, NULL);
        if (low < 0)
                cr_skip("no message queues here (errno %d)", errno);
        mqd_t queue = fcntl(low, F_DUPFD_CLOEXEC, at_least);
        mq_unlink(QUEUE);
        close(low);
        signal(SIGUSR1, on_message);
        cr_assert(zero(int, mq_notify(queue, &event)));
        cr_expect(eq(int, unshare_in_a_thread(), table));
        cr_assert(zero(int, mq_send(queue, "", 1, 0)));
        cr_expect(eq(int, notified, 1));
}

Test(descriptors, a_table_of_its_own_leaves_a_message_queue_alone)
{
        expect_notified(64, DESCRIPTORS_OWN);
}

Test(descriptors, a_message_queue_that_would_be_copied_keeps_it_in_the_hosts)
{
        expect_notified(63, DESCRIPTORS_QUEUE);
}

Test(descriptors, so_does_any_where_all_must_be_copied)
{
        call_refuse(SYS_pidfd_getfd);
        cr_assert(ge(int, descriptor_take(open_null()), 900));
        expect_notified(500, DESCRIPTORS_QUEUE);
}

/* Above the numbers that every kernel copies there is no moment at which a copy is open. */
Test(descriptors, what_the_host_closes_meanwhile_ends_at_once)
{
        struct rlimit limit;
        cr_assert(zero(int, getrlimit(RLIMIT_NOFILE, &limit)));
        limit.rlim_cur = limit.rlim_max < 4096 ? limit.rlim_max : 4096;
        setrlimit(RLIMIT_NOFILE, &limit);
        while (open_null() >= 0)
                ;
        close((int)limit.rlim_cur - 1);
        close((int)limit.rlim_cur - 2);
        for (int i = 0; i < 100; i++) {
                struct other other = { .tid = 0 };
                pthread_t thread;
                int pipes[2];
                char byte;
                cr_assert(zero(int, pipe2(pipes, O_NONBLOCK)));
                pthread_create(&thread, NULL, unshare_only, &other);
                while (other.tid == 0)
                        ;
                usleep(i * 5);
                close(pipes[1]);
                cr_expect(zero(int, (int)read(pipes[0], &byte, 1)), "the pipe has another writer");
                close(pipes[0]);
                pthread_join(thread, NULL);
        }
}

/* ---- /proc, kept and the watchdog's ---- */

Test(descriptors, proc_is_opened_anew_where_the_host_has_closed_it)
{
        cr_assert(zero(int, proc_begin()));
        int fd = proc_descriptor();
        cr_expect(ge(int, fd, 900));
        close(fd);
        cr_assert(eq(int, dup2(0, fd), fd));
        int maps = proc_open("self/maps");
        cr_expect(ge(int, maps, 0));
        descriptor_close(maps);
        proc_end();
        cr_expect(is_open(fd), "that one is the host's");
}

Test(descriptors, proc_that_was_kept_outlives_the_watchdog_and_one_of_its_own_does_not)
{
        cr_assert(zero(int, proc_begin()));
        int own = proc_descriptor();
        cr_assert(zero(int, proc_keep()));
        proc_end();
        cr_expect(not(is_open(own)));
        int kept = proc_descriptor();
        cr_expect(ge(int, kept, 900));
        cr_assert(zero(int, proc_begin()));
        cr_expect(eq(int, proc_descriptor(), kept));
        proc_end();
        cr_expect(eq(int, proc_descriptor(), kept));
        cr_expect(is_open(kept));
}
