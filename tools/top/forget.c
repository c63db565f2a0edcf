/* SPDX-License-Identifier: Apache-2.0
 *
 * forget.c - what `top` lets go of
 *
 * A screen may be open for months, over processes that come and go.
 *
 * Context: reader
 */
#include "top/forget.h"

#include <stdlib.h>

#include "alloc.h"
#include "kept_frame.h"

/* -------------------------------------------------------------------------------------------------------- freeing */

void top_open_release(struct top_open *open)
{
        free(open->call);
        free(open->culprit);
        free(open->loop);
        free(open->line.line);
}

static void free_process(void *pointer)
{
        struct top_process *process = pointer;
        for (size_t i = 0; i < process->open_count; i++)
                top_open_release(&process->open[i]);
        free(process->open);
        idset_free(&process->ended);
        free(process->run);
        free(process->host);
        free(process->program);
        free(process);
}

static void free_loop(void *pointer)
{
        struct top_loop *loop = pointer;
        free(loop->buckets);
        free(loop->name);
        free(loop->thread);
        free(loop);
}

static void free_culprit(void *pointer)
{
        struct top_culprit *culprit = pointer;
        kept_frame_release(&culprit->frame);
        spread_free(&culprit->stalls);
        free(culprit->key);
        free(culprit->name);
        free(culprit->call);
        free(culprit->example.line);
        free(culprit);
}

void top_forget_all(struct top_model *model)
{
        map_free(&model->loops, free_loop);
        map_free(&model->processes, free_process);
        map_free(&model->culprits, free_culprit);
}

/* ----------------------------------------------------------------------------------------------------- forgetting */

static int by_number(const void *a, const void *b)
{
        uint64_t left = *(const uint64_t *)a;
        uint64_t right = *(const uint64_t *)b;
        return (left > right) - (left < right);
}

/* Of moments, `count` of them: the latest that is to be given up, so that at most `most` are later. 0: none is. */
static uint64_t give_up_before(uint64_t *moments, size_t count, size_t most)
{
        if (count <= most)
                return 0;
        qsort(moments, count, sizeof(*moments), by_number);
        return moments[count - most - 1];
}

static bool stays(void *context, void *value)
{
        return !*(const bool *)((const char *)value + *(const size_t *)context);
}

/* Let go of the entries whose flag at `offset` is set. */
static void sweep(struct map *map, size_t offset, void (*release)(void *))
{
        map_keep(map, stays, &offset, release);
}

static bool may_go(const struct top_process *process, bool ended)
{
        return !process->forgotten && (!ended || process->state != TOP_RUNS);
}

/* Mark those that were silent longest, so that `most` are left: of all, or of those that have ended. Returns how many
 * that are. */
static size_t mark_processes(struct top_model *model, bool ended, size_t most)
{
        uint64_t *moments = alloc_zeroed(model->processes.count, sizeof(*moments));
        size_t marked = 0;
        size_t count = 0;
        for (size_t i = 0; i < model->processes.count; i++) {
                const struct top_process *process = model->processes.entries[i].value;
                if (may_go(process, ended))
                        moments[count++] = process->last_ns;
        }
        uint64_t before_ns = give_up_before(moments, count, most);
        for (size_t i = 0; i < model->processes.count && before_ns > 0; i++) {
                struct top_process *process = model->processes.entries[i].value;
                if (!may_go(process, ended) || process->last_ns > before_ns)
                        continue;
                process->forgotten = true;
                model->forgotten.processes += process->state == TOP_RUNS;
                marked++;
        }
        free(moments);
        return marked;
}

static void forget_processes(struct top_model *model)
{
        size_t ended = mark_processes(model, true, TOP_ENDED);
        size_t others = mark_processes(model, false, TOP_PROCESSES);
        if (ended + others == 0)
                return;
        for (size_t i = 0; i < model->loops.count; i++) {
                struct top_loop *loop = model->loops.entries[i].value;
                loop->forgotten = loop->process->forgotten;
        }
        sweep(&model->loops, offsetof(struct top_loop, forgotten), free_loop);
        sweep(&model->processes, offsetof(struct top_process, forgotten), free_process);
}

static void forget_loops(struct top_model *model)
{
        size_t count = model->loops.count;
        if (count <= TOP_LOOPS)
                return;
        uint64_t *moments = alloc_zeroed(count, sizeof(*moments));
        for (size_t i = 0; i < count; i++)
                moments[i] = ((const struct top_loop *)model->loops.entries[i].value)->told_ns;
        uint64_t before_ns = give_up_before(moments, count, TOP_LOOPS);
        for (size_t i = 0; i < count; i++) {
                struct top_loop *loop = model->loops.entries[i].value;
                loop->forgotten = loop->told_ns <= before_ns;
        }
        sweep(&model->loops, offsetof(struct top_loop, forgotten), free_loop);
        model->forgotten.loops += count - model->loops.count;
        free(moments);
}

static void forget_culprits(struct top_model *model)
{
        size_t count = model->culprits.count;
        if (count <= TOP_CULPRITS)
                return;
        uint64_t *lost = alloc_zeroed(count, sizeof(*lost));
        for (size_t i = 0; i < count; i++)
                lost[i] = ((const struct top_culprit *)model->culprits.entries[i].value)->stalls.total_ns;
        uint64_t before_ns = give_up_before(lost, count, TOP_CULPRITS * 3 / 4); /* not one at each tick */
        for (size_t i = 0; i < count; i++) {
                struct top_culprit *culprit = model->culprits.entries[i].value;
                culprit->forgotten = culprit->stalls.total_ns <= before_ns;
        }
        sweep(&model->culprits, offsetof(struct top_culprit, forgotten), free_culprit);
        model->forgotten.culprits += count - model->culprits.count;
        free(lost);
}

void top_forget(struct top_model *model)
{
        forget_processes(model);
        forget_loops(model);
        forget_culprits(model);
}
