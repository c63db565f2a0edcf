/* SPDX-License-Identifier: Apache-2.0
 *
 * feed.c - all places from which `top` takes its records, as they grow
 *
 * Context: reader
 */
#include "top/feed.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <unistd.h>

#include "alloc.h"
#include "name_pattern.h"
#include "now.h"
#include "process.h"
#include "read/follow.h"
#include "say.h"
#include "top/find.h"

#define DISCOVER_EVERY_NS UINT64_C(5000000000)
#define FIND_TRIES 20
#define FIND_STEP_US 100000
#define LOADER_TRIES 3 /* with that step: a program that has just begun maps its libraries in less */

static void wake_by(const struct feed *feed, int fd)
{
        struct epoll_event event = { .events = EPOLLIN };
        if (fd >= 0)
                epoll_ctl(feed->news, EPOLL_CTL_ADD, fd, &event); /* a plain file can't, and is read every second */
}

/* ---------------------------------------------------------------------------------------------------------- places */

static int add_place(struct feed *feed, const char *folder, const char *pattern)
{
        char *key = alloc_format("%s\n%s", folder, pattern ? pattern : "");
        void **at = map_at_string(&feed->places, key);
        free(key);
        if (*at)
                return 0;
        struct follow *follow = *at = alloc_zeroed(1, sizeof(*follow));
        unsigned what = FOLLOW_FROM_BEGIN | (pattern ? 0 : FOLLOW_DEEP) | (feed->live ? FOLLOW_LIVE : 0);
        int error = follow_open(follow, &feed->input, folder, pattern, what);
        if (error == 0)
                wake_by(feed, follow_descriptor(follow));
        return error;
}

static bool is_followed(void *context, void *value)
{
        return ((const struct follow *)value)->folder != NULL;
}

static void release_place(void *place)
{
        follow_close(place, false);
        free(place);
}

/* What could not be followed may be there later. */
static bool try_place(struct feed *feed, const char *folder, const char *pattern)
{
        int error = add_place(feed, folder, pattern);
        if (error == 0)
                return true;
        map_keep(&feed->places, is_followed, NULL, free);
        if (!feed->discovers)
                say("%s: %s", folder, strerror(-error));
        return false;
}

/* A file is a folder with a pattern that only its name matches, so that it may be rotated. */
static bool add_file(struct feed *feed, const char *path)
{
        char *whole = realpath(path, NULL);
        if (!whole) {
                say("%s: %s", path, strerror(errno));
                return false;
        }
        char *name = strrchr(whole, '/');
        char *pattern = name_pattern_literal(name + 1);
        *name = '\0';
        bool added = try_place(feed, whole[0] ? whole : "/", pattern);
        free(pattern);
        free(whole);
        return added;
}

/* A process that has just begun has no loop yet, and with it no file. */
static bool find_soon(int pid, struct found *found, char **why)
{
        for (int i = 0; !find_records(pid, found, why); i++) {
                if (i == FIND_TRIES || !find_is_under_loopdog(pid))
                        return false;
                free(*why);
                *why = NULL;
                usleep(FIND_STEP_US);
        }
        return true;
}

/* Its environment alone promises records; and where the agent is linked in, nobody sees it before its first loop. */
static void warn_without_agent(int pid)
{
        for (int i = 0; i < LOADER_TRIES; i++) {
                if (find_is_under_loopdog(pid))
                        return;
                usleep(FIND_STEP_US);
        }
        say("process %d has no libloopdog.so in it: nothing will come, unless it is linked in (loopdog doctor %d)", pid,
            pid);
}

static bool add_process(struct feed *feed, int pid)
{
        struct found found;
        char *why = NULL;
        bool added = find_soon(pid, &found, &why);
        if (!added)
                say("%s", why);
        free(why);
        if (added) {
                feed->translated |= found.pid != pid;
                feed->pids = alloc_resize(feed->pids, feed->pids_count + 1, sizeof(*feed->pids));
                feed->pids[feed->pids_count++] = found.pid;
                added = try_place(feed, found.file.folder, found.file.pattern);
        }
        if (added && !found.open)
                warn_without_agent(pid);
        found_free(&found);
        return added;
}

static void discover(void *context, int pid)
{
        struct feed *feed = context;
        struct found found;
        if (find_records(pid, &found, NULL))
                try_place(feed, found.file.folder, found.file.pattern);
        found_free(&found);
}

/* ---------------------------------------------------------------------------------------------------------- stdin */

/* A descriptor of our own that does not block: the one we have got may be shared with others. */
static bool add_stream(struct feed *feed)
{
        if (isatty(STDIN_FILENO)) {
                say("-: standard input is the keyboard; name a file or a folder");
                return false;
        }
        feed->stream_fd = open("/proc/self/fd/0", O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
        if (feed->stream_fd < 0) { /* a socket */
                feed->stream_fd = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3);
                fcntl(feed->stream_fd, F_SETFL, O_RDONLY | O_NONBLOCK);
        }
        source_init(&feed->stream, "stdin");
        wake_by(feed, feed->stream_fd);
        return feed->stream_fd >= 0;
}

static void end_stream(struct feed *feed)
{
        if (feed->stream_fd < 0)
                return;
        input_close(&feed->input, &feed->stream);
        source_free(&feed->stream);
        close(feed->stream_fd);
        feed->stream_fd = -1;
}

static void read_stream(struct feed *feed)
{
        if (feed->stream_fd < 0)
                return;
        int error = input_take(&feed->input, &feed->stream, feed->stream_fd, false);
        if (error == -EAGAIN)
                return;
        struct stat status;
        bool grows = error == 0 && fstat(feed->stream_fd, &status) == 0 && S_ISREG(status.st_mode);
        if (error < 0)
                say("stdin: %s", strerror(-error));
        if (!grows)
                end_stream(feed);
}

/* ------------------------------------------------------------------------------------------------------------ all */

static bool add(struct feed *feed, const char *name)
{
        struct stat status;
        bool exists = stat(name, &status) == 0;
        if (strcmp(name, "-") == 0)
                return add_stream(feed);
        if (exists && S_ISDIR(status.st_mode))
                return try_place(feed, name, NULL);
        if (!exists && name[0] && strspn(name, "0123456789") == strlen(name) && strlen(name) < 10)
                return add_process(feed, atoi(name));
        return add_file(feed, name);
}

static void discover_now_and_then(struct feed *feed)
{
        uint64_t now = now_ns(CLOCK_MONOTONIC);
        if (!feed->discovers || now - feed->discovered_ns < DISCOVER_EVERY_NS)
                return;
        feed->discovered_ns = now;
        process_each(discover, feed);
}

bool feed_open(struct feed *feed, char *const *names, int count, bool live)
{
        feed->stream_fd = -1;
        feed->live = live;
        feed->discovers = count == 0;
        feed->news = epoll_create1(EPOLL_CLOEXEC);
        if (feed->news < 0) {
                say("epoll: %s", strerror(errno));
                return false;
        }
        for (int i = 0; i < count; i++)
                if (!add(feed, names[i]))
                        return false;
        discover_now_and_then(feed);
        read_stream(feed);
        if (count == 0 && feed->places.count == 0)
                say("no process that you may look into runs under loopdog with records: start one by \"loopdog run\", "
                    "or name a file, a folder or a process");
        return count > 0 || feed->places.count > 0;
}

int feed_descriptor(const struct feed *feed)
{
        return feed->news;
}

/* A folder that was found by us and is gone, as that of a `loopdog run` that is over, is not looked for any more. */
static bool read_place(void *context, void *place)
{
        const struct feed *feed = context;
        return follow_scan(place) == 0 || !feed->discovers;
}

void feed_read(struct feed *feed)
{
        discover_now_and_then(feed);
        map_keep(&feed->places, read_place, feed, release_place);
        read_stream(feed);
}

bool feed_is_over(const struct feed *feed)
{
        return feed->places.count == 0 && feed->stream_fd < 0;
}

void feed_close(struct feed *feed)
{
        end_stream(feed);
        map_free(&feed->places, release_place);
        free(feed->pids);
        if (feed->news >= 0)
                close(feed->news);
}
