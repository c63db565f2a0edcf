/* SPDX-License-Identifier: Apache-2.0
 *
 * account.c - the statistics of the loops and of the agent itself
 *
 * Stands beside agent.c because it too looks into several stages: it gathers what they counted into the `loop` and
 * `exit` records. What the watcher costs and loses belongs into its own output.
 *
 * Context: watchdog; account_end_reason() on threads of the host
 */
#include "account.h"

#include <string.h>
#include <sys/syscall.h>
#include <time.h>

#include "base/calls.h"
#include "base/table.h"
#include "capture/capture.h"
#include "loop/loop.h"
#include "record/journal.h"
#include "watch/watchdog.h"

#define LOOP_RECORD_EVERY_NS 10000000000ull
#define LOOP_RECORD_LIVE_NS 1000000000ull /* at first, and while they are shown live */

/* What is known of a loop beyond its slot. */
struct loop_account {
        uint64_t stalls;
        uint64_t stall_ns;
        uint64_t longest_ns;
        uint64_t iterations_written; /* in its last record */
};

static struct {
        uint64_t loop_records_ns; /* when they were last written */
        uint64_t asked_ns;        /* when it was last looked whether they are shown live */
        bool first_due;           /* they have not been written yet */
        uint64_t cpu_ns;          /* of the watchdog's threads that have ended: one does at each fork */
        const char *_Atomic reason;
        struct record_bucket buckets[HISTOGRAM_BUCKETS];
        struct record_loss losses[CAPTURE_LOSSES];
} account = { .reason = "exit" };

static struct loop_account first_loops[TABLE_ROWS];
static struct table loops = { sizeof(struct loop_account), TABLE_ROWS, { first_loops } };

static struct loop_account *account_of(const struct slot *slot)
{
        static struct loop_account lost; /* of all loops for which there is no memory: some numbers, but no crash */
        struct loop_account *loop = table_reach(&loops, slot_index(slot));
        return loop != NULL ? loop : &lost;
}

void account_end_reason(const char *reason)
{
        atomic_store(&account.reason, reason);
}

void account_stall(const struct slot *slot, uint64_t duration_ns)
{
        struct loop_account *loop = account_of(slot);
        loop->stalls++;
        loop->stall_ns += duration_ns;
        if (duration_ns > loop->longest_ns)
                loop->longest_ns = duration_ns;
}

static uint64_t collect_histogram(const struct slot *slot, size_t *buckets_count)
{
        uint64_t iterations = 0;
        *buckets_count = 0;
        for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
                uint32_t count = atomic_load_explicit(&slot->histogram[i], memory_order_relaxed);
                iterations += count;
                if (count != 0)
                        account.buckets[(*buckets_count)++] = (struct record_bucket){ histogram_from_ns(i), count };
        }
        return iterations;
}

void account_loop(const struct slot *slot)
{
        struct loop_account *loop = account_of(slot);
        bool is_loop = atomic_load(&slot->confirmed);
        size_t buckets_count;
        uint64_t iterations = collect_histogram(slot, &buckets_count);
        if (is_loop && journal_takes_records() && iterations != loop->iterations_written) {
                char label[LIMIT_LOOP_NAME];
                loop_label(slot, label, sizeof label);
                struct record_loop record = {
                        .tid = atomic_load(&slot->tid),
                        .loop = label,
                        .iterations = iterations,
                        .busy_ns = atomic_load(&slot->busy_ns),
                        .idle_ns = slot_idle_ns(slot),
                        .outside_ns = atomic_load(&slot->outside_ns),
                        .stalls = loop->stalls,
                        .stall_ns = loop->stall_ns,
                        .longest_ns = loop->longest_ns,
                        .buckets = account.buckets,
                        .buckets_count = buckets_count,
                };
                journal_loop(&record);
        }
        loop->iterations_written = iterations;
        if (atomic_load(&slot->state) == SLOT_RELEASED) /* it will serve another loop */
                *loop = (struct loop_account){ 0 };
}

void account_loops(void)
{
        uint32_t count = slots_used();
        for (uint32_t i = 0; i < count; i++)
                if (atomic_load(&slot_at(i)->state) == SLOT_LOOP)
                        account_loop(slot_at(i));
}

/* A system call, so once a second at most. */
static bool is_read(uint64_t now_ns)
{
        if (now_ns - account.asked_ns < LOOP_RECORD_LIVE_NS)
                return false;
        account.asked_ns = now_ns;
        return journal_is_read();
}

void account_tick(uint64_t now_ns)
{
        journal_notices();
        if (account.loop_records_ns == 0) {
                account.loop_records_ns = now_ns;
                account.first_due = true;
        }
        uint64_t age_ns = now_ns - account.loop_records_ns;
        if (age_ns < LOOP_RECORD_LIVE_NS)
                return;
        if (age_ns < LOOP_RECORD_EVERY_NS && !account.first_due && !is_read(now_ns))
                return;
        account.first_due = false;
        account.loop_records_ns = now_ns;
        account_loops();
}

static size_t collect_losses(const struct capture_totals *captures)
{
        size_t count = 0;
        for (int loss = CAPTURE_OK + 1; loss < CAPTURE_LOSSES; loss++)
                if (captures->losses[loss] != 0 && loss != CAPTURE_RUNNING) /* see profile_add() */
                        account.losses[count++] = (struct record_loss){ capture_loss_text((enum capture_loss)loss),
                                                                        (uint32_t)captures->losses[loss] };
        return count;
}

static uint64_t own_cpu_ns(void)
{
        struct timespec used;
        if (!call_allowed_sigsafe(SYS_clock_gettime) || clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used) != 0)
                return 0;
        return (uint64_t)used.tv_sec * 1000000000ull + (uint64_t)used.tv_nsec;
}

void account_exit(void)
{
        if (!journal_takes_records())
                return;
        const struct capture_totals *captures = capture_totals();
        const struct watch_totals *watch = watch_totals();
        struct loop_totals seen = loop_totals();
        struct record_exit record = {
                .reason = atomic_load(&account.reason),
                .loops = seen.loops,
                .stalls = watch->stalls,
                .stalls_startup = watch->stalls_startup,
                .stalls_suspended = watch->stalls_suspended,
                .stalls_crowded = watch->stalls_crowded,
                .captures = captures->captures,
                .captures_signal = captures->by_signal,
                .losses = account.losses,
                .losses_count = collect_losses(captures),
                .candidates_dropped = seen.candidates_dropped,
                .iterations_lost = watch->iterations_lost,
                .loops_unwatched = seen.unwatched,
                .watchdog_cpu_ns = account.cpu_ns + own_cpu_ns(),
                .wakeups = watch->wakeups,
                .latest_ns = watch->latest_ns,
                .starved_ns = watch->starved_ns,
                .stopped_ns = watch->stopped_ns,
                .captures_ns = watch->sampling_ns,
                .calls_mended = captures->mended,
                .calls_unmended = captures->unmended,
        };
        journal_exit(&record);
}

void account_thread_ends(void)
{
        account.cpu_ns += own_cpu_ns();
}

void account_after_fork(void)
{
        table_clear(&loops, slots_used());
        account.loop_records_ns = 0;
        account.cpu_ns = 0;
}
