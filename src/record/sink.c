/* SPDX-License-Identifier: Apache-2.0
 *
 * sink.c - where records go: a file of JSON Lines, or stderr as text
 *
 * The file is written line by line with one write() each, so that a reader never sees two lines mixed, even where two
 * processes share a path. It is looked at before each line: one that was removed, rotated or emptied is begun anew,
 * which is counted and not said, because that is how logs are kept. stderr belongs to the host: it is never made to
 * block us or changed, and it is left alone when it is not what it was at the start.
 *
 * Context: watchdog, but sink_setup() in the constructor and sink_keep() on a thread of the host
 */
#include "record/sink.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/calls.h"
#include "base/clock.h"
#include "base/descriptors.h"
#include "base/limits.h"
#include "base/notice.h"
#include "base/proc.h"
#include "base/text.h"
#include "record/record.h"
#include "record/unwritten.h"

/* An open file. */
struct file {
        int fd;       /* -1: none */
        bool created; /* it was not there before */
        dev_t device;
        ino_t inode;
        uint64_t size; /* when it was last looked at, whoever wrote it */
        char path[LIMIT_PATH];
};

static struct {
        const char *output;
        char folder[LIMIT_PATH]; /* where a relative path begins, ending in '/': servers change their folder */
        uint64_t limit_bytes;
        struct file file; /* the watchdog's */
        struct file kept; /* a thread of the host opened it before the rights went, in the host's table */
        bool adopted;     /* `file` is what was kept */
        pid_t kept_by;
        bool begun; /* our process record stands in `file` */
        uint64_t dropped;
        uint64_t reopened; /* how often it was removed, rotated or emptied under us */
        bool said_unwritten;
        bool torn;        /* the last line was cut by a full disk: the next one begins on a line of its own */
        bool journal;     /* stderr is systemd's journal */
        int own_stderr;   /* our copy of it where it can't be borrowed; -1 */
        int32_t host_tid; /* a thread of the host; 0: none is known */
        bool stderr_known;
        dev_t stderr_device;
        ino_t stderr_inode;
        dev_t stderr_special;
        mode_t stderr_mode;
} sink = { .file.fd = -1, .kept.fd = -1, .own_stderr = -1 };

static void remember_folder(const char *output)
{
        sink.folder[0] = '\0';
        if (output == NULL || output[0] == '/' || getcwd(sink.folder, sizeof sink.folder - 1) == NULL)
                return;
        strcat(sink.folder, "/");
}

/* systemd tells in JOURNAL_STREAM which socket is the journal's: "device:inode". */
static bool is_journal(const struct stat *status)
{
        char bytes[48];
        struct text stream = TEXT_IN(bytes);
        const char *told = getenv("JOURNAL_STREAM");
        text_format(&stream, "%llu:%llu", (unsigned long long)status->st_dev, (unsigned long long)status->st_ino);
        return told != NULL && strcmp(told, bytes) == 0;
}

void sink_setup(const char *output, uint64_t limit_bytes)
{
        struct stat status;
        sink.output = output;
        sink.limit_bytes = limit_bytes;
        remember_folder(output);
        if (fstat(STDERR_FILENO, &status) != 0)
                return;
        sink.stderr_known = true;
        sink.stderr_device = status.st_dev;
        sink.stderr_inode = status.st_ino;
        sink.stderr_special = status.st_rdev;
        sink.stderr_mode = status.st_mode;
        sink.journal = is_journal(&status);
}

bool sink_is_file(void)
{
        return sink.output != NULL;
}

uint64_t sink_bytes_dropped(void)
{
        return sink.dropped;
}

uint64_t sink_reopened(void)
{
        return sink.reopened;
}

int sink_descriptor(void)
{
        return sink.file.fd;
}

/* The kernel drops the lock with its holder, whatever becomes of that, and needs no right but to read the file. What is
 * written for somebody who looks on must not fill the file: the rest of it is for stalls. */
bool sink_is_read(void)
{
        struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = RECORD_READER_BYTE, .l_len = 1 };
        bool room = sink.file.size < sink.limit_bytes / 2;
        if (!room || !descriptor_is_ours(sink.file.fd) || !call_allowed_sigsafe(SYS_fcntl))
                return false;
        return fcntl(sink.file.fd, F_OFD_GETLK, &lock) == 0 && lock.l_type == F_RDLCK;
}

/* ---- the file ---- */

/* A name of the process that is safe in a file name. */
static void append_program(struct text *path)
{
        char name[64] = "";
        ssize_t n = proc_read_line("self/comm", name, sizeof name);
        for (ssize_t i = 0; i < n && name[i] != '\n'; i++) {
                bool plain = (name[i] >= 'a' && name[i] <= 'z') || (name[i] >= 'A' && name[i] <= 'Z') ||
                             (name[i] >= '0' && name[i] <= '9') || strchr("-_.+", name[i]) != NULL;
                text_char(path, plain ? name[i] : '_');
        }
}

/* %p pid, %n name, %t start time, %% itself; anything else stays as it is. */
static void expand(struct text *path, const char *pattern)
{
        for (; *pattern != '\0'; pattern++) {
                char next = *pattern == '%' ? pattern[1] : '\0';
                if (next == 'p')
                        text_signed(path, getpid());
                else if (next == 'n')
                        append_program(path);
                else if (next == 't')
                        text_unsigned(path, clock_realtime_ns() / 1000000000);
                else if (next == '%')
                        text_char(path, '%');
                else {
                        text_char(path, *pattern);
                        continue;
                }
                pattern++;
        }
}

static int make_path(char bytes[LIMIT_PATH])
{
        struct text path = { .bytes = bytes, .capacity = LIMIT_PATH };
        struct stat status;
        text_clear(&path);
        text_string(&path, sink.folder);
        expand(&path, sink.output);
        bool folder = path.length > 0 && bytes[path.length - 1] == '/';
        if (folder || (stat(bytes, &status) == 0 && S_ISDIR(status.st_mode))) {
                text_string(&path, folder ? "loopdog." : "/loopdog.");
                append_program(&path);
                text_format(&path, ".%d.jsonl", (int)getpid());
        }
        if (!path.cut)
                return 0;
        bytes[0] = '\0';
        return -ENAMETOOLONG;
}

/* O_NONBLOCK: a FIFO without a reader must not hold us up. */
#define OPEN_FLAGS (O_WRONLY | O_APPEND | O_NOFOLLOW | O_CLOEXEC | O_NOCTTY | O_NONBLOCK)

static int open_path(const char *path, bool *created)
{
        int fd = open(path, OPEN_FLAGS);
        *created = false;
        if (fd < 0 && errno == ENOENT) {
                fd = open(path, OPEN_FLAGS | O_CREAT | O_EXCL, 0600);
                *created = fd >= 0;
        }
        if (fd < 0 && errno == EEXIST) /* another process was faster */
                fd = open(path, OPEN_FLAGS);
        return fd < 0 ? -errno : fd;
}

/* In a folder where everybody may make files, what is there may have been put in our way, under a name that can be
 * guessed, to read what we write. The kernel's fs.protected_regular has the same rule, but only for O_CREAT. */
static bool is_planted(const struct file *file, const struct stat *status)
{
        char bytes[LIMIT_PATH];
        struct text folder = TEXT_IN(bytes);
        struct stat above;
        const char *end = strrchr(file->path, '/');
        if (S_ISCHR(status->st_mode) || !call_allowed_sigsafe(SYS_geteuid) || status->st_uid == geteuid())
                return false;
        text_bytes(&folder, file->path, end != NULL ? (size_t)(end - file->path) + 1 : 0);
        bool anyones = stat(bytes, &above) == 0 && (above.st_mode & S_ISVTX) && (above.st_mode & S_IWOTH);
        return anyones && status->st_uid != above.st_uid;
}

static int open_file(struct file *file)
{
        if (!call_allowed_sigsafe(SYS_openat) || !call_allowed_sigsafe(SYS_newfstatat))
                return PROC_FILTERED;
        int error = file->path[0] == '\0' ? make_path(file->path) : 0;
        if (error != 0)
                return error;
        int fd = descriptor_take(open_path(file->path, &file->created));
        if (fd < 0)
                return fd;
        struct stat status;
        int wrong = fstat(fd, &status) != 0                       ? -EIO
                    : !file->created && is_planted(file, &status) ? UNWRITTEN_PLANTED
                                                                  : 0;
        if (wrong != 0) {
                descriptor_close(fd);
                return wrong;
        }
        file->fd = fd;
        file->device = status.st_dev;
        file->inode = status.st_ino;
        file->size = (uint64_t)status.st_size;
        return 0;
}

static bool is_same_file(const struct file *file, const struct stat *status)
{
        return status->st_dev == file->device && status->st_ino == file->inode;
}

enum file_state {
        FILE_THERE,
        FILE_EMPTIED, /* it is smaller than before, as by logrotate's copytruncate */
        FILE_GONE,    /* removed or rotated, or its number closed by the host */
};

/* What has become of the open file? Once rights were given up, a name that leads nowhere says nothing. */
static enum file_state look_at_file(void)
{
        struct stat status;
        bool kept = sink.adopted || sink.kept.fd >= 0;
        if (!descriptor_is_ours(sink.file.fd))
                return FILE_GONE;
        if (!call_allowed_sigsafe(SYS_newfstatat))
                return FILE_THERE;
        int error = kept ? fstat(sink.file.fd, &status) : stat(sink.file.path, &status);
        if (error != 0 || !is_same_file(&sink.file, &status))
                return FILE_GONE;
        uint64_t before = sink.file.size;
        sink.file.size = (uint64_t)status.st_size;
        return sink.file.size < before ? FILE_EMPTIED : FILE_THERE;
}

static void let_go_of_file(void)
{
        descriptor_close(sink.file.fd);
        sink.adopted = false;
        sink.torn = false;
        sink.file.fd = -1;
}

/* The rights went while the watchdog was at work, which has a table of its own: what was kept is in the host's. */
static int reach_for_kept(void)
{
        int fd = descriptor_borrow_kept(sink.kept.fd);
        if (fd < 0)
                return fd;
        sink.file = sink.kept;
        sink.file.fd = fd;
        return 0;
}

static void say_cannot_open(int error)
{
        static bool said;
        if (said)
                return;
        said = true;
        char bytes[LIMIT_PATH + 200], printable[LIMIT_PATH];
        struct text line = TEXT_IN(bytes), path = TEXT_IN(printable);
        text_printable(&path, sink.file.path[0] != '\0' ? sink.file.path : sink.output);
        text_string(&line, "loopdog: cannot write ");
        text_string(&line, printable);
        text_format(&line, "%s (error %d); stalls are counted, not recorded\n", unwritten_why(error), -error);
        sink_text(bytes, line.length);
}

/* Open the file; `fresh` unless it is the one of before: after a fork stopped the watchdog, or when the host closed
 * it. */
static int begin_file(bool had_file, bool *fresh)
{
        dev_t device = sink.file.device;
        ino_t inode = sink.file.inode;
        int error = open_file(&sink.file);
        if (error != 0 && sink.kept.fd >= 0)
                error = reach_for_kept() == 0 ? 0 : error;
        if (error != 0) {
                say_cannot_open(error);
                return error;
        }
        if (sink.file.device == device && sink.file.inode == inode && sink.begun && !sink.file.created)
                return 0;
        sink.reopened += had_file;
        sink.begun = false;
        *fresh = true;
        return -EAGAIN;
}

static int make_ready(bool *fresh)
{
        *fresh = false;
        if (sink.file.fd < 0)
                return begin_file(false, fresh);
        switch (look_at_file()) {
        case FILE_THERE:
                return 0;
        case FILE_EMPTIED:
                sink.reopened++;
                sink.begun = false;
                sink.torn = false;
                *fresh = true;
                return -EAGAIN;
        case FILE_GONE:
                break;
        }
        let_go_of_file();
        return begin_file(true, fresh);
}

static int write_line(const char *line, size_t length)
{
        if (sink.torn && write(sink.file.fd, "\n", 1) == 1)
                sink.torn = false;
        ssize_t n = write(sink.file.fd, line, length);
        if (n == (ssize_t)length) {
                sink.begun = true;
                return 0;
        }
        /* What kept us from the rest of a line that was cut is told by its next byte. */
        int error = n < 0 || write(sink.file.fd, line + n, 1) < 0 ? -errno : -ENOSPC;
        sink.torn |= n > 0;
        if (!sink.said_unwritten)
                notice("%s: a record could not be written%s (error %d); stalls are counted", sink.file.path,
                       unwritten_why(error), -error);
        sink.said_unwritten = true; /* a pipe that is read now and then fails in more than one way */
        return error;
}

int sink_line(const char *line, size_t length, bool *fresh)
{
        int error = make_ready(fresh);
        if (*fresh)
                return -EAGAIN;
        /* By what stands in the file: a service that crashes again and again, or many workers that share a path, must
         * not fill the disk either. Those who write at the same moment may exceed it by a line each. */
        if (error == 0 && sink.file.size + length > sink.limit_bytes) {
                notice("%s has reached LOOPDOG_LIMIT: stalls are counted, not recorded", sink.file.path);
                error = -EFBIG;
        }
        if (error == 0)
                error = write_line(line, length);
        if (error != 0)
                sink.dropped += length;
        return error;
}

void sink_keep(void)
{
        int saved_errno = errno;
        int cancel_state;
        pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel_state);
        if (sink.output != NULL && !descriptor_is_kept(sink.kept.fd)) {
                sink.kept.fd = -1;
                if (sink.kept_by != getpid())
                        sink.kept.path[0] = '\0';
                if (sink.file.fd >= 0) /* the watchdog writes already: where, must not depend on the time */
                        memcpy(sink.kept.path, sink.file.path, sizeof sink.kept.path);
                open_file(&sink.kept);
        }
        sink.kept_by = getpid();
        pthread_setcancelstate(cancel_state, NULL);
        errno = saved_errno;
}

void sink_begin(void)
{
        sink.adopted = descriptor_is_kept(sink.kept.fd);
        if (sink.adopted)
                sink.file = sink.kept;
        else
                sink.file.fd = -1;
}

void sink_discard_unused(void)
{
        int saved_errno = errno;
        struct stat status;
        /* By its size, because children and earlier runs may have written to it. */
        const struct file *kept = &sink.kept;
        if (kept->fd >= 0 && kept->created && sink.kept_by == getpid() && stat(kept->path, &status) == 0 &&
            is_same_file(kept, &status) && status.st_size == 0)
                unlink(kept->path);
        errno = saved_errno;
}

/* ---- stderr ---- */

void sink_note_thread(int32_t tid)
{
        sink.host_tid = tid;
}

struct stderr_name {
        int folder;
        char bytes[64];
};

/* By name, because the watchdog's own table does not hold the host's descriptors; from the kept /proc where there is
 * one, because the root directory may be another by now. */
static void name_stderr(struct stderr_name *name, int32_t tid)
{
        struct text text = TEXT_IN(name->bytes);
        name->folder = proc_descriptor();
        text_string(&text, name->folder >= 0 ? "self/" : "/proc/self/");
        if (tid != 0)
                text_format(&text, "task/%d/", (int)tid);
        text_string(&text, "fd/2");
}

/* The first thread may have ended by pthread_exit(), and has no descriptors any more: a loop's thread has them. */
static bool find_stderr(struct stderr_name *name, struct stat *status)
{
        int32_t tid = sink.host_tid;
        if (!call_allowed_sigsafe(SYS_newfstatat))
                return false;
        name_stderr(name, 0);
        if (fstatat(name->folder, name->bytes, status, 0) == 0)
                return true;
        name_stderr(name, tid);
        return tid != 0 && fstatat(name->folder, name->bytes, status, 0) == 0;
}

static bool is_known_stderr(const struct stat *status)
{
        return status->st_dev == sink.stderr_device && status->st_ino == sink.stderr_inode &&
               status->st_rdev == sink.stderr_special;
}

static bool stderr_is_the_same(void)
{
        struct stat status;
        struct stderr_name name;
        if (!sink.stderr_known || !find_stderr(&name, &status))
                return false;
        bool null = S_ISCHR(status.st_mode) && status.st_rdev == makedev(1, 3);
        return !null && is_known_stderr(&status);
}

/* An open file of our own, so that O_NONBLOCK is not set on the host's. */
static int reopen_stderr(void)
{
        struct stderr_name name;
        struct stat status;
        if (!call_allowed_sigsafe(SYS_openat))
                return PROC_FILTERED;
        if (!find_stderr(&name, &status))
                return -ENOENT;
        int fd = openat(name.folder, name.bytes, O_WRONLY | O_APPEND | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
        return descriptor_take(fd < 0 ? -errno : fd);
}

/* A pipe that belongs to the user of before can't be reopened. Into the host's own, text can be moved from another
 * pipe, which does not block even where the host's would. */
static size_t splice_text(const char *text, size_t length)
{
        int pipes[2];
        if (!call_allowed_sigsafe(SYS_pipe2) || !call_allowed_sigsafe(SYS_splice))
                return 0;
        int fd = descriptor_borrow(STDERR_FILENO);
        ssize_t n = -1;
        if (fd >= 0 && pipe2(pipes, O_CLOEXEC | O_NONBLOCK) == 0) {
                n = write(pipes[1], text, length);
                if (n > 0)
                        n = splice(pipes[0], NULL, fd, NULL, (size_t)n, SPLICE_F_NONBLOCK);
                close(pipes[0]);
                close(pipes[1]);
        }
        descriptor_close(fd);
        return n > 0 ? (size_t)n : 0;
}

/* systemd's usual filter for services has no pidfd_getfd(). The journal does not mind that its socket stays open in our
 * table when the host has closed it; any other peer may wait for just that. */
int sink_descriptor_to_keep(void)
{
        struct stat status;
        bool borrows = call_allowed_sigsafe(SYS_pidfd_open) && call_allowed_sigsafe(SYS_pidfd_getfd);
        sink.own_stderr = -1;
        if (borrows || !sink.journal || !S_ISSOCK(sink.stderr_mode) || !call_allowed_sigsafe(SYS_newfstatat))
                return -1;
        if (fstat(STDERR_FILENO, &status) == 0 && is_known_stderr(&status))
                sink.own_stderr = STDERR_FILENO;
        return sink.own_stderr;
}

/* A pipe or terminal is reopened. A socket can't be, but can be sent to without blocking. A plain file must be written
 * to at the host's own position: after `server 2>file` the host does not append, and would write over what we do. */
static size_t write_text(const char *text, size_t length)
{
        bool shared = S_ISREG(sink.stderr_mode) || S_ISSOCK(sink.stderr_mode);
        int fd = shared ? descriptor_borrow(STDERR_FILENO) : reopen_stderr();
        if (fd < 0 && S_ISREG(sink.stderr_mode))
                fd = reopen_stderr(); /* an old kernel: better overwritten than nothing */
        if (fd == -EACCES && S_ISFIFO(sink.stderr_mode))
                return splice_text(text, length);
        if (fd < 0 && sink.own_stderr >= 0 && call_allowed_sigsafe(SYS_sendto)) {
                ssize_t sent = send(sink.own_stderr, text, length, MSG_DONTWAIT | MSG_NOSIGNAL);
                return sent > 0 ? (size_t)sent : 0;
        }
        if (fd < 0 || (S_ISSOCK(sink.stderr_mode) && !call_allowed_sigsafe(SYS_sendto))) {
                descriptor_close(fd);
                return 0;
        }
        ssize_t n = S_ISSOCK(sink.stderr_mode) ? send(fd, text, length, MSG_DONTWAIT | MSG_NOSIGNAL)
                                               : write(fd, text, length);
        descriptor_close(fd);
        return n > 0 ? (size_t)n : 0;
}

void sink_text(const char *text, size_t length)
{
        if (!stderr_is_the_same())
                return;
        sink.dropped += length - write_text(text, length);
}

/* ---- the end ---- */

void sink_close(void)
{
        if (sink.adopted)
                return;
        descriptor_close(sink.file.fd);
        sink.file.fd = -1;
}

void sink_after_fork(void)
{
        /* A kept file serves the child too: every line names its process. */
        sink.adopted = false;
        sink.file.fd = -1;
        sink.file.path[0] = '\0';
        sink.dropped = 0;
        sink.reopened = 0;
        sink.begun = false;
        sink.torn = false;
        sink.said_unwritten = false;
}
