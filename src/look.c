/* SPDX-License-Identifier: Apache-2.0
 *
 * look.c - look at a loop's thread: capture -> unwind -> script -> explain
 *
 * The middle of the path, which agent.c begins and ends: what one sample shows is counted in its stall's profile, with
 * what and whom the thread waits for. Stands beside the stages because it connects four of them.
 *
 * Context: watchdog; what `look_companion` copies in the handler too
 */
#include "look.h"

#include <string.h>
#include <sys/syscall.h>

#include "base/calls.h"
#include "base/clock.h"
#include "base/table.h"
#include "explain/callback.h"
#include "explain/evidence.h"
#include "explain/fault.h"
#include "explain/machine.h"
#include "explain/served.h"
#include "explain/whereabouts.h"
#include "explain/whom.h"
#include "loop/loop.h"
#include "script/script.h"
#include "unwind/module.h"
#include "unwind/unwind.h"

static struct capture_task first_tasks[TABLE_ROWS];
static struct table tasks = { sizeof(struct capture_task), TABLE_ROWS, { first_tasks } };

/* What the samples of one stall have shown: 140 KB, of which most programs need two. */
struct place {
        struct profile profile;
        struct evidences evidences;
        struct served served;
};
/* The places of the stalls that are open, and one for a loop that is dumped. */
static struct table places = { sizeof(struct place), 1, { NULL } };
static struct fault_watch faults[LIMIT_STALLS]; /* a dump does not wait for a fault to end */
static struct sample sample;
static struct stack stack;
static bool unwinder_is_hooked;

void look_note_hooks(bool come_first)
{
        unwinder_is_hooked = come_first;
}

static struct capture_task *task_of(const struct slot *slot)
{
        return table_row(&tasks, slot_index(slot));
}

static struct place *place_of(const struct stall *stall)
{
        return stall->place <= LOOK_DUMP_PLACE ? table_row(&places, stall->place) : NULL;
}

struct profile *look_profile(const struct stall *stall)
{
        struct place *place = place_of(stall);
        return place != NULL ? &place->profile : NULL;
}

void look_begin(const struct slot *slot)
{
        struct capture_task *task = table_reach(&tasks, slot_index(slot));
        table_reach(&places, 0); /* now: under a filter that comes later nobody may ask for memory */
        if (task == NULL)
                return;
        capture_task_open(task, atomic_load(&slot->tid), atomic_load(&slot->own_cfa));
        task->stack_bound = atomic_load(&slot->thread_pointer);
        task->alternate_bytes = &slot->alternate_bytes;
}

void look_note_blocked(struct slot *slot)
{
        struct capture_task *task = task_of(slot);
        bool is_idle = atomic_load(&slot->state) == SLOT_LOOP && !MARK_BUSY(atomic_load(&slot->mark));
        if (task == NULL || task->tid == 0 || task->knows_blocked || !is_idle)
                return;
        capture_task_note_blocked(task);
        atomic_store(&slot->filtered, task->own_filter);
}

void look_close(const struct slot *slot)
{
        struct capture_task *task = task_of(slot);
        if (task != NULL)
                capture_task_close(task);
}

/* ---- one sample: capture -> unwind -> script -> explain ---- */

static void prepare_scripts(const struct capture_task *task)
{
        module_find((uint64_t)(uintptr_t)prepare_scripts); /* so that the process's objects are known */
        script_prepare(task->stack_bound);
}

const struct capture_companion look_companion = { .prepare = prepare_scripts, .copy_sigsafe = script_copy_sigsafe };

static struct whereabouts_loop loop_of(const struct slot *slot)
{
        uint64_t key = atomic_load(&slot->key);
        return (struct whereabouts_loop){
                .wait = { .site = atomic_load(&slot->site), .cfa = atomic_load(&slot->own_cfa) },
                .executor = atomic_load(&slot->executor),
                .is_epoll = WAIT_KEY_KIND(key) == WAIT_EPOLL,
                .epoll_fd = (int)WAIT_KEY_VALUE(key),
        };
}

/* Waits that can't sleep were seen deeper in the stack: are they within a callback of the loop? */
static enum watch_finding judge_yields(struct slot *slot, const struct whereabouts_loop *loop)
{
        unsigned index;
        if (atomic_load(&slot->yields) == 0 || atomic_load(&slot->reentrant))
                return WATCH_GOES_ON;
        enum loopframe found = loopframe_find(&stack, &loop->wait, &index);
        if (found == LOOPFRAME_PRESENT)
                loop_confirm_reentrant(slot);
        if (found != LOOPFRAME_GONE)
                return WATCH_GOES_ON;
        loop_deny_reentrant(slot);
        return WATCH_LEFT;
}

static enum watch_finding judge(struct slot *slot, const struct stack *found, bool waits_for_owner)
{
        int epoll_fd = -1;
        if (WAIT_KEY_KIND(atomic_load(&slot->key)) == WAIT_NAMED) /* the program itself says where its loop waits */
                return WATCH_GOES_ON;
        struct whereabouts_loop loop = loop_of(slot);
        loop.waits_for_owner = waits_for_owner;
        switch (whereabouts_find(&loop, &sample, found, &epoll_fd)) {
        case WHERE_CALLBACK:
                return found != NULL ? judge_yields(slot, &loop) : WATCH_GOES_ON;
        case WHERE_ELSEWHERE:
                loop_take_over(slot, WAIT_KEY(WAIT_EPOLL, (uint32_t)epoll_fd));
                return WATCH_LEFT;
        case WHERE_REST:
        case WHERE_LEFT:
                break;
        }
        return WATCH_LEFT;
}

/* Its first use makes libunwind open a pipe and ask for mincore(). */
static bool may_unwind(void)
{
        return unwind_ready() && call_allowed_sigsafe(SYS_pipe2) &&
               (call_allowed_sigsafe(SYS_mincore) || unwinder_is_hooked);
}

/* The sample's native frames with those of scripts between them. False: there is no frame at all. */
static bool find_stack(struct script_context *context)
{
        struct script_memory memory = { sample.stack_address, sample.stack, sample.stack_length };
        if (sample.loss != CAPTURE_OK)
                return false;
        if (sample.accompanied)
                script_read(&memory);
        if (!may_unwind() || unwind_sample(&sample, &stack) != 0)
                stack = (struct stack){ .count = 0 };
        if (sample.accompanied)
                script_merge(&stack, &memory, context);
        return stack.count != 0;
}

/* ---- whom is it waiting for? capture -> unwind -> script -> explain, for one thread after the other ---- */

static struct whom_look look_at_sample(bool found)
{
        struct whom_look look = { .sample = &sample, .stack = found ? &stack : NULL };
        look.in_call = capture_first_argument(&sample, &look.address);
        return look;
}

/* Another thread, as the stalled one: without a signal where it sleeps. */
static struct whom_look look_at_thread(int32_t tid, uint64_t pthread, void *may_signal)
{
        static struct capture_task other;
        struct script_context context = { .called = NULL };
        if (tid == watchdog_tid()) {
                sample = (struct sample){ .state = 'R', .syscall = -1 };
                return (struct whom_look){ .sample = &sample };
        }
        capture_task_open(&other, tid, 0);
        other.stack_bound = pthread;
        other.least_alternate_bytes = atomic_load(&loop_least_alternate_bytes);
        capture_take(&other, *(const bool *)may_signal, NULL, 0, &sample);
        bool found = find_stack(&context);
        capture_task_close(&other);
        return look_at_sample(found);
}

static struct whom find_whom(const struct whom_look *look)
{
        if (!look->in_call)
                return (struct whom){ .kind = WHOM_NOBODY };
        return whom_find(look->sample, look->address, look->stack);
}

/* A cycle is a deadlock once it was seen twice: look again at once. Its begin may be all that is ever told of a stall
 * that does not end. */
static void look_at_cycle_again(const struct slot *slot, struct profile *profile, uint64_t mark, bool may_signal)
{
        static struct whom_chain chain;
        struct script_context context = { .called = NULL };
        int32_t tid = atomic_load(&slot->tid);
        capture_take(task_of(slot), false, &slot->mark, mark, &sample);
        if (sample.loss != CAPTURE_OK)
                return;
        struct whom_look look = look_at_sample(find_stack(&context));
        uint64_t switches = sample.switches;
        chain.first = find_whom(&look);
        whom_follow(&chain, tid, look_at_thread, &may_signal);
        profile_see_cycle(profile, &chain, switches);
}

/* Of a sample that was counted: the threads that it waits for are looked at, too. */
static void look_for_others(const struct stall *stall, struct profile *profile, const struct whom *first,
                            bool may_signal)
{
        static struct whom_chain chain;
        uint64_t switches = sample.switches;
        chain.first = *first;
        whom_follow(&chain, atomic_load(&stall->slot->tid), look_at_thread, &may_signal);
        profile_add_wait(profile, &chain, switches);
        if (chain.cycle && !profile->deadlock)
                look_at_cycle_again(stall->slot, profile, stall->mark, may_signal);
}

static void add_sample(const struct slot *slot, struct profile *profile, const struct stack *found,
                       const struct script_context *context)
{
        struct whereabouts_loop loop = loop_of(slot);
        int callback = found != NULL ? callback_find(found, &loop.wait) : -1;
        profile_add(profile, &sample, found, callback >= 0 ? (unsigned)callback : PROFILE_NO_CALLBACK, context);
}

/* What the call waits for that the thread sleeps in. Only what was found while it did not move counts. */
static void look_at_call(const struct stall *stall)
{
        struct evidences *all = &place_of(stall)->evidences;
        struct capture_task *task = task_of(stall->slot);
        if (sample.loss != CAPTURE_OK || sample.by_signal || !sample.syscall_known || sample.syscall < 0)
                return;
        struct evidence *found = evidences_look(all, task->tid, &sample);
        if (found == NULL)
                return;
        if (capture_stays(task, &sample))
                evidences_confirm(found);
        else
                evidences_withdraw(all, found);
}

/* Which memory it waits for. */
static void look_at_fault(const struct stall *stall)
{
        struct capture_task *task = task_of(stall->slot);
        struct fault_watch *watch = &faults[stall->place];
        bool looked = fault_is_waited_for(&sample) && fault_look(watch, task->tid, &sample);
        if (looked && !capture_stays(task, &sample))
                fault_withdraw(watch);
}

/* What the own wait returned, as its hook has kept it. It belongs to the iteration while the mark is the same. */
static void look_at_events(const struct stall *stall)
{
        static const enum served_by kinds[] = {
                [WAIT_EPOLL] = SERVED_EPOLL, [WAIT_POLL] = SERVED_POLL, [WAIT_SELECT] = SERVED_SELECT
        };
        const struct slot *slot = stall->slot;
        struct served *into = &place_of(stall)->served;
        uint64_t key = atomic_load(&slot->key) != 0 ? atomic_load(&slot->key) : atomic_load(&slot->candidate_key);
        struct served_wait wait = {
                .by = kinds[WAIT_KEY_KIND(key)],
                .tid = atomic_load(&slot->tid),
                .epoll_fd = (int32_t)WAIT_KEY_VALUE(key),
                .result = slot->returned_result,
                .before = slot->returned_before,
                .arrays = { (uintptr_t)slot->returned, (uintptr_t)slot->returned_more[0],
                            (uintptr_t)slot->returned_more[1] },
                .array_count = slot->returned_count,
                .site = atomic_load(&slot->site),
        };
        memcpy(wait.kept, slot->first_events, sizeof wait.kept);
        into->count = into->more = 0;
        into->loss = NULL;
        if (key == 0 || slot->returned == NULL || wait.before > LIMIT_SERVED_BEFORE)
                return;
        if (atomic_load(&slot->mark) == stall->mark)
                served_look(into, &wait);
        if (atomic_load(&slot->mark) != stall->mark)
                into->count = into->more = 0;
}

/* Without memory for its place a stall is followed as one that has none. */
static bool begin_evidence(const struct stall *stall)
{
        struct place *place = stall->place <= LOOK_DUMP_PLACE ? table_reach(&places, stall->place) : NULL;
        if (place == NULL)
                return false;
        profile_clear(&place->profile);
        evidences_clear(&place->evidences);
        look_at_events(stall);
        return true;
}

/* What the sample shows. */
struct seen {
        struct whom_look look;
        struct whom whom;
        struct script_context context;
};

static struct seen look_closely(void)
{
        struct seen seen = { .context.called = NULL };
        bool unwound = find_stack(&seen.context);
        seen.look = look_at_sample(unwound);
        seen.whom = find_whom(&seen.look);
        return seen;
}

/* Count it, and look at what and whom the thread waits for. */
static void keep_sample(const struct stall *stall, const struct seen *seen, bool may_signal)
{
        struct profile *profile = look_profile(stall);
        bool is_dump = stall->place == LOOK_DUMP_PLACE; /* one moment, between which and another nothing passes */
        if (profile->samples == 0 && !is_dump)
                machine_read(&profile->machine);
        add_sample(stall->slot, profile, seen->look.stack, &seen->context);
        look_at_call(stall);
        if (!is_dump)
                look_at_fault(stall);
        if (seen->whom.object != NULL)
                look_for_others(stall, profile, &seen->whom, may_signal);
}

static enum watch_finding tell_no_memory(struct profile *profile)
{
        struct script_context context = { .called = NULL };
        sample = (struct sample){ .loss = CAPTURE_NO_MEMORY, .syscall = -1, .time_ns = clock_now_ns() };
        if (profile != NULL)
                profile_add(profile, &sample, NULL, PROFILE_NO_CALLBACK, &context);
        return WATCH_GOES_ON;
}

enum watch_finding look_at(struct stall *stall, bool may_signal)
{
        struct slot *slot = stall->slot;
        struct capture_task *task = task_of(slot);
        if (stall->samples == 0) {
                script_forget_if_full();
                begin_evidence(stall);
        }
        struct profile *profile = look_profile(stall);
        if (task == NULL) /* no memory for it */
                return tell_no_memory(profile);
        if (modules_changed())
                unwind_flush();
        capture_take(task, may_signal, &slot->mark, stall->mark, &sample);
        if (sample.loss == CAPTURE_ENDED && profile != NULL)
                profile_add_ended(profile, &sample);
        if (sample.loss == CAPTURE_ENDED)
                return WATCH_ENDED;
        if (sample.loss == CAPTURE_GONE)
                return WATCH_GONE;
        struct seen seen = look_closely();
        bool owned = seen.whom.kind == WHOM_LOCK && seen.whom.tid != 0;
        enum watch_finding finding = seen.context.ends ? WATCH_LEFT : judge(slot, seen.look.stack, owned);
        if (finding != WATCH_GOES_ON || profile == NULL)
                return finding;
        keep_sample(stall, &seen, may_signal);
        stall->stopped_ns = profile->stopped_ns;
        stall->doubtful_ns = profile->doubtful_ns;
        if (profile->first_stopped)
                stall->doubtful_ns += profile->first_ns - stall->begin_ns;
        return finding;
}

bool look_at_present(struct stall *stall, bool may_signal)
{
        struct capture_task *task = task_of(stall->slot);
        script_forget_if_full();
        if (modules_changed())
                unwind_flush();
        if (task == NULL)
                return false;
        capture_take_any(task, may_signal, &stall->slot->mark, &sample);
        if (sample.loss == CAPTURE_GONE)
                return false;
        stall->mark = sample.mark;
        if (!begin_evidence(stall))
                return false;
        struct seen seen = look_closely();
        keep_sample(stall, &seen, may_signal);
        return true;
}

/* ---- what was seen of a stall ---- */

void look_explain(struct explained *explained, const struct stall *stall)
{
        static struct fault_memory memory;
        if (explained->profile == NULL)
                return;
        explained->evidence = evidences_of(&place_of(stall)->evidences, explained->verdict.call);
        explained->served = &place_of(stall)->served;
        if (explained->verdict.cause != CAUSE_PAGE_FAULT)
                return;
        fault_find(&faults[stall->place], explained->tid, &memory);
        explained->memory = &memory;
}

void look_forget(const struct stall *stall)
{
        if (stall->place < LIMIT_STALLS)
                fault_end(&faults[stall->place]);
}

void look_after_fork(void)
{
        memset(faults, 0, sizeof faults); /* the kernel maps them in the parent alone */
}

void look_end(void)
{
        for (uint32_t i = 0; i < slots_used(); i++)
                look_close(slot_at(i));
        for (unsigned i = 0; i < LIMIT_STALLS; i++)
                fault_end(&faults[i]);
}
