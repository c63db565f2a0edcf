/* SPDX-License-Identifier: Apache-2.0
 *
 * locks.c - calls that wait for another thread: futexes, semaphores, locks, conditions, threads' ends
 *
 * Context: tests; any thread
 */
#include <errno.h>
#include <linux/futex.h>
#include <semaphore.h>
#include <sys/syscall.h>
#include <threads.h>
#include <unistd.h>

#include "calls.h"

#define REALTIME CLOCK_REALTIME
#define MONOTONIC CLOCK_MONOTONIC

/* Whatever a row needs of these. */
struct things {
        _Atomic uint32_t word;
        sem_t semaphore;
        pthread_mutex_t mutex;
        pthread_rwlock_t rwlock;
        pthread_cond_t condition;
        pthread_barrier_t barrier;
        mtx_t plain_mutex;
        cnd_t plain_condition;
        once_flag once;
        _Atomic bool held; /* by the partner */
        _Atomic bool told; /* what the condition is about */
};

static struct things *things_of(const struct scene *scene)
{
        return scene->object;
}

static void make_things(struct scene *scene)
{
        struct things *things = calloc(1, sizeof(*things));
        scene->object = things;
        sem_init(&things->semaphore, 0, 0);
        pthread_mutex_init(&things->mutex, NULL);
        pthread_rwlock_init(&things->rwlock, NULL);
        pthread_cond_init(&things->condition, NULL);
        pthread_barrier_init(&things->barrier, NULL, 2);
        mtx_init(&things->plain_mutex, mtx_timed);
        cnd_init(&things->plain_condition);
        things->once = (once_flag)ONCE_FLAG_INIT;
}

/* The partner does its part before the call is made. */
static void start_holder(struct scene *scene, void *(*hold)(void *))
{
        if (scene->object == NULL)
                make_things(scene);
        scene_partner(scene, hold);
        while (!atomic_load(&things_of(scene)->held))
                scene_pause(1);
}

static void hold_until_the_end(struct scene *scene)
{
        atomic_store(&things_of(scene)->held, true);
        scene_await_end(scene);
}

/* ---- futexes ---- */

static long futex(struct scene *scene, int operation, uint32_t value, const struct timespec *limit)
{
        uint32_t any = FUTEX_BITSET_MATCH_ANY;
        return RAW(SYS_futex, &things_of(scene)->word, operation, value, limit, 0, any);
}

static void wake_futex(struct scene *scene)
{
        atomic_store(&things_of(scene)->word, 1);
        syscall(SYS_futex, &things_of(scene)->word, FUTEX_WAKE, 1, NULL, NULL, 0);
}

static long do_futex(struct scene *scene)
{
        return futex(scene, FUTEX_WAIT_PRIVATE, 0, calls_limit());
}

static long do_futex_without_limit(struct scene *scene)
{
        return futex(scene, FUTEX_WAIT, 0, NULL);
}

static long do_futex_until(struct scene *scene)
{
        struct timespec t = calls_deadline(MONOTONIC);
        return futex(scene, FUTEX_WAIT_BITSET_PRIVATE, 0, &t);
}

static long do_futex_until_real(struct scene *scene)
{
        struct timespec t = calls_deadline(REALTIME);
        return futex(scene, FUTEX_WAIT_BITSET_PRIVATE | FUTEX_CLOCK_REALTIME, 0, &t);
}

static void *hold_pi_futex(void *opaque)
{
        struct scene *scene = opaque;
        NEED(futex(scene, FUTEX_LOCK_PI, 0, NULL) == 0);
        hold_until_the_end(scene);
        scene_pause(300); /* beyond the limit of a call that has one */
        NEED(futex(scene, FUTEX_UNLOCK_PI, 0, NULL) == 0);
        return NULL;
}

static void *hold_pi_futex_so_long(void *opaque)
{
        struct scene *scene = opaque;
        NEED(futex(scene, FUTEX_LOCK_PI, 0, NULL) == 0);
        hold_until_the_end(scene);
        NEED(futex(scene, FUTEX_UNLOCK_PI, 0, NULL) == 0);
        return NULL;
}

static void make_pi_futex(struct scene *scene)
{
        start_holder(scene, hold_pi_futex);
}

static void make_pi_futex_so_long(struct scene *scene)
{
        start_holder(scene, hold_pi_futex_so_long);
}

static long do_pi_futex(struct scene *scene)
{
        struct timespec t = calls_deadline(REALTIME);
        return futex(scene, FUTEX_LOCK_PI, 0, &t);
}

static long do_pi_futex_without_limit(struct scene *scene)
{
        long result = futex(scene, FUTEX_LOCK_PI, 0, NULL);
        pid_t owner = (pid_t)(things_of(scene)->word & FUTEX_TID_MASK);
        scene_saw(scene, "%s", owner == (pid_t)syscall(SYS_gettid) ? "ours" : "of others");
        futex(scene, FUTEX_UNLOCK_PI, 0, NULL);
        return result;
}

/* The kernel's struct futex_waitv; headers of 5.16 and later have it. */
struct waiter {
        uint64_t value;
        uint64_t address;
        uint32_t flags;
        uint32_t reserved;
};
#define SYSTEM_FUTEX_WAITV 449
#define WORD_OF_32_BITS 2

static void make_futex_vector(struct scene *scene)
{
        make_things(scene);
        if (syscall(SYSTEM_FUTEX_WAITV, NULL, 0, 0, NULL, 0) < 0 && errno == ENOSYS)
                scene->skipped = "this kernel has no futex_waitv (5.16)";
}

static long do_futex_vector(struct scene *scene)
{
        struct waiter waiter = { 0, (uintptr_t)&things_of(scene)->word, WORD_OF_32_BITS, 0 };
        struct timespec t = calls_deadline(MONOTONIC);
        return RAW(SYSTEM_FUTEX_WAITV, &waiter, 1, 0, &t, MONOTONIC, 0);
}

/* ---- semaphores ---- */

static void post(struct scene *scene)
{
        sem_post(&things_of(scene)->semaphore);
}

static long do_sem_wait(struct scene *scene)
{
        return sem_wait(&things_of(scene)->semaphore);
}

static long do_sem_timedwait(struct scene *scene)
{
        struct timespec t = calls_deadline(REALTIME);
        return sem_timedwait(&things_of(scene)->semaphore, &t);
}

static long do_sem_clockwait(struct scene *scene)
{
        struct timespec t = calls_deadline(MONOTONIC);
        return sem_clockwait(&things_of(scene)->semaphore, MONOTONIC, &t);
}

/* ---- mutexes ---- */

static void *hold_mutex(void *opaque)
{
        struct scene *scene = opaque;
        pthread_mutex_lock(&things_of(scene)->mutex);
        hold_until_the_end(scene);
        if (scene->call->result < 0)
                scene_pause(300); /* beyond its limit */
        pthread_mutex_unlock(&things_of(scene)->mutex);
        return NULL;
}

static void make_held_mutex(struct scene *scene)
{
        start_holder(scene, hold_mutex);
}

static void make_held_pi_mutex(struct scene *scene)
{
        pthread_mutexattr_t attributes;
        make_things(scene);
        pthread_mutexattr_init(&attributes);
        pthread_mutexattr_setprotocol(&attributes, PTHREAD_PRIO_INHERIT);
        pthread_mutex_init(&things_of(scene)->mutex, &attributes);
        start_holder(scene, hold_mutex);
}

static long do_lock(struct scene *scene)
{
        return scene_answer(-pthread_mutex_lock(&things_of(scene)->mutex));
}

static long do_timed_lock(struct scene *scene)
{
        struct timespec t = calls_deadline(REALTIME);
        return scene_answer(-pthread_mutex_timedlock(&things_of(scene)->mutex, &t));
}

static long do_clock_lock(struct scene *scene)
{
        struct timespec t = calls_deadline(MONOTONIC);
        return scene_answer(-pthread_mutex_clocklock(&things_of(scene)->mutex, MONOTONIC, &t));
}

static void *hold_plain_mutex(void *opaque)
{
        struct scene *scene = opaque;
        mtx_lock(&things_of(scene)->plain_mutex);
        hold_until_the_end(scene);
        scene_pause(300);
        mtx_unlock(&things_of(scene)->plain_mutex);
        return NULL;
}

static void make_held_plain_mutex(struct scene *scene)
{
        start_holder(scene, hold_plain_mutex);
}

static long do_mtx_timedlock(struct scene *scene)
{
        struct timespec t = calls_deadline(REALTIME);
        return mtx_timedlock(&things_of(scene)->plain_mutex, &t) == thrd_timedout ? scene_answer(-ETIMEDOUT) : 0;
}

/* ---- rwlocks ---- */

static void *hold_rwlock(void *opaque)
{
        struct scene *scene = opaque;
        pthread_rwlock_wrlock(&things_of(scene)->rwlock);
        hold_until_the_end(scene);
        if (scene->call->result < 0)
                scene_pause(300);
        pthread_rwlock_unlock(&things_of(scene)->rwlock);
        return NULL;
}

static void make_held_rwlock(struct scene *scene)
{
        start_holder(scene, hold_rwlock);
}

static long do_read_lock(struct scene *scene)
{
        return scene_answer(-pthread_rwlock_rdlock(&things_of(scene)->rwlock));
}

static long do_write_lock(struct scene *scene)
{
        return scene_answer(-pthread_rwlock_wrlock(&things_of(scene)->rwlock));
}

static long do_timed_read_lock(struct scene *scene)
{
        struct timespec t = calls_deadline(REALTIME);
        return scene_answer(-pthread_rwlock_timedrdlock(&things_of(scene)->rwlock, &t));
}

static long do_clock_write_lock(struct scene *scene)
{
        struct timespec t = calls_deadline(MONOTONIC);
        return scene_answer(-pthread_rwlock_clockwrlock(&things_of(scene)->rwlock, MONOTONIC, &t));
}

/* ---- conditions and others ---- */

static void tell(struct scene *scene)
{
        struct things *things = things_of(scene);
        pthread_mutex_lock(&things->mutex);
        things->told = true;
        pthread_cond_broadcast(&things->condition);
        pthread_mutex_unlock(&things->mutex);
}

static long do_condition(struct scene *scene)
{
        struct things *things = things_of(scene);
        int wakeups = 0, error = 0;
        pthread_mutex_lock(&things->mutex);
        for (; !things->told; wakeups++)
                error = pthread_cond_wait(&things->condition, &things->mutex);
        pthread_mutex_unlock(&things->mutex);
        scene_saw(scene, "%d wake-ups", wakeups);
        return scene_answer(-error);
}

static long do_timed_condition(struct scene *scene)
{
        struct things *things = things_of(scene);
        struct timespec t = calls_deadline(REALTIME);
        pthread_mutex_lock(&things->mutex);
        int error = pthread_cond_timedwait(&things->condition, &things->mutex, &t);
        pthread_mutex_unlock(&things->mutex);
        return scene_answer(-error);
}

static long do_clock_condition(struct scene *scene)
{
        struct things *things = things_of(scene);
        struct timespec t = calls_deadline(MONOTONIC);
        pthread_mutex_lock(&things->mutex);
        int error = pthread_cond_clockwait(&things->condition, &things->mutex, MONOTONIC, &t);
        pthread_mutex_unlock(&things->mutex);
        return scene_answer(-error);
}

static long do_cnd_timedwait(struct scene *scene)
{
        struct things *things = things_of(scene);
        struct timespec t = calls_deadline(REALTIME);
        mtx_lock(&things->plain_mutex);
        int result = cnd_timedwait(&things->plain_condition, &things->plain_mutex, &t);
        mtx_unlock(&things->plain_mutex);
        return result == thrd_timedout ? scene_answer(-ETIMEDOUT) : 0;
}

static void *reach_barrier(void *opaque)
{
        struct scene *scene = opaque;
        hold_until_the_end(scene);
        pthread_barrier_wait(&things_of(scene)->barrier);
        return NULL;
}

static void make_barrier(struct scene *scene)
{
        start_holder(scene, reach_barrier);
}

static long do_barrier(struct scene *scene)
{
        int result = pthread_barrier_wait(&things_of(scene)->barrier);
        return result == PTHREAD_BARRIER_SERIAL_THREAD ? 0 : result;
}

static _Thread_local struct scene *once_scene;

static void wait_once(void)
{
        hold_until_the_end(once_scene);
}

static void *call_once_slowly(void *opaque)
{
        once_scene = opaque;
        call_once(&things_of(once_scene)->once, wait_once);
        return NULL;
}

static void make_once(struct scene *scene)
{
        start_holder(scene, call_once_slowly);
}

static long do_call_once(struct scene *scene)
{
        call_once(&things_of(scene)->once, wait_once);
        return 0;
}

/* ---- threads' ends ---- */

static void *end_as_told(void *opaque)
{
        scene_await_end(opaque);
        return opaque;
}

static void *end_later(void *opaque)
{
        scene_await_end(opaque);
        scene_pause(300);
        return opaque;
}

static void make_thread(struct scene *scene)
{
        scene_partner(scene, scene->call->result < 0 ? end_later : end_as_told);
}

static long do_join(struct scene *scene)
{
        void *result = NULL;
        int error = pthread_join(scene->partner, &result);
        scene->has_partner = error != 0;
        scene_saw(scene, "%s", result == scene ? "its result" : "no result");
        return scene_answer(-error);
}

static long do_timed_join(struct scene *scene)
{
        struct timespec t = calls_deadline(REALTIME);
        return scene_answer(-pthread_timedjoin_np(scene->partner, NULL, &t));
}

static long do_clock_join(struct scene *scene)
{
        struct timespec t = calls_deadline(MONOTONIC);
        return scene_answer(-pthread_clockjoin_np(scene->partner, NULL, MONOTONIC, &t));
}

const struct call calls_locks[] = {
        { "futex", make_things, do_futex, NULL, -1, ETIMEDOUT, SYS_futex, MENDED },
        { "futex without limit, woken", make_things, do_futex_without_limit, wake_futex, 0, 0, SYS_futex, RESTARTED },
        { "futex until", make_things, do_futex_until, NULL, -1, ETIMEDOUT, SYS_futex, MENDED },
        { "futex until, real time", make_things, do_futex_until_real, NULL, -1, ETIMEDOUT, SYS_futex, MENDED },
        { "futex with priority inheritance", make_pi_futex_so_long, do_pi_futex_without_limit, NULL, 0, 0, SYS_futex,
          RESTARTED },
        { "futex with priority inheritance, until", make_pi_futex, do_pi_futex, NULL, -1, ETIMEDOUT, SYS_futex,
          RESTARTED },
        { "futex_waitv", make_futex_vector, do_futex_vector, NULL, -1, ETIMEDOUT, SYSTEM_FUTEX_WAITV, RESTARTED },
        { "sem_wait", make_things, do_sem_wait, post, 0, 0, SYS_futex, RESTARTED },
        { "sem_timedwait", make_things, do_sem_timedwait, NULL, -1, ETIMEDOUT, SYS_futex, MENDED },
        { "sem_clockwait", make_things, do_sem_clockwait, NULL, -1, ETIMEDOUT, SYS_futex, MENDED },
        { "pthread_mutex_lock", make_held_mutex, do_lock, NULL, 0, 0, SYS_futex, RESTARTED },
        { "pthread_mutex_lock, PI", make_held_pi_mutex, do_lock, NULL, 0, 0, SYS_futex, RESTARTED },
        { "pthread_mutex_timedlock", make_held_mutex, do_timed_lock, NULL, -1, ETIMEDOUT, SYS_futex, HIDDEN },
        { "pthread_mutex_timedlock, PI", make_held_pi_mutex, do_timed_lock, NULL, -1, ETIMEDOUT, SYS_futex, RESTARTED },
        { "pthread_mutex_clocklock", make_held_mutex, do_clock_lock, NULL, -1, ETIMEDOUT, SYS_futex, HIDDEN },
        { "mtx_timedlock", make_held_plain_mutex, do_mtx_timedlock, NULL, -1, ETIMEDOUT, SYS_futex, HIDDEN },
        { "pthread_rwlock_rdlock", make_held_rwlock, do_read_lock, NULL, 0, 0, SYS_futex, RESTARTED },
        { "pthread_rwlock_wrlock", make_held_rwlock, do_write_lock, NULL, 0, 0, SYS_futex, RESTARTED },
        { "pthread_rwlock_timedrdlock", make_held_rwlock, do_timed_read_lock, NULL, -1, ETIMEDOUT, SYS_futex, HIDDEN },
        { "pthread_rwlock_clockwrlock", make_held_rwlock, do_clock_write_lock, NULL, -1, ETIMEDOUT, SYS_futex, HIDDEN },
        { "pthread_cond_wait", make_things, do_condition, tell, 0, 0, SYS_futex, RESTARTED },
        { "pthread_cond_timedwait", make_things, do_timed_condition, NULL, -1, ETIMEDOUT, SYS_futex, HIDDEN },
        { "pthread_cond_clockwait", make_things, do_clock_condition, NULL, -1, ETIMEDOUT, SYS_futex, HIDDEN },
        { "cnd_timedwait", make_things, do_cnd_timedwait, NULL, -1, ETIMEDOUT, SYS_futex, HIDDEN },
        { "pthread_barrier_wait", make_barrier, do_barrier, NULL, 0, 0, SYS_futex, RESTARTED },
        { "call_once", make_once, do_call_once, NULL, 0, 0, SYS_futex, RESTARTED },
        { "pthread_join", make_thread, do_join, NULL, 0, 0, SYS_futex, RESTARTED },
        { "pthread_timedjoin_np", make_thread, do_timed_join, NULL, -1, ETIMEDOUT, SYS_futex, HIDDEN },
        { "pthread_clockjoin_np", make_thread, do_clock_join, NULL, -1, ETIMEDOUT, SYS_futex, HIDDEN },
        { 0 },
};
