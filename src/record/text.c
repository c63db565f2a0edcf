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
#include "record/parts.h"
#include "record/reasons.h"
#include "record/record.h"
#include "record/text_evidence.h"

#define LINE_BYTES 1024

#define INDENT "    "
#define LOCATION_COLUMNS 28 /* behind the indentation; the function follows */
#define FUNCTION_COLUMNS 19 /* and then the source */
#define NAME_COLUMNS 100    /* of a function: the rest of a mangled name says nothing */

#define FOREIGN_RUN 4   /* frames of somebody else's code in a row from which on they are folded */
#define FOREIGN_FIRST 5 /* so many are shown where nothing is the user's own, else one */
#define OWN_RUN 24      /* the same for the user's own: deep recursion */
#define OWN_FIRST 16
#define OWN_LAST 4
#define LATE_NS 5000000 /* less is the usual precision of a timer */
#define PACKAGES_NAMED 4
#define PACKAGE_BYTES 64

/* ---- a frame ---- */

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
        part_start(line, bytes, PART_BYTES);
}

static void put_source(struct text *line, const struct record_frame *frame, const struct record_style *style)
{
        if (!style->source_line || !frame->line)
                return;
        const char *source = style->source_line(style->source_context, frame->file, frame->line);
        if (!source || !*source)
                return;
        part_pad(line, strlen(INDENT) + location_columns(style) + FUNCTION_COLUMNS);
        put_without_tabs(line, source);
}

static void put_function(struct text *line, const struct record_frame *frame, const struct record_style *style)
{
        if (frame->function)
                part_start(line, frame->function, style->all_frames ? PART_BYTES : NAME_COLUMNS);
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
                part_location(&line, frame, !narrow ? PART_BYTES : half < COLUMNS_LEAST ? COLUMNS_LEAST : half);
                if (frame->function)
                        part_pad(&line, strlen(INDENT) + location_columns(style));
                put_function(&line, frame, style);
                put_source(&line, frame, style);
        } else if (frame->function) {
                char place_bytes[PART_BYTES];
                struct text place = TEXT_IN(place_bytes);
                put_function(&line, frame, style);
                if (part_address(&place, frame))
                        text_format(&line, "  (%s)", place_bytes);
        } else if (!part_address(&line, frame)) {
                text_string(&line, "?");
        }
        part_line(text, style, code, &line);
}

/* ---- the stack ---- */

struct view {
        const struct record_stack *stack;
        const struct record_style *style;
        size_t count; /* frames without the start of the thread */
        int culprit;  /* index, -1 */
        bool foreign; /* no frame is the user's own */
};

/* What starts a thread, the same on every stack. Debian's libc has no names for its own part of it. */
static bool starts_thread(const struct record_frame *frame)
{
        static const char *const names[] = { "_start",
                                             "__libc_start_main",
                                             "__libc_start_main_impl",
                                             "start_thread",
                                             "clone",
                                             "__libc_start_call_main",
                                             "__clone",
                                             "clone3",
                                             "__clone3" };
        if (!frame->function)
                return frame->module && strncmp(record_basename(frame->module), "libc.so", 7) == 0;
        for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
                if (strcmp(frame->function, names[i]) == 0)
                        return true;
        return false;
}

/* How many frames are left without those that start the thread. Where the walk did not come so far, the outermost frame
 * is no such one. */
static size_t count_frames(const struct record_stack *stack, bool all)
{
        size_t left = stack->frames_count;
        while (!all && stack->complete && left > 0 && starts_thread(&stack->frames[left - 1]))
                left--;
        return left > 0 ? left : stack->frames_count;
}

static bool is_kept(const struct view *view, size_t index)
{
        return (int)index == view->culprit ||
               record_frame_owner(&view->stack->frames[index], view->style->own_prefixes) == RECORD_OWN;
}

static bool is_foreign(const struct record_stack *stack, const char *own_prefixes)
{
        for (size_t i = 0; i < stack->frames_count; i++)
                if (record_frame_owner(&stack->frames[i], own_prefixes) == RECORD_OWN)
                        return false;
        return true;
}

static void write_frames(struct text *text, const struct view *view, size_t from, size_t to, bool own)
{
        for (size_t i = from; i < to; i++)
                write_frame(text, &view->stack->frames[i], view->style,
                            (int)i == view->culprit ? RED : (own ? BOLD : DIM));
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
        text_format(&line, INDENT "... %zu frames", to - from);
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
                text_string(&line, named++ ? ", " : " of ");
                text_printable(&line, package_bytes);
        }
        part_line(text, view->style, DIM, &line);
}

/* A run of frames that are all the user's or all somebody else's. Of a long one both ends are shown: who called and who
 * was called; but below the user's code (the outermost run) only the first, the rest is the loop's plumbing. */
static void write_run(struct text *text, const struct view *view, size_t from, size_t to, bool own)
{
        size_t length = to - from, first = length, last = 0;
        if (!view->style->all_frames && length >= (own ? OWN_RUN : FOREIGN_RUN)) {
                bool outermost = to == view->count;
                first = own ? OWN_FIRST : (view->foreign ? FOREIGN_FIRST : 1);
                last = own ? OWN_LAST : !outermost;
        }
        if (first + last + 1 >= length) { /* one frame takes no more room than saying that it is left out */
                first = length;
                last = 0;
        }
        write_frames(text, view, from, from + first, own);
        if (first < length)
                write_fold(text, view, from + first, to - last);
        write_frames(text, view, to - last, to, own);
}

/* The head line says already what the thread is blocked in: does the innermost frame say only that? */
static bool head_has_innermost(const struct record_stall *stall, const struct view *view)
{
        const struct record_frame *innermost = &view->stack->frames[0];
        return stall->cause == RECORD_BLOCKED && stall->detail.call && view->count > 1 && !view->style->all_frames &&
               !is_kept(view, 0) && innermost->lang == RECORD_NATIVE && innermost->function &&
               strstr(innermost->function, stall->detail.call);
}

/* And what the culprit has called: do the interpreter's own frames above it say more? */
static bool head_has_called(const struct record_stall *stall, const struct view *view)
{
        return view->culprit > 0 && stall->detail.called && *stall->detail.called && !view->style->all_frames;
}

static bool is_of_interpreter(const struct record_frame *frame)
{
        const char *name = frame->lang == RECORD_NATIVE && frame->module ? record_basename(frame->module) : "";
        return strncmp(name, "python", 6) == 0 || strncmp(name, "libpython", 9) == 0;
}

static void write_stack(struct text *text, const struct record_stall *stall, const struct view *view)
{
        size_t from = head_has_innermost(stall, view) ? 1 : 0;
        while (head_has_called(stall, view) && is_of_interpreter(&view->stack->frames[from]) && from + 1 < view->count)
                from++;
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

/* Who else is to blame. */
static void write_others(struct text *text, const struct record_stall *stall, const struct record_style *style)
{
        for (size_t i = 0; i < stall->others_count; i++) {
                const struct record_other *other = &stall->others[i];
                struct record_stack stack = { .complete = true,
                                              .frames = other->frames,
                                              .frames_count = other->frames_count };
                int culprit = record_find_culprit(other->frames, other->frames_count, style->own_prefixes);
                struct view view = { &stack, style, count_frames(&stack, style->all_frames), culprit,
                                     is_foreign(&stack, style->own_prefixes) };
                text_string(text, INDENT);
                reason_put_other(text, stall, i);
                text_string(text, other->frames_count ? ":\n" : "\n");
                if (other->frames_count == 0)
                        continue;
                write_stack(text, stall, &view);
        }
}

/* ---- the head line ---- */

static void put_culprit(struct text *text, const struct record_frame *frame)
{
        const char *function = frame->function;
        text_string(text, " in ");
        if (function) {
                part_start(text, function, NAME_COLUMNS);
                text_string(text, strchr(function, '(') || function[0] == '<' ? "" : "()");
        }
        if (frame->file) {
                text_string(text, function ? " at " : "");
                part_location(text, frame, PART_BYTES);
        } else if (frame->module || frame->offset) {
                text_string(text, function ? " at " : "");
                part_address(text, frame);
        } else if (!function) {
                text_string(text, "?");
        }
}

/* "in read_cb on fd 12": what the program says runs. The stack's own culprit, which may be deeper, follows. */
static void put_callback(struct text *text, const struct record_callback *callback)
{
        bool named = callback->name && *callback->name;
        text_string(text, " in ");
        text_printable(text, named ? callback->name : callback->function ? callback->function : "a callback");
        if (callback->object && *callback->object) {
                text_string(text, " on ");
                text_printable(text, callback->object);
        }
}

/* A callback is to blame for what it took most of. */
static bool blames_callback(const struct record_stall *stall)
{
        const struct record_callback *callback = stall->callback;
        return callback && callback->duration_ns * 2 >= stall->duration_ns;
}

static void put_labels(struct text *text, const struct record_stall *stall)
{
        for (size_t i = 0; i < stall->labels_count; i++) {
                text_string(text, ", ");
                text_printable(text, stall->labels[i].key);
                text_char(text, ' ');
                text_printable(text, stall->labels[i].value);
        }
}

/* Does the callback's name say something that the culprit's does not? */
static bool names_other(const struct record_stall *stall)
{
        const struct record_callback *callback = stall->callback;
        const char *name = callback->name && *callback->name ? callback->name : callback->function;
        const char *culprit = stall->culprit ? stall->culprit->function : NULL;
        return (callback->object && *callback->object) || !name || !culprit || strcmp(name, culprit) != 0;
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
        if (record->type == RECORD_STALL_BEGIN)
                text_string(&start, "still stalled after ");
        else
                text_string(&start, stall->cause == RECORD_SUSPENDED ? "suspended "
                                    : record_was_no_stall(stall)     ? "no stall after all: "
                                                                     : "stall ");
        text_duration(&start, record_stalled_ns(stall));
        text_string(text, "loopdog: ");
        part_coloured(text, style, RED, start.bytes, start.length);
        if (blames_callback(stall) && names_other(stall)) {
                put_callback(text, stall->callback);
                text_string(text, stall->culprit ? "," : "");
        }
        if (stall->culprit)
                put_culprit(text, stall->culprit);
        if (stall->culprit && stall->detail.called && *stall->detail.called) {
                text_string(text, " calling ");
                text_printable(text, stall->detail.called);
        }
        text_string(text, ", ");
        reason_put_cause(text, stall);
        if (stall->cause == RECORD_BLOCKED && stall->detail.call)
                text_put_waited(text, record);
        text_string(text, stall->phase && strcmp(stall->phase, "startup") == 0 ? ", during start-up" : "");
        put_labels(text, stall);
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

static void put_times(struct text *line, uint64_t times)
{
        if (times == 1)
                text_string(line, "once");
        else
                text_format(line, "%lu times", times);
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
        if (stall->stacks_omitted || !stack || stack->count >= stall->samples) {
                text_format(line, "%u sample%s", stall->samples, stall->samples == 1 ? "" : "s");
                if (!stall->stacks_omitted && stack && stall->samples > 1)
                        text_string(line, ", all the same stack");
        } else {
                size_t different = stacks_with_frames(stall);
                text_format(line, "%u of %u samples %s this stack", stack->count, stall->samples,
                            stack->count == 1 ? "has" : "have");
                if (different > 1)
                        text_format(line, " (of %zu different ones)", different);
        }
        if (stall->stacks_omitted) {
                text_string(line, ", seen ");
                put_times(line, stall->repeats);
                text_string(line, " before: stacks not repeated");
        }
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
                return "the thread had left its loop";
        return NULL;
}

static void put_task(struct text *line, const struct record_detail *detail)
{
        bool named = detail->task && *detail->task, known = detail->coroutine && *detail->coroutine;
        if (!named && !known)
                return;
        next_part(line);
        text_string(line, "asyncio task ");
        text_printable(line, detail->task);
        text_string(line, known ? (named ? ", coroutine " : "of coroutine ") : "");
        text_printable(line, detail->coroutine);
}

/* How one callback stands among the others of its iteration. */
static void put_callbacks(struct text *line, const struct record_stall *stall)
{
        const struct record_callback *callback = stall->callback;
        if (stall->callbacks < 2 && (!callback || blames_callback(stall)))
                return;
        next_part(line);
        text_format(line, "%u callback%s in this iteration", stall->callbacks, stall->callbacks == 1 ? "" : "s");
        if (!callback)
                return;
        text_string(line, ", the longest");
        if (!blames_callback(stall))
                put_callback(line, callback);
        text_string(line, " took ");
        text_duration(line, callback->duration_ns);
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
        put_task(&line, &stall->detail);
        put_callbacks(&line, stall);
        if (stall->script_losses && stall->script_loss) {
                next_part(&line);
                text_format(&line, "%u sample%s: ", stall->script_losses, stall->script_losses == 1 ? "" : "s");
                text_printable(&line, stall->script_loss);
        }
        if (stall->repeats && !stall->stacks_omitted) {
                next_part(&line);
                text_string(&line, "seen ");
                put_times(&line, stall->repeats);
                text_string(&line, " before");
        }
        if (stall->yields) {
                next_part(&line);
                text_string(&line, "polled for other events ");
                put_times(&line, stall->yields);
                text_string(&line, " meanwhile");
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

static void write_reason(struct text *text, const struct record_stall *stall,
                         void (*put)(struct text *line, const struct record_stall *stall))
{
        char bytes[LINE_BYTES];
        struct text line = TEXT_IN(bytes);
        put(&line, stall);
        if (line.length != 0)
                text_format(text, INDENT "%s\n", bytes);
}

static void write_advice(struct text *text, const struct record_style *style, const char *head, const char *advice)
{
        if (!advice)
                return;
        text_string(text, INDENT);
        part_coloured(text, style, CYAN, head, strlen(head));
        text_format(text, " %s\n", advice);
}

void record_write_stack(struct text *text, const struct record_stall *stall, const struct record_stack *stack,
                        const struct record_style *style)
{
        struct view view = { stack, style, count_frames(stack, style->all_frames),
                             record_stack_find(stack, stall->culprit), is_foreign(stack, style->own_prefixes) };
        write_stack(text, stall, &view);
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
        if (stack)
                record_write_stack(text, stall, stack, style);
        write_others(text, stall, style);
        write_evidence(text, record, stack);
        text_write_waited(text, stall);
        text_write_served(text, stall);
        write_reason(text, stall, reason_put_shares);
        write_reason(text, stall, reason_put_evidence);
        write_remarks(text, stall);
        write_advice(text, style, "hint:", record_hint(stall));
        if (!stack && !stall->stacks_omitted)
                write_advice(text, style, "to get stacks:", record_remedy(main_reason(stall)));
}
