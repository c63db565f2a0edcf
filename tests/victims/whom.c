/* SPDX-License-Identifier: Apache-2.0
 *
 * whom.c - a loop that waits for another thread
 *
 *     whom RUNS MODE
 *
 * RUNS stalls of one kind, each in an iteration of its own. Who holds what the loop wants is a thread named "holder";
 * a chain has a "second". A mode whose name ends in "deadlock" never comes back.
 *
 * Context: one loop, in the main thread
 */
#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "truth.h"
#include "turn.h"

#define STALL_MS 260

static pthread_mutex_t mutex, second_mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_mutex_t *shared; /* between processes */
static pthread_rwlock_t rwlock = PTHREAD_RWLOCK_INITIALIZER;
static pthread_cond_t condition = PTHREAD_COND_INITIALIZER;
static sem_t taken, semaphore;

/* ---- those who hold it ---- */

static VICTIM_FRAME void holds_by_sleeping(void)
{
        quiet_sleep_ms(STALL_MS);
}

static VICTIM_FRAME void holds_by_computing(void)
{
        quiet_busy_ms(STALL_MS);
}

static void *second(void *unused)
{
        prctl(PR_SET_NAME, "second");
        VICTIM_CHECK(pthread_mutex_lock(&second_mutex) == 0);
        sem_post(&taken);
        holds_by_sleeping();
        VICTIM_CHECK(pthread_mutex_unlock(&second_mutex) == 0);
        return NULL;
}

static VICTIM_FRAME void holds_by_waiting(void)
{
        VICTIM_CHECK(pthread_mutex_lock(&second_mutex) == 0);
        VICTIM_CHECK(pthread_mutex_unlock(&second_mutex) == 0);
}

struct holding {
        void (*take)(void);
        void (*hold)(void);
        void (*give)(void);
};

static void *holder(void *context)
{
        const struct holding *holding = context;
        prctl(PR_SET_NAME, "holder");
        holding->take();
        sem_post(&taken);
        holding->hold();
        holding->give();
        return NULL;
}

static pthread_t start(void *(*function)(void *), void *context)
{
        pthread_t thread;
        VICTIM_CHECK(pthread_create(&thread, NULL, function, context) == 0);
        while (sem_wait(&taken) != 0)
                VICTIM_CHECK(errno == EINTR);
        return thread;
}

/* ---- what the loop wants ---- */

static VICTIM_FRAME void take_mutex(void)
{
        VICTIM_CHECK(pthread_mutex_lock(shared ? shared : &mutex) == 0);
}

static void give_mutex(void)
{
        VICTIM_CHECK(pthread_mutex_unlock(shared ? shared : &mutex) == 0);
}

static VICTIM_FRAME void take_to_write(void)
{
        VICTIM_CHECK(pthread_rwlock_wrlock(&rwlock) == 0);
}

static VICTIM_FRAME void take_to_read(void)
{
        VICTIM_CHECK(pthread_rwlock_rdlock(&rwlock) == 0);
}

static void give_rwlock(void)
{
        VICTIM_CHECK(pthread_rwlock_unlock(&rwlock) == 0);
}

static VICTIM_FRAME void take_stream(void)
{
        flockfile(stdout);
}

static void give_stream(void)
{
        funlockfile(stdout);
}

static void nothing(void)
{
}

static VICTIM_FRAME void wants_mutex(void)
{
        take_mutex();
        give_mutex();
}

static VICTIM_FRAME void wants_to_write(void)
{
        take_to_write();
        give_rwlock();
}

static VICTIM_FRAME void wants_to_read(void)
{
        take_to_read();
        give_rwlock();
}

static VICTIM_FRAME void wants_stream(void)
{
        puts("the stream");
}

/* Wait for what somebody else has taken. */
static void lock_stall(void (*want)(void), struct holding holding, const char *culprit)
{
        struct truth begin = truth_begin();
        pthread_t thread = start(holder, &holding);
        want();
        truth_end(begin, "lock", culprit, "");
        VICTIM_CHECK(pthread_join(thread, NULL) == 0);
}

static void mutex_stall(void (*hold)(void))
{
        lock_stall(wants_mutex, (struct holding){ take_mutex, hold, give_mutex }, "take_mutex");
}

static void make_mutex(int type, bool robust, bool inherits, bool between_processes)
{
        pthread_mutexattr_t attributes;
        static bool made;
        if (made)
                return;
        made = true;
        if (between_processes)
                shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        VICTIM_CHECK(shared != MAP_FAILED && pthread_mutexattr_init(&attributes) == 0);
        VICTIM_CHECK(pthread_mutexattr_settype(&attributes, type) == 0);
        VICTIM_CHECK(!robust || pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST) == 0);
        VICTIM_CHECK(!inherits || pthread_mutexattr_setprotocol(&attributes, PTHREAD_PRIO_INHERIT) == 0);
        VICTIM_CHECK(!between_processes || pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED) == 0);
        VICTIM_CHECK(pthread_mutex_init(shared ? shared : &mutex, &attributes) == 0);
}

/* ---- locks ---- */

static void do_mutex_sleep(void)
{
        mutex_stall(holds_by_sleeping);
}

static void do_mutex_busy(void)
{
        mutex_stall(holds_by_computing);
}

static void do_mutex_chain(void)
{
        pthread_t thread = start(second, NULL);
        mutex_stall(holds_by_waiting);
        VICTIM_CHECK(pthread_join(thread, NULL) == 0);
}

static void do_recursive(void)
{
        make_mutex(PTHREAD_MUTEX_RECURSIVE, false, false, false);
        mutex_stall(holds_by_sleeping);
}

static void do_checking(void)
{
        make_mutex(PTHREAD_MUTEX_ERRORCHECK, false, false, false);
        mutex_stall(holds_by_sleeping);
}

static void do_robust(void)
{
        make_mutex(PTHREAD_MUTEX_NORMAL, true, false, false);
        mutex_stall(holds_by_sleeping);
}

static void do_inherits(void)
{
        make_mutex(PTHREAD_MUTEX_NORMAL, false, true, false);
        mutex_stall(holds_by_computing);
}

static void do_shared(void)
{
        make_mutex(PTHREAD_MUTEX_NORMAL, false, false, true);
        mutex_stall(holds_by_sleeping);
}

static void do_rwlock_read(void)
{
        lock_stall(wants_to_read, (struct holding){ take_to_write, holds_by_sleeping, give_rwlock }, "take_to_read");
}

static void do_rwlock_write(void)
{
        lock_stall(wants_to_write, (struct holding){ take_to_write, holds_by_sleeping, give_rwlock }, "take_to_write");
}

static void do_rwlock_readers(void)
{
        lock_stall(wants_to_write, (struct holding){ take_to_read, holds_by_sleeping, give_rwlock }, "take_to_write");
}

static void do_stream(void)
{
        lock_stall(wants_stream, (struct holding){ take_stream, holds_by_sleeping, give_stream }, "");
}

/* The holder wants what the loop has. */
static void holds_by_wanting_stream(void)
{
        take_stream();
        give_stream();
}

static void do_deadlock(void)
{
        static struct holding holding = { take_mutex, holds_by_wanting_stream, give_mutex };
        take_stream();
        start(holder, &holding);
        wants_mutex();
}

/* The same, but the holder computes for a while before it wants it: the stall's begin is told by then. */
static void holds_and_wants_stream_late(void)
{
        quiet_busy_ms(STALL_MS);
        holds_by_wanting_stream();
}

static void do_late_deadlock(void)
{
        static struct holding holding = { take_mutex, holds_and_wants_stream_late, give_mutex };
        take_stream();
        start(holder, &holding);
        wants_mutex();
}

static void do_self_deadlock(void)
{
        take_mutex();
        wants_mutex();
}

/* ---- no locks ---- */

static VICTIM_FRAME void wants_condition(void)
{
        struct timespec until;
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_nsec += STALL_MS * 1000000L;
        until.tv_sec += until.tv_nsec / 1000000000;
        until.tv_nsec %= 1000000000;
        VICTIM_CHECK(pthread_mutex_lock(&mutex) == 0);
        VICTIM_CHECK(pthread_cond_timedwait(&condition, &mutex, &until) == ETIMEDOUT);
        VICTIM_CHECK(pthread_mutex_unlock(&mutex) == 0);
}

static void do_condition(void)
{
        struct truth begin = truth_begin();
        wants_condition();
        truth_end(begin, "blocked", "wants_condition", "");
}

static void post(void)
{
        sem_post(&semaphore);
}

static VICTIM_FRAME void wants_semaphore(void)
{
        VICTIM_CHECK(sem_wait(&semaphore) == 0);
}

static void do_semaphore(void)
{
        struct truth begin = truth_begin();
        pthread_t thread = start(holder, &(struct holding){ nothing, holds_by_sleeping, post });
        wants_semaphore();
        truth_end(begin, "blocked", "wants_semaphore", "");
        VICTIM_CHECK(pthread_join(thread, NULL) == 0);
}

static VICTIM_FRAME void wants_end(pthread_t thread)
{
        VICTIM_CHECK(pthread_join(thread, NULL) == 0);
}

static void do_join(void)
{
        struct truth begin = truth_begin();
        wants_end(start(holder, &(struct holding){ nothing, holds_by_sleeping, nothing }));
        truth_end(begin, "blocked", "wants_end", "");
}

/* A lock of the program's own making: nobody can say who holds it. */
static VICTIM_FRAME void wants_own_lock(void)
{
        static uint32_t word[12] = { 2 };
        struct timespec time = { .tv_nsec = STALL_MS * 1000000L };
        word[2] = (uint32_t)getpid(); /* as if it were a mutex of libc's */
        word[3] = 1;
        syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, 2, &time, NULL, 0);
}

static void do_own_lock(void)
{
        struct truth begin = truth_begin();
        wants_own_lock();
        truth_end(begin, "blocked", "wants_own_lock", "");
}

/* ---- which ---- */

static const struct victim_case modes[] = {
        { "mutex_sleep", do_mutex_sleep },
        { "mutex_busy", do_mutex_busy },
        { "mutex_chain", do_mutex_chain },
        { "recursive", do_recursive },
        { "checking", do_checking },
        { "robust", do_robust },
        { "inherits", do_inherits },
        { "shared", do_shared },
        { "rwlock_read", do_rwlock_read },
        { "rwlock_write", do_rwlock_write },
        { "rwlock_readers", do_rwlock_readers },
        { "stream", do_stream },
        { "deadlock", do_deadlock },
        { "late_deadlock", do_late_deadlock },
        { "self_deadlock", do_self_deadlock },
        { "condition", do_condition },
        { "semaphore", do_semaphore },
        { "join", do_join },
        { "own_lock", do_own_lock },
        { NULL, NULL },
};

static const struct victim_case *chosen;

static VICTIM_FRAME void callback(struct turn *loop)
{
        (void)loop;
        chosen->run();
}

static void run_loop(unsigned runs)
{
        struct turn loop;
        turn_open(&loop);
        turn_run(&loop, 5, NULL);
        for (unsigned i = 0; i < runs; i++) {
                turn_run(&loop, 1, callback);
                turn_run(&loop, 3, NULL);
        }
        turn_close(&loop);
}

int main(int argc, char **argv)
{
        VICTIM_CHECK(argc >= 3 && sem_init(&taken, 0, 0) == 0 && sem_init(&semaphore, 0, 0) == 0);
        unsigned runs = (unsigned)atoi(argv[1]);
        chosen = victim_case_of(modes, argv[2]);
        run_loop(runs);
        return 0;
}
