/* SPDX-License-Identifier: Apache-2.0
 *
 * export.h - stalls in the formats of other programs
 *
 * A format is a row in formats.c and one file. Those that list stalls get each as soon as it is known to have ended, so
 * nothing is kept of it; those that show where the time was lost get the tree of calls at the end.
 *
 * Context: reader
 */
#ifndef LOOPDOG_EXPORT_EXPORT_H
#define LOOPDOG_EXPORT_EXPORT_H

#include <stdio.h>

#include "analyse/calltree.h"
#include "analyse/group.h"

struct export
{
        FILE *out;
        struct symbolizer *symbolizer;
        const struct analysis *analysis; /* at the end: finished */
        const struct calltree *tree;     /* at the end: named; for formats that want it */
        uint64_t stalls;                 /* passed to the format so far */
        void *state;                     /* the format's own; its end() frees it */
};

struct export_format {
        const char *name;
        const char *help; /* what reads it */
        bool binary;
        bool wants_tree;
        void (*begin)(struct export *export);
        /* Of a stall, with symbolized frames; NULL: not wanted. Start-up and suspended ones come, too. */
        void (*stall)(struct export *export, const struct record *record, const struct counted *counted);
        void (*end)(struct export *export);
};

/* Ended by NULL. */
extern const struct export_format *const export_formats[];

extern const struct export_format export_json, export_csv, export_folded, export_speedscope, export_pprof,
        export_chrome, export_html;

/* "b1946ac92492d234-7", to be freed. */
char *export_id(const struct record *record);

/* The culprit's name for people, to be freed; "(no stack)" where there is none. */
char *export_culprit(const struct record_frame *culprit);

/* Whether a node of the tree stands for lost time itself. */
static inline bool export_is_leaf(const struct calltree_node *node)
{
        return node->own_ns > 0;
}

/* The nodes from the program to `node`, to be freed. */
size_t *export_path(const struct calltree *tree, size_t node, size_t *count);

#endif
