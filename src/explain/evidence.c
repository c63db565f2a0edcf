/* SPDX-License-Identifier: Apache-2.0
 *
 * evidence.c - what a blocked system call waits for, by its arguments
 *
 * One table says of each call which argument is what. Its descriptors, sets, addresses and times are read once for each
 * call of a stall, not at each sample; what the arguments point to by reads that can't fault. A later sample only asks
 * whether the descriptor still leads to the same file, and goes on with a search that has not come to its end.
 *
 * Context: watchdog
 * Limits:  LIMIT_EVIDENCES calls of a stall, LIMIT_GATHERINGS beginnings
 */
#include "explain/evidence.h"

#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/calls.h"
#include "base/clock.h"
#include "base/memory.h"
#include "base/number.h"
#include "base/proc.h"
#include "base/thread.h"
#include "explain/socket.h"
#include "explain/waitset.h"

enum times {
        TIMES_NONE,
        TIMES_MS,
        TIMES_SPEC,  /* struct timespec */
        TIMES_VAL,   /* struct timeval */
        TIMES_CLOCK, /* of clock_nanosleep: the flags stand before it */
};

enum about {
        ABOUT_READ = 1,  /* a pipe's other end is one that writes */
        ABOUT_WRITE = 2, /* and the other way round */
        ABOUT_DISK = 4,  /* the device of a file matters */
        ABOUT_LOCK = 8,
        ABOUT_CHILD = 16,
        ABOUT_SET = 32,
        ABOUT_RECORD_LOCK = 64, /* if its command waits for a lock */
};

/* Numbers of arguments, from 1; 0: it has none. */
struct call {
        short number;
        unsigned char fd, path, address, time;
        enum times times;
        unsigned about;
};

#define READS(name)                                                                                                    \
        {                                                                                                              \
                SYS_##name, .fd = 1, .about = ABOUT_READ | ABOUT_DISK                                                  \
        }
#define WRITES(name)                                                                                                   \
        {                                                                                                              \
                SYS_##name, .fd = 1, .about = ABOUT_WRITE | ABOUT_DISK                                                 \
        }
#define DISK(name)                                                                                                     \
        {                                                                                                              \
                SYS_##name, .fd = 1, .about = ABOUT_DISK                                                               \
        }
#define SOCKET(name)                                                                                                   \
        {                                                                                                              \
                SYS_##name, .fd = 1                                                                                    \
        }
#define PATH(name, argument)                                                                                           \
        {                                                                                                              \
                SYS_##name, .path = argument                                                                           \
        }

static const struct call calls[] = {
        READS(read),
        READS(readv),
        READS(pread64),
        READS(preadv),
        READS(preadv2),
        WRITES(write),
        WRITES(writev),
        WRITES(pwrite64),
        WRITES(pwritev),
        WRITES(pwritev2),
        WRITES(sendfile),
        WRITES(vmsplice),
        READS(splice),
        DISK(fsync),
        DISK(fdatasync),
        DISK(sync_file_range),
        DISK(syncfs),
        DISK(fallocate),
        DISK(ftruncate),
        DISK(getdents64),
        DISK(fstat),
        DISK(close),
        DISK(copy_file_range),
        DISK(fadvise64),
        DISK(readahead),
        DISK(lseek),
        DISK(fstatfs),
        DISK(fchmod),
        DISK(fchown),
        DISK(fgetxattr),
        DISK(fsetxattr),
        SOCKET(ioctl),
        SOCKET(accept),
        SOCKET(accept4),
        SOCKET(recvfrom),
        SOCKET(recvmsg),
        SOCKET(sendmsg),
        SOCKET(sendmmsg),
        SOCKET(shutdown),
        { SYS_recvmmsg, .fd = 1, .time = 5, .times = TIMES_SPEC },
        { SYS_connect, .fd = 1, .address = 2 },
        { SYS_sendto, .fd = 1, .address = 5 },
        { SYS_flock, .fd = 1, .about = ABOUT_LOCK },
        { SYS_fcntl, .fd = 1, .about = ABOUT_RECORD_LOCK },
        PATH(open, 1),
        PATH(creat, 1),
        PATH(openat, 2),
        PATH(openat2, 2),
        PATH(stat, 1),
        PATH(lstat, 1),
        PATH(newfstatat, 2),
        PATH(statx, 2),
        PATH(access, 1),
        PATH(faccessat, 2),
        PATH(faccessat2, 2),
        PATH(readlink, 1),
        PATH(readlinkat, 2),
        PATH(unlink, 1),
        PATH(unlinkat, 2),
        PATH(rename, 1),
        PATH(renameat, 2),
        PATH(renameat2, 2),
        PATH(mkdir, 1),
        PATH(mkdirat, 2),
        PATH(rmdir, 1),
        PATH(link, 1),
        PATH(linkat, 2),
        PATH(symlink, 2),
        PATH(symlinkat, 3),
        PATH(chmod, 1),
        PATH(fchmodat, 2),
        PATH(chown, 1),
        PATH(lchown, 1),
        PATH(fchownat, 2),
        PATH(utimensat, 2),
        PATH(statfs, 1),
        PATH(getxattr, 1),
        PATH(lgetxattr, 1),
        PATH(setxattr, 1),
        PATH(inotify_add_watch, 2),
        PATH(truncate, 1),
        PATH(chdir, 1),
        PATH(execve, 1),
        { SYS_wait4, .about = ABOUT_CHILD },
        { SYS_waitid, .about = ABOUT_CHILD },
        { SYS_nanosleep, .time = 1, .times = TIMES_SPEC },
        { SYS_clock_nanosleep, .time = 3, .times = TIMES_CLOCK },
        { SYS_rt_sigtimedwait, .time = 3, .times = TIMES_SPEC },
        { SYS_io_getevents, .time = 5, .times = TIMES_SPEC },
        { SYS_semtimedop, .time = 4, .times = TIMES_SPEC },
        { SYS_poll, .time = 3, .times = TIMES_MS, .about = ABOUT_SET },
        { SYS_ppoll, .time = 3, .times = TIMES_SPEC, .about = ABOUT_SET },
        { SYS_select, .time = 5, .times = TIMES_VAL, .about = ABOUT_SET },
        { SYS_pselect6, .time = 5, .times = TIMES_SPEC, .about = ABOUT_SET },
        { SYS_epoll_wait, .fd = 1, .time = 4, .times = TIMES_MS, .about = ABOUT_SET },
        { SYS_epoll_pwait, .fd = 1, .time = 4, .times = TIMES_MS, .about = ABOUT_SET },
        { SYS_epoll_pwait2, .fd = 1, .time = 4, .times = TIMES_SPEC, .about = ABOUT_SET },
};

static const struct call *find_call(int number)
{
        for (size_t i = 0; i < sizeof calls / sizeof *calls; i++)
                if (calls[i].number == number)
                        return &calls[i];
        return NULL;
}

/* sendfile() waits for its source only where that is on a disk. */
static int32_t descriptor_of(const struct call *call, const struct sample *sample)
{
        bool source = call->number == SYS_sendfile && sample->state == 'D';
        return (int32_t)sample->arguments[call->fd - 1 + source];
}

/* ---- the pieces ---- */

static uint64_t duration_ns(int64_t seconds, int64_t rest, int64_t unit)
{
        if (seconds < 0 || rest < 0 || rest >= 1000000000 / unit)
                return 0;
        return seconds < 1000000000 ? (uint64_t)(seconds * 1000000000 + rest * unit) : 0;
}

/* What is left of a sleep until a moment of that clock. */
static uint64_t left_until(bool monotonic, const struct timespec *until)
{
        if (!call_allowed_sigsafe(SYS_clock_gettime))
                return 0;
        uint64_t now_ns = monotonic ? clock_monotonic_ns() : clock_realtime_ns();
        int64_t seconds = until->tv_sec - (int64_t)(now_ns / 1000000000);
        int64_t rest = until->tv_nsec - (int64_t)(now_ns % 1000000000);
        if (rest < 0) {
                seconds--;
                rest += 1000000000;
        }
        return duration_ns(seconds, rest, 1);
}

static void look_at_times(struct evidence *evidence, const struct call *call)
{
        const uint64_t *arguments = evidence->arguments;
        struct timespec time;
        if (call->times == TIMES_NONE)
                return;
        uint64_t argument = arguments[call->time - 1];
        if (call->times == TIMES_MS) {
                evidence->timeout_ns = (int32_t)argument > 0 ? (uint64_t)(int32_t)argument * 1000000 : 0;
                return;
        }
        if (argument == 0 || !memory_get_sigsafe(argument, &time, sizeof time))
                return;
        bool monotonic = arguments[0] == CLOCK_MONOTONIC,
             until = call->times == TIMES_CLOCK && (arguments[1] & TIMER_ABSTIME) != 0;
        if (until && (monotonic || arguments[0] == CLOCK_REALTIME))
                evidence->left_ns = left_until(monotonic, &time);
        else if (!until)
                evidence->timeout_ns = duration_ns(time.tv_sec, time.tv_nsec, call->times == TIMES_VAL ? 1000 : 1);
}

static void look_at_address(struct evidence *evidence, const struct call *call)
{
        uint8_t bytes[128];
        struct text text = TEXT_IN(evidence->address);
        if (call->address == 0)
                return;
        uint64_t at = evidence->arguments[call->address - 1], length = evidence->arguments[call->address];
        if (at == 0 || length == 0 || length > sizeof bytes || !memory_get_sigsafe(at, bytes, length))
                return;
        if (!socket_put_peer(&text, bytes, length))
                text_clear(&text);
}

/* A name may end just before memory that can't be read: what is there is enough. */
static void look_at_path(struct evidence *evidence, const struct call *call)
{
        char bytes[LIMIT_WHAT];
        struct text text = TEXT_IN(evidence->what);
        if (call->path == 0)
                return;
        uint64_t at = evidence->arguments[call->path - 1];
        size_t in_page = 4096 - (at & 4095);
        ssize_t n = memory_read_sigsafe(at, bytes, in_page < sizeof bytes - 1 ? in_page : sizeof bytes - 1);
        if (n == (ssize_t)in_page && memchr(bytes, '\0', in_page) == NULL) {
                ssize_t more = memory_read_sigsafe(at + in_page, bytes + n, sizeof bytes - 1 - in_page);
                n += more > 0 ? more : 0;
        }
        if (n <= 0)
                return;
        bytes[n] = '\0';
        text_string(&text, openfile_path(bytes));
}

/* A search may find a process twice: by two of its descriptors, or as a child and as one that was started later. */
static bool has_holder(const struct evidence *evidence, int32_t pid)
{
        for (uint32_t i = 0; i < evidence->holders_count; i++)
                if (evidence->holders[i].pid == pid)
                        return true;
        return false;
}

/* `pid` -1: a lock that belongs to no process; 0: not known. */
static void add_holder(struct evidence *evidence, const char *role, int32_t pid)
{
        if (evidence->holders_count == LIMIT_HOLDERS || pid == 0 || has_holder(evidence, pid))
                return;
        struct evidence_holder *holder = &evidence->holders[evidence->holders_count++];
        *holder = (struct evidence_holder){ .role = role, .pid = pid };
        process_name(pid, holder->name);
}

static void look_at_lock(struct evidence *evidence)
{
        static char locks[LIMIT_LOCKS_BYTES];
        struct proctext_lock lock;
        uint64_t inode = evidence->file.info.inode_known ? evidence->file.info.inode : 0;
        if (proc_read("locks", locks, sizeof locks) <= 0 || !proctext_lock(locks, process_id(), inode, &lock))
                return;
        add_holder(evidence, "lock-holder", lock.holder);
}

/* Of wait4() and waitid() for any child: the first children of this thread. */
static void look_at_any_child(struct evidence *evidence, int32_t tid)
{
        char bytes[64], list[256];
        struct text path = TEXT_IN(bytes);
        text_format(&path, "self/task/%d/children", (int)tid);
        if (proc_read(bytes, list, sizeof list) <= 0)
                return;
        const char *at = list;
        for (uint64_t pid; number_take(&at, 10, &pid);)
                add_holder(evidence, "child", (int32_t)pid);
}

static int32_t child_of(const struct evidence *evidence, int32_t tid)
{
        int32_t id = (int32_t)evidence->arguments[evidence->call == SYS_waitid];
        struct openfile file;
        if (evidence->call == SYS_waitid && evidence->arguments[0] == P_PIDFD)
                return openfile_look(&file, tid, id) && openfile_read_info(&file) ? file.info.pid : 0;
        bool any = evidence->call == SYS_waitid ? evidence->arguments[0] != P_PID : id <= 0;
        return any ? 0 : id;
}

static void look_at_child(struct evidence *evidence, int32_t tid)
{
        int32_t child = child_of(evidence, tid);
        if (child > 0)
                add_holder(evidence, "child", child);
        else
                look_at_any_child(evidence, tid);
        for (uint32_t i = 0; i < evidence->holders_count; i++) {
                char command[sizeof evidence->holders[i].command];
                struct text text = TEXT_IN(evidence->holders[i].command);
                process_command(evidence->holders[i].pid, command, sizeof command);
                text_string(&text, openfile_path(command));
        }
}

static void look_at_device(struct evidence *evidence)
{
        struct text text = TEXT_IN(evidence->device);
        evidence->device_wanted = false;
        openfile_put_device(&text, &evidence->file);
}

/* ---- one call ---- */

/* A pipe, or a file in which one sleeps as in a pipe: a FIFO. */
static bool is_pipe(const struct evidence *evidence)
{
        return evidence->file.kind == PROCTEXT_PIPE ||
               (evidence->file.kind == PROCTEXT_FILE && strstr(evidence->wchan, "pipe_") != NULL);
}

static void look_at_file(struct evidence *evidence, const struct call *call, uint64_t end_ns)
{
        struct openfile *file = &evidence->file;
        struct text what = TEXT_IN(evidence->what);
        openfile_put(&what, file);
        if (is_pipe(evidence) && (call->about & (ABOUT_READ | ABOUT_WRITE)) != 0) {
                process_search_begin(&evidence->search, file->tid, file->fd, file->link, call->about & ABOUT_READ);
                return;
        }
        bool locks = (call->about & ABOUT_LOCK) != 0 ||
                     ((call->about & ABOUT_RECORD_LOCK) != 0 &&
                      (evidence->arguments[1] == F_SETLKW || evidence->arguments[1] == F_OFD_SETLKW));
        evidence->device_wanted = file->kind == PROCTEXT_FILE && (call->about & ABOUT_DISK) != 0;
        if (locks || evidence->device_wanted)
                openfile_read_info(file);
        if (locks)
                look_at_lock(evidence);
        if (evidence->device_wanted && clock_now_ns() < end_ns)
                look_at_device(evidence);
}

static void gather(struct evidence *evidence, const struct call *call, int32_t tid, uint64_t end_ns)
{
        process_channel(tid, evidence->wchan, sizeof evidence->wchan);
        if (call == NULL)
                return;
        look_at_times(evidence, call);
        look_at_address(evidence, call);
        look_at_path(evidence, call);
        if (evidence->fd_known)
                look_at_file(evidence, call, end_ns);
        if (call->about & ABOUT_CHILD)
                look_at_child(evidence, tid);
        if (call->about & ABOUT_SET)
                waitset_look(evidence, tid, end_ns);
}

static void go_on_searching(struct evidence *evidence, uint64_t end_ns)
{
        while (evidence->search.going_on && clock_now_ns() < end_ns) {
                int32_t pid = process_search_go_on(&evidence->search, end_ns);
                if (pid == 0)
                        return;
                add_holder(evidence, "other-end", pid);
                if (evidence->holders_count == LIMIT_HOLDERS)
                        evidence->search.going_on = false;
        }
}

/* ---- those of a stall ---- */

void evidences_clear(struct evidences *evidences)
{
        evidences->count = evidences->gathered = 0;
}

/* The same call again? Of one on a descriptor that is what the descriptor leads to: a loop of reads has a new buffer
 * each time. */
static bool is_same(const struct evidence *known, const struct sample *sample, const struct openfile *file)
{
        if (known->call != sample->syscall)
                return false;
        if (file != NULL)
                return known->fd_known && known->file.fd == file->fd && strcmp(known->file.link, file->link) == 0;
        return !known->fd_known && memcmp(known->arguments, sample->arguments, sizeof known->arguments) == 0;
}

static struct evidence *find(struct evidences *evidences, const struct sample *sample, const struct openfile *file)
{
        for (uint32_t i = 0; i < evidences->count; i++)
                if (is_same(&evidences->all[i], sample, file))
                        return &evidences->all[i];
        return NULL;
}

/* Room for one more: that of the rarest where all is taken. */
static struct evidence *take_room(struct evidences *evidences)
{
        if (evidences->count < LIMIT_EVIDENCES)
                return &evidences->all[evidences->count++];
        struct evidence *rarest = &evidences->all[0];
        for (uint32_t i = 1; i < LIMIT_EVIDENCES; i++)
                if (evidences->all[i].samples < rarest->samples)
                        rarest = &evidences->all[i];
        return rarest;
}

static struct evidence *begin(struct evidences *evidences, const struct sample *sample, const struct openfile *file)
{
        if (evidences->gathered++ >= LIMIT_GATHERINGS)
                return NULL;
        struct evidence *evidence = take_room(evidences);
        memset(evidence, 0, sizeof *evidence);
        evidence->call = sample->syscall;
        memcpy(evidence->arguments, sample->arguments, sizeof evidence->arguments);
        evidence->fd_known = file != NULL;
        if (file != NULL)
                evidence->file = *file;
        return evidence;
}

static struct evidence *go_on(struct evidence *known, uint64_t now_ns)
{
        known->samples++;
        if (!known->device_wanted && !known->search.going_on)
                return NULL;
        if (known->device_wanted)
                look_at_device(known);
        go_on_searching(known, now_ns + LIMIT_SEARCH_NS);
        return known;
}

struct evidence *evidences_look(struct evidences *evidences, int32_t tid, const struct sample *sample)
{
        const struct call *call = find_call(sample->syscall);
        uint64_t now_ns = clock_now_ns();
        struct openfile file;
        bool has_file = call != NULL && call->fd != 0 && openfile_look(&file, tid, descriptor_of(call, sample));
        struct evidence *evidence = find(evidences, sample, has_file ? &file : NULL);
        if (evidence != NULL)
                return go_on(evidence, now_ns);
        evidence = begin(evidences, sample, has_file ? &file : NULL);
        if (evidence == NULL)
                return NULL;
        evidence->samples = 1;
        gather(evidence, call, tid, now_ns + LIMIT_EVIDENCE_NS);
        return evidence;
}

void evidences_confirm(struct evidence *evidence)
{
        evidence->holders_confirmed = evidence->holders_count;
}

void evidences_withdraw(struct evidences *evidences, struct evidence *evidence)
{
        evidence->samples--;
        evidence->holders_count = evidence->holders_confirmed;
        if (evidence->samples != 0)
                return;
        struct evidence *last = &evidences->all[--evidences->count];
        if (evidence != last)
                *evidence = *last;
}

const struct evidence *evidences_of(const struct evidences *evidences, int call)
{
        const struct evidence *most = NULL;
        for (uint32_t i = 0; i < evidences->count; i++) {
                const struct evidence *evidence = &evidences->all[i];
                if (evidence->call == call && (most == NULL || evidence->samples > most->samples))
                        most = evidence;
        }
        return most;
}
