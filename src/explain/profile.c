/* SPDX-License-Identifier: Apache-2.0
 *
 * profile.c - the samples of one stall, equal stacks counted together
 *
 * Two stacks are equal where their frames' functions are: a loop that moves within one function is one place. The line
 * of a script's frame is then that at which it was seen most.
 *
 * Context: watchdog
 * Limits:  LIMIT_STACKS distinct stacks with LIMIT_STALL_FRAMES frames together; what does not fit is counted
 */
#include "explain/profile.h"

#include <stddef.h>
#include <string.h>

#include "explain/fault.h"

void profile_clear(struct profile *profile)
{
        /* The arrays behind the counters are not read beyond them; leaving them alone keeps their pages untouched. */
        memset(profile, 0, offsetof(struct profile, stacks));
        profile->chain_votes = 0;
        profile->chain.count = 0;
        profile->chain.cycle = false;
}

/* What makes a frame the same place: its function, or its address where the function is not known. */
static uint64_t place(const struct frame *frame)
{
        return frame->function != 0 ? frame->function : frame->pc;
}

static bool equal(const struct profile *profile, const struct profile_stack *known, const struct stack *stack)
{
        if (known->frames_count != stack->count)
                return false;
        const struct frame *frames = &profile->frames[known->first_frame];
        for (unsigned i = 0; i < stack->count; i++)
                if (place(&frames[i]) != place(&stack->frames[i]))
                        return false;
        return true;
}

static struct profile_stack *find_or_add(struct profile *profile, const struct stack *stack)
{
        for (uint32_t i = 0; i < profile->stacks_count; i++)
                if (equal(profile, &profile->stacks[i], stack))
                        return &profile->stacks[i];
        if (profile->stacks_count == LIMIT_STACKS || profile->frames_count + stack->count > LIMIT_STALL_FRAMES)
                return NULL;
        struct profile_stack *added = &profile->stacks[profile->stacks_count++];
        *added = (struct profile_stack){
                .first_frame = (uint16_t)profile->frames_count,
                .frames_count = (uint16_t)stack->count,
                .complete = stack->complete,
                .truncated = stack->truncated,
        };
        memcpy(&profile->frames[profile->frames_count], stack->frames, stack->count * sizeof *stack->frames);
        profile->frames_count += stack->count;
        return added;
}

/* ---- what most samples say ---- */

/* The vote of Boyer and Moore: what has more than half of all votes wins, with one counter and no list. */
static bool vote_is_won(bool same, uint32_t *votes, uint32_t most)
{
        if (same || *votes == 0) {
                *votes += *votes < most;
                return true;
        }
        --*votes;
        return false;
}

static void vote_for_lines(struct profile *profile, const struct profile_stack *known, const struct stack *stack)
{
        for (unsigned i = 0; i < stack->count; i++) {
                struct frame *frame = &profile->frames[known->first_frame + i];
                uint32_t votes = frame->votes;
                if (frame->script == 0)
                        continue;
                if (vote_is_won(frame->line == stack->frames[i].line, &votes, UINT16_MAX))
                        frame->line = stack->frames[i].line;
                frame->votes = (uint16_t)votes;
        }
}

static void vote_for_word(struct profile_word *word, const char *text)
{
        size_t length = text != NULL ? strlen(text) : 0;
        if (length == 0)
                return;
        if (length >= sizeof word->text)
                length = sizeof word->text - 1;
        bool same = strncmp(word->text, text, length) == 0 && word->text[length] == '\0';
        if (!vote_is_won(same, &word->votes, UINT32_MAX))
                return;
        memcpy(word->text, text, length);
        word->text[length] = '\0';
}

static void add_context(struct profile *profile, const struct script_context *context)
{
        vote_for_word(&profile->called, context->called);
        vote_for_word(&profile->task, context->task);
        vote_for_word(&profile->coroutine, context->coroutine);
        if (context->lost == NULL)
                return;
        profile->script_losses++;
        profile->script_loss = context->lost;
}

/* ---- counting ---- */

static void count_call(struct profile *profile, int number)
{
        for (uint32_t i = 0; i < profile->calls_count; i++) {
                if (profile->calls[i].number == number) {
                        profile->calls[i].count++;
                        return;
                }
        }
        if (profile->calls_count == sizeof profile->calls / sizeof *profile->calls)
                return;
        profile->calls[profile->calls_count].number = number;
        profile->calls[profile->calls_count++].count = 1;
}

static void count_state(struct profile *profile, const struct sample *sample)
{
        bool in_call = sample->syscall_known && sample->syscall >= 0;
        if (sample->state == 'T' || sample->state == 't')
                profile->stopped++;
        else if (in_call || (sample->state == 'S' && !sample->syscall_known))
                profile->blocked++;
        else if (fault_is_waited_for(sample))
                profile->faulting++;
        else if (sample->state == 'D')
                profile->unclear++;
        else if (sample->state == 'R')
                profile->running++;
        if (in_call)
                count_call(profile, sample->syscall);
}

/* Between two samples that both found the thread stopped it was stopped, as far as anybody can tell. */
static void count_time(struct profile *profile, const struct sample *sample)
{
        bool stopped = sample->state == 'T' || sample->state == 't';
        if (profile->first_ns == 0) {
                profile->first_ns = sample->time_ns;
                profile->first_counted_ns = sample->counted_ns;
                profile->first_cpu_ns = sample->cpu_ns;
                profile->first_usage = sample->usage;
                profile->first_stopped = stopped;
        } else if (stopped && profile->last_stopped) {
                profile->stopped_ns += sample->time_ns - profile->last_ns;
        } else if (stopped != profile->last_stopped) {
                profile->doubtful_ns += sample->time_ns - profile->last_ns;
        }
        profile->last_stopped = stopped;
        profile->last_ns = sample->time_ns;
        profile->last_counted_ns = sample->counted_ns;
        profile->last_cpu_ns = sample->cpu_ns;
        if (sample->usage.known) /* a thread that is just ending has no files any more */
                profile->last_usage = sample->usage;
}

/* One callback after the other was run where a sample finds another one than the sample before. */
static void count_callback(struct profile *profile, struct profile_stack *known, const struct stack *stack,
                           unsigned callback)
{
        known->callback = (uint16_t)callback;
        if (callback == PROFILE_NO_CALLBACK)
                return;
        uint64_t at = place(&stack->frames[callback]);
        profile->callbacks += at != profile->last_callback;
        profile->last_callback = at;
}

void profile_add(struct profile *profile, const struct sample *sample, const struct stack *stack, unsigned callback,
                 const struct script_context *context)
{
        profile->samples++;
        count_time(profile, sample);
        count_state(profile, sample);
        if (sample->loss != CAPTURE_OK)
                profile->losses[sample->loss]++;
        if (context != NULL)
                add_context(profile, context);
        if (stack == NULL || stack->count == 0)
                return;
        struct profile_stack *known = find_or_add(profile, stack);
        if (known == NULL) {
                profile->stacks_dropped++;
                return;
        }
        if (known->count++ == 0)
                known->first_ns = sample->time_ns;
        known->last_ns = sample->time_ns;
        known->state = sample->state;
        count_callback(profile, known, stack, callback);
        vote_for_lines(profile, known, stack);
}

static bool is_same_link(const struct whom_link *a, const struct whom_link *b)
{
        bool same = a->frames_count == b->frames_count;
        for (unsigned i = 0; i < a->frames_count && same; i++)
                same = place(&a->frames[i]) == place(&b->frames[i]);
        return same;
}

static bool is_same_chain(const struct whom_chain *a, const struct whom_chain *b)
{
        bool same = whom_same_chain(a, b);
        for (uint32_t i = 0; i < a->count && same; i++)
                same = is_same_link(&a->links[i], &b->links[i]);
        return same;
}

/* How much it tells. Whoever has the lock may be known in some samples only: those count. A cycle is told at once,
 * however long its threads had waited for others before. */
static int worth_of(const struct whom_chain *chain)
{
        bool known = chain->count != 0 && chain->links[0].frames_count != 0;
        return chain->cycle ? 2 : known;
}

static void vote_for_chain(struct profile *profile, const struct whom_chain *chain)
{
        bool first = profile->waits == 1;
        bool given_up = !first && profile->chain.cycle && !chain->cycle;
        int worth = worth_of(chain), known = first ? 0 : worth_of(&profile->chain);
        if (worth < known && !given_up)
                return;
        if (first || given_up || worth > known)
                profile->chain_votes = 0;
        bool same = !first && is_same_chain(&profile->chain, chain);
        if (vote_is_won(same, &profile->chain_votes, UINT32_MAX) && !same)
                profile->chain = *chain;
}

/* A cycle is a deadlock where nothing has moved between two looks at it. */
void profile_see_cycle(struct profile *profile, const struct whom_chain *chain, uint64_t switches)
{
        bool again = chain->cycle && profile->cycle_switches != 0 && profile->cycle_switches == switches &&
                     whom_same_chain(&profile->chain, chain);
        profile->deadlock = profile->deadlock ? chain->cycle : again;
        profile->cycle_switches = chain->cycle ? switches : 0;
}

void profile_add_wait(struct profile *profile, const struct whom_chain *chain, uint64_t switches)
{
        profile->waits++;
        profile->locked += chain->first.kind == WHOM_LOCK;
        profile->locked_out += chain->first.kind == WHOM_GIL;
        vote_for_word(&profile->object, chain->first.object);
        profile_see_cycle(profile, chain, switches);
        vote_for_chain(profile, chain);
}

void profile_add_ended(struct profile *profile, const struct sample *sample)
{
        profile->samples++;
        profile->losses[CAPTURE_ENDED]++;
        if (profile->first_ns == 0 || sample->cpu_ns == 0)
                return;
        profile->last_ns = sample->time_ns;
        profile->last_counted_ns = sample->counted_ns;
        profile->last_cpu_ns = sample->cpu_ns;
        if (sample->usage.known)
                profile->last_usage = sample->usage;
}

int profile_main_stack(const struct profile *profile)
{
        int best = -1;
        for (uint32_t i = 0; i < profile->stacks_count; i++) {
                const struct profile_stack *stack = &profile->stacks[i];
                bool more = best < 0 || stack->count > profile->stacks[best].count;
                bool whole = !more && stack->count == profile->stacks[best].count && profile->stacks[best].truncated &&
                             !stack->truncated;
                if (more || whole)
                        best = (int)i;
        }
        return best;
}

int profile_main_call(const struct profile *profile, uint32_t *count)
{
        int number = -1;
        *count = 0;
        for (uint32_t i = 0; i < profile->calls_count; i++) {
                if (profile->calls[i].count > *count) {
                        *count = profile->calls[i].count;
                        number = profile->calls[i].number;
                }
        }
        return number;
}
