/* SPDX-License-Identifier: Apache-2.0
 *
 * guest_threads.c - loops that come by the thousand, and threads that end in the middle of a stall
 *
 *     guest_threads many [N] | crowded [N] | cancelled | exits | jumps | tiny
 *     guest_threads last-returns | main-leaves | worker-ends-last | last-is-cancelled
 *
 * "many": N threads (1,000), 50 at a time, each a loop for a moment. "crowded": N loops (4,200) that live at the same
 * time, more than there are slots; then the first one stalls, and one of the last. "cancelled": threads are cancelled
 * asleep and on the CPU, "exits": they end by pthread_exit(), "jumps": they leave the callback by longjmp() and stall
 * again, each in the middle of a stall. "tiny": loops on the smallest stack that there may be.
 *
 * The others end with their last thread, and not by exit(): a loop's that returns after main() has left; main() itself,
 * whose loop was the only one; one that never was a loop; one that is cancelled in the middle of a stall. They say on
 * which thread, stack and mask their exit handler runs, and leave a line to stdio to write.
 *
 * Context: the threads named above
 */
#include <limits.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "see.h"
#include "truth.h"
#include "turn.h"

#define AT_A_TIME 50

static unsigned count;

/* ---- many ---- */

static void *live_briefly(void *number)
{
        struct turn loop;
        unsigned turns = 0;
        turn_open(&loop);
        for (int i = 0; i < 3; i++) {
                turn_arm(&loop, 1);
                turns += turn_wait(&loop, 1000, NULL) == 1;
        }
        turn_close(&loop);
        return (void *)(uintptr_t)turns;
}

static void many(void)
{
        pthread_t threads[AT_A_TIME];
        unsigned turns = 0;
        struct turn loop;
        for (unsigned made = 0; made < count; made += AT_A_TIME) {
                for (int i = 0; i < AT_A_TIME; i++)
                        VICTIM_CHECK(pthread_create(&threads[i], NULL, live_briefly, NULL) == 0);
                for (int i = 0; i < AT_A_TIME; i++) {
                        void *result;
                        VICTIM_CHECK(pthread_join(threads[i], &result) == 0);
                        turns += (unsigned)(uintptr_t)result;
                }
        }
        see("many: %u turns of %u threads", turns, count);
        turn_open(&loop);
        stall_asleep(&loop);
}

/* ---- more than slots ---- */

/* One instance for all, with an event when all is over: thousands of descriptors are not what this is about. */
static int shared_epoll;
static atomic_uint waiting;

static void *wait_long(void *unused)
{
        struct epoll_event event;
        for (int i = 0; i < 2; i++)
                VICTIM_CHECK(epoll_wait(shared_epoll, &event, 1, 0) == 0);
        atomic_fetch_add(&waiting, 1);
        VICTIM_CHECK(epoll_wait(shared_epoll, &event, 1, -1) == 1);
        return NULL;
}

static void *stall_late(void *unused)
{
        struct turn loop;
        turn_open(&loop);
        stall_asleep(&loop);
        return NULL;
}

static void crowded(void)
{
        pthread_t *threads = calloc(count, sizeof *threads), late;
        pthread_attr_t attributes;
        struct turn loop;
        turn_open(&loop);
        stall_asleep(&loop);
        struct epoll_event event = { .events = EPOLLIN };
        int over = eventfd(0, EFD_CLOEXEC);
        shared_epoll = epoll_create1(EPOLL_CLOEXEC);
        VICTIM_CHECK(epoll_ctl(shared_epoll, EPOLL_CTL_ADD, over, &event) == 0);
        pthread_attr_init(&attributes);
        VICTIM_CHECK(pthread_attr_setstacksize(&attributes, 32768) == 0);
        for (unsigned i = 0; i < count; i++) {
                if (i % AT_A_TIME == 0)
                        turn_run(&loop, 1, NULL);
                VICTIM_CHECK(pthread_create(&threads[i], &attributes, wait_long, NULL) == 0);
        }
        while (atomic_load(&waiting) < count)
                turn_run(&loop, 1, NULL);
        see("crowded: %u loops at once", atomic_load(&waiting));
        stall_asleep(&loop);
        VICTIM_CHECK(pthread_create(&late, NULL, stall_late, NULL) == 0);
        pthread_join(late, NULL);
        VICTIM_CHECK(eventfd_write(over, 1) == 0);
        for (unsigned i = 0; i < count; i++)
                pthread_join(threads[i], NULL);
        free(threads);
}

/* ---- ends in the middle ---- */

static atomic_bool stalls; /* the thread's callback has begun */
static bool on_cpu;

static struct truth left_at;

/* Its end is logged by what runs when it is cancelled. */
static VICTIM_FRAME void endless(void)
{
        left_at = truth_begin();
        atomic_store(&stalls, true);
        for (;;)
                if (on_cpu)
                        quiet_busy_ms(1);
                else
                        quiet_sleep_ms(5000);
}

static VICTIM_FRAME void on_endless(struct turn *loop)
{
        pthread_setcanceltype(on_cpu ? PTHREAD_CANCEL_ASYNCHRONOUS : PTHREAD_CANCEL_DEFERRED, NULL);
        endless();
}

static void note_cleaned(void *cleaned)
{
        *(bool *)cleaned = true;
        truth_end(left_at, on_cpu ? "cpu" : "blocked", "", "on_endless");
}

static void *stall_without_end(void *cleaned)
{
        struct turn loop;
        pthread_cleanup_push(note_cleaned, cleaned);
        turn_open(&loop);
        turn_run(&loop, 3, NULL);
        turn_run(&loop, 1, on_endless);
        pthread_cleanup_pop(0);
        return NULL;
}

static void cancel_one(const char *how)
{
        pthread_t thread;
        void *result;
        bool cleaned = false;
        atomic_store(&stalls, false);
        VICTIM_CHECK(pthread_create(&thread, NULL, stall_without_end, &cleaned) == 0);
        while (!atomic_load(&stalls))
                quiet_sleep_ms(1);
        quiet_sleep_ms(200);
        VICTIM_CHECK(pthread_cancel(thread) == 0 && pthread_join(thread, &result) == 0);
        see("cancelled %s: %d, cleaned %d", how, result == PTHREAD_CANCELED, cleaned);
        quiet_sleep_ms(100); /* the watchdog still sees the thread's end */
}

static void cancelled(void)
{
        for (int i = 0; i < 4; i++) {
                on_cpu = i % 2 != 0;
                cancel_one(on_cpu ? "on the CPU" : "asleep");
        }
}

static VICTIM_FRAME void on_exit_within(struct turn *loop)
{
        planted_busy_ms(200, "on_exit_within");
        pthread_exit(loop);
}

static void *exit_within(void *unused)
{
        struct turn loop;
        turn_open(&loop);
        turn_run(&loop, 3, NULL);
        turn_run(&loop, 1, on_exit_within);
        return NULL;
}

static void exits(void)
{
        for (int i = 0; i < 3; i++) {
                pthread_t thread;
                void *result;
                VICTIM_CHECK(pthread_create(&thread, NULL, exit_within, NULL) == 0);
                VICTIM_CHECK(pthread_join(thread, &result) == 0);
                see("ended within: %d", result != NULL);
                quiet_sleep_ms(100);
        }
}

/* ---- jumps ---- */

static jmp_buf back;

static VICTIM_FRAME void on_jump(struct turn *loop)
{
        left_at = truth_begin();
        quiet_busy_ms(200);
        longjmp(back, 1);
}

static void jumps(void)
{
        static struct turn loop;
        turn_open(&loop);
        turn_run(&loop, 3, NULL);
        for (volatile int i = 0; i < 3; i++) {
                if (setjmp(back) == 0) {
                        turn_run(&loop, 1, on_jump);
                        VICTIM_CHECK(!"the callback returned");
                }
                truth_end(left_at, "cpu", "quiet_busy_ms", "on_jump");
                turn_run(&loop, 3, NULL);
        }
        see("jumps: 3");
        stall_asleep(&loop);
}

/* ---- the smallest stack ---- */

static void *live_on_little(void *unused)
{
        static __thread struct turn loop;
        turn_open(&loop);
        for (int i = 0; i < 3; i++)
                turn_run(&loop, 2, NULL);
        stall_asleep(&loop);
        stall_busy(&loop);
        turn_close(&loop);
        return &loop;
}

static void tiny(void)
{
        pthread_attr_t attributes;
        pthread_t threads[2];
        void *result;
        pthread_attr_init(&attributes);
        VICTIM_CHECK(pthread_attr_setstacksize(&attributes, PTHREAD_STACK_MIN) == 0);
        for (int i = 0; i < 2; i++)
                VICTIM_CHECK(pthread_create(&threads[i], &attributes, live_on_little, NULL) == 0);
        for (int i = 0; i < 2; i++) {
                VICTIM_CHECK(pthread_join(threads[i], &result) == 0);
                see("tiny: %d", result != NULL);
        }
}

/* ---- the process ends with its last thread ---- */

#define LAST_STACK_BYTES (1024 * 1024)

static pthread_t main_thread, last_thread;
static char *last_stack;

static void at_exit(void)
{
        char local;
        sigset_t mask;
        const char *who = pthread_equal(pthread_self(), main_thread)   ? "main"
                          : pthread_equal(pthread_self(), last_thread) ? "the last"
                                                                       : "another";
        bool within = last_stack != NULL && &local >= last_stack && &local < last_stack + LAST_STACK_BYTES;
        pthread_sigmask(SIG_SETMASK, NULL, &mask);
        see("exit handler: thread %s, its stack %d, user signals blocked %d%d, terminate %d", who, within,
            sigismember(&mask, SIGUSR1), sigismember(&mask, SIGUSR2), sigismember(&mask, SIGTERM));
}

static void ends_with_last_thread(void)
{
        sigset_t set;
        main_thread = pthread_self();
        VICTIM_CHECK(atexit(at_exit) == 0);
        sigemptyset(&set);
        sigaddset(&set, SIGUSR1);
        pthread_sigmask(SIG_BLOCK, &set, NULL);
        printf("left to stdio\n");
}

static void start_last(void *(*run)(void *))
{
        pthread_attr_t attributes;
        last_stack = aligned_alloc(4096, LAST_STACK_BYTES);
        pthread_attr_init(&attributes);
        VICTIM_CHECK(last_stack != NULL && pthread_attr_setstack(&attributes, last_stack, LAST_STACK_BYTES) == 0);
        VICTIM_CHECK(pthread_create(&last_thread, &attributes, run, NULL) == 0);
}

static void block_one_more(void)
{
        sigset_t set;
        sigemptyset(&set);
        sigaddset(&set, SIGUSR2);
        pthread_sigmask(SIG_BLOCK, &set, NULL);
}

static void *loop_and_return(void *unused)
{
        struct turn loop;
        block_one_more();
        turn_open(&loop);
        turn_run(&loop, 3, NULL);
        stall_asleep(&loop);
        stall_busy(&loop);
        return NULL;
}

static void last_returns(void)
{
        ends_with_last_thread();
        start_last(loop_and_return);
        pthread_exit(NULL);
}

static void main_leaves(void)
{
        struct turn loop;
        ends_with_last_thread();
        turn_open(&loop);
        stall_asleep(&loop);
        pthread_exit(NULL);
}

/* Late enough for the watchdog to have gone to sleep for good. */
static void *work_and_return(void *unused)
{
        block_one_more();
        quiet_sleep_ms(2500);
        return NULL;
}

static void worker_ends_last(void)
{
        struct turn loop;
        ends_with_last_thread();
        turn_open(&loop);
        stall_asleep(&loop);
        start_last(work_and_return);
        pthread_exit(NULL);
}

static VICTIM_FRAME void on_cancelled(struct turn *loop)
{
        planted_busy_ms(200, "on_cancelled");
        pthread_cancel(pthread_self());
        pthread_testcancel();
}

static void *loop_until_cancelled(void *unused)
{
        struct turn loop;
        block_one_more();
        turn_open(&loop);
        turn_run(&loop, 3, NULL);
        turn_run(&loop, 1, on_cancelled);
        return NULL;
}

static void last_is_cancelled(void)
{
        ends_with_last_thread();
        start_last(loop_until_cancelled);
        pthread_exit(NULL);
}

int main(int argc, char **argv)
{
        static const struct victim_case cases[] = {
                { "many", many },
                { "crowded", crowded },
                { "cancelled", cancelled },
                { "exits", exits },
                { "jumps", jumps },
                { "tiny", tiny },
                { "last-returns", last_returns },
                { "main-leaves", main_leaves },
                { "worker-ends-last", worker_ends_last },
                { "last-is-cancelled", last_is_cancelled },
                { NULL, NULL },
        };
        VICTIM_CHECK(argc > 1);
        const struct victim_case *chosen = victim_case_of(cases, argv[1]);
        count = argc > 2 ? (unsigned)atoi(argv[2]) : chosen->run == many ? 1000 : 4200;
        chosen->run();
        return 0;
}
