/* SPDX-License-Identifier: Apache-2.0
 *
 * agent.c - the agent as a whole: start, stop, fork, and every stage in order
 *
 *     hooks -> loop -> watch -> capture -> unwind -> script -> explain -> record
 *
 * The stages know only what comes before them; this page connects them. The library's constructor reads the settings
 * and does nothing else: all the rest begins at the first own wait of a loop.
 *
 * Context: constructor and destructor; hooks on app threads; the functions in `watch_calls` on the watchdog
 */
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "account.h"
#include "api/api.h"
#include "asked.h"
#include "base/calls.h"
#include "base/clock.h"
#include "base/config.h"
#include "base/descriptors.h"
#include "base/notice.h"
#include "base/proc.h"
#include "base/raw.h"
#include "capture/capture.h"
#include "explain/callback.h"
#include "explain/evidence.h"
#include "explain/explained.h"
#include "explain/fault.h"
#include "explain/machine.h"
#include "explain/profile.h"
#include "explain/served.h"
#include "explain/whereabouts.h"
#include "explain/whom.h"
#include "hooks/hooks.h"
#include "loop/loop.h"
#include "loop/said.h"
#include "record/journal.h"
#include "script/script.h"
#include "told.h"
#include "unwind/module.h"
#include "unwind/symbol.h"
#include "unwind/unwind.h"
#include "watch/watchdog.h"

static struct capture_task tasks[LIMIT_SLOTS];
/* The places of the stalls that are open, and one for a loop that is dumped. */
#define DUMP_PLACE LIMIT_STALLS
static struct profile profiles[LIMIT_STALLS + 1];
static struct evidences evidences[LIMIT_STALLS + 1];
static struct fault_watch faults[LIMIT_STALLS]; /* a dump does not wait for a fault to end */
static struct served served[LIMIT_STALLS + 1];
static struct sample sample;
static struct stack stack;
static struct work work;

static struct profile *profile_of(const struct stall *stall)
{
        return stall->place <= DUMP_PLACE ? &profiles[stall->place] : NULL;
}

/* ---- one sample: capture -> unwind -> script -> explain ---- */

static void prepare_scripts(const struct capture_task *task)
{
        module_find((uint64_t)(uintptr_t)prepare_scripts); /* so that the process's objects are known */
        script_prepare(task->stack_bound);
}

static const struct capture_companion companion = { .prepare = prepare_scripts, .copy_sigsafe = script_copy_sigsafe };

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

/* The sample's native frames with those of scripts between them. False: there is no frame at all. */
static bool find_stack(struct script_context *context)
{
        struct script_memory memory = { sample.stack_address, sample.stack, sample.stack_length };
        if (sample.loss != CAPTURE_OK)
                return false;
        if (sample.accompanied)
                script_read(&memory);
        /* Its first use makes libunwind open a pipe. */
        bool ready = unwind_ready() && call_allowed_sigsafe(SYS_pipe2);
        if (!ready || unwind_sample(&sample, &stack) != 0)
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
        capture_take(&tasks[slot_index(slot)], false, &slot->mark, mark, &sample);
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
        struct evidences *all = &evidences[stall->place];
        struct capture_task *task = &tasks[slot_index(stall->slot)];
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
        struct capture_task *task = &tasks[slot_index(stall->slot)];
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
        struct served *into = &served[stall->place];
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

static void begin_evidence(const struct stall *stall)
{
        profile_clear(profile_of(stall));
        evidences_clear(&evidences[stall->place]);
        look_at_events(stall);
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
        struct profile *profile = profile_of(stall);
        if (profile->samples == 0)
                machine_read(&profile->machine);
        add_sample(stall->slot, profile, seen->look.stack, &seen->context);
        look_at_call(stall);
        if (stall->place != DUMP_PLACE)
                look_at_fault(stall);
        if (seen->whom.object != NULL)
                look_for_others(stall, profile, &seen->whom, may_signal);
}

static enum watch_finding take_sample(struct stall *stall, bool may_signal)
{
        struct slot *slot = stall->slot;
        struct profile *profile = profile_of(stall);
        if (stall->samples == 0)
                script_forget_if_full();
        if (profile != NULL && stall->samples == 0)
                begin_evidence(stall);
        if (modules_changed())
                unwind_flush();
        capture_take(&tasks[slot_index(slot)], may_signal, &slot->mark, stall->mark, &sample);
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

/* ---- a stall: explain -> record ---- */

static const char *end_name(enum stall_end end)
{
        switch (end) {
        case STALL_THREAD:
                return "thread";
        case STALL_EXIT:
                return "exit";
        case STALL_LEFT:
                return "left";
        case STALL_OPEN:
        case STALL_WAITED:
                break;
        }
        return NULL;
}

/* The loop's thread has summed up what it said of an iteration that its next wait has ended. */
static bool ended_as_said(const struct stall *stall, enum journal_stall_as as)
{
        return as == JOURNAL_ENDED && stall->said != 0;
}

/* What the verdict's thread waited for. */
static void find_waited(struct explained *explained, const struct stall *stall)
{
        static struct fault_memory memory;
        if (explained->profile == NULL)
                return;
        explained->evidence = evidences_of(&evidences[stall->place], explained->verdict.call);
        explained->served = &served[stall->place];
        if (explained->verdict.cause != CAUSE_PAGE_FAULT)
                return;
        fault_find(&faults[stall->place], explained->tid, &memory);
        explained->memory = &memory;
}

static const struct record_stall *explain_and_report(const struct stall *stall, enum journal_stall_as as)
{
        char label[LIMIT_LOOP_NAME];
        uint64_t end_ns = as == JOURNAL_ENDED ? stall->end_ns : clock_now_ns();
        loop_label(stall->slot, label, sizeof label);
        bool said = ended_as_said(stall, as) ? said_read_kept(stall->slot, stall->said, &work)
                                             : said_read_now(stall->slot, stall->mark, end_ns, &work);
        struct explained explained = {
                .ended = as == JOURNAL_ENDED,
                .id = stall->id,
                .begin_ns = stall->begin_ns,
                .duration_ns = end_ns - stall->begin_ns,
                .tid = atomic_load(&stall->slot->tid),
                .loop = label,
                .threshold_ns = stall->threshold_ns,
                .late_ns = stall->late_ns,
                .stopped_ns = stall->stopped_ns,
                .starved_ns = stall->starved_ns,
                .yields = stall->yields > atomic_load(&stall->slot->yields) ? stall->yields
                                                                            : atomic_load(&stall->slot->yields),
                .startup = stall->startup,
                .suspended = stall->suspended,
                .slept = stall->slept,
                .end = end_name(stall->end),
                .profile = stall->samples != 0 ? profile_of(stall) : NULL,
                .crowded = profile_of(stall) == NULL ? stall->samples : 0,
                .work = said ? &work : NULL,
        };
        explained_measure(&explained);
        explained_decide(&explained);
        find_waited(&explained, stall);
        return journal_stall(&explained, as);
}

static bool is_deadlock(const struct stall *stall)
{
        const struct profile *profile = profile_of(stall);
        return profile != NULL && profile->deadlock;
}

static void stall_detected(struct stall *stall)
{
        stall->deadlock = is_deadlock(stall);
        explain_and_report(stall, JOURNAL_BEGUN);
}

/* More is known by now, and it may never end. */
static void stall_goes_on(struct stall *stall)
{
        bool due = !stall->reminded && clock_now_ns() - stall->begin_ns >= JOURNAL_REMINDER_NS;
        bool stuck = !stall->deadlock && is_deadlock(stall);
        if (!due && !stuck)
                return;
        stall->reminded = true;
        stall->deadlock = stall->deadlock || stuck;
        explain_and_report(stall, JOURNAL_REMINDER);
}

static void report_ended(const struct stall *stall)
{
        /* It turned out to be none: only what was told must be told to be over. */
        if (stall->end == STALL_LEFT && (!stall->announced || !(journal_takes_records() || stall->reminded)))
                return;
        if (stall->end != STALL_LEFT && !stall->suspended)
                account_stall(stall->slot, stall->end_ns - stall->begin_ns - stall->stopped_ns);
        told_stall(explain_and_report(stall, JOURNAL_ENDED));
}

static void stall_ended(struct stall *stall)
{
        report_ended(stall);
        if (stall->place < LIMIT_STALLS)
                fault_end(&faults[stall->place]);
}

/* ---- a dump: each loop as it is, stalled or not ---- */

static const char *state_of(const struct slot *slot, uint64_t mark)
{
        if (atomic_load(&slot->key) == WAIT_KEY_PAUSED)
                return "paused";
        if (!MARK_BUSY(mark))
                return "idle";
        return atomic_load(&slot->left_mark) == mark ? "outside" : "busy";
}

/* False: its thread has ended. */
static bool sample_present(struct stall *stall)
{
        script_forget_if_full();
        if (modules_changed())
                unwind_flush();
        capture_take_any(&tasks[slot_index(stall->slot)], &stall->slot->mark, &sample);
        if (sample.loss == CAPTURE_GONE)
                return false;
        stall->mark = sample.mark;
        begin_evidence(stall);
        struct seen seen = look_closely();
        keep_sample(stall, &seen, true);
        return true;
}

static bool dump_loop(struct slot *slot, uint64_t id)
{
        struct stall stall = { .slot = slot, .place = DUMP_PLACE };
        char label[LIMIT_LOOP_NAME];
        uint32_t samples;
        if (!sample_present(&stall))
                return false;
        loop_label(slot, label, sizeof label);
        uint64_t begin_ns = MARK_NS(stall.mark), now_ns = clock_now_ns();
        const char *state = state_of(slot, stall.mark);
        struct explained explained = {
                .state = state,
                .busy = state[0] == 'b',
                .id = id,
                .begin_ns = begin_ns,
                .duration_ns = now_ns - begin_ns,
                .tid = atomic_load(&slot->tid),
                .loop = label,
                .threshold_ns = said_limit_ns(slot, stall.mark),
                .profile = profile_of(&stall),
                .verdict.call = profile_main_call(profile_of(&stall), &samples),
        };
        if (MARK_BUSY(stall.mark) && said_read_present(slot, stall.mark, now_ns, &work))
                explained.work = &work;
        explained.evidence = evidences_of(&evidences[DUMP_PLACE], explained.verdict.call);
        explained.served = MARK_BUSY(stall.mark) ? &served[DUMP_PLACE] : NULL;
        return journal_dump(&explained);
}

static void asked(void)
{
        asked_dump(dump_loop);
        account_loops();
}

/* ---- loops ---- */

static void loop_begins(struct slot *slot)
{
        struct capture_task *task = &tasks[slot_index(slot)];
        capture_task_open(task, atomic_load(&slot->tid), atomic_load(&slot->own_cfa));
        task->stack_bound = atomic_load(&slot->thread_pointer);
        journal_note_thread(atomic_load(&slot->tid));
}

static void loop_confirmed(struct slot *slot)
{
        journal_process();
}

static void loop_ends(struct slot *slot)
{
        account_loop(slot);
        capture_task_close(&tasks[slot_index(slot)]);
}

/* ---- the watchdog's begin and end ---- */

static void watchdog_begins(void)
{
        const char *why = NULL;
        if (!descriptors_unshare(journal_descriptor_to_keep()))
                notice("no descriptor table of its own (unshare refused): loopdog's files show in /proc/self/fd");
        int error = proc_begin();
        capture_kept_begin();
        if (error != 0 && error != PROC_FILTERED)
                notice("no /proc here: no stacks, no names");
        /* The loader opens files, libunwind a pipe. capture_start() says why. */
        bool filtered = !call_allowed_sigsafe(SYS_openat) || !call_allowed_sigsafe(SYS_pipe2);
        if (!filtered && unwind_load(&why) != 0)
                notice("no stacks: %s", why);
        if (capture_start(config.signal, &why) != 0)
                notice("%s", why);
        capture_accompany(config.python ? &companion : NULL);
        journal_begin();
}

static void watchdog_ends(bool for_good)
{
        if (for_good)
                account_exit();
        for (uint32_t i = 0; i < slots_used(); i++)
                capture_task_close(&tasks[i]);
        for (unsigned i = 0; i < LIMIT_STALLS; i++)
                fault_end(&faults[i]);
        journal_end();
        account_thread_ends();
        machine_end();
        proc_end();
}

static const struct watch_calls watch_calls = {
        .begin = watchdog_begins,
        .loop_begins = loop_begins,
        .loop_confirmed = loop_confirmed,
        .loop_ends = loop_ends,
        .sample = take_sample,
        .stall_detected = stall_detected,
        .stall_goes_on = stall_goes_on,
        .stall_ended = stall_ended,
        .tick = account_tick,
        .asked = asked,
        .end = watchdog_ends,
};

/* ---- fork, exec, rights ---- */

static void fork_prepare(void)
{
        /* Where it does not end in time (it waits for a lock of the loader that this very thread holds), the child
         * simply has no watchdog, as after any fork. */
        if (!hooks_in_noted_process()) /* a child of clone() that forks: there is no watchdog to stop */
                return;
        loop_note_fork();
        watchdog_forbid();
        watchdog_stop(false, LIMIT_PATIENCE_NS);
}

static void fork_parent(void)
{
        watchdog_allow();
}

static void fork_child(void)
{
        asked_after_fork();
        account_after_fork(); /* these two before the slots are cleared */
        watchdog_after_fork();
        journal_after_fork();
        loop_after_fork();
        clock_after_fork();
        capture_after_fork();
        machine_after_fork();
        memset(faults, 0, sizeof faults); /* the kernel maps them in the parent alone */
        unwind_after_fork();
        modules_after_fork();
        symbols_after_fork();
        hooks_note_pid();
        proc_end(); /* it was the parent's watchdog's */
}

/* A child of clone() without libc: nobody told us that the watchdog is gone. */
static void notice_raw_clone(void)
{
        static _Atomic pid_t known;
        pid_t before = atomic_exchange(&known, getpid());
        if (before != 0 && before != getpid() && watchdog_tid() != 0)
                fork_child();
}

static void start(void)
{
        static _Atomic bool registered;
        notice_raw_clone();
        madvise(&loop_page, sizeof loop_page, MADV_WIPEONFORK);
        if (!atomic_exchange(&registered, true))
                pthread_atfork(fork_prepare, fork_parent, fork_child);
        hooks_note_pid();
        struct policy_limits limits = { .threshold_ns = config.threshold_ns, .interval_ns = config.interval_ns };
        int error = watchdog_start(&watch_calls, &limits, config.grace_ns);
        if (error != 0 && error != -EALREADY && error != -EAGAIN)
                notice("no watchdog: pthread_create failed (error %d)", -error);
}

static void exec_begins(void)
{
        capture_forbid_and_drain();
        account_end_reason("exec");
        watchdog_stop(true, LIMIT_PATIENCE_NS);
        journal_discard_unused();
}

static void exec_failed(void)
{
        capture_allow();
        account_end_reason("exit");
        if (loop_slot_here != NULL || slots_used() != 0)
                atomic_store(&loop_attention, LOOP_STOPPED); /* the next own wait starts it again */
}

static void rights_end(void)
{
        int saved_errno = errno;
        int cancel_state;
        const char *why;
        pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel_state);
        if (config.threshold_ns != 0) {
                proc_keep();
                clock_tsc_usable();
                capture_keep();
                unwind_load(&why); /* said by the watchdog if it fails */
                journal_keep();
        }
        pthread_setcancelstate(cancel_state, NULL);
        errno = saved_errno;
}

static void threads_end(void)
{
        int saved_errno = errno;
        if (config.threshold_ns != 0)
                start(); /* it sleeps until there is a loop */
        /* haproxy's threads all come here at once: none may go on to forbid what another is just doing. */
        watchdog_wait_for_change(LIMIT_PATIENCE_NS);
        errno = saved_errno;
}

static const struct hooks_calls hook_calls = {
        .rights_end = rights_end,
        .threads_end = threads_end,
        .exec_begins = exec_begins,
        .exec_failed = exec_failed,
        .code_unloaded = modules_note_change,
};

static const struct loop_calls loop_calls = { .start = start, .wake = watchdog_wake };

/* ---- load and unload ---- */

static void use_settings(void)
{
        journal_setup();
        loop_setup(&loop_calls, config.threshold_ns, config.loops == CONFIG_LOOPS_ALL);
        if (config.loops == CONFIG_LOOPS_API)
                loop_ignore_unnamed();
}

__attribute__((constructor)) static void agent_load(void)
{
        int saved_errno = errno;
        if (!calls_load()) /* a filter may punish the question */
                watchdog_note_processors();
        hooks_resolve();
        watchdog_ask_libc();
        config_load(&config, environ);
        if (api_stands_down())
                config.threshold_ns = 0;
        hooks_setup(&hook_calls, config.follow);
        use_settings();
        asked_setup(use_settings);
        errno = saved_errno;
}

/* A child of vfork() that calls exit() must not end its parent's watchdog; one of _Fork() or clone() that never waited
 * has none. */
__attribute__((destructor)) static void agent_unload(void)
{
        if (hooks_in_noted_process())
                watchdog_stop(true, LIMIT_PATIENCE_NS);
        journal_discard_unused(); /* where this very process has kept it */
}
