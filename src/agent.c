/* SPDX-License-Identifier: Apache-2.0
 *
 * agent.c - the agent as a whole: start, stop, fork, and every stage in order
 *
 *     hooks -> loop -> watch -> capture -> unwind -> script -> explain -> record
 *
 * The stages know only what comes before them; this page connects them, and look.c those in the middle. The library's
 * constructor reads the settings and does nothing else: all the rest begins at the first own wait of a loop.
 *
 * Context: constructor and destructor; hooks on app threads; the functions in `watch_calls` on the watchdog
 */
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "account.h"
#include "api/api.h"
#include "asked.h"
#include "base/calls.h"
#include "base/clock.h"
#include "base/config.h"
#include "base/credentials.h"
#include "base/descriptors.h"
#include "base/notice.h"
#include "base/pause.h"
#include "base/proc.h"
#include "base/raw.h"
#include "base/thread.h"
#include "capture/capture.h"
#include "explain/explained.h"
#include "explain/machine.h"
#include "hooks/hooks.h"
#include "look.h"
#include "loop/loop.h"
#include "loop/said.h"
#include "record/journal.h"
#include "script/script.h"
#include "told.h"
#include "unwind/module.h"
#include "unwind/symbol.h"
#include "unwind/unwind.h"
#include "watch/watchdog.h"

static struct work work;

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
                .profile = stall->samples != 0 ? look_profile(stall) : NULL,
                .crowded = look_profile(stall) == NULL ? stall->samples : 0,
                .work = said ? &work : NULL,
        };
        explained_measure(&explained);
        explained_decide(&explained);
        look_explain(&explained, stall);
        return journal_stall(&explained, as);
}

static bool is_deadlock(const struct stall *stall)
{
        const struct profile *profile = look_profile(stall);
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
        look_forget(stall);
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

static bool dump_loop(struct slot *slot, uint64_t id)
{
        struct stall stall = { .slot = slot, .place = LOOK_DUMP_PLACE };
        char label[LIMIT_LOOP_NAME];
        uint32_t samples;
        if (!look_at_present(&stall, watch_may_signal()))
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
                .profile = look_profile(&stall),
                .verdict.call = profile_main_call(look_profile(&stall), &samples),
        };
        if (MARK_BUSY(stall.mark) && said_read_present(slot, stall.mark, now_ns, &work))
                explained.work = &work;
        look_explain(&explained, &stall);
        if (!MARK_BUSY(stall.mark))
                explained.served = NULL;
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
        look_begin(slot);
        journal_note_thread(atomic_load(&slot->tid));
}

static void tick(uint64_t now_ns)
{
        uint32_t count = slots_used();
        for (uint32_t i = 0; i < count; i++)
                look_note_blocked(slot_at(i));
        account_tick(now_ns);
}

static void loop_confirmed(struct slot *slot)
{
        journal_process();
}

static void loop_ends(struct slot *slot)
{
        account_loop(slot);
        look_close(slot);
}

/* ---- the watchdog's begin and end ---- */

static void watchdog_begins(void)
{
        const char *why = NULL;
        credentials_note();
        enum descriptors_table table = descriptors_unshare(journal_descriptor_to_keep());
        if (table != DESCRIPTORS_OWN)
                notice("no descriptor table of its own (%s): loopdog's files show in /proc/self/fd",
                       table == DESCRIPTORS_QUEUE ? "the program has a message queue" : "close_range refused");
        int error = proc_begin();
        capture_kept_begin();
        if (error != 0 && error != PROC_FILTERED)
                notice("no /proc here: no stacks, no names");
        /* The loader opens files, libunwind a pipe. capture_start() says why. */
        bool filtered = !call_allowed_sigsafe(SYS_openat) || !call_allowed_sigsafe(SYS_newfstatat) ||
                        !call_allowed_sigsafe(SYS_pipe2);
        if (!filtered && unwind_load(&why) != 0)
                notice("no stacks: %s", why);
        if (capture_start(config.signal, &why) != 0)
                notice("%s", why);
        capture_accompany(config.python ? &look_companion : NULL);
        journal_begin();
}

static void watchdog_ends(bool for_good)
{
        if (for_good)
                account_exit();
        look_end();
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
        .sample = look_at,
        .stall_detected = stall_detected,
        .stall_goes_on = stall_goes_on,
        .stall_ended = stall_ended,
        .tick = tick,
        .asked = asked,
        .end = watchdog_ends,
};

/* ---- fork, exec, rights ---- */

#define STARTERS_STEP_NS 100000

static _Atomic int starters; /* threads in start() */

static void fork_prepare(void)
{
        /* Where it does not end in time (it waits for a lock of the loader that this very thread holds), the child
         * simply has no watchdog, as after any fork. */
        int saved_errno = errno;
        if (!hooks_in_noted_process()) /* a child of clone() that forks: there is no watchdog to stop */
                return;
        loop_note_fork();
        watchdog_forbid();
        watchdog_stop(false, LIMIT_PATIENCE_NS);
        errno = saved_errno;
}

static void fork_parent(void)
{
        watchdog_allow();
}

static void fork_child(void)
{
        int saved_errno = errno;
        atomic_store(&starters, 0);
        asked_after_fork();
        account_after_fork(); /* these two before the slots are cleared */
        watchdog_after_fork();
        journal_after_fork();
        loop_after_fork();
        clock_after_fork();
        capture_after_fork();
        machine_after_fork();
        look_after_fork();
        unwind_after_fork();
        modules_after_fork();
        symbols_after_fork();
        hooks_note_pid();
        proc_end(); /* it was the parent's watchdog's */
        errno = saved_errno;
}

static _Atomic bool handles_forks;

/* Does this process run in memory of its own? A child of vfork() does not. Of a child of clone() without libc nobody
 * told us that the watchdog is gone. */
static bool has_own_memory(void)
{
        if (hooks_in_noted_process())
                return true;
        if (atomic_load(&loop_page.noted))
                return false;
        if (atomic_load(&handles_forks)) {
                fork_child();
                loop_note_clone();
        }
        return true;
}

static void notice_clone(void)
{
        has_own_memory();
}

static void start_watchdog(void)
{
        if (!has_own_memory())
                return;
        loop_note_memory();
        if (!atomic_exchange(&handles_forks, true))
                pthread_atfork(fork_prepare, fork_parent, fork_child);
        hooks_note_pid();
        struct policy_limits limits = { .threshold_ns = config.threshold_ns, .interval_ns = config.interval_ns };
        int error = watchdog_start(&watch_calls, &limits, config.grace_ns);
        if (error != 0 && error != -EALREADY && error != -EAGAIN)
                notice("no watchdog: pthread_create failed (error %d)", -error);
}

static void start(void)
{
        atomic_fetch_add(&starters, 1);
        start_watchdog();
        atomic_fetch_sub(&starters, 1);
}

/* One that is just noting that this process is another than its parent may have been met here before its CHANGES. */
static void wait_for_starters(void)
{
        uint64_t end_ns = clock_monotonic_ns() + LIMIT_PATIENCE_NS;
        while (atomic_load(&starters) > 0 && clock_monotonic_ns() < end_ns)
                pause_ns_sigsafe(STARTERS_STEP_NS);
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
        if (config.threshold_ns != 0 && has_own_memory()) { /* a child of vfork has nothing to keep */
                proc_keep();
                clock_tsc_usable();
                capture_keep();
                unwind_load(&why); /* said by the watchdog if it fails */
                journal_keep();
        }
        pthread_setcancelstate(cancel_state, NULL);
        errno = saved_errno;
}

/* libc ends the process where one thread may do what another may not: ours is not to be the other one. */
static void stop_until_next_wait(uint64_t patience_ns)
{
        if (watchdog_stop(false, patience_ns) == -ESRCH)
                watchdog_wait_for_late_end(patience_ns); /* a fork may not have waited for long enough */
}

static void user_changes(void)
{
        int saved_errno = errno;
        if (atomic_load(&loop_attention) != LOOP_STOPPED && hooks_in_noted_process() && credentials_differ())
                stop_until_next_wait(LIMIT_CREDENTIALS_NS);
        errno = saved_errno;
}

static void user_changed(void)
{
        int saved_errno = errno;
        if (atomic_load(&loop_attention) != LOOP_STOPPED && hooks_in_noted_process())
                credentials_note();
        errno = saved_errno;
}

static void threads_end(void)
{
        int saved_errno = errno;
        if (config.threshold_ns != 0)
                start(); /* it sleeps until there is a loop */
        /* haproxy's threads all come here at once: none may go on to forbid what another is just doing. */
        wait_for_starters();
        watchdog_wait_for_change(LIMIT_PATIENCE_NS);
        errno = saved_errno;
}

/* The kernel refuses namespaces of users and mounts to a thread that is not alone. The next own wait begins again. */
static void must_be_alone(void)
{
        int saved_errno = errno;
        if (hooks_in_noted_process())
                stop_until_next_wait(LIMIT_PATIENCE_NS);
        errno = saved_errno;
}

static const struct hooks_calls hook_calls = {
        .rights_end = rights_end,
        .user_changes = user_changes,
        .user_changed = user_changed,
        .threads_end = threads_end,
        .must_be_alone = must_be_alone,
        .exec_begins = exec_begins,
        .exec_failed = exec_failed,
        .code_unloaded = modules_note_change,
        .owns_signal = capture_owns_signal,
        .signal_is_taken = capture_give_signal_up,
        .signal_was_taken = capture_allow,
        .stack_given = capture_note_stack,
};

static const struct loop_calls loop_calls = { .start = start, .wake = watchdog_wake, .child = notice_clone };

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
        clock_find_libcs_own();
        hooks_resolve();
        watchdog_ask_libc();
        bool hooks_first = hooks_come_first();
        look_note_hooks(hooks_first);
        loop_note_hooks(hooks_first);
        thread_note_layout();
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
        /* Where a filter may punish the question, it is taken for one that calls _exit(). */
        bool may_ask = call_allowed_sigsafe(SYS_getpid);
        if (may_ask ? hooks_in_noted_process() : atomic_load(&loop_page.noted))
                watchdog_stop(true, LIMIT_PATIENCE_NS);
        if (may_ask)
                journal_discard_unused(); /* where this very process has kept it */
}
