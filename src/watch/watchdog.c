/* SPDX-License-Identifier: Apache-2.0
 *
 * watchdog.c - the thread that watches the loops
 *
 * It makes one pass over all loops (pass.c) after the other and sleeps in between, as long as the pass says. When no
 * loop has iterated for a second it sleeps without end, until the hook of a wait finds `loop_attention` set and wakes
 * it. For that to be safe without a fence in the hook, the watchdog sets the flag, makes every thread pass a barrier
 * (membarrier), and looks at all marks once more before it sleeps.
 *
 * Context: the watchdog thread; watchdog_start(), watchdog_stop(), watchdog_wake() on app threads
 */
#include "watch/watchdog.h"

#include <dlfcn.h>
#include <errno.h>
#include <linux/futex.h>
#include <linux/membarrier.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/calls.h"
#include "base/descriptors.h"
#include "base/limits.h"
#include "base/notice.h"
#include "base/number.h"
#include "base/pause.h"
#include "base/proc.h"
#include "base/raw.h"
#include "base/thread.h"
#include "watch/absence.h"
#include "watch/pass.h"

#define STACK_BYTES (256 * 1024)            /* for itself; what libc wants of it comes on top */
#define STACK_MOST_BYTES (64 * 1024 * 1024) /* where that is not known and it is not enough */
#define IDLE_NS 1000000000ull               /* without an iteration, before the sleep without end */
#define START_ATTEMPTS 3
#define CHANGE_STEP_NS 1000000
#define UNCOUNTED_STEP_NS 20000
#define SLEPT_LEAST_NS 20000000 /* of a machine */

enum thread_state {
        THREAD_NONE,
        THREAD_CHANGES, /* or being stopped */
        THREAD_RUNS,
        THREAD_LATE, /* was told to stop and did not in time: nobody waits for it any more */
};

static struct {
        const struct watch_calls *calls;
        pthread_t thread;
        size_t (*libc_stack_bytes)(const pthread_attr_t *attributes); /* NULL: not known */
        uint32_t *libc_count;                                         /* of its threads; NULL: not known */
        bool uncounted;                                               /* the thread is not among them */
        _Atomic bool unnoticed;                                       /* it ends without libc */
        _Atomic int state;
        _Atomic uint32_t wake;     /* futex: changed to wake the thread */
        _Atomic int stop;          /* 0 no, 1 for fork, 2 for good */
        _Atomic uint32_t ended;    /* futex */
        _Atomic uint32_t asked;    /* how often it was asked to look at once, */
        _Atomic uint32_t answered; /* and up to which of these it has; futex */
        _Atomic int tid;
        _Atomic int kernel_tid; /* the same, and kept when it has ended */
        _Atomic int forbidden;  /* threads that are about to fork */
        int failed_starts;
        bool can_sleep_forever;
        int delay_fd;                /* /proc/thread-self/schedstat; -1 */
        uint64_t woke_ns;            /* the end of the last sleep, */
        struct absence_counts awake; /* and what the kernel had counted by then */
} dog;

/* The processors that the process was started on. */
static struct {
        unsigned char bits[1024];
        long length; /* 0: not known */
} first_processors;

static long futex(_Atomic uint32_t *word, int operation, uint32_t value, const struct timespec *timeout)
{
        return raw_syscall_sigsafe(SYS_futex, (uintptr_t)word, (uint64_t)operation, value, (uintptr_t)timeout, 0, 0);
}

/* ---- sleeping ---- */

static struct absence_counts count_own(void)
{
        struct absence_counts counts = { .switches = -1 };
        struct rusage usage;
        const char *second;
        char text[96];
        if (!call_allowed_sigsafe(SYS_getrusage) ||
            raw_syscall_sigsafe(SYS_getrusage, RUSAGE_THREAD, (uintptr_t)&usage, 0, 0, 0, 0) != 0)
                return counts;
        counts.switches = usage.ru_nvcsw;
        if (descriptor_is_ours(dog.delay_fd) && proc_read_fd(dog.delay_fd, text, sizeof text) > 0 &&
            (second = strchr(text, ' ')) != NULL)
                counts.delay_known = number_take(&second, 10, &counts.delay_ns);
        return counts;
}

/* A filter comes as a rule while it sleeps: what it forbids must be known before the first call after that. */
static void note_wake(void)
{
        calls_look_again();
        dog.awake = count_own();
        dog.woke_ns = clock_now_ns();
}

/* Was it stopped since it woke up? Up to here it does nothing that could make it wait. Most stops meet a thread asleep;
 * on a busy machine they also meet it here, as one that was just woken and has no CPU yet. */
static void note_stop_at_work(void)
{
        uint64_t now_ns = clock_now_ns();
        if (now_ns - dog.woke_ns < ABSENCE_LATE_NS)
                return;
        struct absence_counts counts = count_own();
        struct watch_absence absence = absence_at_work(&dog.awake, &counts, dog.woke_ns, now_ns);
        if (absence.stopped_ns != 0)
                pass_note_absence(&absence);
}

/* A loop that wakes us may be stopped with us before we run: its iteration is old then, but nobody was at work. */
static void wait_for_wake(uint32_t wake)
{
        struct absence_counts before = count_own();
        uint64_t asleep_ns = clock_now_ns();
        futex(&dog.wake, FUTEX_WAIT_PRIVATE, wake, NULL);
        note_wake();
        if (absence_is_interrupted(&before, &dog.awake))
                pass_note_stop(asleep_ns, dog.woke_ns);
}

static void sleep_forever(uint32_t wake)
{
        atomic_store(&loop_attention, LOOP_ASLEEP);
        raw_syscall_sigsafe(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0, 0, 0, 0);
        if (!pass_is_due() && !atomic_load(&dog.stop))
                wait_for_wake(wake);
        else
                note_wake();
        atomic_store(&loop_attention, LOOP_WATCHED);
}

static void sleep_until(uint64_t next_ns, uint32_t wake)
{
        struct absence_sleep sleep = { .wanted_ns = next_ns, .before = count_own() };
        sleep.asleep_ns = clock_now_ns();
        if (next_ns <= sleep.asleep_ns) {
                note_wake(); /* it goes on at once */
                return;
        }
        uint64_t left_ns = next_ns - sleep.asleep_ns;
        struct timespec timeout = { .tv_sec = (time_t)(left_ns / 1000000000), .tv_nsec = (long)(left_ns % 1000000000) };
        futex(&dog.wake, FUTEX_WAIT_PRIVATE, wake, &timeout);
        note_wake();
        if (dog.woke_ns < next_ns || dog.woke_ns - next_ns < ABSENCE_LATE_NS)
                return;
        sleep.now_ns = dog.woke_ns;
        sleep.after = dog.awake;
        struct watch_absence absence = absence_judge(&sleep);
        pass_note_absence(&absence);
}

static void sleep_a_while(uint64_t next_ns, uint32_t wake)
{
        bool can_sleep_forever = dog.can_sleep_forever && call_allowed_sigsafe(SYS_membarrier);
        if (can_sleep_forever && clock_now_ns() - pass_active_ns() >= IDLE_NS && !pass_follows())
                sleep_forever(wake);
        else
                sleep_until(next_ns, wake);
}

/* All that had happened when it was asked has been looked at. */
static void answer(uint32_t asked)
{
        if (asked == atomic_load(&dog.answered))
                return;
        dog.calls->asked();
        atomic_store(&dog.answered, asked);
        futex(&dog.answered, FUTEX_WAKE_PRIVATE, INT32_MAX, NULL);
}

/* To tell whether the machine has slept between two of them. */
struct sleep_readings {
        bool known;
        uint64_t slept_ns;
        uint64_t now_ns, monotonic_ns;
};

/* A machine that slept has stopped all that was under way. Where clock_now_ns() went on meanwhile our own sleep ended
 * late, and that says it. */
static void look_for_sleep(struct sleep_readings *before)
{
        struct sleep_readings now = { .now_ns = clock_now_ns(), .monotonic_ns = clock_monotonic_ns() };
        now.known = clock_slept(&now.slept_ns);
        if (!now.known)
                return;
        if (before->known && now.slept_ns > before->slept_ns + SLEPT_LEAST_NS) {
                uint64_t slept_ns = now.slept_ns - before->slept_ns;
                bool went_on = now.now_ns - before->now_ns > now.monotonic_ns - before->monotonic_ns + slept_ns / 2;
                if (!went_on)
                        pass_note_sleep(slept_ns);
        }
        *before = now;
}

static void watch(void)
{
        struct sleep_readings readings = { .known = false };
        while (!atomic_load(&dog.stop)) {
                uint32_t wake = atomic_load(&dog.wake);
                note_stop_at_work(); /* before what writes records, which may wait, and before the clock changes */
                look_for_sleep(&readings);
                if (clock_tend())
                        pass_forget();
                uint32_t asked = atomic_load(&dog.asked);
                uint64_t next_ns = pass_over_all();
                answer(asked);
                sleep_a_while(next_ns, wake);
        }
}

/* ---- the thread ---- */

void watchdog_note_processors(void)
{
        long length = raw_syscall_sigsafe(SYS_sched_getaffinity, 0, sizeof first_processors.bits,
                                          (uintptr_t)first_processors.bits, 0, 0, 0);
        first_processors.length = length > 0 ? length : 0;
}

/* A loop bound to one processor must not keep its watchdog from running while it computes. */
static void go_back_to_first_processors(void)
{
        unsigned char now[sizeof first_processors.bits];
        long length = first_processors.length;
        if (length == 0 || !call_allowed_sigsafe(SYS_sched_getaffinity) || !call_allowed_sigsafe(SYS_sched_setaffinity))
                return;
        if (raw_syscall_sigsafe(SYS_sched_getaffinity, 0, sizeof now, (uintptr_t)now, 0, 0, 0) == length &&
            memcmp(now, first_processors.bits, (size_t)length) == 0)
                return;
        raw_syscall_sigsafe(SYS_sched_setaffinity, 0, (uint64_t)length, (uintptr_t)first_processors.bits, 0, 0, 0);
}

/* As little in the host's way as can be, and not in the way of the loop that started us, whose scheduling class and
 * processors we have at first. */
static void become_modest(void)
{
        struct sched_param parameters;
        int policy;
        if (call_allowed_sigsafe(SYS_prctl)) {
                prctl(PR_SET_NAME, "loopdog");
                prctl(PR_SET_TIMERSLACK, 1000); /* 1 us instead of 50 */
        }
        go_back_to_first_processors();
        if (!call_allowed_sigsafe(SYS_sched_getparam) || !call_allowed_sigsafe(SYS_sched_getscheduler) ||
            !call_allowed_sigsafe(SYS_sched_setscheduler))
                return;
        if (pthread_getschedparam(pthread_self(), &policy, &parameters) == 0 && policy != SCHED_OTHER) {
                parameters.sched_priority = 0;
                pthread_setschedparam(pthread_self(), SCHED_OTHER, &parameters);
        }
}

/* Nobody waited for this thread's end: make room for the next one. */
static void end_late(bool for_good)
{
        int expected = THREAD_LATE;
        if (!atomic_compare_exchange_strong(&dog.state, &expected, THREAD_NONE))
                return;
        pthread_detach(pthread_self());
        if (!for_good)
                atomic_store(&loop_attention, LOOP_STOPPED);
}

/* libc ends the process in whichever thread is the last to end: that is the program's own business, so this thread does
 * not count. Nobody would be the last while it sleeps; and were it the last itself, the program's exit handlers would
 * run here, without the program's descriptors. The thread that calls this is counted, so none is the last meanwhile.
 * Somebody else's pthread_create() may not count: then there are not two. */
static void uncount(uint32_t before)
{
        uint32_t least = before == 0 ? 1 : 2; /* 0: the last thread has ended, and its exit handlers go on */
        dog.uncounted = dog.libc_count != NULL && __atomic_load_n(dog.libc_count, __ATOMIC_SEQ_CST) >= least;
        if (dog.uncounted)
                __atomic_fetch_sub(dog.libc_count, 1, __ATOMIC_SEQ_CST);
}

/* At its end libc takes this thread from the count. Where that is 0 the process is ending, in a thread that waits for
 * us: libc must not find that ours is the last, so it is not to learn of our end. False: so it is. */
static bool count_again(void)
{
        uint32_t count = __atomic_load_n(dog.libc_count, __ATOMIC_SEQ_CST);
        do {
                if (count == 0)
                        return false;
        } while (!__atomic_compare_exchange_n(dog.libc_count, &count, count + 1, false, __ATOMIC_SEQ_CST,
                                              __ATOMIC_SEQ_CST));
        return true;
}

/* Before it is known what a filter forbids. */
static int own_id(void)
{
        int known = thread_own_id();
        return known > 0 ? known : (int)raw_syscall_sigsafe(SYS_gettid, 0, 0, 0, 0, 0, 0);
}

static void *run(void *unused)
{
        atomic_store(&dog.tid, own_id());
        atomic_store(&dog.kernel_tid, atomic_load(&dog.tid));
        loop_is_watchdog = true;
        calls_find_out();
        become_modest();
        dog.can_sleep_forever =
                call_allowed_sigsafe(SYS_membarrier) &&
                raw_syscall_sigsafe(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0, 0, 0, 0) == 0;
        dog.calls->begin();
        dog.delay_fd = proc_open("thread-self/schedstat");
        pass_begin();
        note_wake();
        watch();
        bool for_good = atomic_load(&dog.stop) == 2;
        if (for_good)
                pass_close_all();
        descriptor_close(dog.delay_fd);
        dog.calls->end(for_good);
        bool unnoticed = dog.uncounted && !count_again();
        atomic_store(&dog.unnoticed, unnoticed);
        atomic_store(&dog.tid, 0);
        atomic_store(&dog.ended, 1);
        futex(&dog.ended, FUTEX_WAKE_PRIVATE, 1, NULL);
        end_late(for_good);
        if (unnoticed)
                raw_syscall_sigsafe(SYS_exit, 0, 0, 0, 0, 0, 0);
        return NULL;
}

void watchdog_ask_libc(void)
{
        *(void **)&dog.libc_stack_bytes = dlsym(RTLD_DEFAULT, "__pthread_get_minstack");
        /* The count is there for debuggers, and so is its type: bits, elements. */
        const uint32_t *type = dlsym(RTLD_DEFAULT, "_thread_db___nptl_nthreads");
        if (type != NULL && type[0] == 32 && type[1] == 1)
                dog.libc_count = dlsym(RTLD_DEFAULT, "__nptl_nthreads");
}

/* libc puts each thread's copy of all thread-local variables into its stack, and a program may have megabytes. */
static size_t stack_bytes(const pthread_attr_t *attributes)
{
        return STACK_BYTES + (dog.libc_stack_bytes != NULL ? dog.libc_stack_bytes(attributes) : 0);
}

static int create_thread(void)
{
        pthread_attr_t attributes;
        sigset_t all, before;
        int error;
        sigfillset(&all);
        pthread_attr_init(&attributes);
        size_t bytes = stack_bytes(&attributes);
        uint32_t count = dog.libc_count != NULL ? __atomic_load_n(dog.libc_count, __ATOMIC_SEQ_CST) : 0;
        /* Through libc, which keeps its own signals (32 and 33) out of the set. */
        pthread_sigmask(SIG_SETMASK, &all, &before);
        do {
                pthread_attr_setstacksize(&attributes, bytes);
                error = pthread_create(&dog.thread, &attributes, run, NULL);
                bytes *= 4;
        } while (error == EINVAL && bytes <= STACK_MOST_BYTES);
        if (error == 0)
                uncount(count);
        pthread_sigmask(SIG_SETMASK, &before, NULL);
        pthread_attr_destroy(&attributes);
        return -error;
}

int watchdog_start(const struct watch_calls *calls, const struct policy_limits *limits, uint64_t grace_ns)
{
        int expected = THREAD_NONE;
        if (!atomic_compare_exchange_strong(&dog.state, &expected, THREAD_CHANGES))
                return -EALREADY;
        if (atomic_load(&dog.forbidden) > 0) { /* asked after the state was changed: see watchdog_forbid() */
                atomic_store(&dog.state, THREAD_NONE);
                return -EAGAIN;
        }
        dog.calls = calls;
        pass_set(calls, limits, grace_ns);
        atomic_store(&dog.stop, 0);
        atomic_store(&dog.ended, 0);
        atomic_store(&loop_attention, LOOP_WATCHED);
        int error = create_thread();
        if (error == 0) {
                atomic_store(&dog.state, THREAD_RUNS);
                return 0;
        }
        atomic_store(&dog.state, THREAD_NONE);
        if (++dog.failed_starts < START_ATTEMPTS)
                atomic_store(&loop_attention, LOOP_STOPPED); /* the next wait tries again */
        return error;
}

void watchdog_forbid(void)
{
        atomic_fetch_add(&dog.forbidden, 1);
}

void watchdog_allow(void)
{
        int now = atomic_load(&dog.forbidden);
        /* A libc before 2.36 may call handlers of a fork that began before they were registered. */
        while (now > 0 && !atomic_compare_exchange_weak(&dog.forbidden, &now, now - 1))
                ;
}

static void wait_while(enum thread_state state, uint64_t patience_ns)
{
        uint64_t deadline_ns = clock_monotonic_ns() + patience_ns;
        while (atomic_load(&dog.state) == (int)state && clock_monotonic_ns() < deadline_ns)
                pause_ns_sigsafe(CHANGE_STEP_NS);
}

void watchdog_wait_for_change(uint64_t patience_ns)
{
        wait_while(THREAD_CHANGES, patience_ns);
}

void watchdog_wake(void)
{
        atomic_fetch_add(&dog.wake, 1);
        futex(&dog.wake, FUTEX_WAKE_PRIVATE, 1, NULL);
}

/* Until the word has come to `wanted`. */
static bool wait_for(_Atomic uint32_t *word, uint32_t wanted, uint64_t patience_ns)
{
        uint64_t deadline_ns = clock_monotonic_ns() + patience_ns;
        for (uint32_t now; (int32_t)((now = atomic_load(word)) - wanted) < 0;) {
                uint64_t now_ns = clock_monotonic_ns();
                if (now_ns >= deadline_ns)
                        return false;
                uint64_t left_ns = deadline_ns - now_ns;
                struct timespec timeout = { .tv_sec = (time_t)(left_ns / 1000000000),
                                            .tv_nsec = (long)(left_ns % 1000000000) };
                futex(word, FUTEX_WAIT_PRIVATE, now, &timeout);
        }
        return true;
}

int watchdog_ask(uint64_t patience_ns)
{
        int saved_errno = errno;
        if (atomic_load(&dog.state) != THREAD_RUNS)
                return -ESRCH;
        uint32_t asked = atomic_fetch_add(&dog.asked, 1) + 1;
        watchdog_wake();
        bool answered = wait_for(&dog.answered, asked, patience_ns);
        errno = saved_errno;
        return answered ? 0 : -ETIMEDOUT;
}

/* pthread_join() returns when the thread has given up its memory; the kernel counts it a little longer, on a busy
 * machine for milliseconds. Whoever forks then and counts its threads, as CPython does since 3.12, would find one. */
static void wait_until_uncounted(void)
{
        uint64_t deadline_ns = clock_monotonic_ns() + LIMIT_PATIENCE_NS;
        uint64_t pid = (uint64_t)raw_syscall_sigsafe(SYS_getpid, 0, 0, 0, 0, 0, 0);
        uint64_t tid = (uint64_t)atomic_load(&dog.kernel_tid);
        if (!call_allowed_sigsafe(SYS_tgkill) || calls_untried_here())
                return;
        while (raw_syscall_sigsafe(SYS_tgkill, pid, tid, 0, 0, 0, 0) == 0 && clock_monotonic_ns() < deadline_ns)
                pause_ns_sigsafe(UNCOUNTED_STEP_NS);
}

void watchdog_wait_for_late_end(uint64_t patience_ns)
{
        int cancel_state;
        if (atomic_load(&dog.state) != THREAD_LATE)
                return;
        pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel_state);
        wait_while(THREAD_LATE, patience_ns);
        wait_until_uncounted();
        pthread_setcancelstate(cancel_state, NULL);
}

int watchdog_stop(bool for_good, uint64_t patience_ns)
{
        int saved_errno = errno;
        int expected = THREAD_RUNS;
        int cancel_state;
        if (!atomic_compare_exchange_strong(&dog.state, &expected, THREAD_CHANGES)) {
                if (expected != THREAD_CHANGES)
                        return -ESRCH;
                watchdog_wait_for_change(patience_ns);
                expected = THREAD_RUNS;
                if (!atomic_compare_exchange_strong(&dog.state, &expected, THREAD_CHANGES))
                        return expected == THREAD_CHANGES ? -ETIMEDOUT : -ESRCH;
        }
        pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel_state);
        atomic_store(&dog.stop, for_good ? 2 : 1);
        watchdog_wake();
        bool ended = wait_for(&dog.ended, 1, patience_ns);
        if (!ended) {
                atomic_store(&dog.state, THREAD_LATE);
                expected = THREAD_LATE; /* it may have ended just now, and then waits for nobody */
                ended = atomic_load(&dog.ended) &&
                        atomic_compare_exchange_strong(&dog.state, &expected, THREAD_CHANGES);
        }
        if (ended) {
                bool unnoticed = atomic_load(&dog.unnoticed);
                if (!unnoticed) /* else libc would make another thread on its stack, and take its values for that one's
                                 */
                        pthread_join(dog.thread, NULL);
                if (unnoticed || !for_good)
                        wait_until_uncounted();
                atomic_store(&dog.state, THREAD_NONE);
                atomic_store(&loop_attention, for_good ? LOOP_WATCHED : LOOP_STOPPED);
        }
        pthread_setcancelstate(cancel_state, NULL);
        errno = saved_errno;
        return ended ? 0 : -ETIMEDOUT;
}

int watchdog_tid(void)
{
        return atomic_load(&dog.tid);
}

void watchdog_after_fork(void)
{
        pass_after_fork();
        dog.failed_starts = 0;
        atomic_store(&dog.forbidden, 0);
        atomic_store(&dog.stop, 0);
        atomic_store(&dog.tid, 0);
        atomic_store(&dog.state, THREAD_NONE);
}
