/* SPDX-License-Identifier: Apache-2.0
 *
 * proctext.c - what the kernel writes about descriptors, mounts and locks, as values
 *
 * The files grow new lines and columns with every kernel: what is not known is skipped. A text may be cut anywhere,
 * because it is read into a buffer of fixed size.
 *
 * Context: watchdog
 */
#include "explain/proctext.h"

#include <string.h>

#include "base/number.h"

/* ---- pieces ---- */

static const char *skip_blanks(const char *at)
{
        while (*at == ' ' || *at == '\t')
                at++;
        return at;
}

static bool take_signed(const char **at, int64_t *value)
{
        uint64_t magnitude;
        *at = skip_blanks(*at);
        bool negative = **at == '-';
        *at += negative;
        if (!number_take(at, 10, &magnitude) || magnitude > INT32_MAX)
                return false;
        *value = negative ? -(int64_t)magnitude : (int64_t)magnitude;
        return true;
}

static bool take_char(const char **at, char c)
{
        *at = skip_blanks(*at);
        if (**at != c)
                return false;
        ++*at;
        return true;
}

static const char *next_line(const char *at)
{
        const char *end = strchr(at, '\n');
        return end != NULL ? end + 1 : at + strlen(at);
}

/* What follows `name` at the beginning of the line, or NULL. */
static const char *after(const char *line, const char *name)
{
        size_t length = strlen(name);
        return strncmp(line, name, length) == 0 ? line + length : NULL;
}

/* The word at *at, cut to fit; *at goes on to the next. */
static void take_word(const char **at, char *word, size_t capacity)
{
        struct text text = { .bytes = word, .capacity = capacity };
        *at = skip_blanks(*at);
        size_t length = strcspn(*at, " \t\n");
        text_clear(&text);
        text_bytes(&text, *at, length);
        *at += length;
}

bool proctext_number(const char *text, const char *name, uint64_t *value)
{
        for (const char *line = text; *line != '\0'; line = next_line(line)) {
                const char *at = after(line, name);
                if (at != NULL)
                        return number_take(&at, 10, value);
        }
        return false;
}

/* ---- descriptors ---- */

enum proctext_kind proctext_kind_of(const char *link)
{
        static const struct {
                const char *start;
                enum proctext_kind kind;
        } kinds[] = {
                { "/", PROCTEXT_FILE },
                { "socket:[", PROCTEXT_SOCKET },
                { "pipe:[", PROCTEXT_PIPE },
                { "anon_inode:[eventpoll]", PROCTEXT_EPOLL },
                { "anon_inode:[eventfd", PROCTEXT_EVENTFD },
                { "anon_inode:[timerfd]", PROCTEXT_TIMERFD },
                { "anon_inode:[pidfd]", PROCTEXT_PIDFD },
                { "pidfd:[", PROCTEXT_PIDFD },
        };
        for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
                if (after(link, kinds[i].start) != NULL)
                        return kinds[i].kind;
        return PROCTEXT_OTHER;
}

/* "(0, 499123456)": seconds and nanoseconds. */
static bool take_timespec(const char *at, uint64_t *duration_ns)
{
        uint64_t seconds, rest;
        if (!take_char(&at, '(') || !number_take(&at, 10, &seconds) || !take_char(&at, ',') ||
            !number_take(&at, 10, &rest) || !take_char(&at, ')') || seconds > UINT32_MAX || rest >= 1000000000)
                return false;
        *duration_ns = seconds * 1000000000 + rest;
        return true;
}

void proctext_fdinfo(const char *text, struct proctext_fdinfo *info)
{
        *info = (struct proctext_fdinfo){ .mount = -1 };
        for (const char *line = text; *line != '\0'; line = next_line(line)) {
                const char *at;
                int64_t number;
                if ((at = after(line, "mnt_id:")) != NULL && take_signed(&at, &number))
                        info->mount = (int32_t)number;
                else if ((at = after(line, "ino:")) != NULL)
                        info->inode_known = number_take(&at, 10, &info->inode);
                else if ((at = after(line, "Pid:")) != NULL && take_signed(&at, &number))
                        info->pid = number > 0 ? (int32_t)number : 0;
                else if ((at = after(line, "eventfd-count:")) != NULL)
                        info->count_known = number_take(&at, 16, &info->count);
                else if ((at = after(line, "it_value:")) != NULL)
                        info->left_known = take_timespec(at, &info->left_ns);
        }
}

/* "tfd:        5 events:       19 data:                5  pos:0 ino:4e4 sdev:10": hexadecimal but for the first. */
static bool read_target(const char *at, struct proctext_target *target)
{
        int64_t fd;
        uint64_t events;
        if (!take_signed(&at, &fd) || fd < 0)
                return false;
        at = after(skip_blanks(at), "events:");
        if (at == NULL || !number_take(&at, 16, &events) || events > UINT32_MAX)
                return false;
        at = after(skip_blanks(at), "data:");
        if (at == NULL || !number_take(&at, 16, &target->data))
                return false;
        target->fd = (int32_t)fd;
        target->events = (uint32_t)events;
        return true;
}

bool proctext_next_target(const char **text, struct proctext_target *target)
{
        while (**text != '\0') {
                const char *at = after(*text, "tfd:");
                const char *end = strchr(*text, '\n');
                *text = next_line(*text);
                if (end != NULL && at != NULL && read_target(at, target)) /* a line that was cut is no line */
                        return true;
        }
        return false;
}

/* ---- mounts ---- */

/* "36 35 98:0 /root /mnt rw,noatime master:1 - ext4 /dev/sda1 rw": optional fields end with "-". */
static bool read_mount(const char *line, uint64_t *id, struct proctext_mount *mount)
{
        const char *at = line, *end = line + strcspn(line, "\n");
        uint64_t parent;
        if (!number_take(&at, 10, id) || !number_take(&at, 10, &parent))
                return false;
        take_word(&at, mount->device, sizeof mount->device);
        const char *dash = strstr(at, " - ");
        if (*end == '\0' || dash == NULL || dash > end) /* a line that was cut is no line */
                return false;
        at = dash + 3;
        take_word(&at, mount->type, sizeof mount->type);
        take_word(&at, mount->source, sizeof mount->source);
        return true;
}

bool proctext_mount(const char *text, int32_t id, struct proctext_mount *mount)
{
        uint64_t number;
        for (const char *line = text; *line != '\0'; line = next_line(line))
                if (read_mount(line, &number, mount) && number == (uint64_t)id)
                        return true;
        return false;
}

bool proctext_mount_of(const char *text, const char *device, struct proctext_mount *mount)
{
        uint64_t number;
        for (const char *line = text; *line != '\0'; line = next_line(line))
                if (read_mount(line, &number, mount) && strcmp(mount->device, device) == 0)
                        return true;
        return false;
}

/* ---- locks ---- */

struct lock_line {
        uint64_t id;
        bool waits;
        bool exclusive;
        int32_t pid;
        uint64_t inode;
};

/* "1: -> POSIX  ADVISORY  WRITE 4711 08:01:123456 0 EOF": those that wait have an arrow and their holder's number. */
static bool read_lock(const char *at, struct lock_line *lock)
{
        int64_t pid;
        uint64_t device;
        char word[16];
        if (!number_take(&at, 10, &lock->id) || *at++ != ':')
                return false;
        at = skip_blanks(at);
        lock->waits = strncmp(at, "->", 2) == 0;
        at += lock->waits ? 2 : 0;
        take_word(&at, word, sizeof word); /* FLOCK, POSIX, OFDLCK, LEASE */
        take_word(&at, word, sizeof word); /* ADVISORY */
        take_word(&at, word, sizeof word);
        lock->exclusive = strcmp(word, "WRITE") == 0;
        if (!take_signed(&at, &pid) || !number_take(&at, 16, &device) || *at++ != ':' ||
            !number_take(&at, 16, &device) || *at++ != ':' || !number_take(&at, 10, &lock->inode))
                return false;
        lock->pid = (int32_t)pid;
        return true;
}

/* Those that wait for a lock follow it. */
bool proctext_lock(const char *text, int32_t pid, uint64_t inode, struct proctext_lock *lock)
{
        struct lock_line holder = { .id = 0 }, line = { .id = 0 };
        for (const char *at = text; *at != '\0'; at = next_line(at)) {
                if (strchr(at, '\n') == NULL || !read_lock(at, &line))
                        continue;
                if (!line.waits) {
                        holder = line;
                        continue;
                }
                bool ours = line.pid == pid || (line.pid == -1 && inode != 0);
                if (!ours || line.id != holder.id || holder.id == 0 || (inode != 0 && line.inode != inode))
                        continue;
                *lock = (struct proctext_lock){ .holder = holder.pid, .exclusive = holder.exclusive };
                return true;
        }
        return false;
}
