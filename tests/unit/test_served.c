/* SPDX-License-Identifier: Apache-2.0
 *
 * test_served.c - the events of an iteration: which descriptor each stands for, and when that is not known
 *
 * Context: unit test; Criterion gives each test a process of its own
 */
#include "explain/served.h"

#include <criterion/criterion.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/select.h>
#include <unistd.h>

static struct served served;
static struct epoll_event events[16];
static int epoll, fds[16];

/* `count` descriptors in one instance, with data that says nothing by itself. */
static struct served_wait wait_of(int count)
{
        epoll = epoll_create1(0);
        for (int i = 0; i < count; i++) {
                struct epoll_event event = { .events = EPOLLIN, .data.ptr = &fds[i] };
                fds[i] = eventfd(1, 0);
                cr_assert(epoll_ctl(epoll, EPOLL_CTL_ADD, fds[i], &event) == 0);
        }
        struct served_wait wait = { .by = SERVED_EPOLL, .tid = gettid(), .epoll_fd = epoll };
        wait.result = epoll_wait(epoll, events, 16, 0);
        wait.arrays[0] = (uintptr_t)events;
        memcpy(wait.kept, events, sizeof wait.kept);
        cr_assert_eq(wait.result, count);
        return wait;
}

Test(epoll, events_are_found_by_their_data)
{
        struct served_wait wait = wait_of(2);
        served_look(&served, &wait);
        cr_assert_eq(served.count, 2);
        for (uint32_t i = 0; i < 2; i++) {
                cr_expect_eq(served.events[i].fd, *(int *)events[i].data.ptr);
                cr_expect_eq(served.events[i].events, EPOLLIN);
                cr_expect(i > 0 || strcmp(served.events[i].what, "eventfd, count 1") == 0, "the others as time allows");
        }
        cr_expect(served.more == 0 && served.loss == NULL);
}

Test(epoll, events_beyond_the_limit_are_counted)
{
        struct served_wait wait = wait_of(12);
        served_look(&served, &wait);
        cr_expect(served.count == LIMIT_SERVED && served.more == 12 - LIMIT_SERVED);
}

Test(epoll, array_that_was_used_again_counts_no_further_than_its_copy)
{
        struct served_wait wait = wait_of(7);
        memset(events, 0x5a, sizeof events);
        served_look(&served, &wait);
        cr_expect(served.count == LIMIT_SERVED_KEPT && served.more == 7 - LIMIT_SERVED_KEPT);
        wait.arrays[0] = 8; /* freed */
        served_look(&served, &wait);
        cr_expect(served.count == LIMIT_SERVED_KEPT && served.more == 7 - LIMIT_SERVED_KEPT);
}

Test(epoll, descriptor_that_was_removed_is_not_named)
{
        struct served_wait wait = wait_of(2);
        close(fds[0]);
        served_look(&served, &wait);
        cr_expect(served.count == 1 && served.more == 1 && served.events[0].fd == fds[1]);
        cr_expect_not_null(strstr(served.loss, "removed"));
}

Test(epoll, data_of_two_descriptors_names_none)
{
        struct served_wait wait = wait_of(2);
        struct epoll_event event = { .events = EPOLLIN, .data.ptr = &fds[0] };
        cr_assert(epoll_ctl(epoll, EPOLL_CTL_MOD, fds[1], &event) == 0);
        wait.result = epoll_wait(epoll, events, 16, 0);
        memcpy(wait.kept, events, sizeof wait.kept);
        served_look(&served, &wait);
        cr_expect(served.count == 0 && served.more == 2);
}

Test(epoll, list_of_a_large_process_is_not_asked_for)
{
        struct served_wait wait = wait_of(2);
        for (int i = 0; i < LIMIT_EPOLL_TARGETS; i++)
                cr_assert(dup(0) >= 0);
        served_look(&served, &wait);
        cr_expect(served.count == 0 && served.more == 2);
        cr_expect_not_null(strstr(served.loss, "too many descriptors"));
}

Test(epoll, wait_that_got_nothing_served_nothing)
{
        struct served_wait wait = { .by = SERVED_EPOLL, .result = 0 };
        served_look(&served, &wait);
        cr_expect(served.count == 0 && served.more == 0);
        wait.result = -1;
        served_look(&served, &wait);
        cr_expect(served.count == 0 && served.more == 0);
}

Test(poll, events_are_those_returned_while_their_number_is_right)
{
        int a = eventfd(1, 0), b = eventfd(0, 0);
        struct pollfd set[2] = { { .fd = b, .events = POLLIN }, { .fd = a, .events = POLLIN } };
        struct served_wait wait = {
                .by = SERVED_POLL, .tid = gettid(), .arrays = { (uintptr_t)set }, .array_count = 2
        };
        wait.result = poll(set, 2, 0);
        served_look(&served, &wait);
        cr_expect(served.count == 1 && served.events[0].fd == a && served.events[0].events == POLLIN);
        set[0].revents = POLLHUP;
        served_look(&served, &wait);
        cr_expect(served.count == 0 && served.more == 1 && served.loss != NULL);
        wait.arrays[0] = 8;
        served_look(&served, &wait);
        cr_expect(served.count == 0 && served.loss != NULL);
}

Test(select, events_are_those_of_all_sets)
{
        int a = eventfd(1, 0);
        fd_set read, write;
        FD_ZERO(&read);
        FD_ZERO(&write);
        FD_SET(a, &read);
        FD_SET(a, &write);
        struct served_wait wait = { .by = SERVED_SELECT,
                                    .tid = gettid(),
                                    .array_count = (uint64_t)a + 1,
                                    .arrays = { (uintptr_t)&read, (uintptr_t)&write } };
        wait.result = select(a + 1, &read, &write, NULL, &(struct timeval){ 0 });
        cr_assert_eq(wait.result, 2);
        served_look(&served, &wait);
        cr_expect(served.count == 1 && served.events[0].events == (EPOLLIN | EPOLLOUT));
        FD_CLR(a, &write);
        served_look(&served, &wait);
        cr_expect(served.count == 0 && served.loss != NULL);
}
