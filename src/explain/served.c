/* SPDX-License-Identifier: Apache-2.0
 *
 * served.c - the events that an iteration got, and what their descriptors are
 *
 * The hook copies the first events and keeps the address of their array. The array is the host's: a callback may have
 * overwritten or freed it by the time of the first sample (CPython frees it before a callback runs). So the rest of it
 * counts only where its beginning is still what was copied; the sets of poll and select only where they hold exactly
 * as many events as the call returned.
 *
 * What an event of epoll says of itself is its data, which means what the program likes. The instance's list tells
 * which descriptor it stands for, but is asked for in small processes only (targets.c). Elsewhere the wait must be one
 * of those that are known to use the descriptor's number, and the descriptor must be in the instance.
 *
 * Context: watchdog
 * Limits:  LIMIT_SERVED events are described
 */
#include "explain/served.h"

#include <errno.h>
#include <poll.h>
#include <stddef.h>
#include <string.h>

#include "base/clock.h"
#include "base/library.h"
#include "base/memory.h"
#include "base/proc.h"
#include "explain/names.h"
#include "explain/targets.h"
#include "unwind/module.h"

#define REUSED "the program has used the memory of its events for something else since"
#define REMOVED "removed from its epoll instance since"
#define UNASKED "this process has too many descriptors to ask whether theirs are the same still"
#define UNLISTED "this process has too many descriptors to ask which of them its events stand for"

static struct evidence_fd *name(struct served *served, int32_t fd, uint32_t events)
{
        struct evidence_fd *event = &served->events[served->count++];
        event->fd = fd;
        event->events = events;
        event->what[0] = '\0';
        return event;
}

/* The first in any case, the others as time allows. */
static bool is_time(const struct served *served, uint64_t end_ns)
{
        return served->count == 0 || clock_now_ns() < end_ns;
}

static void add(struct served *served, int32_t tid, int32_t fd, uint32_t events, uint64_t end_ns)
{
        bool describe = is_time(served, end_ns);
        struct evidence_fd *event = name(served, fd, events);
        struct text what = TEXT_IN(event->what);
        struct openfile file;
        if (describe && openfile_look(&file, tid, fd))
                openfile_put(&what, &file);
}

/* ---- poll and select ---- */

static void look_at_poll(struct served *served, const struct served_wait *wait, uint64_t end_ns)
{
        static struct pollfd set[LIMIT_WAITED_SCAN];
        int32_t ready = 0;
        if (wait->array_count > LIMIT_WAITED_SCAN) {
                served->loss = "the set is too large to be searched";
                return;
        }
        if (!memory_get_sigsafe(wait->arrays[0], set, wait->array_count * sizeof *set)) {
                served->loss = REUSED;
                return;
        }
        for (uint64_t i = 0; i < wait->array_count; i++)
                ready += set[i].revents != 0;
        if (ready != wait->result) {
                served->loss = REUSED;
                return;
        }
        for (uint64_t i = 0; i < wait->array_count && served->count < LIMIT_SERVED; i++)
                if (set[i].revents != 0)
                        add(served, wait->tid, set[i].fd, (uint16_t)set[i].revents, end_ns);
}

/* The bits of the three sets; how many are set. -1 where one can't be read. */
static int32_t read_sets(const struct served_wait *wait, uint64_t sets[3][LIMIT_WAITED_SCAN / 64])
{
        int32_t ready = 0;
        for (int i = 0; i < 3; i++) {
                if (wait->arrays[i] == 0)
                        continue;
                if (!memory_get_sigsafe(wait->arrays[i], sets[i], (wait->array_count + 63) / 64 * 8))
                        return -1;
                for (uint64_t fd = 0; fd < wait->array_count; fd++)
                        ready += sets[i][fd / 64] >> fd % 64 & 1;
        }
        return ready;
}

static void look_at_select(struct served *served, const struct served_wait *wait, uint64_t end_ns)
{
        static const uint32_t meanings[3] = { EPOLLIN, EPOLLOUT, EPOLLPRI };
        uint64_t sets[3][LIMIT_WAITED_SCAN / 64] = { { 0 } };
        if (wait->array_count > LIMIT_WAITED_SCAN || read_sets(wait, sets) != wait->result) {
                served->loss = REUSED;
                return;
        }
        for (uint64_t fd = 0; fd < wait->array_count && served->count < LIMIT_SERVED; fd++) {
                uint32_t events = 0;
                for (int i = 0; i < 3; i++)
                        events |= sets[i][fd / 64] >> fd % 64 & 1 ? meanings[i] : 0;
                if (events != 0)
                        add(served, wait->tid, (int32_t)fd, events, end_ns);
        }
}

/* ---- epoll ---- */

static const char *function_at(uint64_t site)
{
        struct frame frame = { .pc = site, .caller = true, .module = module_find(site) };
        frame.function = unwind_function_at(site - 1);
        names_resolve(&frame, 1);
        struct frame_names names = names_of(&frame);
        return names.function;
}

/* Waits whose events are known to carry the descriptor's number in the lower half of their data. */
static bool is_known_wait(uint64_t site)
{
        static const char *const functions[] = { "aeApiPoll", "uv__io_poll", "_do_poll" }; /* redis, node, haproxy */
        static const char *const modules[] = { "python", "libpython", "select.cpython", "loop.cpython" };
        uint16_t index = module_find(site);
        if (index == MODULE_NONE)
                return false;
        const char *name = module_get(index)->name;
        for (size_t i = 0; i < sizeof modules / sizeof *modules; i++)
                if (strncmp(name, modules[i], strlen(modules[i])) == 0)
                        return true;
        if (library_name_is_loop(name))
                return true;
        const char *function = function_at(site);
        for (size_t i = 0; function != NULL && i < sizeof functions / sizeof *functions; i++)
                if (strcmp(function, functions[i]) == 0)
                        return true;
        return false;
}

/* A search through a symbol table takes milliseconds: once a place is enough. */
static bool carries_numbers(uint64_t site)
{
        static uint64_t asked;
        static bool answer;
        if (asked != site)
                answer = is_known_wait(site);
        asked = site;
        return answer;
}

/* The descriptor whose data this is, by the instance's list; -1: it is not there, or twice. */
static int32_t find_target(const struct proctext_target *targets, int count, const struct epoll_event *event)
{
        int32_t found = -1;
        for (int i = 0; i < count; i++) {
                bool possible = (event->events & ~(targets[i].events | EPOLLERR | EPOLLHUP)) == 0;
                if (targets[i].data != event->data.u64 || !possible)
                        continue;
                if (found >= 0)
                        return -1;
                found = targets[i].fd;
        }
        return found;
}

/* How many events there are to be seen: those copied, and more where the array is still what it was. */
static uint32_t read_events(const struct served_wait *wait, struct epoll_event events[LIMIT_SERVED])
{
        uint32_t count = (uint32_t)wait->result < LIMIT_SERVED ? (uint32_t)wait->result : LIMIT_SERVED;
        uint32_t kept = count < LIMIT_SERVED_KEPT ? count : LIMIT_SERVED_KEPT;
        bool same = count > kept && memory_get_sigsafe(wait->arrays[0], events, count * sizeof *events) &&
                    memcmp(events, wait->kept, kept * sizeof *events) == 0;
        if (same)
                return count;
        memcpy(events, wait->kept, kept * sizeof *events);
        return kept;
}

static void add_listed(struct served *served, const struct served_wait *wait, const struct epoll_event *events,
                       uint32_t count, const struct proctext_target *targets, int targets_count, uint64_t end_ns)
{
        for (uint32_t i = 0; i < count; i++) {
                int32_t fd = find_target(targets, targets_count, &events[i]);
                if (fd >= 0)
                        add(served, wait->tid, fd, events[i].events, end_ns);
                else
                        served->loss = REMOVED;
        }
}

/* The number may lead elsewhere by now: what is there is said only if it is in the instance still. */
static void add_numbers(struct served *served, const struct served_wait *wait, const struct epoll_event *events,
                        uint32_t count, uint64_t end_ns)
{
        bool may_ask = targets_open(wait->tid) <= LIMIT_EPOLL_ASKED;
        for (uint32_t i = 0; i < count; i++) {
                int32_t fd = (int32_t)events[i].data.u64;
                bool ask = may_ask && is_time(served, end_ns);
                int has = ask ? targets_has(wait->tid, wait->epoll_fd, fd) : -ETIME;
                if (has == 1)
                        add(served, wait->tid, fd, events[i].events, end_ns);
                else if (has < 0)
                        name(served, fd, events[i].events);
                if (has != 1)
                        served->loss = has == 0 ? REMOVED : UNASKED;
        }
}

static void look_at_epoll(struct served *served, const struct served_wait *wait, uint64_t end_ns)
{
        static struct proctext_target targets[LIMIT_EPOLL_TARGETS];
        struct epoll_event events[LIMIT_SERVED];
        uint32_t count = read_events(wait, events);
        int listed = targets_read(wait->tid, wait->epoll_fd, targets);
        if (listed >= 0)
                add_listed(served, wait, events, count, targets, listed, end_ns);
        else if (carries_numbers(wait->site))
                add_numbers(served, wait, events, count, end_ns);
        else
                served->loss = listed == -E2BIG ? UNLISTED : "the list of its epoll instance can't be read";
}

void served_look(struct served *served, const struct served_wait *wait)
{
        uint64_t end_ns = clock_now_ns() + LIMIT_SERVED_NS;
        served->count = served->more = 0;
        served->before = wait->before;
        served->loss = NULL;
        if (wait->result <= 0)
                return;
        if (wait->by == SERVED_EPOLL)
                look_at_epoll(served, wait, end_ns);
        else if (wait->by == SERVED_POLL)
                look_at_poll(served, wait, end_ns);
        else
                look_at_select(served, wait, end_ns);
        served->more = (uint32_t)wait->result - served->count;
}
