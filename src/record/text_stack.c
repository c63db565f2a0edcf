/* SPDX-License-Identifier: Apache-2.0
 *
 * text_stack.c - the frames of a stall as people read them
 *
 * The user's own are kept and runs of somebody else's folded to their ends and the packages between them.
 *
 * Context: watchdog, reader
 * Limits:  the caller's text; LINE_BYTES for a frame's line
 */
#include "record/text_stack.h"

#include <string.h>

#include "record/frame.h"
#include "record/parts.h"
#include "record/reasons.h"

#define LINE_BYTES 1024
#define INDENT "    "
#define LOCATION_COLUMNS 28 /* behind the indentation; the function follows */
#define FUNCTION_COLUMNS 19 /* and then the source */
#define NAME_COLUMNS 100    /* of a function: the rest of a mangled name says nothing */
#define FOREIGN_RUN 4       /* frames of somebody else's code in a row from which on they are folded */
#define FOREIGN_FIRST 5     /* so many are shown where nothing is the user's own, else one */
#define OWN_RUN 24          /* the same for the user's own: deep recursion */
#define OWN_FIRST 16
#define OWN_LAST 4
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
void text_write_others(struct text *text, const struct record_stall *stall, const struct record_style *style)
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

void record_write_stack(struct text *text, const struct record_stall *stall, const struct record_stack *stack,
                        const struct record_style *style)
{
        struct view view = { stack, style, count_frames(stack, style->all_frames),
                             record_stack_find(stack, stall->culprit), is_foreign(stack, style->own_prefixes) };
        write_stack(text, stall, &view);
}
