/* SPDX-License-Identifier: Apache-2.0
 *
 * test_loop_poll.c - which poll and select is a loop's
 *
 * Sockets are real, because the rules ask the kernel about them.
 *
 * Context: unit test; Criterion gives each test a process of its own
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "listed_library.h"
#include "waits.h"

TestSuite(poll, .init = set_up_loops);

/* ---- poll and select ---- */

static int listening_socket(void)
{
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        cr_assert(ge(int, fd, 0));
        cr_assert(zero(int, listen(fd, 5)));
        return fd;
}

/* The two ends of a connection, as of two clients. */
static void two_sockets(int fds[2])
{
        struct sockaddr_in address;
        socklen_t length = sizeof address;
        int listener = listening_socket();
        cr_assert(zero(int, getsockname(listener, (struct sockaddr *)&address, &length)));
        fds[0] = socket(AF_INET, SOCK_STREAM, 0);
        cr_assert(zero(int, connect(fds[0], (struct sockaddr *)&address, sizeof address)));
        fds[1] = accept(listener, NULL, NULL);
        cr_assert(ge(int, fds[1], 0));
        close(listener);
}

static void socket_pair(int fds[2])
{
        cr_assert(zero(int, socketpair(AF_UNIX, SOCK_STREAM, 0, fds)));
}

/* A wait at `site` for up to eight descriptors. The array is used again by the next call. */
static struct wait polling(uint64_t site, unsigned count, const int *fds)
{
        static struct pollfd polled[8];
        for (unsigned i = 0; i < count; i++)
                polled[i] = (struct pollfd){ .fd = fds[i], .events = POLLIN };
        return (struct wait){ .key = WAIT_KEY(WAIT_POLL, site),
                              .site = site,
                              .cfa = LOOP_CFA,
                              .sleeps = true,
                              .polled = polled,
                              .polled_count = count };
}

static struct slot *poll_at(uint64_t site, unsigned count, const int *fds)
{
        struct wait wait = polling(site, count, fds);
        struct slot *own = loop_enter_slow(&wait);
        loop_leave(own, 1);
        return own;
}

static struct slot *make_poll_loop(unsigned count, const int *fds)
{
        cr_assert(zero(ptr, poll_at(SITE, count, fds)));
        cr_assert(zero(ptr, poll_at(SITE, count, fds)));
        struct slot *slot = poll_at(SITE, count, fds);
        cr_assert(not(zero(ptr, slot)), "no loop after three waits");
        return slot;
}

Test(poll, is_a_loop_at_the_third_wait_for_a_listening_socket)
{
        int listener = listening_socket();
        struct slot *slot = make_poll_loop(1, &listener);
        cr_expect(eq(uint, atomic_load(&slot->state), SLOT_LOOP));
        cr_expect(eq(u64, atomic_load(&slot->key), WAIT_KEY(WAIT_POLL, SITE)));
        cr_expect(eq(u64, atomic_load(&slot->site), SITE));
        cr_expect(eq(u64, loop_totals().loops, 1));
        cr_expect(eq(uint, starts, 1));
        cr_expect(eq(ptr, poll_at(SITE, 1, &listener), slot));
}

Test(poll, is_a_loop_at_the_third_wait_for_two_sockets)
{
        int fds[2];
        two_sockets(fds);
        make_poll_loop(2, fds);
}

Test(poll, is_no_loop_with_one_socket_or_none)
{
        int fds[2], pipes[2], many[3];
        two_sockets(fds);
        cr_assert(zero(int, pipe(pipes)));
        memcpy(many, (int[]){ pipes[0], fds[0], pipes[1] }, sizeof many);
        for (int i = 0; i < 50; i++) {
                cr_expect(zero(ptr, poll_at(SITE, 3, many)), "curl, apt-get");
                cr_expect(zero(ptr, poll_at(OTHER_SITE, 2, pipes)), "make, bash");
        }
        cr_expect(eq(uint, slots_used(), 0));
        cr_expect(eq(uint, starts, 0));
}

Test(poll, is_no_loop_with_a_socketpair_to_wake_itself)
{
        int pair[2], fds[2];
        socket_pair(pair);
        two_sockets(fds);
        int many[] = { pair[0], pair[1], fds[0] }; /* a transfer of libcurl's */
        for (int i = 0; i < 50; i++)
                cr_expect(zero(ptr, poll_at(SITE, 3, many)));
}

Test(poll, is_a_loop_with_clients_of_a_unix_socket)
{
        struct sockaddr_un address = { .sun_family = AF_UNIX, .sun_path = "" };
        int listener = socket(AF_UNIX, SOCK_STREAM, 0), clients[2];
        snprintf(address.sun_path + 1, sizeof address.sun_path - 1, "loopdog-unit-%d", getpid());
        cr_assert(zero(int, bind(listener, (struct sockaddr *)&address, sizeof address) | listen(listener, 5)));
        for (int i = 0; i < 2; i++) {
                int fd = socket(AF_UNIX, SOCK_STREAM, 0);
                cr_assert(zero(int, connect(fd, (struct sockaddr *)&address, sizeof address)));
                clients[i] = accept(listener, NULL, NULL);
        }
        make_poll_loop(2, clients);
}

Test(poll, is_no_loop_at_two_sites)
{
        int listener = listening_socket();
        for (uint64_t i = 0; i < 50; i++)
                cr_expect(zero(ptr, poll_at(SITE + 16 * i, 1, &listener)));
        cr_expect(eq(uint, slots_used(), 0));
}

Test(poll, is_no_loop_when_nothing_is_waited_for_twice)
{
        for (int i = 0; i < 20; i++) {
                int listener = listening_socket();
                cr_expect(zero(ptr, poll_at(SITE, 1, &listener)));
        }
        cr_expect(eq(uint, slots_used(), 0));
}

Test(poll, is_looked_at_again_at_the_sixth_and_the_twelfth_wait)
{
        int fds[2], pipes[2];
        two_sockets(fds);
        cr_assert(zero(int, pipe(pipes)));
        int alone[] = { pipes[0] }, with[] = { pipes[0], fds[0], fds[1] };
        for (int wait = 1; wait <= 3; wait++)
                cr_expect(zero(ptr, poll_at(SITE, 1, alone)));
        for (int wait = 4; wait <= 5; wait++)
                cr_expect(zero(ptr, poll_at(SITE, 3, with)), "not asked at wait %d", wait);
        cr_expect(not(zero(ptr, poll_at(SITE, 3, with))));
}

Test(poll, is_a_loop_even_where_its_callbacks_poll_elsewhere)
{
        /* A server whose database client polls for its answer in each turn: just what is to be found. */
        int fds[2], other[2];
        two_sockets(fds);
        two_sockets(other);
        struct slot *slot = NULL;
        for (int i = 0; i < 6 && slot == NULL; i++) {
                slot = poll_at(SITE, 2, fds);
                cr_expect(zero(ptr, poll_at(OTHER_SITE, 1, other)));
        }
        cr_expect(not(zero(ptr, slot)), "never found");
}

Test(poll, ignores_negative_descriptors)
{
        int listener = listening_socket();
        int fds[] = { -1, -7, listener };
        struct slot *slot = make_poll_loop(3, fds);
        cr_expect(eq(uint, atomic_load(&slot->own_set_count), 1));
        cr_expect(eq(int, slot->own_set[0], listener));
}

Test(poll, goes_on_while_its_set_changes_by_and_by)
{
        int a[2], b[2];
        two_sockets(a);
        two_sockets(b);
        struct slot *slot = make_poll_loop(2, a);
        int mixed[] = { b[0], a[1] };
        cr_expect(eq(ptr, poll_at(SITE, 2, mixed), slot));
        cr_expect(eq(ptr, poll_at(SITE, 2, b), slot), "shares b[0] with the last");
        cr_expect(zero(ptr, poll_at(SITE, 2, a)), "nothing in common with the last");
        cr_expect(zero(ptr, poll_at(OTHER_SITE, 2, b)), "another call site is nested");
        cr_expect(eq(ptr, poll_at(SITE, 2, b), slot), "a nested wait changes nothing");
}

Test(poll, finds_a_shared_descriptor_behind_many_others)
{
        int fds[2];
        two_sockets(fds);
        struct slot *slot = make_poll_loop(2, fds);
        struct pollfd polled[LIMIT_OWN_SCAN + 1];
        for (int i = 0; i < LIMIT_OWN_SCAN + 1; i++)
                polled[i] = (struct pollfd){ .fd = 5000 + i };
        struct wait wait = polling(SITE, 2, fds);
        wait.polled = polled;
        wait.polled_count = LIMIT_OWN_SCAN + 1;
        polled[LIMIT_OWN_SCAN].fd = fds[0];
        cr_expect(zero(ptr, loop_enter_slow(&wait)), "the search is bounded");
        polled[LIMIT_OWN_SCAN - 1].fd = fds[0];
        cr_expect(eq(ptr, loop_enter_slow(&wait), slot));
        cr_expect(eq(uint, atomic_load(&slot->own_set_count), LIMIT_OWN_SET));
        loop_leave(slot, 0);
}

Test(poll, counts_its_re_entrant_waits_as_yields)
{
        int fds[2];
        two_sockets(fds);
        struct slot *slot = make_poll_loop(2, fds);
        struct wait wait = polling(SITE, 2, fds);
        wait.sleeps = false;
        wait.cfa = DEEPER;
        cr_expect(zero(ptr, loop_enter_slow(&wait)));
        cr_expect(eq(uint, atomic_load(&slot->yields), 1));
}

Test(poll, is_a_loop_by_select_as_well)
{
        int fds[2];
        two_sockets(fds);
        fd_set reading, writing;
        FD_ZERO(&reading);
        FD_ZERO(&writing);
        FD_SET(fds[0], &reading);
        FD_SET(fds[1], &writing);
        struct wait wait = { .key = WAIT_KEY(WAIT_SELECT, SITE),
                             .site = SITE,
                             .cfa = LOOP_CFA,
                             .sleeps = true,
                             .selected = { &reading, &writing },
                             .selected_count = 1 + (fds[0] > fds[1] ? fds[0] : fds[1]) };
        cr_expect(zero(ptr, loop_enter_slow(&wait)));
        cr_expect(zero(ptr, loop_enter_slow(&wait)));
        struct slot *slot = loop_enter_slow(&wait);
        cr_assert(not(zero(ptr, slot)));
        loop_leave(slot, 1);
        char label[32];
        loop_label(slot, label, sizeof label);
        cr_expect_str_eq(label, "select");
        cr_expect(eq(uint, atomic_load(&slot->own_set_count), 2));
        wait.selected_count = fds[0] < fds[1] ? fds[0] : fds[1]; /* neither is in the set any more */
        cr_expect(zero(ptr, loop_enter_slow(&wait)));
}

Test(poll, bears_empty_and_senseless_sets)
{
        fd_set set;
        memset(&set, 0xff, sizeof set);
        struct wait waits[] = {
                { .key = WAIT_KEY(WAIT_POLL, SITE), .site = SITE, .sleeps = true },
                { .key = WAIT_KEY(WAIT_POLL, SITE), .site = SITE, .sleeps = true, .polled_count = 5 },
                { .key = WAIT_KEY(WAIT_SELECT, SITE),
                  .site = SITE,
                  .sleeps = true,
                  .selected_count = -1,
                  .selected = { &set } },
                { .key = WAIT_KEY(WAIT_SELECT, SITE), .site = SITE, .sleeps = true, .selected_count = 5 },
                { .key = WAIT_KEY(WAIT_SELECT, SITE),
                  .site = SITE,
                  .sleeps = true,
                  .selected_count = INT32_MAX,
                  .selected = { &set, &set } },
        };
        for (int i = 0; i < 60; i++)
                loop_leave(loop_enter_slow(&waits[i % 5]), 0);
        for (int i = 0; i < 60; i++)
                loop_leave(loop_enter_slow(&waits[i / 12]), 0);
}

Test(poll, is_found_after_the_own_instance_was_closed)
{
        int listener = listening_socket();
        make_loop(5);
        loop_note_close(5, 5);
        struct slot *slot = NULL;
        for (int i = 0; i < 5 && slot == NULL; i++)
                slot = poll_at(SITE, 1, &listener);
        cr_assert(not(zero(ptr, slot)), "never found");
        cr_expect(eq(u64, atomic_load(&slot->key), WAIT_KEY(WAIT_POLL, SITE)));
}

/* ---- serial servers ---- */

Test(poll, is_a_serial_server_with_listening_sockets_only)
{
        int fds[] = { listening_socket(), listening_socket() };
        struct slot *slot = make_poll_loop(2, fds);
        struct slot_ended ended;
        cr_expect(atomic_load(&slot->serial));
        make_last(slot, 300 * MS);
        poll_at(SITE, 2, fds);
        cr_assert(loop_take_ended(slot, &ended));
        cr_expect(ended.serial);
}

Test(poll, is_no_serial_server_once_it_has_clients)
{
        int pair[2];
        two_sockets(pair);
        int fds[] = { listening_socket(), pair[0] };
        struct slot *slot = make_poll_loop(1, fds);
        struct slot_ended ended;
        cr_expect(atomic_load(&slot->serial));
        poll_at(SITE, 2, fds);
        make_last(slot, 300 * MS);
        poll_at(SITE, 2, fds);
        cr_assert(loop_take_ended(slot, &ended));
        cr_expect(not(ended.serial));
        cr_expect(not(atomic_load(&slot->serial)));
}

Test(poll, is_no_serial_server_where_it_can_be_woken)
{
        int pair[2];
        socket_pair(pair);
        int fds[] = { listening_socket(), pair[0] };
        cr_expect(not(atomic_load(&make_poll_loop(2, fds)->serial)), "asyncio with nothing but its listening socket");
}

Test(detector, finds_no_serial_server_where_all_loops_are_wanted)
{
        loop_setup(&test_calls, THRESHOLD_NS, true);
        int listener = listening_socket();
        cr_expect(not(atomic_load(&make_poll_loop(1, &listener)->serial)));
}

/* ---- loop libraries ---- */

Test(poll, is_a_candidate_at_once_in_a_loop_library)
{
        int pipes[2];
        cr_assert(zero(int, pipe(pipes)));
        uint64_t site = listed_library_address("libev.so.4");
        struct slot *slot = poll_at(site, 1, pipes);
        cr_assert(not(zero(ptr, slot)));
        cr_expect(eq(uint, atomic_load(&slot->state), SLOT_CANDIDATE));
        cr_expect(slot->listed);
        cr_expect(eq(ptr, poll_at(site, 1, pipes), slot));
        cr_expect(eq(uint, atomic_load(&slot->state), SLOT_LOOP));
        cr_expect(eq(u64, loop_totals().loops, 1));
}

Test(poll, is_never_a_serial_server_in_a_loop_library)
{
        int listener = listening_socket();
        uint64_t site = listed_library_address("libevent-2.1.so.7");
        poll_at(site, 1, &listener);
        cr_expect(not(atomic_load(&poll_at(site, 1, &listener)->serial)));
}

Test(poll, waits_for_a_set_in_a_loop_library)
{
        uint64_t site = listed_library_address("libev.so.4");
        cr_expect(zero(ptr, poll_at(site, 0, NULL)), "a bare sleep");
        cr_expect(eq(uint, slots_used(), 0));
}

Test(poll, goes_on_in_a_loop_library_when_there_are_only_timers_to_wait_for)
{
        int pipes[2], others[2];
        cr_assert(zero(int, pipe(pipes)));
        cr_assert(zero(int, pipe(others)));
        uint64_t site = listed_library_address("libev.so.4");
        poll_at(site, 1, pipes);
        struct slot *slot = poll_at(site, 1, pipes);
        cr_expect(eq(ptr, poll_at(site, 0, NULL), slot), "ev_timer only: a stall without end would be seen");
        cr_expect(eq(ptr, poll_at(site, 2, others), slot), "after a reload");
        struct wait nested = polling(site, 2, pipes);
        nested.cfa = DEEPER;
        cr_expect(zero(ptr, loop_enter_slow(&nested)), "another loop of the library, in a callback");
}

Test(poll, of_a_loop_library_follows_a_closed_instance)
{
        int pipes[2];
        cr_assert(zero(int, pipe(pipes)));
        struct slot *slot = make_loop(5);
        loop_note_close(5, 5);
        uint64_t site = listed_library_address("libglib-2.0.so.0");
        cr_expect(eq(ptr, poll_at(site, 1, pipes), slot));
        cr_expect(eq(uint, atomic_load(&slot->state), SLOT_CANDIDATE));
        cr_expect(eq(ptr, poll_at(site, 1, pipes), slot));
        cr_expect(eq(uint, atomic_load(&slot->state), SLOT_LOOP));
}

Test(poll, of_a_loop_library_may_be_a_rival)
{
        int pipes[2];
        cr_assert(zero(int, pipe(pipes)));
        uint64_t site = listed_library_address("libglib-2.0.so.0");
        struct slot *slot = wait_on(5);
        cr_expect(zero(ptr, poll_at(site, 1, pipes)));
        cr_expect(eq(ptr, poll_at(site, 1, pipes), slot));
        cr_expect(eq(u64, atomic_load(&slot->key), WAIT_KEY(WAIT_POLL, site)));
        cr_expect(slot->listed);
}
Test(poll, leaves_errno_alone)
{
        int pipes[2];
        cr_assert(zero(int, pipe(pipes)));
        errno = EXDEV;
        for (int i = 0; i < 12; i++)
                poll_at(SITE, 2, pipes); /* ENOTSOCK within */
        cr_expect(eq(int, errno, EXDEV));
        int fds[] = { listening_socket(), 7777 }; /* EBADF within */
        errno = EXDEV;
        for (int i = 0; i < 12; i++) {
                struct slot *slot = poll_at(SITE, 2, fds);
                if (slot != NULL)
                        make_last(slot, 300 * MS);
        }
        cr_expect(eq(int, errno, EXDEV));
        cr_expect(eq(u64, loop_totals().loops, 1));
}
