/* SPDX-License-Identifier: Apache-2.0
 *
 * text.c - a stall as people read it
 *
 * One head line that can be found with grep and says the essential alone: how long, whose line, why, where. Below it
 * the frames (text_stack.c), then what the verdict rests on and what to do. Every string comes from the watched program
 * and is made safe for a terminal.
 *
 * Context: watchdog, reader
 * Limits:  the caller's text
 */
#include <string.h>

#include "record/frame.h"
#include "record/parts.h"
#include "record/reasons.h"
#include "record/record.h"
#include "record/text_evidence.h"
#include "record/text_stack.h"

#define LINE_BYTES 1024
#define INDENT "    "
#define NAME_COLUMNS 100   /* of a function: the rest of a mangled name says nothing */
#define KERNEL_NS 20000000 /* two of the kernel's steps */
#define KERNEL_SHARE 5     /* of the CPU time in system calls and page faults: less than a fifth is usual */
#define LATE_NS 5000000    /* less is the usual precision of a timer */

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

/* A dump tells what goes on, however short. */
static bool tells_callback(const struct record_stall *stall)
{
        return blames_callback(stall) || (stall->callback && stall->state);
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
        text_format(text, ", %s#%lu]\n", record->type == RECORD_DUMP ? "dump " : "", stall->id);
}

static void put_blamed(struct text *text, const struct record_stall *stall)
{
        if (tells_callback(stall) && names_other(stall)) {
                put_callback(text, stall->callback);
                text_string(text, stall->culprit ? "," : "");
        }
        if (stall->culprit)
                put_culprit(text, stall->culprit);
        if (stall->culprit && stall->detail.called && *stall->detail.called) {
                text_string(text, " calling ");
                text_printable(text, stall->detail.called);
        }
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
        put_blamed(text, stall);
        text_string(text, ", ");
        reason_put_cause(text, stall);
        text_put_waited(text, record);
        text_string(text, stall->phase && strcmp(stall->phase, "startup") == 0 ? ", during start-up" : "");
        put_labels(text, stall);
        put_where(text, record);
}

/* "loop busy for 120 ms in read_cb on fd 12, in serve() at server.c:21, in clock_nanosleep" */
static void write_dump_head(struct text *text, const struct record *record, const struct record_style *style)
{
        const struct record_stall *dump = &record->stall;
        const char *state = dump->state ? dump->state : "?";
        char bytes[64];
        struct text start = TEXT_IN(bytes);
        text_string(&start, "loop ");
        part_start(&start, state, 20);
        text_string(&start, " for ");
        text_duration(&start, dump->duration_ns);
        text_string(text, "loopdog: ");
        part_coloured(text, style, CYAN, start.bytes, start.length);
        put_blamed(text, dump);
        if (dump->detail.call) {
                text_string(text, ", in ");
                text_printable(text, dump->detail.call);
                text_put_waited(text, record);
        } else if (dump->stacks_count > 0 && dump->stacks[0].state == 'R') {
                text_string(text, ", running");
        }
        put_labels(text, dump);
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

static void put_kernel_share(struct text *line, const struct record_stall *stall)
{
        uint64_t system_ns = stall->detail.system_ns;
        if (system_ns < KERNEL_NS || system_ns * KERNEL_SHARE < stall->cpu_ns)
                return;
        text_string(line, " (");
        text_duration(line, system_ns);
        text_string(line, " of it in the kernel)");
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
                put_kernel_share(&line, stall);
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

/* The stack to show, or NULL. */
static const struct record_stack *main_stack_of(const struct record_stall *stall)
{
        int main_stack = record_main_stack(stall);
        return main_stack >= 0 && stall->stacks[main_stack].frames_count != 0 ? &stall->stacks[main_stack] : NULL;
}

/* What else is known of the moment; no line where nothing is. */
static void write_dump_remarks(struct text *text, const struct record_stall *dump)
{
        char bytes[LINE_BYTES];
        struct text line = TEXT_IN(bytes);
        const char *reason = main_stack_of(dump) ? NULL : main_reason(dump);
        text_string(&line, INDENT);
        if (reason) {
                text_string(&line, "no stack: ");
                text_printable(&line, reason);
        }
        put_task(&line, &dump->detail);
        if (dump->callback && !blames_callback(dump)) {
                next_part(&line);
                text_string(&line, "in this callback for ");
                text_duration(&line, dump->callback->duration_ns);
        }
        if (dump->callbacks > 1) {
                next_part(&line);
                text_format(&line, "%u callbacks in this iteration", dump->callbacks);
        }
        if (dump->script_losses && dump->script_loss) {
                next_part(&line);
                text_printable(&line, dump->script_loss);
        }
        if (line.length > strlen(INDENT))
                text_format(text, "%s\n", line.bytes);
}

static void write_dump(struct text *text, const struct record *record, const struct record_style *style)
{
        const struct record_stall *dump = &record->stall;
        const struct record_stack *stack = main_stack_of(dump);
        write_dump_head(text, record, style);
        if (stack)
                record_write_stack(text, dump, stack, style);
        text_write_others(text, dump, style);
        text_write_waited(text, dump);
        text_write_served(text, dump);
        write_dump_remarks(text, dump);
        if (!stack)
                write_advice(text, style, "to get stacks:", record_remedy(main_reason(dump)));
}

static void write_stall(struct text *text, const struct record *record, const struct record_style *style)
{
        const struct record_stall *stall = &record->stall;
        const struct record_stack *stack = main_stack_of(stall);
        write_head(text, record, style);
        if (stack)
                record_write_stack(text, stall, stack, style);
        text_write_others(text, stall, style);
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

void record_write_text(struct text *text, const struct record *record, const struct record_style *style)
{
        if (record->type == RECORD_STALL || record->type == RECORD_STALL_BEGIN)
                write_stall(text, record, style);
        else if (record->type == RECORD_DUMP)
                write_dump(text, record, style);
}
