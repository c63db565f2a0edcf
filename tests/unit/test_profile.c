/* SPDX-License-Identifier: Apache-2.0
 *
 * test_profile.c - samples of one stall: what is the same place, what is counted, what does not fit
 *
 * Context: unit test
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <string.h>

#include "explain/profile.h"

static struct profile profile;

static void clear(void)
{
        memset(&profile, 0xa5, sizeof profile); /* what an earlier stall left */
        profile_clear(&profile);
}
TestSuite(profile, .init = clear);

static struct sample sample_at(uint64_t time_ns, char state, int call)
{
        return (struct sample){
                .time_ns = time_ns, .cpu_ns = time_ns / 2, .state = state, .syscall = call, .syscall_known = true
        };
}

/* A stack of functions, innermost first; the addresses in them differ from call to call. */
static struct stack stack_of(unsigned count, const uint64_t *functions)
{
        static uint64_t step;
        struct stack stack = { .count = count, .complete = true };
        step++;
        for (unsigned i = 0; i < count; i++)
                stack.frames[i] =
                        (struct frame){ .pc = functions[i] + step, .function = functions[i], .caller = i != 0 };
        return stack;
}

static void add(struct sample sample, const struct stack *stack)
{
        profile_add(&profile, &sample, stack, PROFILE_NO_CALLBACK, NULL);
}

/* ---- equal stacks ---- */

Test(profile, is_empty_once_cleared)
{
        uint32_t count = 7;
        cr_expect(eq(uint, profile.samples, 0));
        cr_expect(eq(int, profile_main_stack(&profile), -1));
        cr_expect(eq(int, profile_main_call(&profile, &count), -1));
        cr_expect(eq(uint, count, 0));
}

Test(profile, counts_stacks_of_the_same_functions_together)
{
        static const uint64_t functions[] = { 0x1000, 0x2000, 0x3000 };
        struct stack first = stack_of(3, functions), second = stack_of(3, functions);
        add(sample_at(100, 'R', -1), &first);
        add(sample_at(200, 'S', -1), &second);
        cr_assert(eq(uint, profile.stacks_count, 1));
        cr_expect(eq(uint, profile.stacks[0].count, 2));
        cr_expect(eq(u64, profile.stacks[0].first_ns, 100));
        cr_expect(eq(u64, profile.stacks[0].last_ns, 200));
        cr_expect(eq(chr, profile.stacks[0].state, 'S'));
        cr_expect(eq(uint, profile.frames_count, 3));
        cr_expect(eq(u64, profile.frames[0].pc, first.frames[0].pc), "the first sample's addresses stay");
}

Test(profile, tells_stacks_apart_by_any_frame)
{
        static const uint64_t one[] = { 0x1000, 0x2000, 0x3000 }, inner[] = { 0x1001, 0x2000, 0x3000 },
                              outer[] = { 0x1000, 0x2000, 0x3001 };
        struct stack a = stack_of(3, one), b = stack_of(3, inner), c = stack_of(3, outer);
        add(sample_at(1, 'R', -1), &a);
        add(sample_at(2, 'R', -1), &b);
        add(sample_at(3, 'R', -1), &c);
        cr_expect(eq(uint, profile.stacks_count, 3));
        cr_expect(eq(uint, profile.stacks[1].first_frame, 3));
        cr_expect(eq(u64, profile.frames[profile.stacks[2].first_frame + 2].function, 0x3001));
}

Test(profile, tells_a_stack_from_its_own_beginning)
{
        static const uint64_t functions[] = { 0x1000, 0x2000, 0x3000 };
        struct stack whole = stack_of(3, functions), start = stack_of(2, functions);
        add(sample_at(1, 'R', -1), &whole);
        add(sample_at(2, 'R', -1), &start);
        cr_expect(eq(uint, profile.stacks_count, 2));
}

Test(profile, takes_the_address_where_no_function_is_known)
{
        struct stack a = { .count = 1, .frames = { { .pc = 0x7000 } } };
        struct stack b = { .count = 1, .frames = { { .pc = 0x7010 } } };
        add(sample_at(1, 'R', -1), &a);
        add(sample_at(2, 'R', -1), &b);
        add(sample_at(3, 'R', -1), &a);
        cr_assert(eq(uint, profile.stacks_count, 2));
        cr_expect(eq(uint, profile.stacks[0].count, 2));
}

Test(profile, keeps_what_is_known_of_a_stacks_ends)
{
        struct stack cut = { .count = 1, .frames = { { .pc = 1 } }, .truncated = true };
        struct stack whole = { .count = 1, .frames = { { .pc = 2 } }, .complete = true };
        add(sample_at(1, 'R', -1), &cut);
        add(sample_at(2, 'R', -1), &whole);
        cr_expect(eq(int, profile.stacks[0].truncated, true));
        cr_expect(eq(int, profile.stacks[0].complete, false));
        cr_expect(eq(int, profile.stacks[1].truncated, false));
        cr_expect(eq(int, profile.stacks[1].complete, true));
}

/* ---- samples without a stack ---- */

Test(profile, counts_samples_without_a_stack_and_why)
{
        struct sample lost = sample_at(5, 'R', -1);
        struct stack empty = { 0 };
        lost.loss = CAPTURE_SIGNAL_LATE;
        add(lost, NULL);
        add(lost, NULL);
        lost.loss = CAPTURE_OK; /* captured, but nothing could be unwound */
        add(lost, NULL);
        add(lost, &empty);
        cr_expect(eq(uint, profile.samples, 4));
        cr_expect(eq(uint, profile.losses[CAPTURE_SIGNAL_LATE], 2));
        cr_expect(eq(uint, profile.losses[CAPTURE_OK], 0));
        cr_expect(eq(uint, profile.stacks_count, 0));
        cr_expect(eq(uint, profile.running, 4));
}

/* ---- states ---- */

Test(profile, counts_what_the_thread_was_doing)
{
        add(sample_at(1, 'R', -1), NULL);
        add(sample_at(2, 'S', 0), NULL);
        add(sample_at(3, 'D', 0), NULL);
        add(sample_at(4, 'D', -1), NULL);
        add(sample_at(5, 'T', 0), NULL);
        add(sample_at(6, 't', -1), NULL);
        cr_expect(eq(uint, profile.samples, 6));
        cr_expect(eq(uint, profile.running, 1));
        cr_expect(eq(uint, profile.blocked, 2), "S and D within a call");
        cr_expect(eq(uint, profile.faulting, 1), "D outside of one");
        cr_expect(eq(uint, profile.stopped, 2), "T and t, wherever");
}

Test(profile, takes_sleep_for_a_call_where_the_call_can_not_be_read)
{
        struct sample sample = { .state = 'S', .syscall = 0, .syscall_known = false };
        add(sample, NULL);
        cr_expect(eq(uint, profile.blocked, 1));
        cr_expect(eq(uint, profile.calls_count, 0), "which call is not known");
}

Test(profile, does_not_say_what_a_thread_waited_for_that_may_have_been_in_a_call)
{
        add((struct sample){ .state = 'D', .syscall = -1, .syscall_known = false }, NULL);
        cr_expect(eq(uint, profile.unclear, 1));
        cr_expect(eq(uint, profile.faulting + profile.blocked, 0));
}

Test(profile, counts_no_state_for_a_thread_that_is_neither)
{
        add(sample_at(1, 'Z', -1), NULL);
        add(sample_at(2, 0, -1), NULL);
        cr_expect(eq(uint, profile.samples, 2));
        cr_expect(eq(uint, profile.running + profile.blocked + profile.faulting + profile.stopped, 0));
}

Test(profile, takes_sleep_in_no_call_for_a_page_fault)
{
        add(sample_at(1, 'S', -1), NULL); /* FUSE and NFS wait so */
        add(sample_at(2, 'D', -1), NULL);
        cr_expect(eq(uint, profile.faulting, 2));
}

Test(profile, counts_time_as_stopped_between_two_samples_that_agree)
{
        add(sample_at(100, 'T', -1), NULL);
        add(sample_at(150, 't', -1), NULL);
        add(sample_at(170, 'R', -1), NULL);
        add(sample_at(180, 'T', -1), NULL);
        cr_expect(eq(u64, profile.stopped_ns, 50));
        cr_expect(eq(u64, profile.doubtful_ns, 30));
        cr_expect(eq(int, profile.first_stopped, true));
}

/* ---- callbacks ---- */

static void add_called(uint64_t callback)
{
        uint64_t functions[] = { 0x10, callback, 0x30 };
        struct stack stack = stack_of(3, functions);
        struct sample sample = sample_at(1, 'R', -1);
        profile_add(&profile, &sample, &stack, 1, NULL);
}

Test(profile, counts_how_often_another_callback_was_run)
{
        static const uint64_t callbacks[] = { 0x1000, 0x1000, 0x2000, 0x1000, 0x1000, 0x3000 };
        for (size_t i = 0; i < sizeof callbacks / sizeof *callbacks; i++)
                add_called(callbacks[i]);
        cr_expect(eq(uint, profile.callbacks, 4));
        cr_expect(eq(uint, profile.stacks_count, 3));
        cr_expect(eq(uint, profile.stacks[0].callback, 1));
}

/* ---- whom it waited for ---- */

/* The stalled thread waits for 7, and 7 for `last`: 8, or the stalled thread (1) itself. */
static struct whom_chain chain_to(int32_t last)
{
        struct whom_chain chain = { .first = { .kind = WHOM_LOCK, .object = "mutex", .tid = 7 }, .count = 1 };
        chain.links[0] = (struct whom_link){ .holds = WHOM_LOCK, .tid = 7, .waits_for = last };
        chain.cycle = last == 1;
        return chain;
}

Test(profile, keeps_the_chain_that_was_seen_most)
{
        struct whom_chain a = chain_to(8), b = chain_to(8), nobody = { .first = { .kind = WHOM_GIL, .object = "GIL" } };
        b.first = (struct whom){ .kind = WHOM_GIL, .object = "GIL", .tid = 9 };
        a.links[0].frames_count = b.links[0].frames_count = 1;
        for (int i = 0; i < 9; i++)
                profile_add_wait(&profile, &nobody, 5); /* whoever has it is not known each time */
        cr_expect(zero(uint, profile.chain.count));
        profile_add_wait(&profile, &a, 5);
        cr_expect(eq(int, profile.chain.first.tid, 7));
        profile_add_wait(&profile, &b, 5);
        profile_add_wait(&profile, &b, 5);
        profile_add_wait(&profile, &nobody, 5);
        cr_expect(eq(int, profile.chain.first.tid, 9));
        cr_expect(eq(uint, profile.locked, 1));
        cr_expect(eq(uint, profile.locked_out, 12));
        cr_expect(eq(uint, profile.waits, 13));
        cr_expect_str_eq(profile.object.text, "GIL");
}

Test(profile, calls_a_cycle_a_deadlock_when_it_was_seen_twice_and_nothing_has_moved)
{
        struct whom_chain cycle = chain_to(1);
        profile_add_wait(&profile, &cycle, 5);
        cr_expect(not(profile.deadlock), "its threads were looked at one after the other");
        profile_add_wait(&profile, &cycle, 6);
        cr_expect(not(profile.deadlock), "the stalled thread has run in between");
        profile_add_wait(&profile, &cycle, 6);
        cr_expect(profile.deadlock);
        struct whom_chain open = chain_to(8);
        profile_add_wait(&profile, &open, 6);
        cr_expect(not(profile.deadlock), "somebody has given up");
}

Test(profile, tells_a_deadlock_at_once_however_long_the_threads_had_waited_before)
{
        struct whom_chain open = chain_to(8), cycle = chain_to(1);
        open.links[0].frames_count = cycle.links[0].frames_count = 1;
        for (int i = 0; i < 100; i++)
                profile_add_wait(&profile, &open, 5);
        profile_add_wait(&profile, &cycle, 5);
        cr_expect(profile.chain.cycle);
        profile_see_cycle(&profile, &cycle, 5);
        cr_expect(profile.deadlock, "a second look at the same sample is enough");
        cr_expect(eq(uint, profile.waits, 101), "and is no sample of its own");
}

Test(profile, forgets_a_cycle_that_was_none)
{
        struct whom_chain open = chain_to(8), cycle = chain_to(1);
        profile_add_wait(&profile, &cycle, 5);
        profile_see_cycle(&profile, &open, 5);
        cr_expect(not(profile.deadlock));
        profile_add_wait(&profile, &open, 5);
        cr_expect(not(profile.chain.cycle));
        profile_add_wait(&profile, &cycle, 5);
        cr_expect(not(profile.deadlock), "it was not seen twice in a row");
}

Test(profile, remembers_the_first_and_the_last_sample)
{
        add(sample_at(100, 'R', -1), NULL);
        add(sample_at(200, 'R', -1), NULL);
        add(sample_at(300, 'R', -1), NULL);
        cr_expect(eq(u64, profile.first_ns, 100));
        cr_expect(eq(u64, profile.first_cpu_ns, 50));
        cr_expect(eq(u64, profile.last_ns, 300));
        cr_expect(eq(u64, profile.last_cpu_ns, 150));
}

/* ---- the main ones ---- */

Test(profile, names_the_call_of_most_samples)
{
        uint32_t count;
        for (int i = 0; i < 3; i++)
                add(sample_at(1, 'S', 1), NULL);
        for (int i = 0; i < 5; i++)
                add(sample_at(1, 'S', 230), NULL);
        add(sample_at(1, 'S', 0), NULL);
        cr_expect(eq(int, profile_main_call(&profile, &count), 230));
        cr_expect(eq(uint, count, 5));
        for (int i = 0; i < 2; i++)
                add(sample_at(1, 'S', 1), NULL);
        cr_expect(eq(int, profile_main_call(&profile, &count), 1), "of equals the first");
}

Test(profile, names_the_call_of_a_stopped_thread_too)
{
        uint32_t count;
        add(sample_at(1, 'T', 7), NULL);
        cr_expect(eq(int, profile_main_call(&profile, &count), 7));
}

Test(profile, counts_the_first_eight_calls_only)
{
        uint32_t count;
        for (int call = 0; call < 9; call++)
                add(sample_at(1, 'S', call), NULL);
        add(sample_at(1, 'S', 8), NULL);
        add(sample_at(1, 'S', 7), NULL);
        cr_expect(eq(uint, profile.calls_count, 8));
        cr_expect(eq(int, profile_main_call(&profile, &count), 7));
        cr_expect(eq(uint, count, 2));
        cr_expect(eq(uint, profile.blocked, 11));
}

Test(profile, finds_the_stack_of_most_samples_and_of_equals_the_first)
{
        static const uint64_t functions[] = { 1000, 2000, 3000 };
        struct stack a = stack_of(1, functions), b = stack_of(2, functions), c = stack_of(3, functions);
        add(sample_at(1, 'R', -1), &a);
        add(sample_at(1, 'R', -1), &b);
        cr_expect(eq(int, profile_main_stack(&profile), 0));
        add(sample_at(1, 'R', -1), &c);
        add(sample_at(1, 'R', -1), &c);
        cr_expect(eq(int, profile_main_stack(&profile), 2));
}

/* ---- limits ---- */

Test(profile, counts_stacks_that_do_not_fit)
{
        for (uint64_t i = 0; i < LIMIT_STACKS + 3; i++) {
                struct stack stack = { .count = 1, .frames = { { .function = 0x1000 + i } } };
                add(sample_at(i, 'R', -1), &stack);
        }
        cr_expect(eq(uint, profile.stacks_count, LIMIT_STACKS));
        cr_expect(eq(uint, profile.stacks_dropped, 3));
        cr_expect(eq(uint, profile.samples, LIMIT_STACKS + 3));
        struct stack known = { .count = 1, .frames = { { .function = 0x1000 } } };
        add(sample_at(99, 'R', -1), &known);
        cr_expect(eq(uint, profile.stacks[0].count, 2), "what is known is still counted");
}

Test(profile, counts_stacks_whose_frames_do_not_fit)
{
        for (uint64_t i = 0; i < LIMIT_STALL_FRAMES / LIMIT_FRAMES; i++) {
                struct stack deep = { .count = LIMIT_FRAMES };
                for (unsigned j = 0; j < LIMIT_FRAMES; j++)
                        deep.frames[j].function = 1 + i * LIMIT_FRAMES + j;
                add(sample_at(i, 'R', -1), &deep);
        }
        struct stack small = { .count = 1, .frames = { { .function = 99999 } } };
        add(sample_at(9, 'R', -1), &small);
        cr_expect(eq(uint, profile.frames_count, LIMIT_STALL_FRAMES));
        cr_expect(eq(uint, profile.stacks_count, LIMIT_STALL_FRAMES / LIMIT_FRAMES));
        cr_expect(eq(uint, profile.stacks_dropped, 1));
        const struct profile_stack *last = &profile.stacks[profile.stacks_count - 1];
        cr_expect(eq(uint, (unsigned)last->first_frame + last->frames_count, LIMIT_STALL_FRAMES));
        cr_expect(eq(u64, profile.frames[LIMIT_STALL_FRAMES - 1].function, LIMIT_STALL_FRAMES));
}

/* A stack of `count` functions that no stack with another `first` has. */
static void add_deep(uint64_t first, unsigned count)
{
        struct stack deep = { .count = count };
        for (unsigned i = 0; i < count; i++)
                deep.frames[i].function = first + i;
        add(sample_at(first, 'R', -1), &deep);
}

Test(profile, takes_exactly_as_many_stacks_as_its_limit)
{
        for (uint64_t i = 1; i <= LIMIT_STACKS; i++)
                add_deep(1000 * i, 1);
        cr_expect(eq(uint, profile.stacks_count, LIMIT_STACKS));
        cr_expect(zero(uint, profile.stacks_dropped));
        add_deep(1000 * LIMIT_STACKS, 1);
        cr_expect(eq(uint, profile.stacks[LIMIT_STACKS - 1].count, 2), "the last one is found again");
        cr_expect(eq(int, profile_main_stack(&profile), LIMIT_STACKS - 1));
        add_deep(7, 1);
        cr_expect(eq(uint, profile.stacks_dropped, 1));
        cr_expect(eq(uint, profile.frames_count, LIMIT_STACKS), "what is dropped takes no room");
}

Test(profile, takes_exactly_as_many_frames_as_its_limit)
{
        unsigned left = LIMIT_STALL_FRAMES;
        for (uint64_t i = 1; left > LIMIT_FRAMES; i++, left -= LIMIT_FRAMES)
                add_deep(1000 * i, LIMIT_FRAMES);
        add_deep(1, left - 1);
        cr_assert(eq(uint, profile.frames_count, LIMIT_STALL_FRAMES - 1));
        uint32_t count = profile.stacks_count;
        add_deep(500, 2);
        cr_expect(eq(uint, profile.stacks_dropped, 1), "one frame too many");
        add_deep(600, 1);
        cr_expect(eq(uint, profile.stacks_dropped, 1), "a smaller one fits");
        cr_expect(eq(uint, profile.stacks_count, count + 1));
        cr_expect(eq(uint, profile.frames_count, LIMIT_STALL_FRAMES));
        cr_expect(eq(u64, profile.frames[LIMIT_STALL_FRAMES - 1].function, 600));
        add_deep(700, 1);
        cr_expect(eq(uint, profile.stacks_dropped, 2));
        add_deep(1000, LIMIT_FRAMES);
        cr_expect(eq(uint, profile.stacks[0].count, 2), "what is known is still counted");
        cr_expect(eq(uint, profile.stacks_dropped, 2));
}

Test(profile, tells_the_deepest_stacks_apart_by_their_last_frame)
{
        struct stack deep = { .count = LIMIT_FRAMES };
        for (unsigned i = 0; i < LIMIT_FRAMES; i++)
                deep.frames[i].function = 1 + i;
        add(sample_at(1, 'R', -1), &deep);
        deep.frames[LIMIT_FRAMES - 1].function++;
        add(sample_at(2, 'R', -1), &deep);
        cr_expect(eq(uint, profile.stacks_count, 2));
        cr_expect(eq(uint, profile.stacks[1].first_frame, LIMIT_FRAMES));
}

Test(profile, counts_a_sample_whose_stack_does_not_fit_for_all_the_rest)
{
        uint32_t count;
        for (uint64_t i = 1; i <= LIMIT_STACKS; i++)
                add_deep(1000 * i, 1);
        struct stack dropped = { .count = 1, .frames = { { .function = 7 } } };
        add(sample_at(90000, 'S', 230), &dropped);
        cr_assert(eq(uint, profile.stacks_dropped, 1));
        cr_expect(eq(uint, profile.samples, LIMIT_STACKS + 1));
        cr_expect(eq(uint, profile.blocked, 1));
        cr_expect(eq(int, profile_main_call(&profile, &count), 230));
        cr_expect(eq(u64, profile.last_ns, 90000));
        cr_expect(eq(u64, profile.last_cpu_ns, 45000));
        cr_expect(zero(uint, profile.losses[CAPTURE_OK]), "it was no loss of the capture");
}

Test(profile, begins_anew_after_it_was_cleared)
{
        static const uint64_t functions[] = { 0x1000, 0x2000 };
        struct stack stack = stack_of(2, functions);
        struct sample lost = sample_at(100, 'S', 5);
        lost.loss = CAPTURE_MOVED;
        add(lost, NULL);
        add(sample_at(200, 'S', 5), &stack);
        profile_clear(&profile);
        add(sample_at(900, 'R', -1), &stack);
        cr_expect(eq(u64, profile.first_ns, 900));
        cr_expect(eq(uint, profile.losses[CAPTURE_MOVED], 0));
        cr_expect(eq(uint, profile.calls_count, 0));
        cr_expect(eq(uint, profile.stacks_count, 1));
        cr_expect(eq(uint, profile.stacks[0].count, 1));
        cr_expect(eq(u64, profile.stacks[0].first_ns, 900));
}

/* ---- samples that came too late ---- */

Test(profile, knows_by_a_sample_taken_after_the_end_how_much_was_computed)
{
        add(sample_at(100, 'R', -1), NULL);
        struct sample late = sample_at(300, 'S', 232);
        profile_add_ended(&profile, &late);
        cr_expect(eq(uint, profile.samples, 2));
        cr_expect(eq(uint, profile.losses[CAPTURE_ENDED], 1));
        cr_expect(eq(u64, profile.last_ns, 300));
        cr_expect(eq(u64, profile.last_cpu_ns, 150));
        cr_expect(eq(u64, profile.first_ns, 100));
        cr_expect(zero(uint, profile.blocked), "what it does by then is no part of the stall");
        cr_expect(zero(uint, profile.calls_count));
}

Test(profile, does_not_begin_with_a_sample_taken_after_the_end)
{
        struct sample late = sample_at(300, 'S', 232);
        profile_add_ended(&profile, &late);
        cr_expect(eq(uint, profile.samples, 1));
        cr_expect(zero(u64, profile.first_ns));
        cr_expect(zero(u64, profile.last_ns));
        add(sample_at(400, 'R', -1), NULL);
        cr_expect(eq(u64, profile.first_ns, 400));
}

Test(profile, keeps_the_cpu_time_of_before_where_a_late_sample_has_none)
{
        add(sample_at(100, 'R', -1), NULL);
        struct sample late = sample_at(300, 0, -1);
        late.cpu_ns = 0;
        profile_add_ended(&profile, &late);
        cr_expect(eq(u64, profile.last_ns, 100));
        cr_expect(eq(u64, profile.last_cpu_ns, 50));
}

Test(profile, keeps_what_was_counted_of_before_where_the_threads_files_are_gone)
{
        struct sample seen = sample_at(100, 'R', -1), gone = sample_at(300, 'R', -1);
        seen.usage = (struct sample_usage){ .known = true, .voluntary = 4, .involuntary = 7 };
        add(seen, NULL);
        add(gone, NULL);
        cr_expect(profile.last_usage.known);
        cr_expect(eq(u64, profile.last_usage.voluntary, 4));
        cr_expect(eq(u64, profile.last_usage.involuntary, 7));
}
