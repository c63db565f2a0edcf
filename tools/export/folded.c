/* SPDX-License-Identifier: Apache-2.0
 *
 * folded.c - export: "program;main;block 500", a line a stack with the microseconds lost in it, for flamegraph.pl
 *
 * Context: reader
 */
#include <stdlib.h>

#include "export/export.h"

/* Semicolons part frames, newlines stacks, and the last blank the number. */
static void put_name(FILE *out, const struct calltree *tree, size_t node)
{
        char *name = calltree_name(tree, &tree->nodes[node]);
        for (const char *at = name; *at; at++)
                fputc(*at == ';' ? ':' : (unsigned char)*at < ' ' ? ' ' : *at, out);
        free(name);
}

/* What rounding would lose of each stack is carried to the next: the sum is the whole. */
static void end(struct export *export)
{
        const struct calltree *tree = export->tree;
        uint64_t carried_ns = 0;
        for (size_t i = 1; i < tree->nodes_count; i++) {
                size_t count;
                if (!export_is_leaf(&tree->nodes[i]))
                        continue;
                uint64_t ns = tree->nodes[i].own_ns + carried_ns;
                carried_ns = ns % 1000;
                size_t *path = export_path(tree, i, &count);
                for (size_t j = 0; j < count; j++) {
                        fputs(j ? ";" : "", export->out);
                        put_name(export->out, tree, path[j]);
                }
                fprintf(export->out, " %llu\n", (unsigned long long)(ns / 1000));
                free(path);
        }
}

static void begin(struct export *export)
{
}

const struct export_format export_folded = {
        .name = "folded",
        .help = "stacks with microseconds, for flamegraph.pl and inferno",
        .wants_tree = true,
        .begin = begin,
        .end = end,
};
