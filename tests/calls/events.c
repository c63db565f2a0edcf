/* SPDX-License-Identifier: Apache-2.0
 *
 * events.c - calls that wait for a counter, for a child, or for input and output that goes on by itself
 *
 * Context: tests; any thread
 */
#include <aio.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <linux/io_uring.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "calls.h"

/* ---- counters ---- */

static void make_counter(struct scene *scene)
{
        scene->fds[0] = eventfd(0, EFD_CLOEXEC);
        NEED(scene->fds[0] >= 0);
}

static void make_full_counter(struct scene *scene)
{
        make_counter(scene);
        NEED(eventfd_write(scene->fds[0], UINT64_MAX - 1) == 0);
}

static void count_up(struct scene *scene)
{
        eventfd_write(scene->fds[0], 3);
}

static void count_down(struct scene *scene)
{
        eventfd_t value;
        eventfd_read(scene->fds[0], &value);
}

static long do_read_counter(struct scene *scene)
{
        uint64_t value = 77;
        long result = read(scene->fds[0], &value, sizeof(value));
        int error = errno;
        scene_saw(scene, "value %llu", (unsigned long long)value);
        errno = error;
        return result;
}

static long do_write_counter(struct scene *scene)
{
        uint64_t value = 5;
        return write(scene->fds[0], &value, sizeof(value));
}

/* ---- children ---- */

static void make_child(struct scene *scene)
{
        scene_child(scene, NULL);
}

static long saw_status(struct scene *scene, long result, int status)
{
        int error = errno;
        scene_saw(scene, "status %x", (unsigned)status);
        errno = error;
        return result == scene->id ? 0 : result;
}

static long do_waitpid(struct scene *scene)
{
        int status = 0x7777;
        long result = waitpid(scene->id, &status, 0);
        return saw_status(scene, result, status);
}

static long do_wait4(struct scene *scene)
{
        struct rusage usage = { .ru_maxrss = -1 };
        int status = 0x7777;
        long result = wait4(scene->id, &status, 0, &usage);
        int error = errno;
        scene_saw(scene, "%s", usage.ru_maxrss > 0 ? "usage" : "no usage");
        errno = error;
        return saw_status(scene, result, status);
}

static long wait_by_id(struct scene *scene, idtype_t type, id_t id)
{
        siginfo_t info = { .si_signo = 0 };
        long result = waitid(type, id, &info, WEXITED);
        int error = errno;
        scene_saw(scene, "signal %d, code %d, status %d", info.si_signo, info.si_code, info.si_status);
        errno = error;
        return result;
}

static long do_waitid(struct scene *scene)
{
        return wait_by_id(scene, P_PID, (id_t)scene->id);
}

static void make_child_by_descriptor(struct scene *scene)
{
        make_child(scene);
        scene->fds[0] = (int)syscall(SYS_pidfd_open, scene->id, 0);
        if (scene->fds[0] < 0)
                scene->skipped = "pidfd_open is refused here";
}

static long do_waitid_by_descriptor(struct scene *scene)
{
        return wait_by_id(scene, P_PIDFD, (id_t)scene->fds[0]);
}

static long do_poll_child(struct scene *scene)
{
        struct pollfd poll_fd = { .fd = scene->fds[0], .events = POLLIN };
        long result = poll(&poll_fd, 1, -1);
        int error = errno;
        scene_saw(scene, "revents %x", (unsigned)poll_fd.revents);
        errno = error;
        return result;
}

/* ---- the kernel's asynchronous I/O ---- */

static void make_aio(struct scene *scene)
{
        if (syscall(SYS_io_setup, 8, &scene->context) != 0)
                scene->skipped = "io_setup is refused here";
}

static long do_io_getevents(struct scene *scene)
{
        struct io_event event;
        return RAW(SYS_io_getevents, scene->context, 1, 1, &event, calls_limit(), 0);
}

static long do_io_pgetevents(struct scene *scene)
{
        struct io_event event;
        return RAW(SYS_io_pgetevents, scene->context, 1, 1, &event, calls_limit(), 0);
}

/* ---- libc's asynchronous I/O ---- */

#define READINGS 256

struct reading {
        struct aiocb block;
        char byte;
};

static void make_reading(struct scene *scene)
{
        static struct reading readings[READINGS];
        static _Atomic unsigned number;
        struct reading *reading = &readings[number++ % READINGS];
        scene_pipe(scene);
        scene->object = reading;
        scene->object_stays = true; /* libc's thread goes on reading */
        reading->block.aio_fildes = scene->fds[0];
        reading->block.aio_buf = &reading->byte;
        reading->block.aio_nbytes = 1;
        reading->block.aio_lio_opcode = LIO_READ;
        reading->block.aio_sigevent.sigev_notify = SIGEV_NONE;
}

static void make_running_reading(struct scene *scene)
{
        make_reading(scene);
        struct reading *reading = scene->object;
        NEED(aio_read(&reading->block) == 0);
}

static void give_byte(struct scene *scene)
{
        scene_try(write(scene->fds[1], "x", 1) == 1);
}

static long do_aio_suspend(struct scene *scene)
{
        struct reading *reading = scene->object;
        const struct aiocb *const list[1] = { &reading->block };
        return aio_suspend(list, 1, calls_limit());
}

static long do_aio_suspend_without_limit(struct scene *scene)
{
        struct reading *reading = scene->object;
        const struct aiocb *const list[1] = { &reading->block };
        long result = aio_suspend(list, 1, NULL);
        return result == 0 ? aio_return(&reading->block) : result;
}

static long do_lio_listio(struct scene *scene)
{
        struct reading *reading = scene->object;
        struct aiocb *const list[1] = { &reading->block };
        return lio_listio(LIO_WAIT, list, 1, NULL);
}

/* ---- rings ---- */

static void make_ring(struct scene *scene)
{
        struct io_uring_params parameters;
        memset(&parameters, 0, sizeof(parameters));
        scene->id = (int)syscall(SYS_io_uring_setup, 4, &parameters);
        if (scene->id < 0)
                scene->skipped = "io_uring is refused here";
}

static long do_io_uring_enter(struct scene *scene)
{
        struct io_uring_getevents_arg argument = { .ts = (uintptr_t)calls_limit() };
        return RAW(SYS_io_uring_enter, scene->id, 0, 1, IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG, &argument,
                   sizeof(argument));
}

const struct call calls_events[] = {
        { "read of an eventfd", make_counter, do_read_counter, count_up, 8, 0, SYS_read, RESTARTED },
        { "write to a full eventfd", make_full_counter, do_write_counter, count_down, 8, 0, SYS_write, RESTARTED },
        { "waitpid", make_child, do_waitpid, scene_end_child, 0, 0, SYS_wait4, RESTARTED },
        { "wait4", make_child, do_wait4, scene_end_child, 0, 0, SYS_wait4, RESTARTED },
        { "waitid", make_child, do_waitid, scene_end_child, 0, 0, SYS_waitid, RESTARTED },
        { "waitid by descriptor", make_child_by_descriptor, do_waitid_by_descriptor, scene_end_child, 0, 0, SYS_waitid,
          RESTARTED },
        { "poll for a child", make_child_by_descriptor, do_poll_child, scene_end_child, 1, 0, SYS_poll, MENDED },
        { "io_getevents", make_aio, do_io_getevents, NULL, 0, 0, SYS_io_getevents, MENDED },
        { "io_pgetevents", make_aio, do_io_pgetevents, NULL, 0, 0, SYS_io_pgetevents, MENDED },
        { "aio_suspend", make_running_reading, do_aio_suspend, NULL, -1, EAGAIN, SYS_futex, MENDED },
        { "aio_suspend without limit, data", make_running_reading, do_aio_suspend_without_limit, give_byte, 1, 0,
          SYS_futex, RESTARTED },
        { "lio_listio", make_reading, do_lio_listio, give_byte, 0, 0, SYS_futex, RESTARTED },
        { "io_uring_enter", make_ring, do_io_uring_enter, NULL, -1, ETIME, SYS_io_uring_enter, MENDED },
        { 0 },
};
