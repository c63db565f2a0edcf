/* SPDX-License-Identifier: Apache-2.0
 *
 * loop.c - what is a loop, and what is its own wait
 *
 * The rules of src/README.md "What is a loop", one function each. A thread becomes a candidate at its first wait on
 * an epoll instance, or in a loop library's poll; it is a loop when it waits there again. Poll and select elsewhere
 * must look like a server first: three waits at the same place with a descriptor in common, and a listening socket or
 * two sockets (set.c).
 *
 * Context: app thread, except where a function of loop.h says watchdog. errno is left alone; system calls are made only
 *          when a suspect is judged or a thread becomes a candidate: the first of a process, each 32nd (for memory)
 *          and where neither libc nor a hook tells what is asked.
 */
#include "loop/loop.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/calls.h"
#include "base/library.h"
#include "base/raw.h"
#include "base/text.h"
#include "base/thread.h"
#include "loop/closed.h"
#include "loop/named.h"
#include "loop/said.h"
#include "loop/set.h"

struct loop_page loop_page;
uint64_t loop_threshold_ns = UINT64_MAX;
__thread struct slot *loop_slot_here;
__thread bool loop_is_watchdog;
__thread char loop_name_here[LIMIT_LOOP_NAME];

/* A poll or select that does not look like a loop yet. */
struct suspect {
        uint64_t key;
        uint32_t waits;
        uint32_t judge_at; /* the next count at which its sockets are looked at: doubles, so that it stays cheap */
        uint32_t set_count;
        int set[LIMIT_OWN_SET];
        uint32_t size; /* as own_size and own_word of a slot */
        uint64_t word;
        bool listed;
};
/* A few, because a server's callbacks may poll elsewhere in each turn (a database client waiting for its answer). */
static __thread struct suspect suspects_here[LIMIT_SUSPECTS];
static __thread unsigned next_suspect_here;
static __thread bool forked_here; /* which stopped the watchdog */

static __thread int32_t cloned_id_here; /* of a thread that clone() made without libc, which knows another; else 0 */

/* What the hook of sigaltstack() saw. */
static __thread struct {
        bool seen;
        uint64_t low, bytes; /* 0: none */
} alternate_here;

/* There was no slot for this thread: 1 and its waits since. Neither is the table searched at each of them, nor is the
 * thread counted again. 0: it was not refused. */
static __thread uint32_t refused_here;

static struct {
        const struct loop_calls *calls;
        bool off;
        bool all_loops;
        bool only_named; /* LOOPDOG_LOOPS=api */
        bool hooked;     /* all calls of sigaltstack() come to our hook */
        pthread_key_t key;
        bool key_made;
        _Atomic uint64_t loops;
        _Atomic uint64_t candidates_dropped;
        _Atomic uint64_t unwatched;
} stage;

void loop_release(struct slot *slot)
{
        uint32_t unmet = SLOT_UNMET;
        bool has_news = atomic_load(&slot->ring_head) != 0 || atomic_load(&slot->ring_lost) != 0;
        if (!has_news && atomic_compare_exchange_strong(&slot->met, &unmet, SLOT_GIVEN_BACK)) {
                slot_free(slot);
                return;
        }
        atomic_store_explicit(&slot->state, SLOT_RELEASED, memory_order_release);
}

static void thread_ends(void *slot)
{
        loop_slot_here = NULL;
        for (struct slot *mine = slot, *next; mine != NULL; mine = next) {
                next = mine->next_here;
                loop_release(mine);
        }
}

/* Loops that have no threshold of their own, and were there before, go by the new one. */
static void set_threshold(uint64_t threshold_ns)
{
        uint64_t before_ns = loop_threshold_ns;
        uint32_t count = slots_used();
        loop_threshold_ns = threshold_ns;
        for (uint32_t i = 0; i < count; i++) {
                uint64_t expected = before_ns;
                atomic_compare_exchange_strong(&slot_at(i)->threshold_ns, &expected, threshold_ns);
        }
}

void loop_setup(const struct loop_calls *calls, uint64_t threshold_ns, bool all_loops)
{
        stage.calls = calls;
        stage.off = threshold_ns == 0;
        stage.only_named = false;
        stage.all_loops = all_loops;
        closed_note_process();
        set_threshold(threshold_ns ? threshold_ns : UINT64_MAX);
        /* Made early: keys below 32 need no memory when they are set. */
        if (!stage.key_made)
                stage.key_made = pthread_key_create(&stage.key, thread_ends) == 0;
}

void loop_ignore_unnamed(void)
{
        stage.only_named = true;
}

void loop_note_hooks(bool come_first)
{
        stage.hooked = come_first;
}

bool loop_is_on(void)
{
        return stage.calls != NULL && !stage.off;
}

bool loop_is_set_up(void)
{
        return stage.calls != NULL && loop_threshold_ns != UINT64_MAX;
}

void loop_turn_off(void)
{
        stage.off = true;
}

/* A filter of this thread's own may punish the question, so it is only asked where no hook would have told. */
static void find_alternate_stack(void)
{
        stack_t stack;
        if ((stage.hooked && cloned_id_here == 0) || alternate_here.seen || !call_allowed_sigsafe(SYS_sigaltstack) ||
            calls_untried_here() || raw_syscall_sigsafe(SYS_sigaltstack, 0, (uintptr_t)&stack, 0, 0, 0, 0) != 0)
                return;
        bool none = (stack.ss_flags & SS_DISABLE) != 0;
        alternate_here.low = none ? 0 : (uintptr_t)stack.ss_sp;
        alternate_here.bytes = none ? 0 : stack.ss_size;
}

/* To make a thread takes malloc and locks that the code below a signal handler may hold. That we are in one can't be
 * known for certain: only an alternate stack tells. */
static bool on_alternate_stack(void)
{
        find_alternate_stack();
        return (uintptr_t)__builtin_frame_address(0) - alternate_here.low < alternate_here.bytes;
}

void loop_attend(void)
{
        int saved_errno = errno;
        int attention = atomic_load(&loop_attention);
        forked_here = false;
        if (attention == LOOP_STOPPED && !on_alternate_stack())
                stage.calls->start();
        else if (attention == LOOP_ASLEEP)
                stage.calls->wake();
        errno = saved_errno;
}

/* ---- becoming a loop ---- */

/* A server that takes one client at a time, and has nobody else to keep waiting. Known loop libraries never are one. */
static bool is_serial(const struct slot *slot)
{
        int saved_errno = errno; /* also on the short way of a wait, which has none to save otherwise */
        bool serial =
                !stage.all_loops && !slot->listed && set_only_listens(slot->own_set, atomic_load(&slot->own_set_count));
        errno = saved_errno;
        return serial;
}

/* Two threads that wait on one instance are an executor: each may rest elsewhere than in the wait. */
static void find_executor(struct slot *slot, uint64_t key)
{
        if (WAIT_KEY_KIND(key) != WAIT_EPOLL)
                return;
        uint32_t count = slots_used();
        for (uint32_t i = 0; i < count; i++) {
                struct slot *other = slot_at(i);
                uint32_t state = atomic_load(&other->state);
                if (other == slot || (state != SLOT_LOOP && state != SLOT_CANDIDATE))
                        continue;
                if (atomic_load(&other->key) != key && atomic_load(&other->candidate_key) != key)
                        continue;
                atomic_store(&other->executor, true);
                atomic_store(&slot->executor, true);
        }
}

static void set_own(struct slot *slot, const struct wait *wait)
{
        bool set_kind = WAIT_KEY_KIND(wait->key) != WAIT_EPOLL;
        atomic_store(&slot->own_set_count, set_kind ? set_remember(wait, slot->own_set) : 0);
        if (set_kind)
                set_glance(wait, &slot->own_size, &slot->own_word);
        atomic_store(&slot->serial, is_serial(slot));
        atomic_store(&slot->site, wait->site);
}

/* What was found out about an instance does not hold for the next. */
static void forget_findings(struct slot *slot)
{
        atomic_store(&slot->executor, false);
        atomic_store(&slot->reentrant, false);
}

static void make_candidate(struct slot *slot, const struct wait *wait, bool listed)
{
        atomic_store(&slot->confirmed, false);
        forget_findings(slot);
        atomic_store(&slot->last_key, wait->key);
        atomic_store(&slot->candidate_key, wait->key);
        atomic_store(&slot->rival_key, 0);
        slot->listed = listed;
        set_own(slot, wait);
        closed_expect(wait->key);
        find_executor(slot, wait->key);
}

_Atomic uint64_t loop_least_alternate_bytes;

void loop_note_alternate_stack(uint64_t low, uint64_t bytes)
{
        uint64_t least = atomic_load(&loop_least_alternate_bytes);
        while (bytes != 0 && (least == 0 || bytes < least) &&
               !atomic_compare_exchange_weak(&loop_least_alternate_bytes, &least, bytes))
                ;
        alternate_here.seen = true;
        alternate_here.low = low;
        alternate_here.bytes = bytes;
        for (struct slot *slot = loop_first_here(); slot != NULL; slot = slot->next_here)
                atomic_store(&slot->alternate_bytes, bytes);
}

/* Without a system call where that can be, as this thread may be under a filter of its own. What libc knows is wrong in
 * a child of clone() without libc: one that is new since the process was last noted is asked. */
static int32_t own_id(void)
{
        int32_t known = thread_own_id();
        if (cloned_id_here != 0)
                return cloned_id_here;
        /* The first loop of a process: may be a child since loop_setup(). */
        bool is_new = atomic_load(&loop_attention) == LOOP_STOPPED && closed_note_process();
        if (known > 0 && (!is_new || closed_process() == known)) /* it has this thread alone, as far as fork() goes */
                return known;
        long asked = raw_syscall_sigsafe(SYS_gettid, 0, 0, 0, 0, 0, 0);
        if (asked > 0 && asked != known)
                cloned_id_here = (int32_t)asked;
        return asked > 0 ? (int32_t)asked : known;
}

struct slot *loop_claim(void)
{
        struct slot *slot = stage.key_made ? slot_claim() : NULL;
        if (slot == NULL) {
                if (refused_here == 0)
                        atomic_fetch_add(&stage.unwatched, 1);
                refused_here = 1;
                return NULL;
        }
        refused_here = 0;
        atomic_store(&slot->tid, own_id());
        atomic_store(&slot->thread_pointer, (uint64_t)(uintptr_t)__builtin_thread_pointer());
        atomic_store(&slot->filtered, false);
        find_alternate_stack();
        atomic_store(&slot->alternate_bytes, alternate_here.bytes);
        atomic_store(&slot->mark, 0);
        atomic_store(&slot->first_ns, clock_now_ns());
        atomic_store(&slot->threshold_ns, loop_threshold_ns);
        said_forget(slot);
        slot->next_here = pthread_getspecific(stage.key);
        pthread_setspecific(stage.key, slot);
        return slot;
}

struct slot *loop_first_here(void)
{
        return stage.key_made ? pthread_getspecific(stage.key) : NULL;
}

void loop_forget_here(struct slot *slot)
{
        struct slot *first = loop_first_here();
        if (first == slot) {
                pthread_setspecific(stage.key, slot->next_here);
                return;
        }
        while (first != NULL && first->next_here != slot)
                first = first->next_here;
        if (first != NULL)
                first->next_here = slot->next_here;
}

void loop_named_begins(struct slot *slot)
{
        atomic_fetch_add(&stage.loops, 1);
        loop_slot_here = slot;
        if (atomic_load(&loop_attention) == LOOP_STOPPED)
                loop_attend();
}

static struct slot *claim(const struct wait *wait, bool listed)
{
        struct slot *slot = loop_claim();
        if (slot == NULL)
                return NULL;
        named_by_thread(slot);
        make_candidate(slot, wait, listed);
        loop_end_iteration(slot, wait->cfa, wait->sleeps);
        loop_slot_here = slot;
        if (atomic_load(&loop_attention) == LOOP_STOPPED)
                loop_attend();
        return loop_slot_here; /* gone where this turned out to be a child of clone(): its next wait claims another */
}

/* A candidate waits for the second time at the same place: it is a loop, and the iteration between counts. */
static struct slot *confirm(struct slot *slot, const struct wait *wait)
{
        atomic_fetch_add(&stage.loops, 1);
        atomic_store(&slot->candidate_key, 0);
        atomic_store(&slot->rival_key, 0);
        set_own(slot, wait);
        atomic_store(&slot->confirmed, true);
        atomic_store(&slot->state, SLOT_LOOP);
        atomic_store(&slot->key, wait->key);
        loop_end_iteration(slot, wait->cfa, wait->sleeps);
        return slot;
}

/* A candidate waits elsewhere. Whichever of the two places it waits at again first is its loop. */
static struct slot *waits_elsewhere(struct slot *slot, const struct wait *wait)
{
        if (WAIT_KEY_KIND(wait->key) != WAIT_EPOLL && !library_is_loop(wait->site))
                return NULL;
        if (atomic_load(&slot->rival_key) != wait->key) {
                atomic_store(&slot->rival_key, wait->key);
                return NULL;
        }
        atomic_fetch_add(&stage.candidates_dropped, 1);
        uint64_t mark = atomic_load(&slot->mark);
        if (MARK_BUSY(mark)) /* what went on since the dropped candidate's wait was no iteration of this loop */
                atomic_store(&slot->left_mark, mark);
        make_candidate(slot, wait, WAIT_KEY_KIND(wait->key) != WAIT_EPOLL);
        return confirm(slot, wait);
}

static struct suspect *find_suspect(const struct wait *wait)
{
        struct suspect *suspect = NULL;
        for (unsigned i = 0; i < LIMIT_SUSPECTS && suspect == NULL; i++)
                if (suspects_here[i].key == wait->key)
                        suspect = &suspects_here[i];
        if (suspect != NULL && (set_is_same(wait, suspect->set, suspect->set_count, suspect->size, suspect->word) ||
                                set_shares_descriptor(wait, suspect->set, suspect->set_count)))
                return suspect;
        if (suspect == NULL)
                suspect = &suspects_here[next_suspect_here++ % LIMIT_SUSPECTS];
        *suspect = (struct suspect){ .key = wait->key, .judge_at = 3, .listed = library_is_loop(wait->site) };
        return suspect;
}

/* Does this poll or select look like a loop's by now? */
static bool looks_like_a_loop(const struct wait *wait, bool *listed)
{
        struct suspect *suspect = find_suspect(wait);
        if (!set_is_same(wait, suspect->set, suspect->set_count, suspect->size, suspect->word)) {
                suspect->set_count = set_remember(wait, suspect->set);
                set_glance(wait, &suspect->size, &suspect->word);
        }
        suspect->waits++;
        *listed = suspect->listed;
        if (suspect->listed)
                return suspect->set_count > 0;
        if (suspect->waits < suspect->judge_at)
                return false;
        suspect->judge_at *= 2;
        return set_looks_like_a_server(wait);
}

/* The first wait of a thread that is no loop yet. Poll and select outside of loop libraries were watched for three
 * waits already: they need no second. */
static struct slot *begin(const struct wait *wait)
{
        bool listed = false;
        if (refused_here != 0 && refused_here++ < LIMIT_REFUSED_WAITS)
                return NULL;
        if (stage.only_named && loop_name_here[0] == '\0')
                return NULL;
        if (WAIT_KEY_KIND(wait->key) == WAIT_EPOLL)
                return claim(wait, false);
        if (!looks_like_a_loop(wait, &listed))
                return NULL;
        struct slot *slot = claim(wait, listed);
        return slot == NULL || listed ? slot : confirm(slot, wait);
}

/* The same where the thread was a loop, whose instance was closed. */
static struct slot *begin_again(struct slot *slot, const struct wait *wait)
{
        bool listed = false;
        bool set_kind = WAIT_KEY_KIND(wait->key) != WAIT_EPOLL;
        if (set_kind && !looks_like_a_loop(wait, &listed))
                return NULL;
        atomic_store(&slot->state, SLOT_CANDIDATE);
        make_candidate(slot, wait, listed);
        if (set_kind && !listed)
                return confirm(slot, wait);
        loop_end_iteration(slot, wait->cfa, wait->sleeps);
        return slot;
}

/* ---- the waits of a loop ---- */

/* A wait on the own instance that can't sleep and comes from deeper in the stack than the last own one: a callback
 * that serves events in between. The stall goes on; the watchdog finds out whether that is what it is. */
static struct slot *count_yield(struct slot *slot)
{
        atomic_store_explicit(&slot->yield_ns, clock_now_ns(), memory_order_relaxed);
        atomic_store_explicit(&slot->yields, atomic_load_explicit(&slot->yields, memory_order_relaxed) + 1,
                              memory_order_relaxed);
        return NULL;
}

/* Poll and select at the loop's call site: is it for the loop's set? A loop library may have nothing but timers to wait
 * for, or other descriptors after a reload; there the same depth of the stack does, for its callbacks run deeper. */
static bool waits_for_own_set(const struct slot *slot, const struct wait *wait)
{
        if (set_shares_descriptor(wait, slot->own_set, atomic_load(&slot->own_set_count)))
                return true;
        return slot->listed && wait->cfa == atomic_load_explicit(&slot->own_cfa, memory_order_relaxed);
}

static struct slot *own_wait(struct slot *slot, const struct wait *wait)
{
        bool set_kind = WAIT_KEY_KIND(wait->key) != WAIT_EPOLL;
        bool same = set_kind &&
                    set_is_same(wait, slot->own_set, atomic_load_explicit(&slot->own_set_count, memory_order_relaxed),
                                slot->own_size, slot->own_word);
        if (set_kind && !same && !waits_for_own_set(slot, wait))
                return NULL;
        if (!wait->sleeps && wait->cfa < atomic_load_explicit(&slot->own_cfa, memory_order_relaxed)) {
                atomic_store_explicit(&slot->yield_cfa, wait->cfa, memory_order_relaxed);
                return count_yield(slot);
        }
        if (set_kind && !same) {
                atomic_store_explicit(&slot->own_set_count, set_remember(wait, slot->own_set), memory_order_relaxed);
                set_glance(wait, &slot->own_size, &slot->own_word);
        }
        loop_end_iteration(slot, wait->cfa, wait->sleeps);
        return slot;
}

/* Before a wait of any kind while there is no watchdog. */
static void see_to_the_process(void)
{
        /* A child of clone() that only waits on instances of its own would go on as a callback of its parent's loop. */
        if (loop_slot_here != NULL && !atomic_load_explicit(&loop_page.noted, memory_order_relaxed))
                stage.calls->child();
        /* A callback that forks and then waits for its child (node's execSync) is to be seen, and so are the loops that
         * stall while another thread forks; a signal handler that polls between the two hardly ever is. */
        else if (forked_here)
                loop_attend();
}

static struct slot *enter_slow(const struct wait *wait)
{
        if (atomic_load_explicit(&loop_attention, memory_order_relaxed) == LOOP_STOPPED)
                see_to_the_process();
        struct slot *slot = loop_slot_here;
        if (slot == NULL)
                return begin(wait);
        uint64_t key = atomic_load_explicit(&slot->key, memory_order_relaxed);
        if (key == wait->key)
                return own_wait(slot, wait);
        if (key != 0)
                return NULL; /* nested: it belongs to a callback, or to a signal handler */
        uint64_t candidate = atomic_load(&slot->candidate_key);
        if (candidate == wait->key) {
                if (WAIT_KEY_KIND(wait->key) != WAIT_EPOLL && !waits_for_own_set(slot, wait))
                        return NULL;
                return confirm(slot, wait);
        }
        return candidate == 0 ? begin_again(slot, wait) : waits_elsewhere(slot, wait);
}

struct slot *loop_enter_slow(const struct wait *wait)
{
        if (stage.off || stage.calls == NULL)
                return NULL;
        int saved_errno = errno;
        struct slot *slot = enter_slow(wait);
        errno = saved_errno;
        return slot;
}

void loop_end_long(struct slot *slot, uint64_t mark, uint64_t now_ns)
{
        if (now_ns < MARK_NS(mark)) /* the clock was changed for another: this iteration has no length */
                return;
        bool left = atomic_load(&slot->left_mark) == mark;
        uint64_t limit_ns = said_limit_ns(slot, mark);
        if (left) {
                slot_add(&slot->outside_ns, now_ns - MARK_NS(mark));
        } else {
                histogram_count(slot, now_ns - MARK_NS(mark));
                slot_add(&slot->busy_ns, now_ns - MARK_NS(mark));
        }
        if (now_ns - MARK_NS(mark) < limit_ns) /* its sections may take so long */
                return;
        atomic_store(&slot->serial, is_serial(slot)); /* clients may have come since it was last judged */
        uint32_t head = atomic_load_explicit(&slot->ring_head, memory_order_relaxed);
        if (head - atomic_load_explicit(&slot->ring_tail, memory_order_acquire) >= LIMIT_RING) {
                atomic_fetch_add(&slot->ring_lost, 1);
                return;
        }
        slot->ring[head % LIMIT_RING] = (struct slot_ended){
                .begin_ns = MARK_NS(mark),
                .end_ns = now_ns,
                .yield_ns = atomic_load(&slot->yields) ? atomic_load(&slot->yield_ns) : 0,
                .threshold_ns = limit_ns,
                .yields = atomic_load(&slot->yields),
                .said = said_keep(slot, mark, now_ns),
                .startup = !atomic_load(&slot->slept),
                .serial = atomic_load(&slot->serial),
                .left = left,
        };
        atomic_store_explicit(&slot->ring_head, head + 1, memory_order_release);
}

void loop_note_memory(void)
{
        bool emptied = madvise(&loop_page, sizeof loop_page, MADV_WIPEONFORK) == 0;
        atomic_store(&loop_page.noted, emptied);
}

void loop_note_clone(void)
{
        cloned_id_here = (int32_t)raw_syscall_sigsafe(SYS_gettid, 0, 0, 0, 0, 0, 0);
}

void loop_note_fork(void)
{
        forked_here = true;
}

/* ---- for the watchdog ---- */

bool loop_mark_left(struct slot *slot, uint64_t mark)
{
        atomic_store(&slot->left_mark, mark);
        return atomic_load(&slot->mark) == mark;
}

void loop_take_over(struct slot *slot, uint64_t key)
{
        closed_expect(key);
        forget_findings(slot);
        find_executor(slot, key);
        atomic_store(&slot->own_cfa, 0);
        atomic_store(&slot->candidate_key, 0);
        atomic_store(&slot->last_key, key);
        atomic_store(&slot->confirmed, true);
        atomic_store(&slot->key, key);
}

void loop_confirm_reentrant(struct slot *slot)
{
        atomic_store(&slot->reentrant, true);
}

void loop_deny_reentrant(struct slot *slot)
{
        atomic_store(&slot->reentrant, false);
        atomic_store(&slot->own_cfa, atomic_load(&slot->yield_cfa));
}

bool loop_take_ended(struct slot *slot, struct slot_ended *ended)
{
        uint32_t tail = atomic_load_explicit(&slot->ring_tail, memory_order_relaxed);
        if (tail == atomic_load_explicit(&slot->ring_head, memory_order_acquire))
                return false;
        *ended = slot->ring[tail % LIMIT_RING];
        atomic_store_explicit(&slot->ring_tail, tail + 1, memory_order_release);
        return true;
}

void loop_label(const struct slot *slot, char *bytes, size_t capacity)
{
        static const char *const names[] = { "api", "epoll", "poll", "select" };
        uint64_t key = atomic_load(&slot->key);
        if (key == 0)
                key = atomic_load(&slot->candidate_key);
        if (key == 0) /* its instance was closed: what it was */
                key = atomic_load(&slot->last_key);
        struct text text = { .bytes = bytes, .capacity = capacity };
        if (slot->name[0] != '\0') {
                text_string(&text, slot->name);
                return;
        }
        text_string(&text, key != 0 ? names[WAIT_KEY_KIND(key)] : "none");
        if (WAIT_KEY_KIND(key) == WAIT_EPOLL)
                text_format(&text, ":%llu", (unsigned long long)WAIT_KEY_VALUE(key));
}

struct loop_totals loop_totals(void)
{
        return (struct loop_totals){ .loops = atomic_load(&stage.loops),
                                     .candidates_dropped = atomic_load(&stage.candidates_dropped) + closed_candidates(),
                                     .unwatched = atomic_load(&stage.unwatched) };
}

void loop_after_fork(void)
{
        said_after_fork();
        slots_after_fork();
        named_after_fork();
        loop_slot_here = NULL;
        forked_here = false;
        cloned_id_here = 0;
        memset(suspects_here, 0, sizeof suspects_here);
        refused_here = 0;
        if (stage.key_made)
                pthread_setspecific(stage.key, NULL);
        closed_after_fork();
        atomic_store(&stage.loops, 0);
        atomic_store(&stage.candidates_dropped, 0);
        atomic_store(&stage.unwatched, 0);
        atomic_store(&loop_attention, LOOP_STOPPED);
        loop_note_memory();
}
