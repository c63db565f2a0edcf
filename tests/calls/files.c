/* SPDX-License-Identifier: Apache-2.0
 *
 * files.c - calls that wait for a file's lock, for its other end, for what happens to it, or for a terminal
 *
 * Context: tests; any thread
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <termios.h>
#include <unistd.h>

#include "calls.h"

/* ---- locks ---- */

static const char *folder(void)
{
        const char *name = getenv("TMPDIR");
        return name != NULL ? name : "/tmp";
}

/* Opened twice: as two descriptions, which exclude each other. */
static void open_twice(struct scene *scene)
{
        char path[256];
        snprintf(path, sizeof(path), "%s/calls-XXXXXX", folder());
        scene->fds[0] = mkstemp(path);
        scene->fds[1] = open(path, O_RDWR | O_CLOEXEC);
        unlink(path);
        NEED(scene->fds[0] >= 0 && scene->fds[1] >= 0);
}

static void make_flocked(struct scene *scene)
{
        open_twice(scene);
        NEED(flock(scene->fds[1], LOCK_EX) == 0);
}

static void end_flock(struct scene *scene)
{
        flock(scene->fds[1], LOCK_UN);
}

static long do_flock(struct scene *scene)
{
        return flock(scene->fds[0], LOCK_EX);
}

static struct flock lock_of_all(short type)
{
        return (struct flock){ .l_type = type, .l_whence = SEEK_SET };
}

static void make_ofd_locked(struct scene *scene)
{
        struct flock lock = lock_of_all(F_WRLCK);
        open_twice(scene);
        NEED(fcntl(scene->fds[1], F_OFD_SETLK, &lock) == 0);
}

static void end_ofd_lock(struct scene *scene)
{
        struct flock lock = lock_of_all(F_UNLCK);
        fcntl(scene->fds[1], F_OFD_SETLK, &lock);
}

static long do_ofd_lock(struct scene *scene)
{
        struct flock lock = lock_of_all(F_WRLCK);
        return fcntl(scene->fds[0], F_OFD_SETLKW, &lock);
}

/* A lock of the whole process: another one must hold it. */
static void hold_record_lock(struct scene *scene)
{
        struct flock lock = lock_of_all(F_WRLCK);
        NEED(fcntl(scene->fds[1], F_SETLK, &lock) == 0);
}

static void make_record_locked(struct scene *scene)
{
        open_twice(scene);
        scene_child(scene, hold_record_lock);
}

static long do_record_lock(struct scene *scene)
{
        struct flock lock = lock_of_all(F_WRLCK);
        return fcntl(scene->fds[0], F_SETLKW, &lock);
}

static long do_lockf(struct scene *scene)
{
        return lockf(scene->fds[0], F_LOCK, 0);
}

/* ---- named pipes ---- */

static void make_fifo(struct scene *scene)
{
        static _Atomic int number;
        char *path = malloc(256);
        snprintf(path, 256, "%s/calls-%d-%d.fifo", folder(), (int)getpid(), ++number);
        NEED(mkfifo(path, 0600) == 0);
        scene->object = path;
}

static void open_other_end(struct scene *scene, int flags)
{
        scene->fds[1] = open(scene->object, flags | O_NONBLOCK | O_CLOEXEC);
}

static void open_to_write(struct scene *scene)
{
        open_other_end(scene, O_WRONLY);
}

static void open_to_read(struct scene *scene)
{
        open_other_end(scene, O_RDONLY);
}

static long open_fifo(struct scene *scene, int flags)
{
        int fd = open(scene->object, flags | O_CLOEXEC), error = errno;
        if (fd >= 0)
                close(fd);
        unlink(scene->object);
        errno = error;
        return fd >= 0 ? 0 : -1;
}

static long do_open_to_read(struct scene *scene)
{
        return open_fifo(scene, O_RDONLY);
}

static long do_open_to_write(struct scene *scene)
{
        return open_fifo(scene, O_WRONLY);
}

/* ---- terminals ---- */

static void make_raw_terminal(struct scene *scene)
{
        struct termios settings;
        scene_terminal(scene);
        if (scene->skipped != NULL)
                return;
        NEED(tcgetattr(scene->fds[0], &settings) == 0);
        cfmakeraw(&settings);
        NEED(tcsetattr(scene->fds[0], TCSANOW, &settings) == 0);
}

static void make_stopped_terminal(struct scene *scene)
{
        make_raw_terminal(scene);
        if (scene->skipped == NULL)
                NEED(tcflow(scene->fds[0], TCOOFF) == 0);
}

/* One of the slave's own writes waits, and keeps all others, flow control too, out of the terminal. */
static void *write_and_wait(void *opaque)
{
        struct scene *scene = opaque;
        scene->id = (int)syscall(SYS_gettid);
        atomic_store((_Atomic bool *)scene->object, true);
        scene_try(write(scene->fds[0], "x", 1) == 1);
        return NULL;
}

static bool waits_in_write(int tid)
{
        char path[64], text[16] = "";
        snprintf(path, sizeof(path), "/proc/self/task/%d/syscall", tid);
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        bool is_there = fd >= 0 && read(fd, text, sizeof(text) - 1) > 0;
        close(fd);
        return is_there && strncmp(text, "1 ", 2) == 0; /* SYS_write */
}

static void make_occupied_terminal(struct scene *scene)
{
        make_stopped_terminal(scene);
        if (scene->skipped != NULL)
                return;
        _Atomic bool *begun = calloc(1, sizeof *begun);
        scene->object = (void *)begun;
        scene_partner(scene, write_and_wait);
        while (!atomic_load(begun) || !waits_in_write(scene->id))
                scene_pause(1);
}

static void type_line(struct scene *scene)
{
        scene_try(write(scene->fds[1], "abc\n", 4) == 4);
}

static void start_output(struct scene *scene)
{
        tcflow(scene->fds[0], TCOON);
}

static long do_read_terminal(struct scene *scene)
{
        char bytes[16];
        return read(scene->fds[0], bytes, sizeof(bytes));
}

static long do_write_terminal(struct scene *scene)
{
        return write(scene->fds[0], "x", 1);
}

/* An ioctl that waits: for its turn to send a STOP to the other end. (tcdrain() never waits for a pseudo-terminal.) */
static long do_stop_other_end(struct scene *scene)
{
        return tcflow(scene->fds[0], TCIOFF);
}

/* ---- what happens to files ---- */

static void make_inotify(struct scene *scene)
{
        char path[256];
        snprintf(path, sizeof(path), "%s/calls-XXXXXX", folder());
        scene->fds[1] = mkstemp(path);
        scene->fds[0] = inotify_init1(IN_CLOEXEC);
        NEED(scene->fds[1] >= 0 && inotify_add_watch(scene->fds[0], path, IN_MODIFY) > 0);
        unlink(path);
}

static void change_file(struct scene *scene)
{
        scene_try(write(scene->fds[1], "x", 1) == 1);
}

static long do_read_inotify(struct scene *scene)
{
        struct inotify_event event = { .mask = 0 };
        long result = read(scene->fds[0], &event, sizeof(event));
        int error = errno;
        scene_saw(scene, "mask %x", event.mask);
        errno = error;
        return result;
}

const struct call calls_files[] = {
        { "flock", make_flocked, do_flock, end_flock, 0, 0, SYS_flock, RESTARTED },
        { "fcntl, F_SETLKW", make_record_locked, do_record_lock, scene_end_child, 0, 0, SYS_fcntl, RESTARTED },
        { "fcntl, F_OFD_SETLKW", make_ofd_locked, do_ofd_lock, end_ofd_lock, 0, 0, SYS_fcntl, RESTARTED },
        { "lockf", make_record_locked, do_lockf, scene_end_child, 0, 0, SYS_fcntl, RESTARTED },
        { "open of a FIFO to read", make_fifo, do_open_to_read, open_to_write, 0, 0, SYS_openat, RESTARTED },
        { "open of a FIFO to write", make_fifo, do_open_to_write, open_to_read, 0, 0, SYS_openat, RESTARTED },
        { "read of a terminal", scene_terminal, do_read_terminal, type_line, 4, 0, SYS_read, RESTARTED },
        { "read of a raw terminal", make_raw_terminal, do_read_terminal, type_line, 4, 0, SYS_read, RESTARTED },
        { "write to a stopped terminal", make_stopped_terminal, do_write_terminal, start_output, 1, 0, SYS_write,
          RESTARTED },
        { "tcflow, occupied terminal", make_occupied_terminal, do_stop_other_end, start_output, 0, 0, SYS_ioctl,
          RESTARTED },
        { "read of inotify", make_inotify, do_read_inotify, change_file, sizeof(struct inotify_event), 0, SYS_read,
          RESTARTED },
        { 0 },
};
