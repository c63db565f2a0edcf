/* SPDX-License-Identifier: Apache-2.0
 *
 * formats.c - the table of formats, and what they share
 *
 * Context: reader
 */
#include <stdlib.h>

#include "alloc.h"
#include "export/export.h"
#include "render/words.h"

const struct export_format *const export_formats[] = {
        &export_json,  &export_csv,    &export_folded, &export_speedscope,
        &export_pprof, &export_chrome, &export_html,   NULL,
};

char *export_id(const struct record *record)
{
        return alloc_format("%s-%llu", record->run, (unsigned long long)record->stall.id);
}

char *export_culprit(const struct record_frame *culprit)
{
        return culprit ? words_frame(culprit) : alloc_string("(no stack)");
}

size_t *export_path(const struct calltree *tree, size_t node, size_t *count)
{
        size_t *path = alloc_zeroed(tree->nodes[node].depth, sizeof(*path));
        *count = tree->nodes[node].depth;
        for (size_t i = *count; i > 0; i--, node = tree->nodes[node].parent)
                path[i - 1] = node;
        return path;
}
