/* SPDX-License-Identifier: Apache-2.0
 *
 * watchdog.c - the thread that watches the loops
 *
 * One pass looks at every slot, follows the iterations that have become long, and learns when to look again. Between
 * two passes the thread sleeps; when no loop has iterated for a second it sleeps without end, until the hook of a
 * wait finds `loop_attention` set and wakes it. For that to be safe without a fence in the hook, the watchdog sets
 * the flag, makes every thread pass a barrier (membarrier), and looks at all marks once more before it sleeps.
 *
 * Context: the watchdog thread; watchdog_start(), watchdog_stop(), watchdog_wake() on app threads
 */
#include "watch/watchdog.h"

#include <errno.h>
#include <linux/futex.h>
#include <linux/membarrier.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/calls.h"
#include "base/notice.h"
#include "base/raw.h"

#define STACK_BYTES (256 * 1024)
#define IDLE_NS 1000000000ull     /* without an iteration, before the sleep without end */
#define LONGEST_SLEEP_NS 1000000000ull
#define START_ATTEMPTS 3
#define CHANGE_STEP_NS 1000000

/* What the watchdog remembers of a slot. */
struct watched {
        bool known;
        bool confirmed;
        uint32_t generation;
        uint64_t last_mark;
        uint64_t settled_mark; /* this iteration is no stall: do not look at it again */
        uint64_t rest_mark;    /* an executor's thread was seen at rest in this iteration, */
        uint64_t rest_ns;      /* last at this time, */
        bool rest_over;        /* and later in a handler: then it is the time when that was first seen */
        uint64_t visited_ns;
        bool following;        /* `stall` is open */
        struct stall stall;
};

enum thread_state {
        THREAD_NONE,
        THREAD_CHANGES, /* or being stopped */
        THREAD_RUNS,
        THREAD_LATE,     /* was told to stop and did not in time: nobody waits for it any more */
};

static struct {
        const struct watch_calls *calls;
        struct policy_limits limits;
        uint64_t grace_ns;
        pthread_t thread;
        _Atomic int state;
        _Atomic uint32_t wake; /* futex: changed to wake the thread */
        _Atomic int stop;      /* 0 no, 1 for fork, 2 for good */
        _Atomic uint32_t ended; /* futex */
        _Atomic int tid;
        _Atomic int forbidden; /* threads that are about to fork */
        int failed_starts;
        bool can_sleep_forever;
        uint64_t first_wait_ns;
        uint64_t active_ns; /* when a loop last iterated */
        uint64_t next_id;
        bool places[LIMIT_STALLS];
        struct watch_totals totals;
} dog;

static struct watched watched[LIMIT_SLOTS];

/* The processors that the process was started on. */
static struct {
        unsigned char bits[1024];
        long length; /* 0: not known */
} first_processors;

static long futex(_Atomic uint32_t *word, int operation, uint32_t value, const struct timespec *timeout)
{
        return raw_syscall_sigsafe(SYS_futex, (uintptr_t)word, (uint64_t)operation, value, (uintptr_t)timeout, 0, 0);
}

/* ---- stalls ---- */

static uint32_t take_place(void)
{
        for (uint32_t i = 0; i < LIMIT_STALLS; i++) {
                if (dog.places[i])
                        continue;
                dog.places[i] = true;
                return i;
        }
        return UINT32_MAX;
}

static bool is_startup(const struct slot *slot, uint64_t begin_ns)
{
        return !atomic_load(&slot->slept) || begin_ns < dog.first_wait_ns + dog.grace_ns;
}

static struct stall *follow(struct watched *w, struct slot *slot, uint64_t mark, uint64_t begin_ns)
{
        w->following = true;
        w->stall = (struct stall){
                .slot = slot,
                .place = take_place(),
                .mark = mark,
                .begin_ns = begin_ns,
                .startup = is_startup(slot, begin_ns),
        };
        return &w->stall;
}

static void finish(struct watched *w, enum stall_end end, uint64_t end_ns)
{
        struct stall *stall = &w->stall;
        bool counts = stall->detected && end != STALL_LEFT && w->confirmed && !atomic_load(&stall->slot->serial);
        stall->end = counts ? end : STALL_LEFT;
        stall->end_ns = end_ns;
        if (counts) {
                if (stall->id == 0)
                        stall->id = ++dog.next_id;
                dog.totals.stalls++;
                dog.totals.stalls_startup += stall->startup;
                dog.totals.stalls_crowded += stall->place == UINT32_MAX && stall->samples != 0;
        }
        dog.calls->stall_ended(stall);
        if (stall->place != UINT32_MAX)
                dog.places[stall->place] = false;
        w->following = false;
}

/* A stall that ended before the watchdog came by: recorded without a stack. */
static void record_unseen(struct watched *w, struct slot *slot, const struct slot_ended *ended, uint64_t begin_ns)
{
        struct stall *stall = follow(w, slot, MARK(ended->begin_ns, 1), begin_ns);
        stall->detected = true;
        stall->startup = ended->startup || begin_ns < dog.first_wait_ns + dog.grace_ns;
        stall->yields = ended->yields;
        stall->late_ns = clock_now_ns() - begin_ns - dog.limits.threshold_ns;
        finish(w, STALL_WAITED, ended->end_ns);
}

/* Where a long iteration's time really began: after an executor's rest, or after a wait that turned out to be no
 * re-entrant one. */
static uint64_t true_begin(const struct watched *w, const struct slot *slot, uint64_t mark, uint64_t yield_ns)
{
        uint64_t begin_ns = MARK_NS(mark);
        if (w->rest_mark == mark && w->rest_ns > begin_ns)
                begin_ns = w->rest_ns;
        if (yield_ns > begin_ns && !atomic_load(&slot->reentrant))
                begin_ns = yield_ns;
        return begin_ns;
}

static void take_one_ended(struct watched *w, struct slot *slot, const struct slot_ended *ended)
{
        uint64_t mark = MARK(ended->begin_ns, 1);
        bool rested = w->rest_mark == mark;
        if (w->following && w->stall.mark == mark) {
                w->stall.yields = ended->yields;
                bool unseen_rest = atomic_load(&slot->executor) && w->stall.seen == 0;
                bool left = (ended->left && !rested) || ended->serial || unseen_rest;
                /* Sampled at half the threshold, then over before the watchdog looked again: a stall if long enough. */
                if (!left && ended->end_ns - w->stall.begin_ns >= dog.limits.threshold_ns)
                        w->stall.detected = true;
                finish(w, left ? STALL_LEFT : STALL_WAITED, ended->end_ns);
                return;
        }
        uint64_t begin_ns = true_begin(w, slot, mark, ended->yield_ns);
        if ((ended->left && !rested) || ended->serial || w->settled_mark == mark || !w->confirmed)
                return;
        /* An executor's thread that was never looked at may have been at rest all the time. */
        bool rest = rested || atomic_load(&slot->executor);
        if (ended->end_ns - begin_ns >= dog.limits.threshold_ns && !rest)
                record_unseen(w, slot, ended, begin_ns);
}

/* False where its thread is giving it back at this moment. */
static bool claim_meeting(struct slot *slot)
{
        uint32_t met = SLOT_UNMET;
        return atomic_compare_exchange_strong(&slot->met, &met, SLOT_MET) || met == SLOT_MET;
}

static void meet(struct watched *w, struct slot *slot)
{
        uint32_t generation = atomic_load(&slot->generation);
        if (!w->known || w->generation != generation) {
                memset(w, 0, sizeof *w);
                w->known = true;
                w->generation = generation;
                if (dog.first_wait_ns == 0)
                        dog.first_wait_ns = atomic_load(&slot->first_ns);
                if (atomic_load(&slot->state) != SLOT_RELEASED) /* else there is no thread to look at any more */
                        dog.calls->loop_begins(slot);
        }
        bool confirmed = atomic_load(&slot->confirmed);
        if (confirmed && !w->confirmed)
                dog.calls->loop_confirmed(slot);
        w->confirmed = confirmed;
}

static void take_ended(struct watched *w, struct slot *slot)
{
        struct slot_ended ended;
        while (loop_take_ended(slot, &ended)) {
                meet(w, slot); /* it may just have been the wait that confirmed a candidate */
                take_one_ended(w, slot, &ended);
        }
}

/* The stall that is followed is not the present iteration any more, and the ring did not hold its end. */
static void lose_sight(struct watched *w, struct slot *slot, uint64_t mark)
{
        uint64_t end_ns = MARK_BUSY(mark) ? clock_now_ns() : MARK_NS(mark);
        finish(w, w->stall.detected ? STALL_WAITED : STALL_LEFT, end_ns);
}

/* The program closed the loop's instance in the followed iteration: until then it was one like any other. */
static void end_at_close(struct watched *w, const struct slot *slot)
{
        uint64_t end_ns = atomic_load(&slot->left_ns);
        if (end_ns >= w->stall.begin_ns + dog.limits.threshold_ns)
                w->stall.detected = true;
        finish(w, w->stall.detected ? STALL_WAITED : STALL_LEFT, end_ns);
}

/* ---- one slot ---- */

static void handle_finding(struct watched *w, struct slot *slot, enum watch_finding finding, uint64_t now_ns)
{
        uint64_t mark = w->stall.mark;
        if (finding == WATCH_GONE) {
                finish(w, STALL_THREAD, now_ns);
                atomic_store(&slot->state, SLOT_RELEASED);
                return;
        }
        if (finding != WATCH_LEFT)
                return;
        bool executor = atomic_load(&slot->executor);
        loop_mark_left(slot, mark);
        if (executor) {
                w->rest_mark = mark;
                w->rest_ns = now_ns;
                w->rest_over = false;
        } else {
                w->settled_mark = mark;
        }
        /* An executor's thread that stalled and came to rest has ended its stall, about now. */
        bool stalled = executor && w->stall.detected && w->stall.seen != 0;
        finish(w, stalled ? STALL_WAITED : STALL_LEFT, now_ns);
}

static void detect(struct watched *w, const struct policy_answer *answer)
{
        struct stall *stall = &w->stall;
        stall->detected = true;
        stall->late_ns = answer->late_ns;
        if (answer->late_ns > dog.totals.latest_ns)
                dog.totals.latest_ns = answer->late_ns;
}

/* An executor's thread that was seen at rest works again: since when is not known. It counts from the moment when that
 * is seen, so that a stall may be found late but never made up. */
static void end_rest(struct watched *w, uint64_t now_ns)
{
        w->rest_over = true;
        w->rest_ns = now_ns;
        finish(w, STALL_LEFT, now_ns);
}

/* Do what the policy answered; returns when to look again. */
static uint64_t act(struct watched *w, struct slot *slot, const struct policy_answer *answer, uint64_t now_ns)
{
        struct stall *stall = &w->stall;
        uint64_t next_ns = answer->next_ns;
        if (answer->action == POLICY_DETECT)
                detect(w, answer);
        enum watch_finding finding = dog.calls->sample(stall, answer->action != POLICY_LOOK);
        stall->samples++;
        if (answer->action == POLICY_LOOK) {
                stall->looked = true;
        } else {
                stall->samples_detected++;
                stall->next_sample_ns = clock_now_ns() + policy_pause_ns(&dog.limits, stall->samples_detected);
                next_ns = stall->next_sample_ns;
        }
        stall->seen += finding == WATCH_GOES_ON && answer->action != POLICY_LOOK;
        if (finding != WATCH_GOES_ON) {
                /* Over while it was being detected: how long it really was stands in the ring, if it was a stall. */
                if (finding == WATCH_ENDED && answer->action == POLICY_DETECT)
                        stall->detected = false;
                handle_finding(w, slot, finding, now_ns);
                return finding == WATCH_ENDED ? now_ns : next_ns; /* at once: its end stands in the ring */
        }
        if (w->rest_mark == stall->mark && !w->rest_over) {
                end_rest(w, now_ns);
                return now_ns + dog.limits.threshold_ns / 2;
        }
        if (stall->detected && w->confirmed && !stall->announced && !atomic_load(&slot->serial)) {
                if (stall->id == 0)
                        stall->id = ++dog.next_id;
                stall->announced = true;
                dog.calls->stall_detected(stall);
        } else if (stall->announced) {
                dog.calls->stall_goes_on(stall);
        }
        return next_ns;
}

/* Is this iteration known to be none: judged so before, or its instance was closed by the program itself? */
static bool is_settled(const struct watched *w, const struct slot *slot, uint64_t mark)
{
        bool left = atomic_load(&slot->left_mark) == mark && w->rest_mark != mark;
        return left || w->settled_mark == mark;
}

/* Waits that can't sleep came from deeper in the stack. Whether they end iterations or are yields within one, a sample
 * tells; until then the last of them is taken for the iteration's begin. True where nothing more is to be done now. */
static bool judge_yields(struct watched *w, struct slot *slot, uint64_t mark, uint64_t now_ns)
{
        uint64_t age_ns = now_ns - MARK_NS(mark);
        if (w->following || atomic_load(&slot->reentrant) || age_ns < dog.limits.threshold_ns / 2)
                return false;
        struct stall *stall = follow(w, slot, mark, MARK_NS(mark));
        enum watch_finding finding = dog.calls->sample(stall, age_ns >= dog.limits.threshold_ns);
        stall->samples++;
        stall->looked = true;
        if (finding == WATCH_LEFT || finding == WATCH_GONE) {
                handle_finding(w, slot, finding, now_ns);
                return true;
        }
        if (!atomic_load(&slot->reentrant))
                finish(w, STALL_LEFT, now_ns);
        return false;
}

/* Ask the policy about the present iteration; returns when it wants to be asked again. */
static uint64_t watch_iteration(struct watched *w, struct slot *slot, uint64_t mark)
{
        uint64_t now_ns = clock_now_ns();
        /* After a long sleep of our own nothing is known of when a rest ended. */
        if (w->rest_mark == mark && !w->following && now_ns - w->visited_ns > dog.limits.threshold_ns)
                w->rest_ns = now_ns;
        w->visited_ns = now_ns;
        bool settled = is_settled(w, slot, mark);
        if (w->following && settled)
                end_at_close(w, slot);
        uint64_t yield_ns = atomic_load(&slot->yields) ? atomic_load(&slot->yield_ns) : 0;
        if (yield_ns != 0 && MARK_BUSY(mark) && !settled && judge_yields(w, slot, mark, now_ns))
                return now_ns + dog.limits.threshold_ns / 2;
        uint64_t begin_ns = true_begin(w, slot, mark, yield_ns);
        if (w->following && !w->stall.detected && w->stall.begin_ns != begin_ns)
                finish(w, STALL_LEFT, now_ns);
        struct policy_view view = {
                .now_ns = now_ns,
                .busy = MARK_BUSY(mark) && !settled,
                .begin_ns = w->following ? w->stall.begin_ns : begin_ns,
                .looked = w->following && w->stall.looked,
                .detected = w->following && w->stall.detected,
                .next_sample_ns = w->stall.next_sample_ns,
                .samples_detected = w->following ? w->stall.samples_detected : 0,
        };
        struct policy_answer answer = policy_decide(&dog.limits, &view);
        if (answer.action == POLICY_NOTHING)
                return answer.next_ns;
        if (!w->following)
                follow(w, slot, mark, begin_ns);
        return act(w, slot, &answer, now_ns);
}

static void part(struct watched *w, struct slot *slot)
{
        take_ended(w, slot);
        if (w->following)
                finish(w, STALL_THREAD, clock_now_ns());
        dog.totals.iterations_lost += atomic_exchange(&slot->ring_lost, 0);
        dog.calls->loop_ends(slot);
        w->known = false;
        slot_free(slot);
}

/* Look at one slot. Returns when to look again. */
static uint64_t visit(struct slot *slot, uint64_t now_ns)
{
        struct watched *w = &watched[slot_index(slot)];
        uint32_t state = atomic_load_explicit(&slot->state, memory_order_acquire);
        if (state == SLOT_FREE)
                return UINT64_MAX;
        if (atomic_load_explicit(&slot->mark, memory_order_acquire) == 0) /* its thread is just filling it in */
                return now_ns + dog.limits.threshold_ns / 2;
        if (!claim_meeting(slot))
                return UINT64_MAX;
        /* The mark before the ring: an iteration's end is in the ring before its mark changes. */
        uint64_t mark = atomic_load_explicit(&slot->mark, memory_order_acquire);
        if (mark == 0) { /* given back, and claimed by another thread since */
                atomic_store(&slot->met, SLOT_UNMET);
                return now_ns + dog.limits.threshold_ns / 2;
        }
        state = atomic_load_explicit(&slot->state, memory_order_acquire);
        meet(w, slot);
        take_ended(w, slot);
        if (state == SLOT_RELEASED) {
                part(w, slot);
                return UINT64_MAX;
        }
        if (w->following && w->stall.mark != mark)
                lose_sight(w, slot, mark);
        bool resting = w->rest_mark == mark || is_settled(w, slot, mark);
        if (mark != w->last_mark || (MARK_BUSY(mark) && !resting))
                dog.active_ns = now_ns;
        w->last_mark = mark;
        return watch_iteration(w, slot, mark);
}

static uint64_t pass(void)
{
        uint64_t now_ns = clock_now_ns();
        /* Also where no loop is left: a new one may begin at any moment. */
        uint64_t half_ns = dog.limits.threshold_ns / 2;
        uint64_t next_ns = now_ns + (half_ns < LONGEST_SLEEP_NS ? half_ns : LONGEST_SLEEP_NS);
        uint32_t count = slots_used();
        for (uint32_t i = 0; i < count; i++) {
                uint64_t slot_next_ns = visit(slot_at(i), now_ns);
                if (slot_next_ns < next_ns)
                        next_ns = slot_next_ns;
        }
        dog.calls->tick(clock_now_ns());
        return next_ns;
}

/* Readings of the old clock can't be compared with the new one's: forget what is under way. */
static void forget_iterations(void)
{
        uint32_t count = slots_used();
        dog.active_ns = clock_now_ns();
        for (uint32_t i = 0; i < count; i++) {
                struct watched *w = &watched[i];
                if (w->following)
                        finish(w, STALL_LEFT, w->stall.begin_ns);
                w->settled_mark = atomic_load(&slot_at(i)->mark);
                loop_mark_left(slot_at(i), w->settled_mark);
        }
}

/* ---- sleeping ---- */

/* Has a loop iterated, or appeared, since the last pass? */
static bool something_moved(void)
{
        uint32_t count = slots_used();
        for (uint32_t i = 0; i < count; i++) {
                struct slot *slot = slot_at(i);
                if (atomic_load(&slot->state) != SLOT_FREE && atomic_load(&slot->mark) != watched[i].last_mark)
                        return true;
        }
        return false;
}

static void sleep_forever(uint32_t wake)
{
        atomic_store(&loop_attention, LOOP_ASLEEP);
        raw_syscall_sigsafe(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0, 0, 0, 0);
        if (!something_moved() && !atomic_load(&dog.stop))
                futex(&dog.wake, FUTEX_WAIT_PRIVATE, wake, NULL);
        atomic_store(&loop_attention, LOOP_WATCHED);
}

static void sleep_until(uint64_t next_ns, uint32_t wake)
{
        uint64_t now_ns = clock_now_ns();
        if (next_ns <= now_ns)
                return;
        uint64_t left_ns = next_ns - now_ns;
        struct timespec timeout = { .tv_sec = (time_t)(left_ns / 1000000000), .tv_nsec = (long)(left_ns % 1000000000) };
        futex(&dog.wake, FUTEX_WAIT_PRIVATE, wake, &timeout);
}

static bool stall_is_followed(void)
{
        uint32_t count = slots_used();
        for (uint32_t i = 0; i < count; i++)
                if (watched[i].following)
                        return true;
        return false;
}

static void watch(void)
{
        while (!atomic_load(&dog.stop)) {
                uint32_t wake = atomic_load(&dog.wake);
                calls_look_again();
                if (clock_tend())
                        forget_iterations();
                uint64_t next_ns = pass();
                dog.totals.wakeups++;
                bool can_sleep_forever = dog.can_sleep_forever && call_allowed_sigsafe(SYS_membarrier);
                if (can_sleep_forever && clock_now_ns() - dog.active_ns >= IDLE_NS && !stall_is_followed())
                        sleep_forever(wake);
                else
                        sleep_until(next_ns, wake);
        }
}

/* ---- the thread ---- */

/* The process ends: what goes on now ends with it. */
static void close_all(void)
{
        uint32_t count = slots_used();
        for (uint32_t i = 0; i < count; i++) {
                struct slot *slot = slot_at(i);
                struct watched *w = &watched[i];
                if (atomic_load(&slot->state) == SLOT_FREE || atomic_load(&slot->mark) == 0 || !claim_meeting(slot))
                        continue;
                meet(w, slot); /* it may have begun and ended since the last pass */
                take_ended(w, slot);
                if (w->following)
                        finish(w, STALL_EXIT, clock_now_ns());
                dog.totals.iterations_lost += atomic_exchange(&slot->ring_lost, 0);
                dog.calls->loop_ends(slot);
                w->known = false;
        }
}

/* After a fork stopped the watchdog, what belonged to its descriptor table must be opened anew. */
static void meet_again(void)
{
        uint32_t count = slots_used();
        for (uint32_t i = 0; i < count; i++)
                if (watched[i].known)
                        dog.calls->loop_begins(slot_at(i));
}

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

static void *run(void *unused)
{
        atomic_store(&dog.tid, (int)raw_syscall_sigsafe(SYS_gettid, 0, 0, 0, 0, 0, 0));
        loop_is_watchdog = true;
        calls_find_out();
        become_modest();
        dog.can_sleep_forever =
                call_allowed_sigsafe(SYS_membarrier) &&
                raw_syscall_sigsafe(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0, 0, 0, 0) == 0;
        dog.active_ns = clock_now_ns();
        dog.calls->begin();
        meet_again();
        watch();
        bool for_good = atomic_load(&dog.stop) == 2;
        if (for_good)
                close_all();
        dog.calls->end(for_good);
        atomic_store(&dog.tid, 0);
        atomic_store(&dog.ended, 1);
        futex(&dog.ended, FUTEX_WAKE_PRIVATE, 1, NULL);
        end_late(for_good);
        return NULL;
}

static int create_thread(void)
{
        pthread_attr_t attributes;
        sigset_t all, before;
        sigfillset(&all);
        pthread_attr_init(&attributes);
        pthread_attr_setstacksize(&attributes, STACK_BYTES);
        /* Through libc, which keeps its own signals (32 and 33) out of the set. */
        pthread_sigmask(SIG_SETMASK, &all, &before);
        int error = pthread_create(&dog.thread, &attributes, run, NULL);
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
        dog.limits = *limits;
        dog.grace_ns = grace_ns;
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

void watchdog_wait_for_change(uint64_t patience_ns)
{
        static _Atomic uint32_t nobody;
        struct timespec step = { .tv_nsec = CHANGE_STEP_NS };
        for (uint64_t i = 0; atomic_load(&dog.state) == THREAD_CHANGES && i < patience_ns / CHANGE_STEP_NS; i++)
                futex(&nobody, FUTEX_WAIT_PRIVATE, 0, &step);
}

void watchdog_wake(void)
{
        atomic_fetch_add(&dog.wake, 1);
        futex(&dog.wake, FUTEX_WAKE_PRIVATE, 1, NULL);
}

static bool wait_for_end(uint64_t patience_ns)
{
        uint64_t deadline_ns = clock_monotonic_ns() + patience_ns;
        while (!atomic_load(&dog.ended)) {
                uint64_t now_ns = clock_monotonic_ns();
                if (now_ns >= deadline_ns)
                        return false;
                uint64_t left_ns = deadline_ns - now_ns;
                struct timespec timeout = { .tv_sec = (time_t)(left_ns / 1000000000),
                                            .tv_nsec = (long)(left_ns % 1000000000) };
                futex(&dog.ended, FUTEX_WAIT_PRIVATE, 0, &timeout);
        }
        return true;
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
        bool ended = wait_for_end(patience_ns);
        if (!ended) {
                atomic_store(&dog.state, THREAD_LATE);
                expected = THREAD_LATE; /* it may have ended just now, and then waits for nobody */
                ended = atomic_load(&dog.ended) &&
                        atomic_compare_exchange_strong(&dog.state, &expected, THREAD_CHANGES);
        }
        if (ended) {
                pthread_join(dog.thread, NULL);
                atomic_store(&dog.state, THREAD_NONE);
                atomic_store(&loop_attention, for_good ? LOOP_WATCHED : LOOP_STOPPED);
        }
        pthread_setcancelstate(cancel_state, NULL);
        errno = saved_errno;
        return ended ? 0 : -ETIMEDOUT;
}

const struct watch_totals *watch_totals(void)
{
        return &dog.totals;
}

int watchdog_tid(void)
{
        return atomic_load(&dog.tid);
}

void watchdog_after_fork(void)
{
        memset(watched, 0, slots_used() * sizeof *watched);
        memset(&dog.totals, 0, sizeof dog.totals);
        memset(dog.places, 0, sizeof dog.places);
        dog.first_wait_ns = 0;
        dog.next_id = 0;
        dog.failed_starts = 0;
        atomic_store(&dog.forbidden, 0);
        atomic_store(&dog.stop, 0);
        atomic_store(&dog.tid, 0);
        atomic_store(&dog.state, THREAD_NONE);
}
