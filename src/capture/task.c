/* SPDX-License-Identifier: Apache-2.0
 *
 * task.c - what /proc says about one thread
 *
 * The files are opened once and read anew with pread(): one system call a reading, and it still works after the
 * process has given up the right to open them. `status` and `maps` may be longer than any buffer (thousands of groups
 * or mappings), so they are read line by line; a line that does not fit is skipped, it is none that matters.
 *
 * Context: watchdog
 */
#include "capture/task.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/calls.h"
#include "base/descriptors.h"
#include "base/limits.h"
#include "base/number.h"
#include "base/proc.h"
#include "base/raw.h"
#include "base/text.h"

/* ---- a file of /proc, line by line ---- */

struct lines {
        int fd;
        int error;
        off_t offset;  /* of the next read */
        size_t length; /* of what is in `bytes` */
        size_t start;  /* of the next line in it */
        bool skipping; /* the rest of a line that did not fit */
        char bytes[2048];
};

static void begin_lines(struct lines *lines, int fd)
{
        lines->fd = fd;
        lines->error = 0;
        lines->offset = 0;
        lines->length = lines->start = 0;
        lines->skipping = false;
}

static bool refill(struct lines *lines)
{
        size_t kept = lines->length - lines->start;
        if (kept == sizeof(lines->bytes)) {
                lines->skipping = true;
                kept = 0;
        }
        memmove(lines->bytes, lines->bytes + lines->length - kept, kept);
        lines->start = 0;
        lines->length = kept;
        ssize_t n = pread(lines->fd, lines->bytes + kept, sizeof(lines->bytes) - kept, lines->offset);
        if (n <= 0) {
                lines->error = n < 0 ? -errno : 0;
                return false;
        }
        lines->offset += n;
        lines->length += (size_t)n;
        return true;
}

/* The next line, terminated; NULL at the end or after an error. */
static const char *next_line(struct lines *lines)
{
        for (;;) {
                char *line = lines->bytes + lines->start;
                char *end = memchr(line, '\n', lines->length - lines->start);
                if (end == NULL) {
                        if (!refill(lines))
                                return NULL;
                        continue;
                }
                *end = '\0';
                lines->start = (size_t)(end + 1 - lines->bytes);
                if (!lines->skipping)
                        return line;
                lines->skipping = false;
        }
}

/* ---- the files of a thread ---- */

#define FILES 3
#define BLOCKED_TRIES 100 /* for a thread that is hardly ever met in its wait, or has a mask there */

static int open_file(int32_t tid, const char *name)
{
        char bytes[64];
        struct text path = TEXT_IN(bytes);
        text_format(&path, "self/task/%d/%s", (int)tid, name);
        return proc_open(bytes);
}

static void open_files(struct capture_task *task)
{
        int32_t tid = task->tid;
        task->open_error = 0;
        task->status_fd = open_file(tid, "status");
        task->stat_fd = open_file(tid, "stat");
        task->syscall_fd = open_file(tid, "syscall");
        if (task->syscall_fd >= 0)
                return;
        task->open_error = task->syscall_fd;
        task->syscall_fd = capture_kept_syscall(tid);
}

static void close_file(int *fd)
{
        descriptor_close(*fd);
        *fd = -1;
}

static void close_files(struct capture_task *task)
{
        close_file(&task->syscall_fd);
        close_file(&task->status_fd);
        close_file(&task->stat_fd);
}

/* Open files are worth most where they can't be opened later, and need not be many. */
static unsigned tasks_kept_open;

void capture_task_open(struct capture_task *task, int32_t tid, uint64_t stack_hint)
{
        *task = (struct capture_task){ .tid = tid, .stack_hint = stack_hint };
        task->syscall_fd = task->status_fd = task->stat_fd = -1;
        task->on_demand = tasks_kept_open >= descriptors_share() / FILES;
        if (task->on_demand)
                return;
        tasks_kept_open++;
        open_files(task);
}

void task_begin(struct capture_task *task)
{
        bool lost = task->status_fd >= 0 && !descriptor_is_ours(task->status_fd);
        if (task->on_demand || lost)
                open_files(task);
}

void task_end(struct capture_task *task)
{
        if (task->on_demand)
                close_files(task);
}

void capture_task_close(struct capture_task *task)
{
        if (task->tid == 0) /* never opened: zeroed, so that its descriptors are not ours */
                return;
        close_files(task);
        if (!task->on_demand && tasks_kept_open > 0)
                tasks_kept_open--;
        task->tid = 0;
}

void task_after_fork(void)
{
        tasks_kept_open = 0;
}

bool capture_task_gone(struct capture_task *task)
{
        char state;
        if (task->tid == 0)
                return true;
        int r = task_read_state(task, &state);
        if (r == -EBADF && call_allowed_sigsafe(SYS_tgkill)) { /* no /proc: ask the kernel for the thread itself */
                long pid = raw_syscall_sigsafe(SYS_getpid, 0, 0, 0, 0, 0, 0);
                return raw_syscall_sigsafe(SYS_tgkill, (uint64_t)pid, (uint64_t)task->tid, 0, 0, 0, 0) == -ESRCH;
        }
        return r == -ESRCH || (r == 0 && (state == 'Z' || state == 'X'));
}

static int read_small(int fd, char *buffer, size_t capacity)
{
        if (!descriptor_is_ours(fd))
                return -EBADF;
        ssize_t n = pread(fd, buffer, capacity - 1, 0);
        if (n < 0)
                return -errno;
        buffer[n] = '\0';
        return 0;
}

int task_parse_call(const char *text, struct task_call *call)
{
        uint64_t number;
        *call = (struct task_call){ .number = -1 };
        if (strncmp(text, "running", 7) == 0)
                return 0;
        call->asleep = true;
        if (strncmp(text, "-1 ", 3) == 0) {
                text += 2;
        } else {
                if (!number_take(&text, 10, &number) || number > INT32_MAX)
                        return -EINVAL;
                call->number = (int)number;
                for (int i = 0; i < 6; i++)
                        if (!number_take(&text, 16, &call->arguments[i]))
                                return -EINVAL;
        }
        if (!number_take(&text, 16, &call->stack_pointer) || !number_take(&text, 16, &call->program_counter))
                return -EINVAL;
        return 0;
}

int task_read_call(const struct capture_task *task, struct task_call *call)
{
        char text[256];
        int r = read_small(task->syscall_fd, text, sizeof(text));
        return r < 0 ? r : task_parse_call(text, call);
}

/* "4242 (name) S ...": the name may hold anything, parentheses, spaces and newlines too, and ends at the last ')'. */
int task_parse_state(const char *text, char *state)
{
        const char *end = strrchr(text, ')');
        if (end == NULL || end[1] != ' ' || end[2] == '\0')
                return -EINVAL;
        *state = end[2];
        return 0;
}

int task_read_state(const struct capture_task *task, char *state)
{
        char text[512];
        int r = read_small(task->stat_fd, text, sizeof(text));
        return r < 0 ? r : task_parse_state(text, state);
}

/* The value of a line that begins with `name`, or NULL. */
static const char *value_of(const char *line, const char *name)
{
        size_t length = strlen(name);
        return strncmp(line, name, length) == 0 ? line + length : NULL;
}

static int read_status(int fd, struct task_status *status)
{
        struct lines lines;
        const char *line, *value;
        bool switches = false, complete = false;
        *status = (struct task_status){ .state = 0 };
        if (!descriptor_is_ours(fd))
                return -EBADF;
        begin_lines(&lines, fd);
        while (!complete && (line = next_line(&lines)) != NULL) {
                if ((value = value_of(line, "State:\t")) != NULL)
                        status->state = *value;
                else if ((value = value_of(line, "TracerPid:")) != NULL)
                        number_take(&value, 10, &status->tracer);
                else if ((value = value_of(line, "SigPnd:")) != NULL)
                        number_take(&value, 16, &status->pending);
                else if ((value = value_of(line, "SigBlk:")) != NULL)
                        number_take(&value, 16, &status->blocked);
                else if ((value = value_of(line, "Seccomp:")) != NULL)
                        number_take(&value, 10, &status->filters);
                else if (status->filters != 0 && (value = value_of(line, "Seccomp_filters:")) != NULL)
                        number_take(&value, 10, &status->filters);
                else if ((value = value_of(line, "voluntary_ctxt_switches:")) != NULL)
                        switches = number_take(&value, 10, &status->switches);
                else if ((value = value_of(line, "nonvoluntary_ctxt_switches:")) != NULL)
                        complete = switches && number_take(&value, 10, &status->involuntary);
        }
        if (lines.error != 0)
                return lines.error;
        return complete ? 0 : -EINVAL;
}

int task_read_status(const struct capture_task *task, struct task_status *status)
{
        return read_status(task->status_fd, status);
}

/* One that lends the thread no signal mask for as long as it lasts. */
static bool is_plain_wait(const struct task_call *call)
{
        switch (call->number) {
        case SYS_epoll_wait:
        case SYS_poll:
        case SYS_select:
                return call->asleep;
        case SYS_ppoll:
                return call->asleep && call->arguments[3] == 0;
        case SYS_epoll_pwait:
        case SYS_epoll_pwait2:
                return call->asleep && call->arguments[4] == 0;
        case SYS_pselect6:
                return call->asleep && call->arguments[5] == 0;
        default:
                return false;
        }
}

void capture_task_note_blocked(struct capture_task *task)
{
        struct task_status status;
        struct task_call call;
        if (!call_allowed_sigsafe(SYS_pread64) || task->blocked_tries == BLOCKED_TRIES)
                return;
        task->blocked_tries++;
        task_begin(task);
        if (task_read_status(task, &status) == 0) {
                task->own_filter = status.filters != calls_filters();
                task->knows_blocked = status.state == 'S' && task_read_call(task, &call) == 0 && is_plain_wait(&call);
                task->usually_blocked = task->knows_blocked ? status.blocked : 0;
        }
        task_end(task);
}

int task_read_status_at(const char *path, struct task_status *status)
{
        int fd = proc_open(path);
        if (fd < 0)
                return fd;
        int r = read_status(fd, status);
        descriptor_close(fd);
        return r;
}

uint64_t task_cpu_ns(int32_t tid)
{
        /* The kernel's id of a thread's CPU clock: CPUCLOCK_PERTHREAD_MASK | CPUCLOCK_SCHED. */
        struct timespec t;
        uint32_t clock = ~(uint32_t)tid << 3 | 4 | 2;
        if (!call_allowed_sigsafe(SYS_clock_gettime) ||
            raw_syscall_sigsafe(SYS_clock_gettime, clock, (uintptr_t)&t, 0, 0, 0, 0) != 0)
                return 0;
        return (uint64_t)t.tv_sec * 1000000000ull + (uint64_t)t.tv_nsec;
}

/* ---- the mapping of the stack ---- */

struct mapping {
        uint64_t low;
        uint64_t high;
        bool plain; /* writable memory without a file: may be part of a stack */
        bool main;  /* the first thread's stack */
};

/* "7ffd1000-7ffd3000 rw-p 00000000 00:00 0      [stack]" */
static bool parse_mapping(const char *line, struct mapping *mapping)
{
        uint64_t ignored, inode;
        if (!number_take(&line, 16, &mapping->low) || *line++ != '-' || !number_take(&line, 16, &mapping->high))
                return false;
        if (line[0] != ' ' || strlen(line) < 6)
                return false;
        mapping->plain = line[1] == 'r' && line[2] == 'w' && line[4] == 'p';
        line += 5;
        if (!number_take(&line, 16, &ignored) || !number_take(&line, 16, &ignored) || *line++ != ':' ||
            !number_take(&line, 16, &ignored) || !number_take(&line, 10, &inode))
                return false;
        while (*line == ' ')
                line++;
        mapping->main = strcmp(line, "[stack]") == 0;
        if (inode != 0 || (*line != '\0' && !mapping->main))
                mapping->plain = false;
        return true;
}

/* Parts of a stack that were locked or protected on their own are mappings of their own. What follows without a gap is
 * taken for the same stack only if it leads to that stack's end: the thread pointer, or what the kernel calls the
 * stack. Otherwise it may be anything, and copying it would cost time for nothing. */
static void extend(struct capture_task *task, struct lines *lines)
{
        struct mapping mapping;
        const char *line;
        uint64_t reach = task->stack_high;
        while (reach - task->stack_low < LIMIT_STACK_EXTENT && (line = next_line(lines)) != NULL) {
                if (!parse_mapping(line, &mapping) || !mapping.plain || mapping.low != reach)
                        return;
                reach = mapping.high;
                task->stack_grows |= mapping.main;
                if (mapping.main || (task->stack_bound >= mapping.low && task->stack_bound < mapping.high)) {
                        task->stack_high = reach;
                        return;
                }
        }
}

bool task_find_stack_in(struct capture_task *task, int fd, uint64_t address)
{
        struct lines lines;
        const char *line;
        begin_lines(&lines, fd);
        while (task->stack_high == 0 && (line = next_line(&lines)) != NULL) {
                struct mapping mapping;
                if (!parse_mapping(line, &mapping) || address < mapping.low || address >= mapping.high)
                        continue;
                task->stack_low = mapping.low;
                task->stack_high = mapping.high;
                task->stack_grows = mapping.main;
                extend(task, &lines);
        }
        return task->stack_high != 0;
}

int task_find_stack(struct capture_task *task, uint64_t address)
{
        int fd = proc_open_maps();
        task->stack_low = task->stack_high = 0;
        if (fd < 0)
                return fd;
        bool found = task_find_stack_in(task, fd, address);
        descriptor_close(fd);
        return found ? 0 : -ENOENT;
}

uint64_t task_stack_end(const struct capture_task *task, uint64_t stack_pointer)
{
        uint64_t bound = task->stack_bound;
        return bound > stack_pointer && bound < task->stack_high ? bound : task->stack_high;
}
