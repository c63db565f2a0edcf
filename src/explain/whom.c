/* SPDX-License-Identifier: Apache-2.0
 *
 * whom.c - whom does a sleeping thread wait for, and whom does that one?
 *
 * A chain is a series of moments, one after the other: while it is followed any of its locks may change hands. So a
 * single cycle proves no deadlock; profile.c wants it twice, with a stalled thread that has not run in between.
 *
 * Context: watchdog
 * Limits:  LIMIT_CHAIN threads, LIMIT_OTHER_FRAMES frames of each
 */
#include "explain/whom.h"

#include <string.h>

#include "base/proc.h"
#include "base/text.h"
#include "base/thread.h"
#include "explain/futex.h"

struct whom whom_find(const struct sample *sample, uint64_t address, const struct stack *stack)
{
        struct whom whom = { .kind = WHOM_NOBODY };
        if (script_waits_for_lock(address, &whom.tid, &whom.pthread)) {
                whom.kind = WHOM_GIL;
                whom.object = "GIL";
                return whom;
        }
        struct futex_wait wait = futex_find(sample, stack);
        whom.object = wait.object;
        whom.tid = wait.owner;
        whom.kind = wait.kind == FUTEX_LOCK ? WHOM_LOCK : wait.kind == FUTEX_END ? WHOM_END : WHOM_NOBODY;
        whom.pthread = whom.tid != 0 ? thread_pointer_of(whom.tid) : 0;
        return whom;
}

static bool is_in_chain(const struct whom_chain *chain, int32_t stalled, int32_t tid)
{
        bool found = tid == stalled;
        for (uint32_t i = 0; i < chain->count && !found; i++)
                found = chain->links[i].tid == tid;
        return found;
}

static void read_name(struct whom_link *link)
{
        char bytes[48];
        struct text path = TEXT_IN(bytes);
        text_format(&path, "self/task/%d/comm", link->tid);
        if (proc_read_line(bytes, link->thread, sizeof link->thread) < 0)
                link->thread[0] = '\0';
}

static void fill_link(struct whom_link *link, const struct whom *held, const struct whom_look *seen)
{
        *link = (struct whom_link){ .holds = held->kind, .tid = held->tid, .call = -1 };
        read_name(link);
        link->state = seen->sample->state;
        if (seen->sample->syscall_known)
                link->call = seen->sample->syscall;
        if (seen->stack == NULL)
                return;
        unsigned count = seen->stack->count < LIMIT_OTHER_FRAMES ? seen->stack->count : LIMIT_OTHER_FRAMES;
        link->frames_count = (uint16_t)count;
        memcpy(link->frames, seen->stack->frames, count * sizeof *link->frames);
}

void whom_follow(struct whom_chain *chain, int32_t tid, whom_looker *look, void *context)
{
        struct whom next = chain->first;
        chain->count = 0;
        chain->cycle = false;
        while (next.tid > 0 && chain->count < LIMIT_CHAIN) {
                if (is_in_chain(chain, tid, next.tid)) {
                        chain->cycle = true;
                        return;
                }
                struct whom_look seen = look(next.tid, next.pthread, context);
                struct whom_link *link = &chain->links[chain->count++];
                fill_link(link, &next, &seen);
                next = (struct whom){ .kind = WHOM_NOBODY };
                if (seen.in_call)
                        next = whom_find(seen.sample, seen.address, seen.stack);
                link->object = next.object;
                link->waits_for = next.tid;
        }
        chain->cycle = next.tid > 0 && is_in_chain(chain, tid, next.tid);
}

bool whom_same_chain(const struct whom_chain *a, const struct whom_chain *b)
{
        bool same = a->count == b->count && a->first.kind == b->first.kind && a->first.tid == b->first.tid &&
                    a->cycle == b->cycle;
        for (uint32_t i = 0; i < a->count && same; i++)
                same = a->links[i].tid == b->links[i].tid && a->links[i].holds == b->links[i].holds;
        return same;
}
