/* SPDX-License-Identifier: Apache-2.0
 *
 * text_evidence.c - what a stall waited for and what it served, as people read it
 *
 * The head line gets what names the thing and who holds it; lines of their own get the rest.
 *
 * Context: watchdog, reader
 */
#include <string.h>

#include "record/frame.h"
#include "record/parts.h"
#include "record/text_evidence.h"

#define INDENT "    "
#define LINE_BYTES 2048
#define SERVED_SHOWN 3 /* descriptors on one line */
#define WAITED_SHOWN 4

static bool is_set(const char *string)
{
        return string && *string;
}

/* One reads or writes "of" a thing and waits "on" one. */
static const char *preposition(const char *call)
{
        static const char of[] =
                "read readv pread64 preadv preadv2 write writev pwrite64 pwritev pwritev2 fsync fdatasync "
                "open openat openat2 stat lstat newfstatat statx fstat close fallocate ftruncate "
                "truncate getdents64 unlink unlinkat rename renameat renameat2 creat chmod fchmodat chown lchown "
                "fchownat utimensat statfs fstatfs fchmod fchown getxattr lgetxattr setxattr";
        return record_has_word(of, call) ? " of " : " on ";
}

/* ---- the head line ---- */

static void put_descriptor(struct text *text, const char *what, bool fd_known, int32_t fd)
{
        text_printable(text, what);
        if (fd_known)
                text_format(text, "%sfd %d", is_set(what) ? ", " : "", fd);
}

static void put_object(struct text *text, const struct record_detail *detail)
{
        if (is_set(detail->address)) {
                text_string(text, " to ");
                text_printable(text, detail->address);
                if (detail->fd_known)
                        text_format(text, " (fd %d)", detail->fd);
        } else if (detail->waits_for_count == 1 && detail->waits_for_more == 0) {
                text_string(text, " on ");
                put_descriptor(text, detail->waits_for[0].what, true, detail->waits_for[0].fd);
        } else if (detail->waits_for_count > 0) {
                text_format(text, " on %zu descriptors", detail->waits_for_count + detail->waits_for_more);
        } else if (is_set(detail->what)) {
                text_string(text, preposition(detail->call));
                put_descriptor(text, detail->what, detail->fd_known, detail->fd);
        }
}

static void put_holder_words(struct text *text, const char *role, bool first, bool last)
{
        if (!first)
                text_string(text, last ? " and " : ", ");
        else if (role && strcmp(role, "other-end") == 0)
                text_string(text, ", other end held by ");
        else
                text_string(text, role && strcmp(role, "child") == 0 ? " for " : ", held by ");
}

static void put_memory(struct text *text, const char *what)
{
        if (!is_set(what))
                return;
        text_string(text, strcmp(what, "swap") == 0 ? " in " : " of ");
        text_printable(text, what);
}

void text_put_waited(struct text *text, const struct record *record)
{
        const struct record_detail *detail = &record->stall.detail;
        bool waits = record->stall.cause == RECORD_BLOCKED || record->type == RECORD_DUMP;
        if (record->stall.cause == RECORD_PAGE_FAULT)
                put_memory(text, detail->what);
        if (!waits || !detail->call)
                return;
        put_object(text, detail);
        for (size_t i = 0; i < detail->held_by_count; i++) {
                const struct record_holder *holder = &detail->held_by[i];
                const char *command = is_set(holder->command) ? record_basename(holder->command) : holder->name;
                put_holder_words(text, holder->role, i == 0, i + 1 == detail->held_by_count);
                if (holder->pid == record->pid) {
                        text_string(text, "this process itself");
                } else if (holder->pid < 0) {
                        text_string(text, "an open file description (a lock of no process)");
                } else {
                        text_printable(text, is_set(command) ? command : "?");
                        text_format(text, " (%d)", holder->pid);
                }
        }
}

/* ---- lines of their own ---- */

static void next_part(struct text *line)
{
        text_string(line, line->length > strlen(INDENT) ? ", " : "");
}

static void put_part(struct text *line, const char *name, const char *value)
{
        if (!is_set(value))
                return;
        next_part(line);
        text_string(line, name);
        text_printable(line, value);
}

static void put_time(struct text *line, const char *name, uint64_t duration_ns, const char *after)
{
        if (!duration_ns)
                return;
        next_part(line);
        text_string(line, name);
        text_duration(line, duration_ns);
        text_string(line, after);
}

static void put_fds(struct text *line, const struct record_fd *fds, size_t count, size_t shown, uint32_t more)
{
        for (size_t i = 0; i < count && i < shown; i++) {
                text_format(line, "%sfd %d", i ? "; " : "", fds[i].fd);
                text_string(line, is_set(fds[i].what) ? " " : "");
                text_printable(line, fds[i].what);
                if (is_set(fds[i].events) && strcmp(fds[i].events, "in") != 0) {
                        text_string(line, " (");
                        text_printable(line, fds[i].events);
                        text_char(line, ')');
                }
        }
        size_t left = (count > shown ? count - shown : 0) + more;
        if (left)
                text_format(line, "%s%zu%s", count ? " and " : "", left,
                            count       ? " more"
                            : left == 1 ? " event"
                                        : " events");
}

static void write_line(struct text *text, struct text *line, size_t empty)
{
        if (line->length > empty)
                text_format(text, "%s\n", line->bytes);
}

void text_write_waited(struct text *text, const struct record_stall *stall)
{
        const struct record_detail *detail = &stall->detail;
        char bytes[LINE_BYTES];
        struct text line = TEXT_IN(bytes);
        bool sleeps = detail->call && strstr(detail->call, "nanosleep");
        text_string(&line, INDENT);
        if (is_set(detail->address))
                put_part(&line, "socket: ", detail->what);
        put_time(&line, sleeps ? "sleep of " : "time limit ", detail->timeout_ns, "");
        put_time(&line, "", detail->left_ns, " of the sleep left when first seen");
        put_part(&line, "file system ", detail->device);
        put_part(&line, "in the kernel's ", detail->wchan);
        write_line(text, &line, strlen(INDENT));
        if (detail->waits_for_count + detail->waits_for_more < 2)
                return;
        text_clear(&line);
        text_string(&line, INDENT "waits for: ");
        put_fds(&line, detail->waits_for, detail->waits_for_count, WAITED_SHOWN, detail->waits_for_more);
        write_line(text, &line, 0);
}

void text_write_served(struct text *text, const struct record_stall *stall)
{
        char bytes[LINE_BYTES];
        struct text line = TEXT_IN(bytes);
        if (stall->ready_count == 0)
                return;
        text_string(&line, INDENT "serving: ");
        put_fds(&line, stall->ready, stall->ready_count, SERVED_SHOWN, stall->ready_more);
        if (stall->ready_before)
                text_format(&line, ", which came %u iteration%s before", stall->ready_before,
                            stall->ready_before == 1 ? "" : "s");
        write_line(text, &line, 0);
}
