/* SPDX-License-Identifier: Apache-2.0
 *
 * repeats.c - short calls again and again: threads that run, so that an agent's signals do arrive
 *
 * A thread that sleeps is captured from outside. One that runs gets a signal, which may come when it has entered one
 * of these calls. Every one of them must end as ever: what is seen is how often they did not.
 *
 * Context: tests; any thread
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <termios.h>
#include <unistd.h>

#include "calls.h"

#define SHORT_NS 30000

/* Until the time is over. `once`: was all as ever? */
static long repeat(struct scene *scene, bool (*once)(struct scene *scene))
{
        uint64_t end_ns = atomic_load(&scene->begin_ns) + calls_ms() * 1000000ull;
        unsigned odd = 0;
        while (scene_now_ns() < end_ns)
                odd += !once(scene);
        if (odd <= (unsigned)scene_signals()) /* which may also come between two calls */
                scene_saw(scene, "as ever");
        else
                scene_saw(scene, "%u interrupted, %d signals", odd, scene_signals());
        return 0;
}

static bool sleep_once(struct scene *scene)
{
        struct timespec t = { 0, SHORT_NS };
        return nanosleep(&t, NULL) == 0;
}

static long do_sleeps(struct scene *scene)
{
        return repeat(scene, sleep_once);
}

static bool poll_once(struct scene *scene)
{
        struct pollfd fd = { .fd = scene->fds[0], .events = POLLIN };
        struct timespec t = { 0, SHORT_NS };
        return ppoll(&fd, 1, &t, NULL) == 0;
}

static long do_polls(struct scene *scene)
{
        return repeat(scene, poll_once);
}

static void make_epoll(struct scene *scene)
{
        struct epoll_event event = { .events = EPOLLIN };
        scene_pipe(scene);
        scene->id = epoll_create1(EPOLL_CLOEXEC);
        NEED(epoll_ctl(scene->id, EPOLL_CTL_ADD, scene->fds[0], &event) == 0);
}

static bool epoll_once(struct scene *scene)
{
        struct epoll_event event;
        struct timespec t = { 0, SHORT_NS };
        return epoll_pwait2(scene->id, &event, 1, &t, NULL) == 0;
}

static long do_epolls(struct scene *scene)
{
        return repeat(scene, epoll_once);
}

static bool wait_for_semaphore_once(struct scene *scene)
{
        sem_t semaphore;
        struct timespec t;
        sem_init(&semaphore, 0, 0);
        clock_gettime(CLOCK_REALTIME, &t);
        t.tv_nsec += SHORT_NS;
        if (t.tv_nsec >= 1000000000) {
                t.tv_nsec -= 1000000000;
                t.tv_sec++;
        }
        return sem_timedwait(&semaphore, &t) == -1 && errno == ETIMEDOUT;
}

static long do_semaphores(struct scene *scene)
{
        return repeat(scene, wait_for_semaphore_once);
}

static void make_pair(struct scene *scene)
{
        NEED(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, scene->fds) == 0);
}

static bool talk_once(struct scene *scene)
{
        char bytes[1000] = "";
        return send(scene->fds[0], bytes, sizeof(bytes), 0) == sizeof(bytes) &&
               recv(scene->fds[1], bytes, sizeof(bytes), MSG_WAITALL) == sizeof(bytes);
}

static long do_talks(struct scene *scene)
{
        return repeat(scene, talk_once);
}

#define RANDOM_BYTES (1 << 20)

static void make_room(struct scene *scene)
{
        scene->object = malloc(RANDOM_BYTES);
        memset(scene->object, 1, RANDOM_BYTES);
}

static bool draw_once(struct scene *scene)
{
        return getrandom(scene->object, RANDOM_BYTES, 0) == RANDOM_BYTES;
}

static long do_draws(struct scene *scene)
{
        return repeat(scene, draw_once);
}

#define FILE_BYTES (4 << 20)

static void make_memory_file(struct scene *scene)
{
        scene->fds[0] = memfd_create("calls", MFD_CLOEXEC);
        NEED(scene->fds[0] >= 0);
}

/* It takes a millisecond. Before Linux 6.18 any signal makes it fail with EINTR, whatever its handler's flags. */
static bool allocate_once(struct scene *scene)
{
        bool is_done = RAW(SYS_fallocate, scene->fds[0], 0, 0, FILE_BYTES, 0, 0) == 0;
        NEED(ftruncate(scene->fds[0], 0) == 0);
        return is_done;
}

static long do_allocations(struct scene *scene)
{
        return repeat(scene, allocate_once);
}

static bool drain_once(struct scene *scene)
{
        return tcdrain(scene->fds[0]) == 0;
}

static long do_drains(struct scene *scene)
{
        return repeat(scene, drain_once);
}

static void open_device(struct scene *scene, const char *path)
{
        make_room(scene);
        scene->fds[0] = open(path, O_RDONLY | O_CLOEXEC);
        NEED(scene->fds[0] >= 0);
}

static void open_urandom(struct scene *scene)
{
        open_device(scene, "/dev/urandom");
}

static void open_zero(struct scene *scene)
{
        open_device(scene, "/dev/zero");
}

static bool read_once(struct scene *scene)
{
        return read(scene->fds[0], scene->object, RANDOM_BYTES) == RANDOM_BYTES;
}

static long do_reads(struct scene *scene)
{
        return repeat(scene, read_once);
}

const struct call calls_repeats[] = {
        { "short nanosleeps", NULL, do_sleeps, NULL, 0, 0, CALL_RUNS, MENDED },
        { "short ppolls", scene_pipe, do_polls, NULL, 0, 0, CALL_RUNS, MENDED },
        { "short epoll_pwait2s", make_epoll, do_epolls, NULL, 0, 0, CALL_RUNS, MENDED },
        { "short sem_timedwaits", NULL, do_semaphores, NULL, 0, 0, CALL_RUNS, MENDED },
        { "sends and receives", make_pair, do_talks, NULL, 0, 0, CALL_RUNS, MENDED },
        { "getrandom of a megabyte", make_room, do_draws, NULL, 0, 0, CALL_RUNS, SHORTENED },
        { "short fallocates, raw", make_memory_file, do_allocations, NULL, 0, 0, CALL_RUNS, MENDED },
        { "short tcdrains", scene_terminal, do_drains, NULL, 0, 0, CALL_RUNS, MENDED },
        { "read of a megabyte of /dev/urandom", open_urandom, do_reads, NULL, 0, 0, CALL_RUNS, SHORTENED },
        { "read of a megabyte of /dev/zero", open_zero, do_reads, NULL, 0, 0, CALL_RUNS, SHORTENED },
        { 0 },
};
