/* SPDX-License-Identifier: Apache-2.0
 *
 * show_text.c - one stall whole, for people
 *
 * A stall's record says of each of its stacks when it was first and last seen, which is drawn as a bar on the time that
 * the stall took.
 *
 * Context: reader
 */
#include "render/show_text.h"

#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "record/frame.h"
#include "record/parts.h"
#include "render/example.h"
#include "render/words.h"

#define BAR_LEAST 20
#define BAR_MOST 100
#define ROW_COLUMNS 46 /* of a row besides its bar */
#define LINE_BYTES 1024

/* ----------------------------------------------------------------------------------------------- when and where */

/* "20:15:03.120456" */
static char *time_of_day(uint64_t realtime_ns)
{
        char array[40];
        struct text text = TEXT_IN(array);
        text_time(&text, realtime_ns);
        array[26] = '\0'; /* the Z */
        return alloc_string(text.length > 26 ? array + 11 : array);
}

static void write_field(FILE *out, const char *name, char *value)
{
        char *safe = words_printable(value);
        fprintf(out, "    %-10s %s\n", name, safe);
        free(safe);
        free(value);
}

static void write_when(const struct record *record, FILE *out)
{
        const struct record_stall *stall = &record->stall;
        char *date = words_date(stall->begin_ns);
        char *begin = time_of_day(stall->begin_ns);
        char *end = time_of_day(stall->begin_ns + stall->duration_ns);
        char *duration = words_duration(stall->duration_ns);
        char *threshold = words_duration(stall->threshold_ns);
        bool open = record->type == RECORD_STALL_BEGIN;
        write_field(out, "when", alloc_format("%.10s %s to %s UTC%s", date, begin, end, open ? ", and not ended" : ""));
        write_field(out, "length",
                    alloc_format("%s%s, with a threshold of %s", open ? "at least " : "", duration, threshold));
        free(date);
        free(begin);
        free(end);
        free(duration);
        free(threshold);
}

/* What `loopdog show` takes; to be freed. Whoever wrote the record may have written anything for a run. */
static char *name_of(const char *run, uint64_t id)
{
        char *safe = words_printable(run);
        char *name = alloc_format("%s-%llu", safe, (unsigned long long)id);
        free(safe);
        return name;
}

static void write_where(const struct show *show, FILE *out)
{
        const struct record *record = show->record;
        const struct record_stall *stall = &record->stall;
        const struct analysed_process *process = show->process;
        char *name = name_of(process->run, stall->id);
        fprintf(out, "stall %s\n", name);
        free(name);
        write_when(record, out);
        write_field(out, "process",
                    alloc_format("%s %d%s%s%s%s", process->program, process->pid, process->host[0] ? " on " : "",
                                 process->host, process->executable ? ", " : "",
                                 process->executable ? process->executable : ""));
        write_field(out, "loop",
                    alloc_format("%s in thread %s %d", stall->loop ? stall->loop : "?",
                                 stall->thread ? stall->thread : "", stall->tid));
        if (stall->signature)
                write_field(out, "signature",
                            alloc_format("%016llx%s", (unsigned long long)stall->signature,
                                         stall->repeats ? ", seen before" : ", the first of it"));
}

/* ------------------------------------------------------------------------------------------------------- timeline */

static size_t bar_columns(const struct record_style *style)
{
        size_t room = style->columns > ROW_COLUMNS ? style->columns - ROW_COLUMNS : BAR_LEAST;
        if (style->columns == 0)
                room = 60;
        return room < BAR_LEAST ? BAR_LEAST : room > BAR_MOST ? BAR_MOST : room;
}

/* The column of a moment. */
static size_t column_of(uint64_t ns, uint64_t duration_ns, size_t columns)
{
        if (duration_ns == 0)
                return 0;
        size_t column = (size_t)((unsigned __int128)ns * columns / duration_ns);
        return column < columns ? column : columns - 1;
}

static void put_bar(struct text *line, const struct record_stack *stack, uint64_t duration_ns, size_t columns)
{
        size_t from = column_of(stack->first_ns, duration_ns, columns);
        size_t to = column_of(stack->last_ns, duration_ns, columns);
        for (size_t i = 0; i < columns; i++)
                text_char(line, i < from || i > to ? '.' : stack->count == 1 ? '#' : i == from || i == to ? '#' : '=');
}

/* "A  38  R" */
static void put_label(struct text *line, size_t index, const struct record_stack *stack)
{
        char bytes[64];
        snprintf(bytes, sizeof(bytes), "    %c%c%5u  %c  ", index < 26 ? (char)('A' + index) : '+',
                 index < 26 ? ' ' : (char)('A' + index % 26), stack->count, stack->state ? stack->state : '?');
        text_string(line, bytes);
}

static void write_bar(const struct record_stall *stall, size_t index, FILE *out, const struct record_style *style)
{
        char bytes[LINE_BYTES];
        char coloured[2 * LINE_BYTES];
        struct text line = TEXT_IN(bytes);
        struct text text = TEXT_IN(coloured);
        const struct record_stack *stack = &stall->stacks[index];
        put_label(&line, index, stack);
        put_bar(&line, stack, stall->duration_ns, bar_columns(style));
        char *first = words_duration(stack->first_ns);
        char *last = words_duration(stack->last_ns);
        text_format(&line, "  %s to %s", first, last);
        if (stack->frames_count > 0 && stack->frames[0].function) {
                text_string(&line, "  ");
                part_start(&line, stack->frames[0].function, 60);
        } else if (stack->missing) {
                text_string(&line, "  ");
                part_start(&line, stack->missing, 100);
        }
        free(first);
        free(last);
        part_line(&text, style, (int)index == record_main_stack(stall) ? RED : DIM, &line);
        fputs(coloured, out);
}

static void write_timeline(const struct record_stall *stall, FILE *out, const struct record_style *style)
{
        if (stall->stacks_count == 0)
                return;
        char *column = words_duration(stall->duration_ns / bar_columns(style));
        fprintf(out, "\n%u sample%s, by stack: from the first to the last that found it; a column is %s\n",
                stall->samples, words_plural(stall->samples), column);
        free(column);
        fprintf(out, "    stack count state\n");
        for (size_t i = 0; i < stall->stacks_count; i++)
                write_bar(stall, i, out, style);
}

/* --------------------------------------------------------------------------------------------------------- stacks */

static void write_text(FILE *out, struct text *text)
{
        fwrite(text->bytes, 1, text->length, out);
        if (text->cut)
                fputc('\n', out);
        text_clear(text);
}

/* All but the one that stands with the stall. */
static void write_other_stacks(const struct record_stall *stall, FILE *out, struct text *text,
                               const struct record_style *style)
{
        int main_stack = record_main_stack(stall);
        for (size_t i = 0; i < stall->stacks_count; i++) {
                const struct record_stack *stack = &stall->stacks[i];
                if ((int)i == main_stack)
                        continue;
                fprintf(out, "\nstack %c, %u of %u samples", (char)('A' + i % 26), stack->count, stall->samples);
                if (stack->frames_count == 0) {
                        char *missing = words_printable(stack->missing ? stack->missing : "no frames");
                        fprintf(out, ": %s\n", missing);
                        free(missing);
                        continue;
                }
                fputs(":\n", out);
                record_write_stack(text, stall, stack, style);
                write_text(out, text);
        }
        if (stall->stacks_dropped > 0)
                fprintf(out, "\n%u more stacks did not fit into the record\n", stall->stacks_dropped);
}

static void write_losses(const struct record_stall *stall, FILE *out)
{
        for (size_t i = 0; i < stall->losses_count; i++) {
                char *reason = words_printable(stall->losses[i].reason);
                fprintf(out, "%s    %u sample%s without a stack: %s\n", i ? "" : "\n", stall->losses[i].count,
                        words_plural(stall->losses[i].count), reason);
                free(reason);
        }
}

static void write_repeat(const struct record *stacks_of, FILE *out)
{
        char *name = name_of(stacks_of->run, stacks_of->stall.id);
        fprintf(out,
                "\nThis is a repeat, recorded without its stacks. Those below are of stall %s, which has the same "
                "signature.\n",
                name);
        free(name);
}

void show_text(const struct show *show, FILE *out, const struct record_style *style)
{
        struct symbolized symbolized;
        struct source_lines sources = { .written_ns = show->record->time_ns };
        struct record_style whole = *style;
        struct text text = { .bytes = alloc_zeroed(EXAMPLE_BYTES, 1), .capacity = EXAMPLE_BYTES };
        struct record record = *show->record;
        if (show->stacks_of) {
                record.stall.stacks = show->stacks_of->stall.stacks;
                record.stall.stacks_count = show->stacks_of->stall.stacks_count;
        }
        symbolize(show->symbolizer, &record, &symbolized);
        whole.source_line = source_line;
        whole.source_context = &sources;
        write_where(show, out);
        if (show->stacks_of)
                write_repeat(show->stacks_of, out);
        else
                write_timeline(&symbolized.record.stall, out, style);
        fputc('\n', out);
        record_write_text(&text, &symbolized.record, &whole);
        write_text(out, &text);
        write_other_stacks(&symbolized.record.stall, out, &text, &whole);
        write_losses(&symbolized.record.stall, out);
        symbolized_free(&symbolized);
        source_lines_free(&sources);
        free(text.bytes);
}
