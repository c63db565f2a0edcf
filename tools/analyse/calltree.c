/* SPDX-License-Identifier: Apache-2.0
 *
 * calltree.c - time lost, by the calls in which it was lost
 *
 * Context: reader
 */
#include "analyse/calltree.h"

#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "kept_frame.h"
#include "record/frame.h"

/* What is known of the stacks of one signature. */
struct shape {
        uint64_t known_ns;   /* of stalls with stacks */
        uint64_t omitted_ns; /* of those without, to be divided in the same way */
        uint64_t left_ns;    /* while dividing */
        struct weight *weights;
        size_t weights_count;
        struct map nodes; /* -> index in `weights` + 1 */
};

struct weight {
        size_t node;
        uint64_t ns;
};

/* ---------------------------------------------------------------------------------------------- frames and nodes */

static const char *or_empty(const char *string)
{
        return string ? string : "";
}

/* `by_name`: all addresses of a function are one frame. */
static char *frame_key(const struct record_frame *frame, bool by_name)
{
        const char *place = frame->file ? frame->file : or_empty(frame->module);
        if (by_name && (frame->function || frame->file))
                return alloc_format("%d\n%s\n%s", (int)frame->lang, or_empty(frame->function), place);
        return alloc_format("%d\n%s\n%s\n%u\n%s\n%s\n%llx\n%d", (int)frame->lang, or_empty(frame->function),
                            or_empty(frame->file), frame->line, or_empty(frame->module), or_empty(frame->build_id),
                            (unsigned long long)frame->offset, frame->caller);
}

static void start(struct calltree *tree)
{
        if (tree->nodes)
                return;
        tree->frames = alloc_zeroed(1, sizeof(*tree->frames));
        tree->nodes = alloc_zeroed(1, sizeof(*tree->nodes));
        tree->frames_count = tree->nodes_count = 1;
}

static size_t find_frame(struct calltree *tree, const struct record_frame *frame, bool by_name)
{
        char *key = frame_key(frame, by_name);
        void **at = map_at_string(&tree->frame_indices, key);
        free(key);
        if (*at) {
                size_t index = (size_t)(uintptr_t)*at - 1;
                if (tree->frames[index].line != frame->line)
                        tree->frames[index].line = 0; /* of several */
                return index;
        }
        tree->frames = alloc_resize(tree->frames, tree->frames_count + 1, sizeof(*tree->frames));
        kept_frame_set(&tree->frames[tree->frames_count], frame);
        *at = (void *)(uintptr_t)(tree->frames_count + 1);
        return tree->frames_count++;
}

static size_t find_node(struct calltree *tree, size_t parent, size_t frame)
{
        const size_t key[] = { parent, frame };
        void **at = map_at(&tree->node_indices, (const char *)key, sizeof(key));
        if (*at)
                return (size_t)(uintptr_t)*at - 1;
        tree->nodes = alloc_resize(tree->nodes, tree->nodes_count + 1, sizeof(*tree->nodes));
        tree->nodes[tree->nodes_count] =
                (struct calltree_node){ .frame = frame, .parent = parent, .depth = tree->nodes[parent].depth + 1 };
        *at = (void *)(uintptr_t)(tree->nodes_count + 1);
        return tree->nodes_count++;
}

static size_t descend(struct calltree *tree, size_t node, const struct record_frame *frame, bool by_name)
{
        return find_node(tree, node, find_frame(tree, frame, by_name));
}

/* ------------------------------------------------------------------------------------------------------ gathering */

static struct shape *find_shape(struct calltree *tree, uint64_t signature)
{
        void **at = map_at(&tree->shapes, (const char *)&signature, sizeof(signature));
        if (!*at)
                *at = alloc_zeroed(1, sizeof(struct shape));
        return *at;
}

static void weigh(struct shape *shape, size_t node, uint64_t ns)
{
        void **at = map_at(&shape->nodes, (const char *)&node, sizeof(node));
        if (!*at) {
                shape->weights = alloc_resize(shape->weights, shape->weights_count + 1, sizeof(*shape->weights));
                shape->weights[shape->weights_count++] = (struct weight){ .node = node };
                *at = (void *)(uintptr_t)shape->weights_count;
        }
        shape->weights[(uintptr_t)*at - 1].ns += ns;
        shape->known_ns += ns;
}

static void lose(struct calltree *tree, size_t node, uint64_t ns, uint64_t samples)
{
        tree->nodes[node].own_ns += ns;
        tree->nodes[node].own_samples += samples;
}

/* `part` of `whole` of `ns`, without running over. */
static uint64_t share_of(uint64_t ns, uint64_t part, uint64_t whole)
{
        return (uint64_t)((unsigned __int128)ns * part / whole);
}

static void add_stacks(struct calltree *tree, const struct record_stall *stall, size_t program, uint64_t samples)
{
        uint64_t left_ns = stall->duration_ns;
        uint64_t left_samples = samples;
        struct shape *shape = stall->signature ? find_shape(tree, stall->signature) : NULL;
        for (size_t i = 0; i < stall->stacks_count; i++) {
                const struct record_stack *stack = &stall->stacks[i];
                if (stack->frames_count == 0 || stack->count == 0)
                        continue;
                size_t node = program;
                for (size_t j = stack->frames_count; j > 0; j--)
                        node = descend(tree, node, &stack->frames[j - 1], false);
                uint64_t ns = share_of(left_ns, stack->count, left_samples); /* the last takes what is left */
                left_ns -= ns;
                left_samples -= stack->count;
                lose(tree, node, ns, stack->count);
                if (shape)
                        weigh(shape, node, ns);
        }
}

static uint64_t samples_with_frames(const struct record_stall *stall)
{
        uint64_t samples = 0;
        for (size_t i = 0; i < stall->stacks_count; i++)
                if (stall->stacks[i].frames_count > 0)
                        samples += stall->stacks[i].count;
        return samples;
}

static size_t no_stack(struct calltree *tree, size_t program)
{
        const struct record_frame frame = { .function = "(no stack)" };
        return descend(tree, program, &frame, false);
}

void calltree_add(struct calltree *tree, const struct record *record)
{
        const struct record_stall *stall = &record->stall;
        const struct record_frame own = { .function = record->program ? record->program : "?" };
        start(tree);
        size_t program = descend(tree, 0, &own, false);
        uint64_t samples = samples_with_frames(stall);
        if (samples > 0)
                add_stacks(tree, stall, program, samples);
        else if (stall->stacks_omitted && stall->signature)
                find_shape(tree, stall->signature)->omitted_ns += stall->duration_ns;
        else
                lose(tree, no_stack(tree, program), stall->duration_ns, 0);
}

void calltree_add_named(struct calltree *tree, const struct record *record, struct symbolizer *symbolizer)
{
        struct symbolized named;
        if (!symbolize_jit(symbolizer, record, &named)) {
                calltree_add(tree, record);
                return;
        }
        calltree_add(tree, &named.record);
        symbolized_free(&named);
}

static void divide(struct calltree *tree, struct shape *shape)
{
        uint64_t left_known_ns = shape->known_ns;
        uint64_t left_ns = shape->omitted_ns;
        for (size_t i = 0; i < shape->weights_count && left_known_ns > 0; i++) {
                uint64_t ns = share_of(left_ns, shape->weights[i].ns, left_known_ns);
                left_ns -= ns;
                left_known_ns -= shape->weights[i].ns;
                lose(tree, shape->weights[i].node, ns, 0);
        }
        if (left_ns > 0) /* the record with their stacks is not among those read */
                lose(tree, no_stack(tree, 0), left_ns, 0);
}

static void sum(struct calltree *tree)
{
        for (size_t i = 0; i < tree->nodes_count; i++)
                tree->nodes[i].total_ns = tree->nodes[i].own_ns;
        for (size_t i = tree->nodes_count; i > 1; i--)
                tree->nodes[tree->nodes[i - 1].parent].total_ns += tree->nodes[i - 1].total_ns;
}

void calltree_finish(struct calltree *tree)
{
        start(tree);
        for (size_t i = 0; i < tree->shapes.count; i++)
                divide(tree, tree->shapes.entries[i].value);
        sum(tree);
}

/* --------------------------------------------------------------------------------------------------------- naming */

/* The outermost frames are names of programs already. */
static size_t add_named(struct calltree *out, size_t parent, const struct record_frame *frame,
                        struct symbolizer *symbolizer)
{
        if (parent == 0)
                return descend(out, parent, frame, true);
        size_t count;
        struct record_frame *frames = symbolize_frame(symbolizer, frame, &count);
        for (size_t i = count; i > 0; i--)
                parent = descend(out, parent, &frames[i - 1], true);
        free(frames);
        return parent;
}

void calltree_named(const struct calltree *tree, struct symbolizer *symbolizer, struct calltree *out)
{
        size_t *named = alloc_zeroed(tree->nodes_count, sizeof(*named));
        start(out);
        for (size_t i = 1; i < tree->nodes_count; i++) {
                const struct calltree_node *node = &tree->nodes[i];
                named[i] = add_named(out, named[node->parent], &tree->frames[node->frame], symbolizer);
                lose(out, named[i], node->own_ns, node->own_samples);
        }
        sum(out);
        free(named);
}

char *calltree_name(const struct calltree *tree, const struct calltree_node *node)
{
        const struct record_frame *frame = &tree->frames[node->frame];
        if (frame->function)
                return alloc_string(frame->function);
        if (frame->file)
                return alloc_string(record_basename(frame->file));
        return alloc_format("%s+0x%llx", frame->module ? record_basename(frame->module) : "?",
                            (unsigned long long)frame->offset);
}

/* -------------------------------------------------------------------------------------------------------- freeing */

static void free_shape(void *pointer)
{
        struct shape *shape = pointer;
        map_free(&shape->nodes, NULL);
        free(shape->weights);
        free(shape);
}

void calltree_free(struct calltree *tree)
{
        for (size_t i = 0; i < tree->frames_count; i++)
                kept_frame_release(&tree->frames[i]);
        free(tree->frames);
        free(tree->nodes);
        map_free(&tree->frame_indices, NULL);
        map_free(&tree->node_indices, NULL);
        map_free(&tree->shapes, free_shape);
        *tree = (struct calltree){ 0 };
}
