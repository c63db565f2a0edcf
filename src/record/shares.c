/* SPDX-License-Identifier: Apache-2.0
 *
 * shares.c - the parts of a stall, by the functions in which its samples differ
 *
 * Ten calls of 10 ms each have ten stacks. All of them begin with what the loop has called; where they part, each
 * names its share: the callbacks themselves where the loop has run several, or what the only one has called. Frames
 * within the culprit do not count: what the user's function asks of a library is its own doing.
 *
 * Context: watchdog
 */
#include "record/shares.h"

#include <string.h>

#include "base/limits.h"
#include "record/frame.h"

/* From the callback inwards to the culprit: indices of one stack, outer >= inner. */
struct path {
        const struct record_stack *stack;
        int outer, inner;
};

static bool is_same_function(const struct record_frame *a, const struct record_frame *b)
{
        if (a->lang != b->lang || !record_same_string(a->module, b->module) || !record_same_string(a->file, b->file))
                return false;
        return a->function || b->function ? record_same_string(a->function, b->function) : a->offset == b->offset;
}

static const struct record_frame *frame_at(const struct path *path, int depth)
{
        int index = path->outer - depth;
        return &path->stack->frames[index < path->inner ? path->inner : index];
}

static size_t find_paths(const struct record_stack *stacks, const int *callbacks, size_t count,
                         const char *own_prefixes, struct path *paths)
{
        size_t found = 0;
        for (size_t i = 0; i < count; i++) {
                int culprit = record_find_culprit(stacks[i].frames, stacks[i].frames_count, own_prefixes);
                if (culprit < 0)
                        continue;
                int outer = callbacks[i] >= 0 && (size_t)callbacks[i] < stacks[i].frames_count ? callbacks[i] : culprit;
                paths[found++] = (struct path){ &stacks[i], outer, culprit < outer ? culprit : outer };
        }
        return found;
}

/* How many frames, from the callback on, all paths have in common. */
static int common_depth(const struct path *paths, size_t count)
{
        int depth = 0;
        for (;; depth++) {
                for (size_t i = 0; i < count; i++)
                        if (paths[i].outer - depth < paths[i].inner ||
                            !is_same_function(frame_at(&paths[i], depth), frame_at(&paths[0], depth)))
                                return depth;
        }
}

static void add(struct record_share *shares, size_t *count, const struct record_frame *frame, uint32_t samples)
{
        for (size_t i = 0; i < *count; i++) {
                if (is_same_function(&shares[i].frame, frame)) {
                        shares[i].samples += samples;
                        return;
                }
        }
        shares[(*count)++] = (struct record_share){ .samples = samples, .frame = *frame };
}

static void sort(struct record_share *shares, size_t count)
{
        for (size_t i = 1; i < count; i++) {
                struct record_share share = shares[i];
                size_t at = i;
                for (; at > 0 && shares[at - 1].samples < share.samples; at--)
                        shares[at] = shares[at - 1];
                shares[at] = share;
        }
}

size_t shares_find(const struct record_stack *stacks, const int *callbacks, size_t count, const char *own_prefixes,
                   struct record_share shares[SHARES])
{
        static struct path paths[LIMIT_STACKS];
        static struct record_share all[LIMIT_STACKS];
        size_t found = 0;
        uint64_t samples = 0;
        count = find_paths(stacks, callbacks, count < LIMIT_STACKS ? count : LIMIT_STACKS, own_prefixes, paths);
        if (count == 0)
                return 0;
        int depth = common_depth(paths, count);
        for (size_t i = 0; i < count; i++) {
                add(all, &found, frame_at(&paths[i], depth), paths[i].stack->count);
                samples += paths[i].stack->count;
        }
        sort(all, found);
        if (found > SHARES)
                found = SHARES;
        for (size_t i = 0; i < found; i++) {
                shares[i] = all[i];
                shares[i].percent = samples ? (uint32_t)((all[i].samples * 100ull + samples / 2) / samples) : 0;
        }
        return found;
}
