/* SPDX-License-Identifier: Apache-2.0
 *
 * text.c - a stall as people read it
 *
 * One head line that can be found with grep and says the essential alone: how long, whose line, why, where. Below it
 * the frames, the user's own kept and runs of somebody else's folded to their ends and the packages between them, then
 * what the verdict rests on and what to do. Every string comes from the watched program and is made safe for a
 * terminal.
 *
 * Context: watchdog, reader
 * Limits:  the caller's text; LINE_BYTES for a frame's line
 */
#include <string.h>

#include "record/frame.h"
#include "record/record.h"

#define LINE_BYTES 1024
#define PART_BYTES 512 /* a location, a function or a line of source */

#define INDENT "    "
#define COLUMNS_LEAST 20    /* a narrower terminal is taken for none */
#define LOCATION_COLUMNS 28 /* behind the indentation; the function follows */
#define FUNCTION_COLUMNS 19 /* and then the source */
#define HEAD_FUNCTION_COLUMNS 100

#define FOREIGN_RUN 4 /* frames of somebody else's code in a row from which on they are folded */
#define OWN_RUN 24    /* the same for the user's own: deep recursion */
#define OWN_FIRST 16
#define OWN_LAST 4
#define LATE_NS 5000000 /* less is the usual precision of a timer */
#define PACKAGES_NAMED 4
#define PACKAGE_BYTES 64

#define RED "\x1b[1;31m"
#define BOLD "\x1b[1m"
#define DIM "\x1b[2m"
#define CYAN "\x1b[36m"
#define PLAIN "\x1b[0m"

/* ---- strings and columns ---- */

/* Columns of what text_printable() has made: one a character. */
static size_t columns_of(const struct text *text)
{
        size_t columns = 0;
        for (size_t i = 0; i < text->length; i++)
                columns += ((unsigned char)text->bytes[i] & 0xc0) != 0x80;
        return columns;
}

/* Bytes that the first `columns` columns take. */
static size_t bytes_of(const struct text *text, size_t columns)
{
        for (size_t i = 0; i < text->length; i++)
                if (((unsigned char)text->bytes[i] & 0xc0) != 0x80 && columns-- == 0)
                        return i;
        return text->length;
}

/* `string` in at most `columns`, its start kept. */
static void put_start(struct text *out, const char *string, size_t columns)
{
        char bytes[PART_BYTES];
        struct text part = TEXT_IN(bytes);
        text_printable(&part, string);
        bool cut = part.cut || columns_of(&part) > columns;
        text_bytes(out, bytes, cut ? bytes_of(&part, columns - 3) : part.length);
        text_string(out, cut ? "..." : "");
}

/* `string` in at most `columns`, its end kept: of a path that is the file. */
static void put_end(struct text *out, const char *string, size_t columns)
{
        char bytes[PART_BYTES];
        struct text part = TEXT_IN(bytes);
        text_printable(&part, string);
        bool cut = part.cut;
        if (cut) { /* its end in any case: a byte becomes at most six */
                string += strlen(string) - (PART_BYTES - 1) / 6;
                for (int i = 0; i < 3 && ((unsigned char)*string & 0xc0) == 0x80; i++)
                        string++;
                text_clear(&part);
                text_printable(&part, string);
        }
        size_t has = columns_of(&part), from = 0;
        cut |= has > columns;
        if (cut && has > columns - 3)
                from = bytes_of(&part, has - (columns - 3));
        text_string(out, cut ? "..." : "");
        text_bytes(out, part.bytes + from, part.length - from);
}

static void pad_to(struct text *line, size_t column)
{
        size_t at = columns_of(line);
        for (size_t spaces = at + 2 < column ? column - at : 2; spaces > 0; spaces--)
                text_char(line, ' ');
}

static void put_coloured(struct text *text, const struct record_style *style, const char *code, const char *bytes,
                         size_t length)
{
        text_string(text, style->colour ? code : "");
        text_bytes(text, bytes, length);
        text_string(text, style->colour && *code ? PLAIN : "");
}

/* A line with its newline, cut to the width of the terminal. */
static void put_line(struct text *text, const struct record_style *style, const char *code, const struct text *line)
{
        bool cut = line->cut;
        size_t length = line->length;
        if (style->columns >= COLUMNS_LEAST && columns_of(line) > style->columns) {
                length = bytes_of(line, style->columns - 3);
                cut = true;
        }
        put_coloured(text, style, code, line->bytes, length);
        text_string(text, cut ? "...\n" : "\n");
}

/* ---- a frame ---- */

/* "fastapi/routing.py:163". */
static void put_location(struct text *out, const struct record_frame *frame, size_t columns)
{
        char digits[16];
        struct text line = TEXT_IN(digits);
        if (frame->line)
                text_format(&line, ":%u", frame->line);
        const char *path = frame->file;
        if (path[0] != '<')
                record_place_of(path, &path);
        put_end(out, path, columns - line.length);
        text_bytes(out, line.bytes, line.length);
}

/* "redis-server+0x8a3c0", or the address alone where there is no module; false where there is neither. */
static bool put_address(struct text *out, const struct record_frame *frame)
{
        if (!frame->module && !frame->offset)
                return false;
        if (frame->module)
                put_end(out, record_basename(frame->module), HEAD_FUNCTION_COLUMNS);
        text_string(out, frame->module ? "+0x" : "0x");
        text_hex(out, frame->offset, 1);
        return true;
}

/* The width given to locations: less on a narrow terminal. */
static size_t location_columns(const struct record_style *style)
{
        return style->columns >= COLUMNS_LEAST && style->columns < 80 ? style->columns / 3 : LOCATION_COLUMNS;
}

/* A tab would be shown as a control character: a blank is what it means within a line. */
static void put_without_tabs(struct text *line, const char *source)
{
        char bytes[PART_BYTES];
        struct text copy = TEXT_IN(bytes);
        text_string(&copy, source);
        for (size_t i = 0; i < copy.length; i++)
                if (bytes[i] == '\t')
                        bytes[i] = ' ';
        put_start(line, bytes, PART_BYTES);
}

static void put_source(struct text *line, const struct record_frame *frame, const struct record_style *style)
{
        if (!style->source_line || !frame->line)
                return;
        const char *source = style->source_line(style->source_context, frame->file, frame->line);
        if (!source || !*source)
                return;
        pad_to(line, strlen(INDENT) + location_columns(style) + FUNCTION_COLUMNS);
        put_without_tabs(line, source);
}

static void put_function(struct text *line, const struct record_frame *frame)
{
        if (frame->function)
                put_start(line, frame->function, PART_BYTES);
        text_string(line, frame->inlined ? " [inlined]" : "");
}

static void write_frame(struct text *text, const struct record_frame *frame, const struct record_style *style,
                        const char *code)
{
        char bytes[LINE_BYTES];
        struct text line = TEXT_IN(bytes);
        text_string(&line, INDENT);
        if (frame->file) {
                bool narrow = style->columns >= COLUMNS_LEAST;
                size_t half = style->columns / 2;
                put_location(&line, frame, !narrow ? PART_BYTES : half < COLUMNS_LEAST ? COLUMNS_LEAST : half);
                if (frame->function)
                        pad_to(&line, strlen(INDENT) + location_columns(style));
                put_function(&line, frame);
                put_source(&line, frame, style);
        } else if (frame->function) {
                char place_bytes[PART_BYTES];
                struct text place = TEXT_IN(place_bytes);
                put_function(&line, frame);
                if (put_address(&place, frame))
                        text_format(&line, "  (%s)", place_bytes);
        } else if (!put_address(&line, frame)) {
                text_string(&line, "?");
        }
        put_line(text, style, code, &line);
}

/* ---- the stack ---- */

struct view {
        const struct record_stack *stack;
        const struct record_style *style;
        size_t count; /* frames without the start of the thread */
        int culprit;  /* index, -1 */
};

/* What starts every thread and says nothing about this one: counted from outside. */
static size_t start_frames(const struct record_stack *stack)
{
        static const char *const names[] = { "_start",
                                             "__libc_start_main",
                                             "__libc_start_main_impl",
                                             "__libc_start_call_main",
                                             "start_thread",
                                             "clone",
                                             "__clone",
                                             "clone3",
                                             "__clone3" };
        size_t found = 0;
        for (size_t left = stack->frames_count; left > 0; left--, found++) {
                const char *function = stack->frames[left - 1].function;
                size_t known = 0;
                while (function && known < sizeof(names) / sizeof(names[0]) && strcmp(function, names[known]) != 0)
                        known++;
                if (!function || known == sizeof(names) / sizeof(names[0]))
                        break;
        }
        return found < stack->frames_count ? found : 0;
}

static bool is_kept(const struct view *view, size_t index)
{
        return (int)index == view->culprit ||
               record_frame_owner(&view->stack->frames[index], view->style->own_prefixes) == RECORD_OWN;
}

static void write_frames(struct text *text, const struct view *view, size_t from, size_t to, bool own)
{
        for (size_t i = from; i < to; i++)
                write_frame(text, &view->stack->frames[i], view->style,
                            (int)i == view->culprit ? RED
                            : own                   ? BOLD
                                                    : DIM);
}

/* Is this package among the names? */
static bool is_named(char (*names)[PACKAGE_BYTES], size_t count, const char *package)
{
        for (size_t i = 0; i < count; i++)
                if (strcmp(names[i], package) == 0)
                        return true;
        return false;
}

/* "... 14 frames of starlette, uvicorn, asyncio". */
static void write_fold(struct text *text, const struct view *view, size_t from, size_t to)
{
        char bytes[LINE_BYTES], names[PACKAGES_NAMED][PACKAGE_BYTES];
        struct text line = TEXT_IN(bytes);
        size_t named = 0;
        text_format(&line, INDENT "... %zu frames of ", to - from);
        for (size_t i = from; i < to; i++) {
                char package_bytes[PACKAGE_BYTES];
                struct text package = TEXT_IN(package_bytes);
                record_frame_package(&package, &view->stack->frames[i]);
                if (package.length == 0 || is_named(names, named, package_bytes))
                        continue;
                if (named == PACKAGES_NAMED) {
                        text_string(&line, " and others");
                        break;
                }
                memcpy(names[named], package_bytes, sizeof(package_bytes));
                text_string(&line, named++ ? ", " : "");
                text_printable(&line, package_bytes);
        }
        put_line(text, view->style, DIM, &line);
}

/* A run of frames that are all the user's or all somebody else's. Of a long one both ends are shown: who called and who
 * was called; but below the user's code (the outermost run) only the first, the rest is the loop's plumbing. */
static void write_run(struct text *text, const struct view *view, size_t from, size_t to, bool own)
{
        size_t length = to - from, first = length, last = 0;
        if (!view->style->all_frames && length >= (own ? OWN_RUN : FOREIGN_RUN)) {
                bool outermost = to == view->count;
                first = own ? OWN_FIRST : 1;
                last = own ? OWN_LAST : !outermost;
        }
        write_frames(text, view, from, from + first, own);
        if (first + last < length)
                write_fold(text, view, from + first, to - last);
        write_frames(text, view, to - last, to, own);
}

/* The head line says already what the thread is blocked in: does the innermost frame say only that? */
static bool head_has_innermost(const struct record_stall *stall, const struct view *view)
{
        const struct record_frame *innermost = &view->stack->frames[0];
        return stall->cause == RECORD_BLOCKED && stall->detail.call && view->count > 1 && !view->style->all_frames &&
               !is_kept(view, 0) && innermost->function && !innermost->file &&
               strstr(innermost->function, stall->detail.call);
}

static void write_stack(struct text *text, const struct record_stall *stall, const struct view *view)
{
        size_t from = head_has_innermost(stall, view) ? 1 : 0;
        while (from < view->count) {
                bool own = is_kept(view, from);
                size_t to = from + 1;
                while (to < view->count && is_kept(view, to) == own)
                        to++;
                write_run(text, view, from, to, own);
                from = to;
        }
        if (view->stack->truncated)
                text_string(text, INDENT "... the stack is deeper than what is copied\n");
        else if (!view->stack->complete)
                text_string(text, INDENT "... the stack could not be followed further\n");
}

/* ---- the head line ---- */

static const char *cause_words(enum record_cause cause)
{
        switch (cause) {
        case RECORD_CPU:
                return "busy on the CPU";
        case RECORD_BLOCKED:
                return "blocked";
        case RECORD_LOCK:
                return "waiting for a lock";
        case RECORD_GIL:
                return "waiting for the GIL";
        case RECORD_PAGE_FAULT:
                return "waiting for memory (page faults)";
        case RECORD_STARVED:
                return "ready to run but without a CPU";
        case RECORD_SUSPENDED:
                return "suspended";
        case RECORD_UNKNOWN:
                break;
        }
        return "cause unknown";
}

static void put_culprit(struct text *text, const struct record_frame *frame)
{
        const char *function = frame->function;
        text_string(text, " in ");
        if (function) {
                put_start(text, function, HEAD_FUNCTION_COLUMNS);
                text_string(text, strchr(function, '(') || function[0] == '<' ? "" : "()");
        }
        if (frame->file) {
                text_string(text, function ? " at " : "");
                put_location(text, frame, PART_BYTES);
        } else if (frame->module || frame->offset) {
                text_string(text, function ? " at " : "");
                put_address(text, frame);
        } else if (!function) {
                text_string(text, "?");
        }
}

static void put_where(struct text *text, const struct record *record)
{
        const struct record_stall *stall = &record->stall;
        const char *program = record->program ? record->program : stall->thread;
        text_string(text, "   [");
        text_printable(text, program);
        text_format(text, "%s%d", program ? " " : "", record->pid);
        if (record->program && stall->thread && strcmp(stall->thread, record->program) != 0) {
                text_string(text, ", thread ");
                text_printable(text, stall->thread);
        }
        if (stall->loop) {
                text_string(text, ", loop ");
                text_printable(text, stall->loop);
        }
        text_format(text, ", #%lu]\n", stall->id);
}

/* Never cut: it is what people search for and copy. */
static void write_head(struct text *text, const struct record *record, const struct record_style *style)
{
        const struct record_stall *stall = &record->stall;
        char bytes[64];
        struct text start = TEXT_IN(bytes);
        text_string(&start, record->type == RECORD_STALL_BEGIN ? "still stalled after " : "stall ");
        text_duration(&start, stall->duration_ns);
        text_string(text, "loopdog: ");
        put_coloured(text, style, RED, start.bytes, start.length);
        if (stall->culprit)
                put_culprit(text, stall->culprit);
        text_format(text, ", %s", cause_words(stall->cause));
        if (stall->cause == RECORD_BLOCKED && stall->detail.call) {
                text_string(text, " in ");
                text_printable(text, stall->detail.call);
        }
        text_string(text, stall->phase && strcmp(stall->phase, "startup") == 0 ? ", during start-up" : "");
        put_where(text, record);
}

/* ---- the evidence ---- */

/* A comma between the parts of a line that begins with the indentation. */
static void next_part(struct text *line)
{
        text_string(line, line->length > strlen(INDENT) ? ", " : "");
}

/* Below a millisecond in tenths of one, to be compared with the duration beside it. */
static void put_cpu(struct text *line, uint64_t cpu_ns)
{
        uint64_t tenths = (cpu_ns + 50000) / 100000;
        if (cpu_ns >= 1000000)
                text_duration(line, cpu_ns);
        else if (tenths == 0 || tenths == 10)
                text_format(line, "%lu ms", tenths / 10);
        else
                text_format(line, "0.%lu ms", tenths);
}

static size_t stacks_with_frames(const struct record_stall *stall)
{
        size_t count = stall->stacks_dropped;
        for (size_t i = 0; i < stall->stacks_count; i++)
                count += stall->stacks[i].frames_count > 0;
        return count;
}

/* Samples, and what they agree on; `stack` is the one shown, NULL for none. */
static void put_samples(struct text *line, const struct record_stall *stall, const struct record_stack *stack)
{
        next_part(line);
        if (stall->samples == 0) {
                text_string(line, "no samples");
                return;
        }
        if (stall->stacks_omitted || !stack) {
                text_format(line, stall->samples == 1 ? "%u sample" : "%u samples", stall->samples);
        } else if (stack->count >= stall->samples) {
                text_format(line, stall->samples == 1 ? "%u sample" : "%u samples, all the same stack", stall->samples);
        } else {
                size_t different = stacks_with_frames(stall);
                text_format(line, "%u of %u samples %s this stack", stack->count, stall->samples,
                            stack->count == 1 ? "has" : "have");
                if (different > 1)
                        text_format(line, " (of %zu different ones)", different);
        }
        if (stall->stacks_omitted)
                text_format(line, ", seen %lu times before: stacks not repeated", stall->repeats);
}

/* The most frequent reason why samples have no stack, or NULL. */
static const char *main_reason(const struct record_stall *stall)
{
        const struct record_loss *most = NULL;
        for (size_t i = 0; i < stall->losses_count; i++)
                if (stall->losses[i].reason && (!most || stall->losses[i].count > most->count))
                        most = &stall->losses[i];
        if (most)
                return most->reason;
        return stall->stacks_count > 0 ? stall->stacks[0].missing : NULL;
}

static void put_losses(struct text *line, const struct record_stall *stall, const struct record_stack *stack)
{
        const char *reason = main_reason(stall);
        bool some = stack || stall->stacks_omitted;
        if (some ? stall->samples_lost == 0 : !reason)
                return;
        if (some)
                text_format(line, ", %u without a stack", stall->samples_lost);
        else
                text_string(line, ", no stack");
        text_string(line, reason ? ": " : "");
        text_printable(line, reason);
}

static void write_evidence(struct text *text, const struct record *record, const struct record_stack *stack)
{
        const struct record_stall *stall = &record->stall;
        char bytes[LINE_BYTES];
        struct text line = TEXT_IN(bytes);
        text_string(&line, INDENT);
        if (stall->cpu_ns || stall->detail.cpu_known) {
                text_string(&line, "cpu ");
                put_cpu(&line, stall->cpu_ns);
                text_string(&line, " of ");
                text_duration(&line, stall->duration_ns);
        }
        put_samples(&line, stall, stack);
        put_losses(&line, stall, stack);
        text_bytes(text, line.bytes, line.length);
        text_char(text, '\n');
}

static const char *end_words(const char *end)
{
        if (strcmp(end, "exit") == 0)
                return "ended when the process exited";
        if (strcmp(end, "thread") == 0)
                return "ended when its thread ended";
        if (strcmp(end, "left") == 0)
                return "ended when the loop was left";
        return NULL;
}

/* What is not usual about this stall; no line where there is nothing. */
static void write_remarks(struct text *text, const struct record_stall *stall)
{
        char bytes[LINE_BYTES];
        struct text line = TEXT_IN(bytes);
        text_string(&line, INDENT);
        if (stall->cause == RECORD_UNKNOWN && stall->detail.reason) {
                text_string(&line, "cause unknown: ");
                text_printable(&line, stall->detail.reason);
        }
        if (stall->repeats && !stall->stacks_omitted) {
                next_part(&line);
                text_format(&line, stall->repeats == 1 ? "seen once before" : "seen %lu times before", stall->repeats);
        }
        if (stall->yields) {
                next_part(&line);
                text_format(&line, "polled for other events %u times meanwhile", stall->yields);
        }
        if (stall->late_ns > LATE_NS && stall->late_ns > stall->threshold_ns / 4) {
                next_part(&line);
                text_string(&line, "noticed ");
                text_duration(&line, stall->late_ns);
                text_string(&line, " late");
        }
        const char *end = stall->end ? end_words(stall->end) : NULL;
        if (end) {
                next_part(&line);
                text_string(&line, end);
        }
        if (line.length > strlen(INDENT))
                text_format(text, "%s\n", line.bytes);
}

static void write_advice(struct text *text, const struct record_style *style, const char *head, const char *advice)
{
        if (!advice)
                return;
        text_string(text, INDENT);
        put_coloured(text, style, CYAN, head, strlen(head));
        text_format(text, " %s\n", advice);
}

void record_write_text(struct text *text, const struct record *record, const struct record_style *style)
{
        if (record->type != RECORD_STALL && record->type != RECORD_STALL_BEGIN)
                return;
        const struct record_stall *stall = &record->stall;
        int main_stack = record_main_stack(stall);
        const struct record_stack *stack = main_stack >= 0 ? &stall->stacks[main_stack] : NULL;
        if (stack && stack->frames_count == 0)
                stack = NULL;
        write_head(text, record, style);
        if (stack) {
                size_t start = style->all_frames ? 0 : start_frames(stack);
                struct view view = { stack, style, stack->frames_count - start,
                                     record_stack_find(stack, stall->culprit) };
                write_stack(text, stall, &view);
        }
        write_evidence(text, record, stack);
        write_remarks(text, stall);
        write_advice(text, style, "hint:", record_hint(stall));
        if (!stack && !stall->stacks_omitted)
                write_advice(text, style, "to get stacks:", record_remedy(main_reason(stall)));
}
