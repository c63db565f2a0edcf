/* SPDX-License-Identifier: Apache-2.0
 *
 * calltree.h - time lost, by the calls in which it was lost
 *
 * Each stall's time is divided among its stacks as its samples were. Stacks that begin alike share their beginning, so
 * the tree grows with the distinct stacks and not with the stalls. It is gathered by address; calltree_named() makes
 * the one that people see, by function.
 *
 * Context: reader
 */
#ifndef LOOPDOG_ANALYSE_CALLTREE_H
#define LOOPDOG_ANALYSE_CALLTREE_H

#include "map.h"
#include "record/record.h"
#include "symbolize/symbolize.h"

struct calltree_node {
        size_t frame;    /* index in `frames` */
        size_t parent;   /* index in `nodes`; 0 for those that stand outermost, and for the root itself */
        uint64_t own_ns; /* lost with this frame innermost */
        uint64_t own_samples;
        uint64_t total_ns; /* with all that it called: after calltree_sum() */
        size_t depth;      /* 0: the root */
};

/* All zero: empty. */
struct calltree {
        struct record_frame *frames; /* strings are its own; the first is the root's and empty */
        size_t frames_count;
        struct calltree_node *nodes; /* a parent stands before its children; the first is the root */
        size_t nodes_count;
        struct map frame_indices; /* what a frame is told by -> index + 1 */
        struct map node_indices;  /* parent and frame -> index + 1 */
        struct map shapes;        /* of the gathering tree: signature -> struct shape, for repeats without stacks */
};

/* Add a stall of `program`: its outermost frame, so that programs stand apart. `duration_ns` may be longer than the
 * record's. */
void calltree_add(struct calltree *tree, const struct record *record);

/* The same, with the names of code made at run time, whose addresses mean something in their own process only. */
void calltree_add_named(struct calltree *tree, const struct record *record, struct symbolizer *symbolizer);

/* All has been added: repeats without stacks are divided as the stalls of the same signature were. Once. */
void calltree_finish(struct calltree *tree);

/* `out`, empty: the same with the names of functions, and a node for each inlined one; different addresses within a
 * function are one. */
void calltree_named(const struct calltree *tree, struct symbolizer *symbolizer, struct calltree *out);

void calltree_free(struct calltree *tree);

/* The name of a node's function, or what is known instead, to be freed. */
char *calltree_name(const struct calltree *tree, const struct calltree_node *node);

#endif
