/* SPDX-License-Identifier: Apache-2.0
 *
 * example.c - one stall that stands for many
 *
 * Context: reader
 */
#include "render/example.h"

#include <stdlib.h>

#include "alloc.h"
#include "base/limits.h"
#include "read/parse.h"

void example_prolong(struct record_stall *stall, uint64_t duration_ns)
{
        if (duration_ns <= stall->duration_ns)
                return;
        stall->duration_ns = duration_ns;
        stall->cpu_ns = 0;
        stall->detail.cpu_known = false;
}

char *example_text(const struct record *record, struct symbolizer *symbolizer, struct source_lines *sources,
                   const struct record_style *style)
{
        struct symbolized symbolized;
        struct record_style with_source = *style;
        struct text text = { .bytes = alloc_zeroed(EXAMPLE_BYTES, 1), .capacity = EXAMPLE_BYTES };
        symbolize(symbolizer, record, &symbolized);
        sources->written_ns = record->time_ns;
        with_source.source_line = source_line;
        with_source.source_context = sources;
        record_write_text(&text, &symbolized.record, &with_source);
        if (text.cut)
                text.bytes[text.length - 1] = '\n';
        symbolized_free(&symbolized);
        return alloc_resize(text.bytes, text.length + 1, 1);
}

/* The record of a kept stall, to be given to parsed_free(). A stall that never ended lasted for all that is known
 * of it. */
static bool load(const struct analysed_stack *stack, struct parsed *parsed)
{
        char why[128];
        if (parse_record(parsed, stack->example.line, stack->example.length, why, sizeof(why)) != 0)
                return false;
        example_prolong(&parsed->record.stall, stack->example_ns);
        return true;
}

char *example_of_stack(const struct analysed_stack *stack, struct symbolizer *symbolizer, struct source_lines *sources,
                       const struct record_style *style)
{
        struct parsed parsed;
        if (!load(stack, &parsed))
                return NULL;
        char *text = example_text(&parsed.record, symbolizer, sources, style);
        parsed_free(&parsed);
        return text;
}

const char *example_hint(const struct analysed_stack *stack)
{
        struct parsed parsed;
        if (!load(stack, &parsed))
                return NULL;
        const char *hint = record_hint(&parsed.record.stall); /* a literal */
        parsed_free(&parsed);
        return hint;
}

char *example_json(const struct analysed_stack *stack, struct symbolizer *symbolizer)
{
        struct parsed parsed;
        struct symbolized symbolized;
        if (!load(stack, &parsed))
                return NULL;
        struct text text = { .bytes = alloc_zeroed(LIMIT_LINE_BYTES + 2, 1), .capacity = LIMIT_LINE_BYTES + 2 };
        symbolize(symbolizer, &parsed.record, &symbolized);
        int error = record_write_json(&text, &symbolized.record);
        symbolized_free(&symbolized);
        parsed_free(&parsed);
        if (error == 0)
                return text.bytes;
        free(text.bytes);
        return NULL;
}
