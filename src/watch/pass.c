/* SPDX-License-Identifier: Apache-2.0
 *
 * pass.c - one pass of the watchdog over all loops
 *
 * It looks at every slot, follows the iterations that have become long, and learns when to look again. A stall is
 * followed under the mark of its iteration; how it ended stands in the slot's ring, and only where that has lost it is
 * the end taken from what the pass sees.
 *
 * Context: the watchdog thread; pass_set() and pass_after_fork() where there is none
 */
#include "watch/pass.h"

#include <string.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/order.h"
#include "base/table.h"
#include "loop/loop.h"
#include "loop/said.h"
#include "watch/policy.h"
#include "watch/stall.h"

#define AFTER_STOP_NS 50000000ull /* until a thread that was stopped in a sleep is back in it */
#define LONGEST_SLEEP_NS 1000000000ull
#define LONGEST_THRESHOLD_NS (1ull << 62) /* far enough from the end of the numbers to add to a time */

/* What the watchdog remembers of a slot. */
struct watched {
        bool known;
        bool confirmed;
        uint32_t generation;
        uint64_t last_mark;
        uint64_t settled_mark; /* this iteration is no stall: do not look at it again */
        uint64_t ended_mark;   /* the last iteration that the ring has told of */
        uint64_t rest_mark;    /* an executor's thread was seen at rest in this iteration, */
        uint64_t rest_ns;      /* last at this time, */
        bool rest_over;        /* and later in a handler: then it is the time when that was first seen */
        uint64_t visited_ns;
        bool following; /* `stall` is open */
        struct stall stall;
};

static struct {
        const struct watch_calls *calls;
        struct policy_limits usual;
        struct policy_limits limits; /* of the slot that is being looked at, in its present iteration */
        uint64_t grace_ns;
        uint64_t first_wait_ns;
        uint64_t active_ns;       /* when a loop last iterated */
        uint64_t signals_from_ns; /* after a stop no signals are sent for a while */
        uint64_t next_id;
        bool places[LIMIT_STALLS];
        struct watch_totals totals;
} pass;

static struct watched first_watched[TABLE_ROWS];
static struct table table = { sizeof(struct watched), TABLE_ROWS, { first_watched } };

static struct watched *watched_at(uint32_t index)
{
        return table_row(&table, index);
}

/* All slots below it are known to watched_at(). Without memory for more the rest is not watched. */
static uint32_t slots_known(void)
{
        return table_reach_all(&table, slots_used());
}

/* ---- stalls ---- */

static uint32_t take_place(void)
{
        for (uint32_t i = 0; i < LIMIT_STALLS; i++) {
                if (pass.places[i])
                        continue;
                pass.places[i] = true;
                return i;
        }
        return UINT32_MAX;
}

static bool is_startup(const struct slot *slot, uint64_t begin_ns)
{
        return !atomic_load(&slot->slept) || begin_ns < pass.first_wait_ns + pass.grace_ns;
}

static struct stall *follow(struct watched *w, struct slot *slot, uint64_t mark, uint64_t begin_ns)
{
        w->following = true;
        w->stall = (struct stall){
                .slot = slot,
                .place = take_place(),
                .mark = mark,
                .begin_ns = begin_ns,
                .threshold_ns = pass.limits.threshold_ns,
                .startup = is_startup(slot, begin_ns),
        };
        return &w->stall;
}

/* What the samples saw of a single thread that was stopped is in the stall already. */
static void measure_absences(struct stall *stall, uint64_t end_ns)
{
        struct away away = away_within(stall->begin_ns, end_ns);
        uint64_t duration_ns = end_ns - stall->begin_ns;
        stall->starved_ns = away.starved_ns;
        stall->doubtful_ns = larger(away.doubtful_ns, stall->doubtful_ns);
        stall->stopped_ns = smaller(larger(away.stopped_ns, stall->stopped_ns), duration_ns);
        uint64_t apart_ns = smaller(stall->stopped_ns + stall->doubtful_ns, duration_ns);
        stall->suspended = stall->stopped_ns != 0 && duration_ns - apart_ns < pass.limits.threshold_ns;
}

static void finish(struct watched *w, enum stall_end end, uint64_t end_ns)
{
        struct stall *stall = &w->stall;
        measure_absences(stall, end_ns);
        bool counts = stall->detected && end != STALL_LEFT && w->confirmed && !atomic_load(&stall->slot->serial);
        stall->end = counts ? end : STALL_LEFT;
        stall->end_ns = end_ns;
        if (counts) {
                if (stall->id == 0)
                        stall->id = ++pass.next_id;
                pass.totals.stalls += !stall->suspended;
                pass.totals.stalls_suspended += stall->suspended;
                pass.totals.stalls_startup += stall->startup && !stall->suspended;
                pass.totals.stalls_crowded += stall->place == UINT32_MAX && stall->samples != 0;
        }
        pass.calls->stall_ended(stall);
        if (stall->place != UINT32_MAX)
                pass.places[stall->place] = false;
        w->following = false;
}

/* A stall that ended before the watchdog came by: recorded without a stack. */
static void record_unseen(struct watched *w, struct slot *slot, const struct slot_ended *ended, uint64_t begin_ns)
{
        struct stall *stall = follow(w, slot, MARK(ended->begin_ns, 1), begin_ns);
        stall->detected = true;
        stall->startup = ended->startup || begin_ns < pass.first_wait_ns + pass.grace_ns;
        stall->yields = ended->yields;
        stall->threshold_ns = ended->threshold_ns;
        stall->said = ended->said;
        stall->late_ns = clock_now_ns() - begin_ns - ended->threshold_ns;
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

/* A later iteration has ended already. The followed one was too short to stand in the ring, or was lost there. */
static void end_before(struct watched *w, const struct slot_ended *next)
{
        finish(w, w->stall.detected ? STALL_WAITED : STALL_LEFT, next->begin_ns);
}

static void take_one_ended(struct watched *w, struct slot *slot, const struct slot_ended *ended)
{
        uint64_t mark = MARK(ended->begin_ns, 1);
        bool rested = w->rest_mark == mark;
        if (w->following && w->stall.mark == mark) {
                w->stall.yields = ended->yields;
                w->stall.said = ended->said;
                w->stall.threshold_ns = ended->threshold_ns;
                bool unseen_rest = atomic_load(&slot->executor) && w->stall.seen == 0;
                bool left = (ended->left && !rested) || ended->serial || unseen_rest;
                /* Sampled at half the threshold, then over before the watchdog looked again: a stall if long enough. */
                if (!left && ended->end_ns - w->stall.begin_ns >= ended->threshold_ns)
                        w->stall.detected = true;
                finish(w, left ? STALL_LEFT : STALL_WAITED, ended->end_ns);
                return;
        }
        if (w->following)
                end_before(w, ended);
        uint64_t begin_ns = true_begin(w, slot, mark, ended->yield_ns);
        if ((ended->left && !rested) || ended->serial || w->settled_mark == mark || !w->confirmed)
                return;
        /* An executor's thread that was never looked at may have been at rest all the time. */
        bool rest = rested || atomic_load(&slot->executor);
        if (ended->end_ns - begin_ns >= ended->threshold_ns && !rest)
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
                uint64_t told_mark = w->generation == generation ? w->settled_mark : 0;
                memset(w, 0, sizeof *w);
                w->known = true;
                w->generation = generation;
                w->settled_mark = told_mark; /* by a watchdog that ended for good, and the process went on */
                if (pass.first_wait_ns == 0)
                        pass.first_wait_ns = atomic_load(&slot->first_ns);
                if (atomic_load(&slot->state) != SLOT_RELEASED) /* else there is no thread to look at any more */
                        pass.calls->loop_begins(slot);
        }
        bool confirmed = atomic_load(&slot->confirmed);
        if (confirmed && !w->confirmed)
                pass.calls->loop_confirmed(slot);
        w->confirmed = confirmed;
}

static void take_ended(struct watched *w, struct slot *slot)
{
        struct slot_ended ended;
        while (loop_take_ended(slot, &ended)) {
                meet(w, slot); /* it may just have been the wait that confirmed a candidate */
                take_one_ended(w, slot, &ended);
                w->ended_mark = MARK(ended.begin_ns, 1);
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
        if (end_ns >= w->stall.begin_ns + pass.limits.threshold_ns)
                w->stall.detected = true;
        finish(w, w->stall.detected ? STALL_WAITED : STALL_LEFT, end_ns);
}

/* ---- one slot ---- */

/* A thread that was stopped in a sleep is about to make that call again, with what is left of its time: a signal that
 * came in between would end it. */
static void forbid_signals(void)
{
        pass.signals_from_ns = clock_now_ns() + AFTER_STOP_NS;
}

bool watch_may_signal(void)
{
        return clock_now_ns() >= pass.signals_from_ns;
}

static enum watch_finding sample(struct stall *stall, bool may_signal)
{
        uint64_t begin_ns = clock_now_ns();
        enum watch_finding finding = pass.calls->sample(stall, may_signal && watch_may_signal());
        pass.totals.sampling_ns += clock_now_ns() - begin_ns;
        return finding;
}

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
        stall->threshold_ns = pass.limits.threshold_ns;
        stall->late_ns = answer->late_ns;
        if (answer->late_ns > pass.totals.latest_ns)
                pass.totals.latest_ns = answer->late_ns;
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
        enum watch_finding finding = sample(stall, answer->action != POLICY_LOOK);
        stall->samples++;
        if (answer->action == POLICY_LOOK) {
                stall->looked = true;
        } else {
                stall->samples_detected++;
                stall->next_sample_ns = clock_now_ns() + policy_pause_ns(&pass.limits, stall->samples_detected);
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
                return now_ns + pass.limits.threshold_ns / 2;
        }
        if (stall->detected && w->confirmed && !stall->announced && !atomic_load(&slot->serial)) {
                if (stall->id == 0)
                        stall->id = ++pass.next_id;
                stall->announced = true;
                measure_absences(stall, clock_now_ns());
                pass.calls->stall_detected(stall);
        } else if (stall->announced) {
                pass.calls->stall_goes_on(stall);
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
        if (w->following || atomic_load(&slot->reentrant) || age_ns < pass.limits.threshold_ns / 2)
                return false;
        struct stall *stall = follow(w, slot, mark, MARK_NS(mark));
        enum watch_finding finding = sample(stall, age_ns >= pass.limits.threshold_ns);
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
        if (w->rest_mark == mark && !w->following && now_ns - w->visited_ns > pass.limits.threshold_ns)
                w->rest_ns = now_ns;
        w->visited_ns = now_ns;
        bool settled = is_settled(w, slot, mark);
        if (w->following && settled)
                end_at_close(w, slot);
        uint64_t yield_ns = atomic_load(&slot->yields) ? atomic_load(&slot->yield_ns) : 0;
        if (yield_ns != 0 && MARK_BUSY(mark) && !settled && judge_yields(w, slot, mark, now_ns))
                return now_ns + pass.limits.threshold_ns / 2;
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
        struct policy_answer answer = policy_decide(&pass.limits, &view);
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
        pass.totals.iterations_lost += atomic_exchange(&slot->ring_lost, 0);
        pass.calls->loop_ends(slot);
        w->known = false;
        slot_free(slot);
}

/* A loop may have a threshold of its own, and its sections may take longer. */
static void set_limits(const struct slot *slot, uint64_t mark)
{
        uint64_t limit_ns = said_limit_ns(slot, mark);
        pass.limits = pass.usual;
        pass.limits.threshold_ns = limit_ns < LONGEST_THRESHOLD_NS ? limit_ns : LONGEST_THRESHOLD_NS;
}

/* Look at one slot. Returns when to look again. */
static uint64_t visit(struct slot *slot, uint64_t now_ns)
{
        struct watched *w = watched_at(slot_index(slot));
        uint32_t state = atomic_load_explicit(&slot->state, memory_order_acquire);
        if (state == SLOT_FREE)
                return UINT64_MAX;
        if (atomic_load_explicit(&slot->mark, memory_order_acquire) == 0) /* its thread is just filling it in */
                return now_ns + pass.limits.threshold_ns / 2;
        if (!claim_meeting(slot))
                return UINT64_MAX;
        /* The mark before the ring: an iteration's end is in the ring before its mark changes. */
        uint64_t mark = atomic_load_explicit(&slot->mark, memory_order_acquire);
        if (mark == 0) { /* given back, and claimed by another thread since */
                atomic_store(&slot->met, SLOT_UNMET);
                return now_ns + pass.limits.threshold_ns / 2;
        }
        state = atomic_load_explicit(&slot->state, memory_order_acquire);
        set_limits(slot, mark);
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
                pass.active_ns = now_ns;
        w->last_mark = mark;
        if (w->ended_mark == mark) /* over since its mark was read: it has been told */
                return now_ns + pass.limits.threshold_ns / 2;
        return watch_iteration(w, slot, mark);
}

uint64_t pass_over_all(void)
{
        uint64_t now_ns = clock_now_ns();
        /* Also where no loop is left: a new one may begin at any moment. */
        uint64_t half_ns = pass.usual.threshold_ns / 2;
        uint64_t next_ns = now_ns + (half_ns < LONGEST_SLEEP_NS ? half_ns : LONGEST_SLEEP_NS);
        uint32_t count = slots_known();
        for (uint32_t i = 0; i < count; i++) {
                uint64_t slot_next_ns = visit(slot_at(i), now_ns);
                if (slot_next_ns < next_ns)
                        next_ns = slot_next_ns;
        }
        pass.calls->tick(clock_now_ns());
        pass.totals.wakeups++;
        return next_ns;
}

/* An iteration that goes on after the sleep: if it is long enough awake it will be a stall of its own. */
static void record_slept(const struct watched *w, struct slot *slot, uint64_t slept_ns)
{
        uint64_t begin_ns = MARK_NS(w->last_mark) - slept_ns;
        struct stall stall = {
                .slot = slot,
                .place = UINT32_MAX,
                .mark = w->last_mark,
                .id = ++pass.next_id,
                .begin_ns = begin_ns,
                .end_ns = clock_now_ns(),
                .threshold_ns = pass.usual.threshold_ns,
                .stopped_ns = slept_ns,
                .detected = true,
                .startup = is_startup(slot, begin_ns),
                .suspended = true,
                .slept = true,
                .end = STALL_WAITED,
        };
        pass.totals.stalls_suspended++;
        pass.calls->stall_ended(&stall);
}

/* Was it busy in the last pass, before the sleep, and still is? Of an iteration that began later nobody knows whether
 * it was before or after. */
static bool was_under_way(const struct watched *w, const struct slot *slot)
{
        uint64_t mark = atomic_load(&slot->mark);
        return w->known && w->confirmed && mark == w->last_mark && MARK_BUSY(mark) && w->rest_mark != mark &&
               !is_settled(w, slot, mark) && !atomic_load(&slot->serial);
}

void pass_note_sleep(uint64_t slept_ns)
{
        uint32_t count = slots_known();
        forbid_signals();
        pass.totals.stopped_ns += slept_ns;
        for (uint32_t i = 0; i < count && slept_ns >= pass.usual.threshold_ns; i++)
                if (was_under_way(watched_at(i), slot_at(i)))
                        record_slept(watched_at(i), slot_at(i), slept_ns);
}

void pass_forget(void)
{
        uint32_t count = slots_known();
        pass.active_ns = clock_now_ns();
        forbid_signals(); /* what made the clocks drift apart has stopped us, as a rule */
        away_forget();
        for (uint32_t i = 0; i < count; i++) {
                struct watched *w = watched_at(i);
                if (w->following)
                        finish(w, STALL_LEFT, w->stall.begin_ns);
                w->settled_mark = atomic_load(&slot_at(i)->mark);
                loop_mark_left(slot_at(i), w->settled_mark);
        }
}

bool pass_is_due(void)
{
        uint32_t count = slots_known();
        for (uint32_t i = 0; i < count; i++) {
                struct slot *slot = slot_at(i);
                if (atomic_load(&slot->state) != SLOT_FREE && atomic_load(&slot->mark) != watched_at(i)->last_mark)
                        return true;
        }
        return false;
}

bool pass_follows(void)
{
        uint32_t count = slots_known();
        for (uint32_t i = 0; i < count; i++)
                if (watched_at(i)->following)
                        return true;
        return false;
}

/* ---- the watchdog's begin and end ---- */

void pass_close_all(void)
{
        uint32_t count = slots_known();
        for (uint32_t i = 0; i < count; i++) {
                struct slot *slot = slot_at(i);
                struct watched *w = watched_at(i);
                if (atomic_load(&slot->state) == SLOT_FREE || atomic_load(&slot->mark) == 0 || !claim_meeting(slot))
                        continue;
                meet(w, slot); /* it may have begun and ended since the last pass */
                take_ended(w, slot);
                bool gone = atomic_load(&slot->state) == SLOT_RELEASED; /* its thread ended before the process */
                if (w->following) {
                        finish(w, gone ? STALL_THREAD : STALL_EXIT, clock_now_ns());
                        if (w->stall.end == STALL_EXIT) /* an exec may fail: it is told, and not once more */
                                w->settled_mark = w->stall.mark;
                }
                pass.totals.iterations_lost += atomic_exchange(&slot->ring_lost, 0);
                pass.calls->loop_ends(slot);
                w->known = false;
        }
}

void pass_begin(void)
{
        pass.active_ns = clock_now_ns();
        uint32_t count = slots_known();
        for (uint32_t i = 0; i < count; i++)
                if (watched_at(i)->known)
                        pass.calls->loop_begins(slot_at(i));
}

static void remember_absence(const struct watch_absence *absence)
{
        away_remember(absence);
        if (absence->stopped_ns != 0)
                forbid_signals();
}

void pass_note_stop(uint64_t from_ns, uint64_t to_ns)
{
        remember_absence(&(struct watch_absence){ .from_ns = from_ns, .to_ns = to_ns, .stopped_ns = to_ns - from_ns });
}

void pass_note_absence(const struct watch_absence *absence)
{
        remember_absence(absence);
        pass.totals.stopped_ns += absence->stopped_ns;
        pass.totals.starved_ns += absence->starved_ns;
        if (absence->to_ns - absence->from_ns > pass.totals.latest_ns && absence->stopped_ns == 0)
                pass.totals.latest_ns = absence->to_ns - absence->from_ns;
}

uint64_t pass_active_ns(void)
{
        return pass.active_ns;
}

void pass_set(const struct watch_calls *calls, const struct policy_limits *limits, uint64_t grace_ns)
{
        pass.calls = calls;
        pass.usual = *limits;
        pass.limits = *limits;
        pass.grace_ns = grace_ns;
}

const struct watch_totals *watch_totals(void)
{
        return &pass.totals;
}

void pass_after_fork(void)
{
        table_clear(&table, slots_used());
        memset(&pass.totals, 0, sizeof pass.totals);
        memset(pass.places, 0, sizeof pass.places);
        away_forget();
        pass.first_wait_ns = 0;
        pass.next_id = 0;
}
