/* SPDX-License-Identifier: Apache-2.0
 *
 * json.c - export: a list of stalls as in docs/records.md, each once, with symbolized frames
 *
 * Context: reader
 */
#include <stdlib.h>

#include "alloc.h"
#include "base/limits.h"
#include "export/export.h"

/* Inlined frames make a record longer than what an agent may write; nobody reads this by a limit. */
#define LINE_BYTES ((size_t)LIMIT_LINE_BYTES + 2)

static void begin(struct export *export)
{
        export->state = alloc_zeroed(LINE_BYTES, 1);
        fputs("[", export->out);
}

static void add_stall(struct export *export, const struct record *record, const struct counted *counted)
{
        struct text text = { .bytes = export->state, .capacity = LINE_BYTES };
        if (record_write_json(&text, record) < 0)
                return; /* it was read from a line of that length, so this can only be a hostile one */
        fprintf(export->out, "%s\n%.*s", export->stalls ? "," : "", (int)text.length - 1, text.bytes);
}

static void end(struct export *export)
{
        fputs("\n]\n", export->out);
        free(export->state);
}

const struct export_format export_json = {
        .name = "json",
        .help = "a list of stalls as in docs/records.md, each once",
        .begin = begin,
        .stall = add_stall,
        .end = end,
};
