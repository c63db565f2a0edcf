/* SPDX-License-Identifier: Apache-2.0
 *
 * detail.c - the stall that was opened, as `loopdog show` tells it
 *
 * Context: reader
 */
#include "top/detail.h"

#include <stdlib.h>

#include "read/parse.h"
#include "render/example.h"
#include "render/show_text.h"

static void prolong(const struct top_watched *watched, struct record_stall *stall, uint64_t now_ns)
{
        if (!watched->open)
                return;
        uint64_t age_ns = now_ns > stall->begin_ns ? now_ns - stall->begin_ns : 0;
        if (watched->at_most_ns > 0 && age_ns > watched->at_most_ns)
                age_ns = watched->at_most_ns;
        example_prolong(stall, age_ns);
}

char *detail_text(const struct top_model *model, uint64_t now_ns, unsigned columns, bool colour)
{
        const struct top_watched *watched = &model->watched;
        struct parsed parsed;
        char why[128];
        char *text;
        size_t length;
        if (!watched->run || parse_record(&parsed, watched->line.line, watched->line.length, why, sizeof(why)) != 0)
                return NULL;
        struct record *record = &parsed.record;
        prolong(watched, &record->stall, now_ns);
        const struct analysed_process process = {
                .run = watched->run,
                .host = (char *)(record->host ? record->host : ""),
                .program = (char *)(record->program ? record->program : "?"),
                .pid = record->pid,
        };
        const struct show show = { .record = record, .process = &process, .symbolizer = model->filter.symbolizer };
        const struct record_style style = { .colour = colour, .columns = columns, .all_frames = true };
        FILE *out = open_memstream(&text, &length);
        if (out) {
                show_text(&show, out, &style);
                fclose(out);
        }
        parsed_free(&parsed);
        return out ? text : NULL;
}
