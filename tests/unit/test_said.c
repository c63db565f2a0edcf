/* SPDX-License-Identifier: Apache-2.0
 *
 * test_said.c - what a program says of its work, and loops that the API names
 *
 * Context: unit test; Criterion gives each test a process of its own
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <pthread.h>
#include <string.h>

#include "loop/named.h"
#include "loop/said.h"
#include "waits.h"

#define CFA 4096

TestSuite(said, .init = set_up_loops);
TestSuite(named, .init = set_up_loops);

/* Move the begin of what goes on into the past. */
static void busy_since(struct slot *slot, uint64_t ago_ns)
{
        atomic_store(&slot->mark, MARK(clock_now_ns() - ago_ns, 1));
}

static void spend(uint64_t ns)
{
        for (uint64_t end_ns = clock_now_ns() + ns; clock_now_ns() < end_ns;)
                ;
}

static void call(const char *name, int64_t number, uint64_t ns)
{
        said_callback_begin(name, 0, "fd", number);
        spend(ns);
        said_callback_end();
}

static struct work read_now(struct slot *slot)
{
        struct work work = { 0 };
        said_read_now(slot, atomic_load(&slot->mark), clock_now_ns(), &work);
        return work;
}

/* ---- callbacks ---- */

Test(said, names_the_longest_of_many_callbacks)
{
        struct slot *slot = make_loop(5);
        for (int i = 0; i < 10; i++)
                call("short", i, 0);
        call("long", 12, 60 * MS);
        call("shorter", 13, 2 * MS);
        struct work work = read_now(slot);
        cr_expect(eq(str, work.name, (char *)"long"));
        cr_expect(eq(str, work.object, (char *)"fd"));
        cr_expect(eq(i64, work.number, 12));
        cr_expect(eq(u32, work.callbacks, 12));
        cr_expect(ge(u64, work.callback_ns, 4 * MS));
}

Test(said, names_the_inner_one_unless_the_outer_took_as_long_by_itself)
{
        struct slot *slot = make_loop(5);
        said_callback_begin("outer", 0, NULL, -1);
        call("inner", 1, 50 * MS);
        said_callback_end();
        cr_expect(eq(str, read_now(slot).name, (char *)"inner"));
        said_callback_begin("outer", 0, NULL, -1);
        call("inner", 1, 5 * MS);
        spend(120 * MS);
        said_callback_end();
        cr_expect(eq(str, read_now(slot).name, (char *)"outer"));
}

Test(said, names_the_one_that_still_runs)
{
        struct slot *slot = make_loop(5);
        said_callback_begin("running", 0, NULL, -1);
        spend(2 * MS);
        cr_expect(eq(str, read_now(slot).name, (char *)"running"));
}

Test(said, tells_what_goes_on_at_this_moment_however_short)
{
        struct slot *slot = make_loop(5);
        struct work work;
        cr_assert(not(said_read_present(slot, atomic_load(&slot->mark), clock_now_ns(), &work)), "it has said nothing");
        call("long", 1, 5 * MS);
        said_callback_begin("outer", 0, NULL, -1);
        said_label("request", "GET /");
        said_callback_begin("inner", 0, "fd", 12);
        uint64_t mark = atomic_load(&slot->mark), now_ns = clock_now_ns();
        cr_assert(said_read_present(slot, mark, now_ns, &work));
        cr_expect(eq(str, work.name, (char *)"inner"));
        cr_expect(eq(str, work.object, (char *)"fd"));
        cr_expect(eq(u32, work.callbacks, 3));
        cr_expect(gt(u64, work.callback_ns, 0));
        cr_assert(eq(u32, work.labels_count, 1));
        cr_expect(eq(str, work.labels[0].value, (char *)"GET /"));
        said_callback_end();
        said_callback_end();
        cr_assert(said_read_present(slot, mark, now_ns, &work));
        cr_expect(zero(u64, work.callback_ns), "none runs");
        cr_expect(zero(u32, work.labels_count), "its labels have ended with it");
        wait_on(5);
        cr_expect(not(said_read_present(slot, mark, now_ns, &work)), "that iteration is over");
}

Test(said, survives_names_that_are_gone)
{
        struct slot *slot = make_loop(5);
        said_callback_begin((const char *)8, 0, (const char *)UINT64_MAX, 3);
        spend(2 * MS);
        struct work work = read_now(slot);
        cr_expect(eq(str, work.name, (char *)""));
        cr_expect(eq(str, work.object, (char *)""));
}

Test(said, begins_anew_with_each_iteration)
{
        struct slot *slot = make_loop(5);
        call("before", 1, 3 * MS);
        said_label("request", "before");
        wait_on(5);
        said_callback_begin("after", 0, NULL, -1);
        said_callback_end();
        struct work work = read_now(slot);
        cr_expect(eq(u32, work.callbacks, 1));
        cr_expect(zero(u64, work.callback_ns));
        cr_expect(zero(u32, work.labels_count));
}

Test(said, counts_what_is_too_deep_and_finds_its_way_back)
{
        make_loop(5);
        for (int i = 0; i < 100; i++)
                cr_expect(eq(int, said_callback_begin("deep", 0, NULL, -1), i < LIMIT_CALLBACKS));
        for (int i = 0; i < 100; i++)
                cr_expect(said_callback_end());
        cr_expect(not(said_callback_end()));
}

Test(said, takes_the_end_of_a_callback_that_began_before_the_loop)
{
        cr_expect(said_callback_begin("early", 0, NULL, -1));
        make_loop(5);
        cr_expect(said_callback_end());
        cr_expect(not(said_callback_end()));
}

/* ---- labels ---- */

Test(said, keeps_the_labels_that_were_set_longest)
{
        struct slot *slot = make_loop(5);
        said_label("request", "GET /first");
        spend(2 * MS);
        said_label("request", "GET /second");
        spend(80 * MS); /* so much more that no other program's turn makes the first the longer one */
        said_label("request", NULL);
        struct work work = read_now(slot);
        cr_assert(eq(u32, work.labels_count, 1));
        cr_expect(eq(str, work.labels[0].value, (char *)"GET /second"));
}

Test(said, ends_labels_with_the_callback_that_set_them)
{
        struct slot *slot = make_loop(5);
        said_label("trace", "1");
        said_callback_begin("callback", 0, NULL, -1);
        said_label("request", "GET /");
        spend(50 * MS);
        said_callback_end();
        cr_expect(eq(u32, read_now(slot).labels_count, 2));
        spend(150 * MS);
        struct work work = read_now(slot);
        cr_assert(eq(u32, work.labels_count, 1));
        cr_expect(eq(str, work.labels[0].key, (char *)"trace"));
}

Test(said, cuts_labels_between_two_characters)
{
        char value[LIMIT_LABEL_VALUE + 8];
        struct slot *slot = make_loop(5);
        memset(value, 'x', sizeof value);
        memcpy(&value[LIMIT_LABEL_VALUE - 2], "\xc3\xa4", 3);
        said_label("key", value);
        spend(2 * MS);
        struct work work = read_now(slot);
        cr_expect(eq(sz, strlen(work.labels[0].value), LIMIT_LABEL_VALUE - 2));
        for (int i = 0; i < 2 * LIMIT_LABELS; i++)
                said_label((char[]){ 'a', (char)('a' + i), '\0' }, "value");
        spend(40 * MS);
        cr_expect(eq(u32, read_now(slot).labels_count, LIMIT_LABELS));
}

/* ---- what is kept of an iteration that ended ---- */

Test(said, hands_over_what_was_said_of_a_long_iteration)
{
        struct slot_ended ended;
        struct work work;
        struct slot *slot = make_loop(5);
        busy_since(slot, 300 * MS);
        call("long", 1, 2 * MS);
        wait_on(5);
        call("next", 2, 3 * MS);
        cr_assert(loop_take_ended(slot, &ended));
        cr_assert(said_read_kept(slot, ended.said, &work));
        cr_expect(eq(str, work.name, (char *)"long"));
        for (int i = 0; i < LIMIT_SAID; i++) {
                busy_since(slot, 300 * MS);
                call("later", 3, 2 * MS);
                wait_on(5);
        }
        cr_expect(not(said_read_kept(slot, ended.said, &work)), "overwritten");
}

Test(said, has_nothing_to_hand_over_of_a_loop_that_says_nothing)
{
        struct slot_ended ended;
        struct slot *slot = make_loop(5);
        busy_since(slot, 300 * MS);
        wait_on(5);
        cr_assert(loop_take_ended(slot, &ended));
        cr_expect(zero(u32, ended.said));
}

/* ---- sections ---- */

Test(said, allows_a_section_its_time_and_no_more)
{
        struct slot *slot = make_loop(5);
        uint64_t mark = atomic_load(&slot->mark);
        said_section_begin(1000 * MS);
        cr_expect(eq(u64, said_limit_ns(slot, mark), THRESHOLD_NS + 1000 * MS));
        spend(2 * MS);
        said_section_end();
        uint64_t limit_ns = said_limit_ns(slot, mark);
        cr_expect(ge(u64, limit_ns, THRESHOLD_NS + 2 * MS));
        cr_expect(lt(u64, limit_ns, THRESHOLD_NS + 500 * MS), "what it did not use is nobody's");
        cr_expect(not(said_section_end()));
        wait_on(5);
        cr_expect(eq(u64, said_limit_ns(slot, atomic_load(&slot->mark)), THRESHOLD_NS));
}

Test(said, does_not_let_a_section_pay_for_the_one_within_it)
{
        struct slot *slot = make_loop(5);
        uint64_t mark = atomic_load(&slot->mark);
        said_section_begin(1 * MS);
        said_section_begin(1000 * MS);
        spend(5 * MS);
        said_section_end();
        said_section_end();
        cr_expect(ge(u64, said_limit_ns(slot, mark), THRESHOLD_NS + 5 * MS));
}

/* ---- loops that the API names ---- */

static void wait_named(uintptr_t loop)
{
        cr_expect(eq(int, named_wait_begin(loop, CFA), NAMED_OK));
        cr_expect(eq(int, named_wait_end(loop), NAMED_OK));
}

Test(named, has_a_slot_from_its_first_wait_on)
{
        char label[LIMIT_LOOP_NAME];
        struct slot *slot;
        uintptr_t loop = named_open("main", 20 * MS, false);
        cr_expect(eq(uint, slots_used(), 0));
        wait_named(loop);
        cr_assert(eq(int, named_slot(loop, &slot), NAMED_OK));
        cr_expect(eq(ptr, slot, loop_slot_here));
        loop_label(slot, label, sizeof label);
        cr_expect(eq(str, label, (char *)"main"));
        cr_expect(eq(u64, atomic_load(&slot->threshold_ns), 20 * MS));
        cr_expect(eq(uint, starts, 1), "the watchdog starts");
        cr_expect(zero(ptr, wait_on(5)), "every other wait is nested");
}

Test(named, takes_the_thread_over_from_the_hooks)
{
        struct slot *before = make_loop(5), *slot;
        uintptr_t loop = named_open("main", 0, false);
        wait_named(loop);
        named_slot(loop, &slot);
        cr_expect(ne(ptr, slot, before));
        cr_expect(zero(ptr, before->next_here));
        cr_expect(ne(uint, atomic_load(&before->state), SLOT_LOOP));
        cr_expect(zero(ptr, wait_on(5)));
}

Test(named, tells_a_handle_that_is_none)
{
        uintptr_t loop = named_open("main", 0, false);
        cr_expect(eq(int, named_close(loop), NAMED_OK));
        cr_expect(eq(int, named_close(loop), NAMED_UNKNOWN));
        cr_expect(eq(int, named_wait_begin(loop, CFA), NAMED_UNKNOWN));
        cr_expect(eq(int, named_wait_begin(UINTPTR_MAX, CFA), NAMED_UNKNOWN));
        cr_expect(ne(u64, named_open("other", 0, false), loop), "the entry is used again under another number");
}

Test(named, says_where_there_is_no_room)
{
        uintptr_t first = named_open("loop", 0, false);
        for (int i = 1; i < LIMIT_NAMED; i++)
                cr_assert(named_open("loop", 0, false) != 0);
        cr_expect(zero(u64, named_open("loop", 0, false)));
        named_close(first);
        cr_expect(named_open("loop", 0, false) != 0);
}

static void *wait_elsewhere(void *loop)
{
        static int found;
        found = named_wait_begin((uintptr_t)loop, CFA);
        return &found;
}

Test(named, belongs_to_one_thread)
{
        pthread_t thread;
        void *found;
        uintptr_t loop = named_open("main", 0, false);
        wait_named(loop);
        pthread_create(&thread, NULL, wait_elsewhere, (void *)loop);
        pthread_join(thread, &found);
        cr_expect(eq(int, *(int *)found, NAMED_FOREIGN));
}

Test(named, counts_a_loop_within_another_for_itself)
{
        struct slot *outer_slot, *inner_slot;
        uintptr_t outer = named_open("outer", 0, false), inner = named_open("inner", 0, false);
        wait_named(outer);
        wait_named(inner);
        named_slot(outer, &outer_slot);
        named_slot(inner, &inner_slot);
        cr_expect(eq(ptr, loop_slot_here, inner_slot));
        cr_expect(not(is_busy(outer_slot)), "it is not stalled while the inner one runs");
        cr_expect(is_busy(inner_slot));
        cr_expect(eq(int, named_close(inner), NAMED_OK));
        cr_expect(eq(ptr, loop_slot_here, outer_slot));
        cr_expect(is_busy(outer_slot), "its callback goes on");
        wait_named(outer);
        cr_expect(eq(u64, iterations(outer_slot), 2));
}

Test(named, counts_nothing_while_it_is_paused)
{
        struct slot *slot;
        uintptr_t loop = named_open("main", 0, false);
        wait_named(loop);
        named_slot(loop, &slot);
        cr_expect(eq(int, named_resume(loop), NAMED_NOT_PAUSED));
        cr_expect(eq(int, named_pause(loop), NAMED_OK));
        cr_expect(not(is_busy(slot)));
        uint64_t before = iterations(slot);
        wait_named(loop);
        cr_expect(eq(u64, iterations(slot), before));
        cr_expect(eq(int, named_resume(loop), NAMED_OK));
        cr_expect(is_busy(slot));
}

Test(named, gives_its_name_to_the_loop_that_the_hooks_find)
{
        char label[LIMIT_LOOP_NAME];
        uintptr_t loop = named_open("hooked", 0, true);
        struct slot *slot = make_loop(5);
        loop_label(slot, label, sizeof label);
        cr_expect(eq(str, label, (char *)"hooked"));
        cr_expect(eq(int, named_wait_begin(loop, CFA), NAMED_HOOKED));
        atomic_store(&slot->met, SLOT_MET); /* the watchdog knows it, and has yet to tell of its last stall */
        busy_since(slot, 200 * MS);
        cr_expect(eq(int, named_close(loop), NAMED_OK));
        loop_label(slot, label, sizeof label);
        cr_expect(eq(str, label, (char *)"hooked"));
        cr_expect(eq(u32, atomic_load(&slot->state), SLOT_RELEASED));
        cr_expect(eq(u32, atomic_load(&slot->ring_head), 1));
        cr_assert(eq(ptr, loop_slot_here, NULL));
        loop_label(make_loop(5), label, sizeof label);
        cr_expect(eq(str, label, (char *)"epoll:5"), "it goes on without a name");
}

Test(named, is_all_that_counts_with_only_named_loops)
{
        loop_ignore_unnamed();
        wait_on(5);
        cr_expect(zero(ptr, wait_on(5)));
        named_open("hooked", 0, true);
        wait_on(5);
        cr_expect(not(zero(ptr, wait_on(5))));
}

Test(named, is_open_and_has_not_waited_in_a_child)
{
        struct slot *slot;
        uintptr_t loop = named_open("main", 0, false);
        wait_named(loop);
        loop_after_fork();
        cr_expect(eq(int, named_slot(loop, &slot), NAMED_OK));
        cr_expect(zero(ptr, slot));
        wait_named(loop);
        cr_expect(not(zero(ptr, loop_slot_here)));
}
