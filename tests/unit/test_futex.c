/* SPDX-License-Identifier: Apache-2.0
 *
 * test_futex.c - what is taken for a lock, and whose it is
 *
 * The mutexes are real ones; the sample that waits for them is made up, with a stack in libc's own functions.
 *
 * Context: unit test
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <dlfcn.h>
#include <linux/futex.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/thread.h"
#include "explain/futex.h"
#include "unwind/module.h"

static int32_t self(void)
{
        return (int32_t)syscall(SYS_gettid);
}

static struct sample waiting(const void *address, int operation, uint32_t expected)
{
        return (struct sample){
                .state = 'S',
                .syscall = SYS_futex,
                .syscall_known = true,
                .arguments = { (uintptr_t)address, (uint64_t)operation, expected },
        };
}

/* One frame, a little behind the start of this function of libc's own: a sanitizer has another of the same name. */
static const struct stack *stack_in(const char *function)
{
        static struct stack stack;
        uint64_t pc = (uint64_t)(uintptr_t)dlsym(dlopen("libc.so.6", RTLD_LAZY | RTLD_NOLOAD), function) + 8;
        stack = (struct stack){ .count = 1, .frames = { { .pc = pc, .function = pc - 8, .module = module_find(pc) } } };
        cr_assert(ne(u16, stack.frames[0].module, MODULE_NONE), "%s", function);
        return &stack;
}

static void expect_lock(struct futex_wait wait, const char *object, int32_t owner)
{
        cr_expect(eq(int, wait.kind, FUTEX_LOCK));
        cr_expect_str_eq(wait.object ? wait.object : "", object);
        cr_expect(eq(int, wait.owner, owner));
}

static pthread_mutex_t *mutex_of(int type, bool robust, bool inherits)
{
        static pthread_mutex_t mutex;
        pthread_mutexattr_t attributes;
        pthread_mutexattr_init(&attributes);
        pthread_mutexattr_settype(&attributes, type);
        if (robust)
                pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
        if (inherits)
                pthread_mutexattr_setprotocol(&attributes, PTHREAD_PRIO_INHERIT);
        pthread_mutex_init(&mutex, &attributes);
        cr_assert(zero(int, pthread_mutex_lock(&mutex)));
        if (!robust && !inherits)
                *(int *)(void *)&mutex = 2; /* somebody waits */
        return &mutex;
}

static struct futex_wait find(const void *address, int operation, uint32_t expected, const char *function)
{
        struct sample sample = waiting(address, operation, expected);
        return futex_find(&sample, function != NULL ? stack_in(function) : NULL);
}

/* ---- mutexes ---- */

Test(futex, knows_a_mutex_and_its_owner)
{
        static const struct {
                int type;
                const char *object;
        } types[] = { { PTHREAD_MUTEX_NORMAL, "mutex" },
                      { PTHREAD_MUTEX_RECURSIVE, "recursive mutex" },
                      { PTHREAD_MUTEX_ERRORCHECK, "error-checking mutex" },
                      { PTHREAD_MUTEX_ADAPTIVE_NP, "mutex" } };
        for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
                const void *mutex = mutex_of(types[i].type, false, false);
                expect_lock(find(mutex, FUTEX_WAIT_PRIVATE, 2, "pthread_mutex_lock"), types[i].object, self());
                expect_lock(find(mutex, FUTEX_WAIT_BITSET_PRIVATE, 2, "pthread_mutex_timedlock"), types[i].object,
                            self());
                expect_lock(find(mutex, FUTEX_WAIT_PRIVATE, 2, "pthread_cond_wait"), types[i].object, self());
        }
}

Test(futex, takes_no_word_for_a_mutex_without_libcs_function_on_the_stack)
{
        const void *mutex = mutex_of(PTHREAD_MUTEX_NORMAL, false, false);
        cr_expect(eq(int, find(mutex, FUTEX_WAIT_PRIVATE, 2, NULL).kind, FUTEX_UNKNOWN));
        cr_expect(eq(int, find(mutex, FUTEX_WAIT_PRIVATE, 2, "qsort").kind, FUTEX_UNKNOWN));
}

Test(futex, blames_nobody_whose_thread_does_not_live)
{
        uint32_t *mutex = (uint32_t *)(void *)mutex_of(PTHREAD_MUTEX_NORMAL, false, false);
        mutex[2] = 0x3fffffff;
        expect_lock(find(mutex, FUTEX_WAIT_PRIVATE, 2, "pthread_mutex_lock"), "mutex", 0);
        mutex[2] = 1; /* init: no thread of ours */
        expect_lock(find(mutex, FUTEX_WAIT_PRIVATE, 2, "pthread_mutex_lock"), "mutex", 0);
        mutex[2] = (uint32_t)self();
        mutex[0] = 0; /* given back in this moment */
        expect_lock(find(mutex, FUTEX_WAIT_PRIVATE, 2, "pthread_mutex_lock"), "mutex", 0);
}

Test(futex, takes_a_kind_that_libc_does_not_have_for_something_else)
{
        uint32_t *mutex = (uint32_t *)(void *)mutex_of(PTHREAD_MUTEX_NORMAL, false, false);
        mutex[4] = 0xdead;
        cr_expect(eq(int, find(mutex, FUTEX_WAIT_PRIVATE, 2, "pthread_mutex_lock").kind, FUTEX_UNKNOWN));
}

Test(futex, knows_a_robust_mutex_by_its_word)
{
        uint32_t *mutex = (uint32_t *)(void *)mutex_of(PTHREAD_MUTEX_NORMAL, true, false);
        mutex[0] |= FUTEX_WAITERS;
        expect_lock(find(mutex, FUTEX_WAIT, mutex[0], "qsort"), "robust mutex", self());
        cr_expect(eq(int, find(mutex, FUTEX_WAIT, mutex[0] + 1, "qsort").kind, FUTEX_UNKNOWN));
}

Test(futex, knows_a_lock_with_priority_inheritance_by_the_kernels_operation)
{
        expect_lock(find(mutex_of(PTHREAD_MUTEX_NORMAL, false, true), FUTEX_LOCK_PI_PRIVATE, 0, NULL),
                    "mutex with priority inheritance", self());
        static uint32_t word;
        word = (uint32_t)self() | FUTEX_WAITERS;
        expect_lock(find(&word, FUTEX_LOCK_PI2, 0, NULL), "lock with priority inheritance", self());
        expect_lock(find((void *)16, FUTEX_LOCK_PI, 0, NULL), "lock with priority inheritance", 0);
}

/* ---- rwlocks ---- */

Test(futex, knows_the_writer_of_an_rwlock)
{
        static pthread_rwlock_t lock = PTHREAD_RWLOCK_INITIALIZER;
        uint32_t *words = (uint32_t *)(void *)&lock;
        pthread_rwlock_wrlock(&lock);
        expect_lock(find(&words[2], FUTEX_WAIT_BITSET, 3, "pthread_rwlock_rdlock"), "rwlock, to read", self());
        expect_lock(find(&words[3], FUTEX_WAIT_BITSET, 3, "pthread_rwlock_wrlock"), "rwlock, to write", self());
        words[6] = 0x3fffffff;
        expect_lock(find(&words[3], FUTEX_WAIT_BITSET, 3, "pthread_rwlock_wrlock"), "rwlock, to write", 0);
}

Test(futex, says_that_readers_have_an_rwlock)
{
        static pthread_rwlock_t lock = PTHREAD_RWLOCK_INITIALIZER;
        pthread_rwlock_rdlock(&lock);
        expect_lock(find((uint32_t *)(void *)&lock + 2, FUTEX_WAIT_BITSET, 2, "pthread_rwlock_wrlock"),
                    "rwlock, to write, held by readers", 0);
}

/* ---- libc's own ---- */

Test(futex, knows_who_has_a_stream)
{
        flockfile(stderr);
        expect_lock(find(stderr->_lock, FUTEX_WAIT_PRIVATE, 2, "__lll_lock_wait_private"), "lock of a stdio stream",
                    self());
        funlockfile(stderr);
        expect_lock(find(stderr->_lock, FUTEX_WAIT_PRIVATE, 2, "__lll_lock_wait_private"), "lock of libc's own", 0);
}

static void *wait_for_end(void *go)
{
        while (sem_wait(go) != 0)
                ;
        return NULL;
}

Test(futex, knows_the_thread_whose_end_is_waited_for)
{
        sem_t go;
        pthread_t thread;
        int32_t tid;
        sem_init(&go, 0, 0);
        cr_assert(zero(int, pthread_create(&thread, NULL, wait_for_end, &go)));
        cr_assert(zero(int, thread_id_of((uint64_t)thread, &tid)));
        while (thread_pointer_of(tid) == 0) /* it registers itself when it begins */
                sched_yield();
        cr_expect(eq(u64, thread_pointer_of(tid), (uint64_t)thread));
        const char *word = (const char *)thread + thread_id_offset();
        struct futex_wait wait = find(word, FUTEX_WAIT_BITSET, (uint32_t)tid, NULL);
        cr_expect(eq(int, wait.kind, FUTEX_END));
        cr_expect(eq(int, wait.owner, tid));
        cr_expect(eq(int, find(word, FUTEX_WAIT_BITSET, (uint32_t)tid + 1, NULL).kind, FUTEX_UNKNOWN));
        sem_post(&go);
        pthread_join(thread, NULL);
        /* The kernel wakes up who joins a moment before it lets the thread's id go. */
        for (unsigned i = 0; i < 100000 && thread_is_ours(tid); i++)
                sched_yield();
        cr_expect(not(thread_is_ours(tid)));
}

/* ---- no locks ---- */

Test(futex, names_what_is_no_lock)
{
        static uint32_t word;
        static const struct {
                const char *function, *object;
        } functions[] = { { "pthread_cond_timedwait", "condition variable" },
                          { "sem_wait", "semaphore" },
                          { "sem_clockwait", "semaphore" },
                          { "pthread_barrier_wait", "barrier" } };
        for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
                struct futex_wait wait = find(&word, FUTEX_WAIT_BITSET, 0, functions[i].function);
                cr_expect(eq(int, wait.kind, FUTEX_NO_LOCK));
                cr_expect_str_eq(wait.object ? wait.object : "", functions[i].object);
                cr_expect(zero(int, wait.owner));
        }
}

Test(futex, knows_nothing_of_calls_that_do_not_wait)
{
        struct sample sample = waiting(NULL, FUTEX_WAKE, 1);
        cr_expect(eq(int, futex_find(&sample, stack_in("pthread_mutex_lock")).kind, FUTEX_UNKNOWN));
        sample.syscall = SYS_read;
        cr_expect(not(futex_waits(&sample)));
        sample = waiting(NULL, FUTEX_WAIT, 2);
        sample.syscall_known = false;
        cr_expect(not(futex_waits(&sample)));
}

Test(futex, survives_addresses_that_lead_nowhere)
{
        static const uint64_t addresses[] = { 0, 8, 4096, UINT64_MAX - 3, UINT64_C(0x8000000000000000) };
        for (size_t i = 0; i < sizeof addresses / sizeof *addresses; i++) {
                const void *address = (const void *)(uintptr_t)addresses[i];
                cr_expect(zero(int, find(address, FUTEX_WAIT, 2, "pthread_mutex_lock").owner));
                cr_expect(zero(int, find(address, FUTEX_WAIT, 3, "pthread_rwlock_wrlock").owner));
                cr_expect(zero(int, find(address, FUTEX_WAIT, 2, "__lll_lock_wait_private").owner));
                cr_expect(zero(int, find(address, FUTEX_LOCK_PI, 2, NULL).owner));
        }
}
