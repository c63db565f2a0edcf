/* SPDX-License-Identifier: Apache-2.0
 *
 * process.c - another process that has to do with a stall: its name, and who has an end of a pipe open
 *
 * The kernel does not tell who holds the other end of a pipe: the links in /proc/PID/fd of all processes are compared.
 * A link costs a microsecond or two, a machine has tens of thousands. So the search goes where it is likely to end soon
 * (the thread's own children, then the processes that were started after us, then the others, then ourselves), stops
 * when its time is over, and goes on there at the next sample.
 *
 * Context: watchdog
 * Limits:  LIMIT_SEARCH_STEPS samples; processes of other users can't be looked into
 */
#include "explain/process.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/calls.h"
#include "base/clock.h"
#include "base/descriptors.h"
#include "base/limits.h"
#include "base/number.h"
#include "base/proc.h"
#include "base/raw.h"
#include "base/text.h"
#include "base/thread.h"

/* Where process 0 would stand in the folder /proc: behind 256 entries of other kinds, "self" and "thread-self". The
 * kernel's number since there is /proc, and checked: our own process must be found by it. */
#define FOLDER_PROCESSES 258

enum part {
        PART_CHILDREN, /* of the thread itself: what it has started; their numbers may have begun anew */
        PART_AFTER,
        PART_BEFORE,
        PART_ALL, /* instead of these two, where a process is not found by its number */
        PART_SELF,
        PART_DONE,
};

/* ---- names ---- */

void process_name(int32_t pid, char name[PROCESS_NAME])
{
        char bytes[64];
        struct text path = TEXT_IN(bytes);
        text_format(&path, "%d/comm", (int)pid);
        if (proc_read_line(bytes, name, PROCESS_NAME) <= 0)
                memcpy(name, "?", 2);
}

void process_command(int32_t pid, char *command, size_t capacity)
{
        char bytes[64];
        struct text path = TEXT_IN(bytes);
        text_format(&path, "%d/cmdline", (int)pid);
        if (proc_read(bytes, command, capacity) < 0)
                command[0] = '\0';
}

void process_channel(int32_t tid, char *name, size_t capacity)
{
        char bytes[64];
        struct text path = TEXT_IN(bytes);
        text_format(&path, "self/task/%d/wchan", (int)tid);
        if (proc_read(bytes, name, capacity) < 0 || strcmp(name, "0") == 0)
                name[0] = '\0';
}

void process_parse_pair(const char *line, unsigned *first, unsigned *second)
{
        uint64_t a, b;
        if (!number_take(&line, 10, &a) || !number_take(&line, 10, &b))
                return;
        *first = (unsigned)a;
        *second = (unsigned)b;
}

/* ---- the descriptors of one process ---- */

struct entry { /* struct linux_dirent64 */
        uint64_t inode;
        int64_t next;
        uint16_t length;
        uint8_t type;
        char name[];
};

/* The number that is a whole name, or -1. */
static int32_t number_of(const char *name)
{
        uint64_t value;
        return number_take(&name, 10, &value) && *name == '\0' && value <= INT32_MAX ? (int32_t)value : -1;
}

static bool is_other_end(const struct process_search *search, int folder, const char *name)
{
        char link[sizeof search->link];
        struct stat status;
        ssize_t n = readlinkat(folder, name, link, sizeof link - 1);
        if (n <= 0)
                return false;
        link[n] = '\0';
        if (strcmp(link, search->link) != 0 || fstatat(folder, name, &status, AT_SYMLINK_NOFOLLOW) != 0)
                return false;
        return (status.st_mode & (search->wants_writer ? S_IWUSR : S_IRUSR)) != 0;
}

/* Entries of a folder one after the other, from `at` on. */
struct folder {
        int fd;
        long length, used;
        _Alignas(8) char bytes[2048];
};

static const struct entry *next_entry(struct folder *folder)
{
        if (folder->used >= folder->length) {
                folder->length = raw_syscall_sigsafe(SYS_getdents64, (uint64_t)folder->fd, (uintptr_t)folder->bytes,
                                                     sizeof folder->bytes, 0, 0, 0);
                folder->used = 0;
        }
        if (folder->length <= 0)
                return NULL;
        const struct entry *entry = (const struct entry *)(folder->bytes + folder->used);
        folder->used += entry->length;
        return entry;
}

static int open_folder(int32_t pid)
{
        char bytes[32];
        struct text path = TEXT_IN(bytes);
        text_format(&path, "%d/fd", (int)pid);
        return proc_open(bytes);
}

/* Returns whether this process has that end open; false with in_process set where the time is over. */
static bool look_into(struct process_search *search, int32_t pid, uint64_t end_ns)
{
        static struct folder folder;
        bool found = false;
        folder = (struct folder){ .fd = open_folder(pid) };
        if (folder.fd < 0)
                return false;
        if (search->in_process)
                lseek(folder.fd, search->at, SEEK_SET);
        search->in_process = false;
        search->pid = pid;
        const struct entry *entry;
        while (!found && !search->in_process && (entry = next_entry(&folder)) != NULL) {
                bool own = pid == process_id() && number_of(entry->name) == search->fd;
                found = number_of(entry->name) >= 0 && !own && is_other_end(search, folder.fd, entry->name);
                search->at = entry->next;
                search->in_process = !found && clock_now_ns() >= end_ns;
        }
        descriptor_close(folder.fd);
        return found;
}

/* ---- all processes ---- */

static void next_part(struct process_search *search)
{
        search->in_process = false;
        search->pid = 0;
        if (search->part == PART_CHILDREN)
                search->part = PART_AFTER;
        else if (search->part == PART_AFTER)
                search->part = PART_BEFORE;
        else
                search->part = search->part == PART_SELF ? PART_DONE : PART_SELF;
}

/* Go through /proc from search->pid on, ourselves excepted. Returns the process found; 0: the part or the time is over.
 */
static int32_t look_through(struct process_search *search, uint64_t end_ns)
{
        static struct folder folder;
        int32_t self = process_id(), found = 0;
        int32_t from = search->part == PART_AFTER && search->pid == 0 ? self : search->pid;
        const struct entry *entry = NULL;
        bool over = true; /* the part, not the time: to get here at all may take all of that */
        folder = (struct folder){ .fd = proc_open(".") };
        if (from > 0 && folder.fd >= 0)
                lseek(folder.fd, FOLDER_PROCESSES + from, SEEK_SET);
        if (search->part == PART_AFTER && search->pid == 0 &&
            ((entry = next_entry(&folder)) == NULL || number_of(entry->name) != self))
                search->part = PART_ALL;
        while (found == 0 && !search->in_process && (entry = next_entry(&folder)) != NULL) {
                int32_t pid = number_of(entry->name);
                if (search->part == PART_BEFORE && pid >= self)
                        break;
                if (pid <= 0 || pid == self)
                        continue;
                found = look_into(search, pid, end_ns) ? pid : 0;
                if (!search->in_process)
                        search->pid = pid + 1;
                over = clock_now_ns() < end_ns;
                if (!over)
                        break;
        }
        if (found == 0 && !search->in_process && over)
                next_part(search);
        descriptor_close(folder.fd);
        return found;
}

/* The same with the children of the thread. */
static int32_t look_at_children(struct process_search *search, uint64_t end_ns)
{
        char bytes[64], list[256];
        struct text path = TEXT_IN(bytes);
        text_format(&path, "self/task/%d/children", (int)search->tid);
        const char *at = proc_read(bytes, list, sizeof list) > 0 ? list : "";
        unsigned index = 0;
        for (uint64_t pid; number_take(&at, 10, &pid);) {
                if (index++ < search->children)
                        continue;
                search->children++;
                if (look_into(search, (int32_t)pid, end_ns))
                        return (int32_t)pid;
                if (search->in_process || clock_now_ns() >= end_ns)
                        return 0;
        }
        next_part(search);
        return 0;
}

void process_search_begin(struct process_search *search, int32_t tid, int32_t fd, const char *link, bool wants_writer)
{
        struct text text = TEXT_IN(search->link);
        *search = (struct process_search){ .going_on = true, .wants_writer = wants_writer, .tid = tid, .fd = fd };
        text_string(&text, link);
        if (text.cut || !call_allowed_sigsafe(SYS_getdents64) || !call_allowed_sigsafe(SYS_readlinkat) ||
            !call_allowed_sigsafe(SYS_newfstatat) || !call_allowed_sigsafe(SYS_lseek))
                search->going_on = false;
}

int32_t process_search_go_on(struct process_search *search, uint64_t end_ns)
{
        int32_t found = 0;
        if (++search->steps > LIMIT_SEARCH_STEPS)
                search->going_on = false;
        while (search->going_on && found == 0 && clock_now_ns() < end_ns) {
                if (search->part == PART_CHILDREN && !search->in_process) {
                        found = look_at_children(search, end_ns);
                } else if (search->part == PART_SELF) {
                        found = look_into(search, process_id(), end_ns) ? process_id() : 0;
                        if (!search->in_process)
                                next_part(search);
                } else if (search->in_process) {
                        int32_t pid = search->pid;
                        found = look_into(search, pid, end_ns) ? pid : 0;
                        if (!search->in_process)
                                search->pid = pid + 1;
                } else {
                        found = look_through(search, end_ns);
                }
                if (search->part == PART_DONE)
                        search->going_on = false;
        }
        return found;
}
