/* SPDX-License-Identifier: Apache-2.0
 *
 * set.c - the descriptors of a poll or select
 *
 * A poll or select loop has no name of its own as an epoll instance is one: what it waits for must tell it from other
 * waits at the same place, and a server from a program that is none. The work is bounded however large a set is.
 *
 * Context: app thread. Only what asks a socket makes system calls; errno is the caller's to keep.
 */
#include "loop/set.h"

#include <sys/socket.h>

/* The next descriptor of a poll or select set, or -1 past its end. *cursor is 0 at first. Entries beyond FD_SETSIZE are
 * not looked at, so that the work is bounded; a count that makes no sense is left to the kernel to refuse. */
static int next_descriptor(const struct wait *wait, unsigned *cursor)
{
        if (WAIT_KEY_KIND(wait->key) == WAIT_POLL) {
                while (wait->polled != NULL && *cursor < wait->polled_count && *cursor < FD_SETSIZE) {
                        int fd = wait->polled[(*cursor)++].fd;
                        if (fd >= 0)
                                return fd;
                }
                return -1;
        }
        while ((int)*cursor < wait->selected_count && *cursor < FD_SETSIZE) {
                int fd = (int)(*cursor)++;
                for (int i = 0; i < 2; i++)
                        if (wait->selected[i] != NULL && FD_ISSET(fd, wait->selected[i]))
                                return fd;
        }
        return -1;
}

uint32_t set_remember(const struct wait *wait, int *set)
{
        unsigned cursor = 0;
        uint32_t count = 0;
        int fd;
        while (count < LIMIT_OWN_SET && (fd = next_descriptor(wait, &cursor)) >= 0)
                set[count++] = fd;
        return count;
}

/* The first 64 descriptors of a select set. */
static uint64_t first_word(const struct wait *wait)
{
        uint64_t word = 0;
        for (int i = 0; i < 2; i++)
                if (wait->selected[i] != NULL)
                        word |= (uint64_t)wait->selected[i]->fds_bits[0];
        return wait->selected_count < 64 ? word & ((1ull << wait->selected_count) - 1) : word;
}

bool set_is_same(const struct wait *wait, const int *set, uint32_t count, uint32_t size, uint64_t word)
{
        if (count == 0)
                return false;
        if (WAIT_KEY_KIND(wait->key) == WAIT_SELECT) {
                bool whole = wait->selected_count <= 64 || __builtin_popcountll(word) >= LIMIT_OWN_SET;
                return whole && wait->selected_count > 0 && (uint32_t)wait->selected_count == size &&
                       first_word(wait) == word;
        }
        if (wait->polled == NULL || wait->polled_count != size || wait->polled_count < count)
                return false;
        for (uint32_t i = 0; i < count; i++)
                if (wait->polled[i].fd != set[i])
                        return false;
        return true;
}

void set_glance(const struct wait *wait, uint32_t *size, uint64_t *word)
{
        bool polls = WAIT_KEY_KIND(wait->key) == WAIT_POLL;
        *size = polls ? (uint32_t)wait->polled_count : (uint32_t)wait->selected_count;
        *word = polls || wait->selected_count <= 0 ? 0 : first_word(wait);
}

bool set_shares_descriptor(const struct wait *wait, const int *set, uint32_t count)
{
        unsigned cursor = 0;
        int fd;
        for (unsigned seen = 0; seen < LIMIT_OWN_SCAN && (fd = next_descriptor(wait, &cursor)) >= 0; seen++)
                for (uint32_t i = 0; i < count; i++)
                        if (set[i] == fd)
                                return true;
        return false;
}

struct sockets {
        unsigned listening;
        unsigned pairs; /* ends of a socketpair(): how a thread wakes itself, in libcurl and asyncio */
        unsigned other;
};

static bool is_pair(int fd)
{
        struct sockaddr_storage name;
        socklen_t length = sizeof name;
        return getsockname(fd, (struct sockaddr *)&name, &length) == 0 && name.ss_family == AF_UNIX &&
               length == sizeof name.ss_family; /* it has no name, and was not accepted from one */
}

static void count_socket(struct sockets *sockets, int fd)
{
        int listening = 0;
        socklen_t length = sizeof listening;
        if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &length) != 0)
                return;
        if (listening)
                sockets->listening++;
        else if (is_pair(fd))
                sockets->pairs++;
        else
                sockets->other++;
}

bool set_looks_like_a_server(const struct wait *wait)
{
        struct sockets sockets = { 0 };
        unsigned cursor = 0;
        int fd;
        for (unsigned seen = 0; seen < LIMIT_OWN_SCAN && (fd = next_descriptor(wait, &cursor)) >= 0; seen++)
                count_socket(&sockets, fd);
        return sockets.listening != 0 || sockets.other >= 2;
}

bool set_only_listens(const int *set, uint32_t count)
{
        struct sockets sockets = { 0 };
        for (uint32_t i = 0; i < count; i++)
                count_socket(&sockets, set[i]);
        return sockets.listening != 0 && sockets.other == 0 && sockets.pairs == 0;
}
