/* SPDX-License-Identifier: Apache-2.0
 *
 * rings.c - liburing's waits
 *
 * Context: tests; any thread
 */
#include <errno.h>
#include <liburing.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "calls.h"

static void make_ring(struct scene *scene)
{
        struct io_uring *ring = malloc(sizeof(*ring));
        if (io_uring_queue_init(8, ring, 0) != 0)
                scene->skipped = "io_uring is refused here";
        scene->object = ring;
        scene_pipe(scene);
}

static struct __kernel_timespec limit(void)
{
        return (struct __kernel_timespec){ calls_limit()->tv_sec, calls_limit()->tv_nsec };
}

static void give_byte(struct scene *scene)
{
        scene_try(write(scene->fds[1], "x", 1) == 1);
}

static void prepare_read(struct scene *scene)
{
        static _Thread_local char byte;
        io_uring_prep_read(io_uring_get_sqe(scene->object), scene->fds[0], &byte, 1, 0);
}

/* The completion's result, where there is one. */
static long saw_completion(struct scene *scene, long result, struct io_uring_cqe **completion)
{
        if (*completion != NULL)
                scene_saw(scene, "completed with %d", (*completion)->res);
        else
                scene_saw(scene, "nothing completed");
        io_uring_queue_exit(scene->object);
        return scene_answer(result);
}

static long do_wait(struct scene *scene)
{
        struct io_uring_cqe *completion = NULL;
        prepare_read(scene);
        NEED(io_uring_submit(scene->object) == 1);
        return saw_completion(scene, io_uring_wait_cqe(scene->object, &completion), &completion);
}

static long do_wait_with_limit(struct scene *scene)
{
        struct __kernel_timespec t = limit();
        struct io_uring_cqe *completion = NULL;
        return saw_completion(scene, io_uring_wait_cqe_timeout(scene->object, &completion, &t), &completion);
}

static long do_wait_for_timeout(struct scene *scene)
{
        struct __kernel_timespec t = limit();
        struct io_uring_cqe *completion = NULL;
        io_uring_prep_timeout(io_uring_get_sqe(scene->object), &t, 0, 0);
        NEED(io_uring_submit(scene->object) == 1);
        return saw_completion(scene, io_uring_wait_cqe(scene->object, &completion), &completion);
}

static long do_submit_and_wait(struct scene *scene)
{
        struct io_uring_cqe *completion = NULL;
        prepare_read(scene);
        long result = io_uring_submit_and_wait(scene->object, 1);
        io_uring_peek_cqe(scene->object, &completion);
        return saw_completion(scene, result, &completion);
}

static long do_submit_and_wait_with_limit(struct scene *scene)
{
        struct __kernel_timespec t = limit();
        struct io_uring_cqe *completion = NULL;
        prepare_read(scene);
        long result = io_uring_submit_and_wait_timeout(scene->object, &completion, 1, &t, NULL);
        scene_saw(scene, "result %ld", result); /* -ETIME or the number submitted: versions differ */
        return saw_completion(scene, 0, &completion);
}

const struct call calls_rings[] = {
        { "io_uring_wait_cqe", make_ring, do_wait, give_byte, 0, 0, SYS_io_uring_enter, MENDED },
        { "io_uring_wait_cqe, a timeout", make_ring, do_wait_for_timeout, NULL, 0, 0, SYS_io_uring_enter, MENDED },
        { "io_uring_wait_cqe_timeout", make_ring, do_wait_with_limit, NULL, -1, ETIME, SYS_io_uring_enter, MENDED },
        { "io_uring_submit_and_wait", make_ring, do_submit_and_wait, give_byte, 1, 0, SYS_io_uring_enter, SHORTENED },
        { "io_uring_submit_and_wait_timeout", make_ring, do_submit_and_wait_with_limit, NULL, 0, 0, SYS_io_uring_enter,
          HIDDEN }, /* that it was interrupted shows in its time only */
        { 0 },
};
