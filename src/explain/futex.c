/* SPDX-License-Identifier: Apache-2.0
 *
 * futex.c - what a thread that sleeps in futex() waits for, and who holds it
 *
 * The kernel knows a word and a number. That the word is the first of a mutex is told by three things together: the
 * word is what a contended mutex has, the fields around it make sense as libc's mutex and name a living thread as its
 * owner, and a function of libc that locks mutexes is on the stack. Mutexes with priority inheritance are told by
 * the kernel's own operation, robust ones and pthread_join() by the thread's id that stands in the word.
 *
 * A condition variable or a semaphore has no owner: it is named, and nobody is blamed. Nor is anybody known of a lock
 * of libc's own (malloc's), but for that of a stream of stdio, which notes its owner.
 *
 * Context: watchdog
 * Source:  glibc's layouts on x86-64, unchanged since 2.25: bits/struct_mutex.h, bits/struct_rwlock.h, stdio-lock.h
 */
#include "explain/futex.h"

#include <linux/futex.h>
#include <string.h>
#include <sys/syscall.h>

#include "base/memory.h"
#include "base/thread.h"
#include "unwind/arch.h"
#include "unwind/fde.h"
#include "unwind/module.h"
#include "unwind/remote.h"
#include "unwind/symbol.h"

#define CONTENDED 2    /* the word of a mutex, or of a lock of libc's own, that somebody waits for */
#define NAMED_FRAMES 5 /* from the innermost: where libc's own function stands */

/* ---- what libc keeps ---- */

struct mutex {
        uint32_t lock, count, owner, users, kind;
};
#define KIND_BASE 0x0fu
#define KIND_ROBUST 0x10u
#define KIND_INHERIT 0x20u
#define KIND_KNOWN 0x3ffu /* and: protected, shared, elision yes and no */
#define KIND_RECURSIVE 1u
#define KIND_CHECKING 2u
#define KIND_BASES 4u

struct rwlock {
        uint32_t readers, writers, phase_futex, writers_futex, pad[2], writer, shared, rest[4], flags;
};
#define RWLOCK_READERS_SHIFT 3
#define RWLOCK_CLOSED 3u /* the value that is waited on while a writer has it */

struct stream_lock {
        uint32_t lock, count;
        uint64_t owner; /* a pthread_t */
};

/* ---- the functions of libc on the stack ---- */

enum place { NOWHERE, IN_MUTEX, IN_CONDITION, IN_RWLOCK_READ, IN_RWLOCK_WRITE, IN_OWN_LOCK, IN_OTHER };

static const struct {
        const char *begins; /* after leading underscores */
        enum place place;
        const char *object;
} functions[] = {
        { "pthread_mutex_", IN_MUTEX, "mutex" },
        { "mtx_", IN_MUTEX, "mutex" },
        { "pthread_cond_", IN_CONDITION, "condition variable" },
        { "cnd_", IN_CONDITION, "condition variable" },
        { "pthread_rwlock_rd", IN_RWLOCK_READ, "rwlock" },
        { "pthread_rwlock_timedrd", IN_RWLOCK_READ, "rwlock" },
        { "pthread_rwlock_clockrd", IN_RWLOCK_READ, "rwlock" },
        { "pthread_rwlock_", IN_RWLOCK_WRITE, "rwlock" },
        { "sem_", IN_OTHER, "semaphore" },
        { "new_sem_", IN_OTHER, "semaphore" },
        { "pthread_barrier_", IN_OTHER, "barrier" },
        { "pthread_once", IN_OTHER, "one-time initialization" },
        { "call_once", IN_OTHER, "one-time initialization" },
        { "lll_lock_wait_private", IN_OWN_LOCK, "lock of libc's own" },
};

static bool is_libc(const struct frame *frame)
{
        const char *name = frame->module != MODULE_NONE && frame->script == 0 ? module_get(frame->module)->name : "";
        return strncmp(name, "libc.so", 7) == 0 || strncmp(name, "libc-2", 6) == 0 ||
               strncmp(name, "libpthread", 10) == 0 || strncmp(name, "ld-linux", 8) == 0;
}

/* Their slow paths are entered by a jump, and have no names of their own. */
static const struct {
        const char *name;
        enum place place;
        const char *object;
} jumping[] = {
        { "sem_wait", IN_OTHER, "semaphore" },
        { "sem_clockwait", IN_OTHER, "semaphore" },
        { "sem_timedwait", IN_OTHER, "semaphore" },
};
#define JUMPING (sizeof jumping / sizeof *jumping)

/* The code of each function in `jumping`, looked up once a process. */
static const struct fde *jumping_code(const struct module *libc)
{
        static struct fde code[JUMPING];
        static bool looked_up;
        for (size_t i = 0; i < JUMPING && !looked_up; i++) {
                uint64_t address = module_symbol(libc, jumping[i].name);
                if (address != 0 && !remote_function(address, &code[i]))
                        code[i] = (struct fde){ .start = 0 };
        }
        looked_up = true;
        return code;
}

static enum place find_jump(const struct frame *frame, const char **object)
{
        struct fde called;
        if (!unwind_ready() || !remote_function(frame->pc - frame->caller, &called))
                return NOWHERE;
        const struct fde *code = jumping_code(module_get(frame->module));
        for (size_t i = 0; i < JUMPING; i++) {
                if (code[i].start == 0 || !arch_jumps_into(code[i].start, code[i].end, called.start, called.end))
                        continue;
                *object = jumping[i].object;
                return jumping[i].place;
        }
        return NOWHERE;
}

static enum place find_name(const char *name, const char **object)
{
        name += strspn(name, "_");
        for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
                if (strncmp(name, functions[i].begins, strlen(functions[i].begins)) != 0)
                        continue;
                *object = functions[i].object;
                return functions[i].place;
        }
        return NOWHERE;
}

/* The innermost function of libc that says what is waited for. Those of a program of the same name do not count. */
static enum place find_place(const struct stack *stack, const char **object)
{
        *object = NULL;
        if (stack == NULL || stack->count == 0)
                return NOWHERE;
        symbols_resolve(stack);
        for (unsigned i = 0; i < stack->count && i < NAMED_FRAMES; i++) {
                const struct frame *frame = &stack->frames[i];
                const char *name = is_libc(frame) ? symbol_name(frame) : NULL;
                enum place place = NOWHERE;
                if (name != NULL)
                        place = find_name(name, object);
                else if (is_libc(frame))
                        place = find_jump(frame, object);
                if (place != NOWHERE)
                        return place;
        }
        return NOWHERE;
}

/* Is the thread in libc at all? Its innermost functions have no names of their own. */
static bool is_in_libc(const struct stack *stack)
{
        for (unsigned i = 0; stack != NULL && i < stack->count && i < 2; i++)
                if (is_libc(&stack->frames[i]))
                        return true;
        return false;
}

/* ---- one kind after the other ---- */

static int32_t living(uint32_t tid)
{
        return thread_is_ours((int32_t)tid) ? (int32_t)tid : 0;
}

static const char *name_of_mutex(uint32_t kind)
{
        if (kind & KIND_INHERIT)
                return "mutex with priority inheritance";
        if (kind & KIND_ROBUST)
                return "robust mutex";
        switch (kind & KIND_BASE) {
        case KIND_RECURSIVE:
                return "recursive mutex";
        case KIND_CHECKING:
                return "error-checking mutex";
        default:
                return "mutex";
        }
}

static bool is_mutex(uint64_t address, struct mutex *mutex)
{
        return memory_get_sigsafe(address, mutex, sizeof *mutex) && (mutex->kind & ~KIND_KNOWN) == 0 &&
               (mutex->kind & KIND_BASE) < KIND_BASES;
}

/* The kernel itself says that this is a lock, and the word whose. */
static bool find_inheriting(uint64_t address, struct futex_wait *wait)
{
        struct mutex mutex;
        uint32_t word;
        wait->kind = FUTEX_LOCK;
        wait->object = "lock with priority inheritance";
        if (!memory_get_sigsafe(address, &word, sizeof word))
                return true;
        wait->owner = living(word & FUTEX_TID_MASK);
        if (is_mutex(address, &mutex) && mutex.kind & KIND_INHERIT && mutex.owner == (word & FUTEX_TID_MASK))
                wait->object = name_of_mutex(mutex.kind);
        return true;
}

static bool find_robust(uint64_t address, uint32_t expected, const struct stack *stack, struct futex_wait *wait)
{
        struct mutex mutex;
        if (!is_in_libc(stack) || !is_mutex(address, &mutex) || !(mutex.kind & KIND_ROBUST) || mutex.lock != expected ||
            !(expected & FUTEX_WAITERS) || mutex.owner != (expected & FUTEX_TID_MASK))
                return false;
        *wait = (struct futex_wait){ FUTEX_LOCK, name_of_mutex(mutex.kind), living(mutex.owner) };
        return true;
}

/* Also within a wait for a condition, which locks its mutex again at its end. */
static bool find_mutex(uint64_t address, uint32_t expected, enum place place, struct futex_wait *wait)
{
        struct mutex mutex;
        if (expected != CONTENDED || (place != IN_MUTEX && place != IN_CONDITION) || !is_mutex(address, &mutex))
                return false;
        *wait = (struct futex_wait){ FUTEX_LOCK, name_of_mutex(mutex.kind), 0 };
        if (mutex.lock == CONTENDED && mutex.users != 0)
                wait->owner = living(mutex.owner);
        return true;
}

static bool find_rwlock(uint64_t address, uint32_t expected, enum place place, struct futex_wait *wait)
{
        struct rwlock rwlock;
        bool reads = place == IN_RWLOCK_READ;
        size_t within = offsetof(struct rwlock, phase_futex);
        if (!reads && place != IN_RWLOCK_WRITE)
                return false;
        if (reads && expected != RWLOCK_CLOSED)
                within = offsetof(struct rwlock, readers);
        else if (!reads && expected == RWLOCK_CLOSED)
                within = offsetof(struct rwlock, writers_futex);
        *wait = (struct futex_wait){ FUTEX_LOCK, reads ? "rwlock, to read" : "rwlock, to write", 0 };
        if (!memory_get_sigsafe(address - within, &rwlock, sizeof rwlock) || rwlock.shared > 1 || rwlock.flags > 2)
                return true;
        wait->owner = living(rwlock.writer);
        if (wait->owner == 0 && rwlock.readers >> RWLOCK_READERS_SHIFT != 0 && !reads)
                wait->object = "rwlock, to write, held by readers";
        return true;
}

/* The word is the id of the thread itself, which the kernel clears at its end. */
static bool find_join(uint64_t address, uint32_t expected, struct futex_wait *wait)
{
        int32_t tid;
        if (thread_id_offset() == 0 || thread_id_of(address - thread_id_offset(), &tid) != 0 ||
            (uint32_t)tid != expected || living(expected) == 0)
                return false;
        *wait = (struct futex_wait){ FUTEX_END, "end of a thread", tid };
        return true;
}

static bool find_own_lock(uint64_t address, enum place place, struct futex_wait *wait)
{
        struct stream_lock stream;
        int32_t tid;
        if (place != IN_OWN_LOCK)
                return false;
        *wait = (struct futex_wait){ FUTEX_LOCK, "lock of libc's own", 0 };
        if (memory_get_sigsafe(address, &stream, sizeof stream) && stream.count != 0 &&
            thread_id_of(stream.owner, &tid) == 0 && thread_is_ours(tid))
                *wait = (struct futex_wait){ FUTEX_LOCK, "lock of a stdio stream", tid };
        return true;
}

/* ---- all of them ---- */

bool futex_waits(const struct sample *sample)
{
        if (!sample->syscall_known || sample->syscall != SYS_futex)
                return false;
        switch (sample->arguments[1] & FUTEX_CMD_MASK) {
        case FUTEX_WAIT:
        case FUTEX_WAIT_BITSET:
        case FUTEX_LOCK_PI:
        case FUTEX_LOCK_PI2:
        case FUTEX_WAIT_REQUEUE_PI:
                return true;
        default:
                return false;
        }
}

struct futex_wait futex_find(const struct sample *sample, const struct stack *stack)
{
        struct futex_wait wait = { .kind = FUTEX_UNKNOWN };
        uint64_t address = sample->arguments[0], operation = sample->arguments[1] & FUTEX_CMD_MASK;
        uint32_t expected = (uint32_t)sample->arguments[2];
        const char *object;
        if (!futex_waits(sample))
                return wait;
        if ((operation == FUTEX_LOCK_PI || operation == FUTEX_LOCK_PI2) && find_inheriting(address, &wait))
                return wait;
        if (find_robust(address, expected, stack, &wait) || find_join(address, expected, &wait))
                return wait;
        enum place place = find_place(stack, &object);
        if (find_mutex(address, expected, place, &wait) || find_rwlock(address, expected, place, &wait) ||
            find_own_lock(address, place, &wait))
                return wait;
        if (place == IN_CONDITION || place == IN_OTHER)
                wait = (struct futex_wait){ FUTEX_NO_LOCK, object, 0 };
        return wait;
}
