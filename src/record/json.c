/* SPDX-License-Identifier: Apache-2.0
 *
 * json.c - a record as one line of JSON
 *
 * Scalars stand before stacks, so that a reader can stop early and a person sees the essential first. The line is
 * written straight into the caller's text: what has to be left out for it to fit is known before the stacks begin,
 * because each was measured by writing it into the space behind the line.
 *
 * What is not known is left out. Where 0 is an answer (a count, a time that a blocked thread did not use) it is
 * written.
 *
 * Context: watchdog, reader
 * Limits:  LIMIT_LINE_BYTES a line with its newline, LIMIT_STACKS stacks
 */
#include <errno.h>
#include <string.h>

#include "base/limits.h"
#include "record/frame.h"
#include "record/json_parts.h"
#include "record/record.h"

/* ---- the parts ---- */

static void write_frame(struct text *line, const struct record_frame *frame)
{
        json_open(line, '{');
        json_add_string(line, "lang", record_lang_name(frame->lang));
        json_add_string(line, "function", frame->function);
        json_add_string(line, "file", frame->file);
        if (frame->line)
                json_add_number(line, "line", frame->line);
        json_add_string(line, "module", frame->module);
        json_add_string(line, "build_id", frame->build_id);
        json_add_hex(line, "offset", "0x", frame->offset, 1);
        json_add_if(line, "caller", frame->caller);
        json_add_if(line, "inlined", frame->inlined);
        text_char(line, '}');
}

static void write_stack(struct text *line, const struct record_stack *stack)
{
        json_open(line, '{');
        json_add_number(line, "count", stack->count);
        json_add_number(line, "first_ns", stack->first_ns);
        json_add_number(line, "last_ns", stack->last_ns);
        if (stack->state)
                json_add_string(line, "state", (char[]){ stack->state, '\0' });
        json_add_string(line, "missing", stack->missing);
        if (stack->frames_count > 0) {
                json_write_name(line, "complete");
                text_string(line, stack->complete ? "true" : "false");
                json_add_if(line, "truncated", stack->truncated);
                json_write_name(line, "frames");
                json_open(line, '[');
                for (size_t i = 0; i < stack->frames_count; i++)
                        write_frame(line, &stack->frames[i]);
                text_char(line, ']');
        }
        text_char(line, '}');
}

static void write_lost(struct text *line, uint64_t samples, const struct record_loss *losses, size_t count)
{
        json_write_name(line, "lost");
        json_open(line, '{');
        json_add_number(line, "samples", samples);
        if (count > 0) {
                json_write_name(line, "reasons");
                json_open(line, '{');
                for (size_t i = 0; i < count; i++) {
                        json_write_string(line, losses[i].reason ? losses[i].reason : "unknown");
                        text_char(line, ':');
                        text_unsigned(line, losses[i].count);
                }
                text_char(line, '}');
        }
        text_char(line, '}');
}

static void write_counts(struct text *line, const struct record_detail *detail)
{
        if (detail->usage_known) {
                json_add_number(line, "user_ns", detail->user_ns);
                json_add_number(line, "system_ns", detail->system_ns);
                json_add_number(line, "switches_voluntary", detail->voluntary);
                json_add_number(line, "switches_involuntary", detail->involuntary);
                json_add_number(line, "major_faults", detail->major_faults);
        }
        json_add_some(line, "run_delay_ns", detail->delay_ns);
        json_add_some(line, "throttled_ns", detail->throttled_ns);
        json_add_some(line, "steal_ns", detail->steal_ns);
        json_add_some(line, "others_cpu_ns", detail->others_cpu_ns);
        json_add_some(line, "pressure_ns", detail->pressure_ns);
        json_add_some(line, "runnable", detail->runnable);
        json_add_some(line, "cpus", detail->cpus);
        json_add_some(line, "watchdog_delay_ns", detail->watchdog_delay_ns);
}

static void write_fds(struct text *line, const char *name, const struct record_fd *fds, size_t count)
{
        if (count == 0)
                return;
        json_write_name(line, name);
        json_open(line, '[');
        for (size_t i = 0; i < count; i++) {
                json_open(line, '{');
                json_add_signed(line, "fd", fds[i].fd);
                json_add_string(line, "what", fds[i].what);
                json_add_string(line, "events", fds[i].events);
                text_char(line, '}');
        }
        text_char(line, ']');
}

static void write_holders(struct text *line, const struct record_holder *holders, size_t count)
{
        if (count == 0)
                return;
        json_write_name(line, "held_by");
        json_open(line, '[');
        for (size_t i = 0; i < count; i++) {
                json_open(line, '{');
                json_add_string(line, "role", holders[i].role ? holders[i].role : "unknown");
                json_add_signed(line, "pid", holders[i].pid);
                json_add_string(line, "name", holders[i].name);
                json_add_string(line, "command", holders[i].command);
                text_char(line, '}');
        }
        text_char(line, ']');
}

static void write_waited(struct text *line, const struct record_detail *detail)
{
        if (detail->fd_known)
                json_add_signed(line, "fd", detail->fd);
        json_add_string(line, "what", detail->what);
        json_add_string(line, "address", detail->address);
        json_add_string(line, "device", detail->device);
        json_add_string(line, "wchan", detail->wchan);
        if (detail->file_offset)
                json_add_number(line, "file_offset", detail->file_offset);
        if (detail->timeout_ns)
                json_add_number(line, "timeout_ns", detail->timeout_ns);
        if (detail->left_ns)
                json_add_number(line, "left_ns", detail->left_ns);
        write_fds(line, "waits_for", detail->waits_for, detail->waits_for_count);
        if (detail->waits_for_more)
                json_add_number(line, "waits_for_more", detail->waits_for_more);
        write_holders(line, detail->held_by, detail->held_by_count);
}

/* Without an object where there is nothing to be said. */
static void write_detail(struct text *line, const struct record_detail *detail)
{
        size_t before = line->length;
        json_write_name(line, "detail");
        json_open(line, '{');
        size_t empty = line->length;
        json_add_string(line, "call", detail->call);
        json_add_string(line, "reason", detail->reason);
        json_add_string(line, "called", detail->called);
        json_add_string(line, "task", detail->task);
        json_add_string(line, "coroutine", detail->coroutine);
        if (detail->cpu_known)
                json_add_number(line, "cpu_percent", detail->cpu_percent);
        write_waited(line, detail);
        json_add_string(line, "object", detail->object);
        if (detail->owner)
                json_add_signed(line, "owner", detail->owner);
        json_add_if(line, "deadlock", detail->deadlock);
        write_counts(line, detail);
        if (line->length == empty && !line->cut)
                line->length = before;
        else
                text_char(line, '}');
}

static void write_profile(struct text *line, const struct record_share *shares, size_t count)
{
        if (count == 0)
                return;
        json_write_name(line, "profile");
        json_open(line, '[');
        for (size_t i = 0; i < count; i++) {
                json_open(line, '{');
                json_add_number(line, "samples", shares[i].samples);
                json_add_number(line, "percent", shares[i].percent);
                json_write_name(line, "frame");
                write_frame(line, &shares[i].frame);
                text_char(line, '}');
        }
        text_char(line, ']');
}

/* Before the stacks, of which as many are written as fit. */
static void write_others(struct text *line, const struct record_other *others, size_t count)
{
        if (count == 0)
                return;
        json_write_name(line, "others");
        json_open(line, '[');
        for (size_t i = 0; i < count; i++) {
                json_open(line, '{');
                json_add_string(line, "role", others[i].role);
                json_add_signed(line, "tid", others[i].tid);
                json_add_string(line, "thread", others[i].thread);
                if (others[i].state)
                        json_add_string(line, "state", (char[]){ others[i].state, '\0' });
                json_add_string(line, "call", others[i].call);
                json_add_string(line, "object", others[i].object);
                if (others[i].owner)
                        json_add_signed(line, "owner", others[i].owner);
                json_write_name(line, "frames");
                json_open(line, '[');
                for (size_t j = 0; j < others[i].frames_count; j++)
                        write_frame(line, &others[i].frames[j]);
                text_string(line, "]}");
        }
        text_char(line, ']');
}

static void write_callback(struct text *line, const struct record_callback *callback)
{
        if (!callback)
                return;
        json_write_name(line, "callback");
        json_open(line, '{');
        json_add_string(line, "name", callback->name);
        json_add_string(line, "function", callback->function);
        json_add_string(line, "object", callback->object);
        json_add_number(line, "begin_ns", callback->begin_ns);
        json_add_number(line, "duration_ns", callback->duration_ns);
        text_char(line, '}');
}

static void write_labels(struct text *line, const struct record_label *labels, size_t count)
{
        if (count == 0)
                return;
        json_write_name(line, "labels");
        json_open(line, '[');
        for (size_t i = 0; i < count; i++) {
                json_open(line, '{');
                json_add_string(line, "key", labels[i].key);
                json_add_string(line, "value", labels[i].value);
                text_char(line, '}');
        }
        text_char(line, ']');
}

/* ---- which stacks are written ---- */

struct choice {
        bool kept[LIMIT_STACKS];
        size_t size[LIMIT_STACKS]; /* with its comma; of those kept */
        size_t total;
        uint32_t dropped;
};

/* The space behind the line, as a text of its own. */
static struct text behind(const struct text *line)
{
        return (struct text){ .bytes = line->bytes + line->length, .capacity = line->capacity - line->length };
}

static void drop(struct choice *choice, int index)
{
        choice->kept[index] = false;
        choice->total -= choice->size[index];
        choice->dropped++;
}

/* The kept stack that is missed least: the rarest, of equals the latest; the main one only when it is alone. */
static int least_wanted(const struct choice *choice, const struct record_stall *stall, int count, int main_stack)
{
        int least = -1;
        for (int i = 0; i < count; i++) {
                if (!choice->kept[i])
                        continue;
                if (least < 0 || least == main_stack ||
                    (i != main_stack && stall->stacks[i].count <= stall->stacks[least].count))
                        least = i;
        }
        return least;
}

static void choose_stacks(const struct text *line, const struct record_stall *stall, struct choice *choice)
{
        static const char rest[] = ",\"stacks_dropped\":4294967295,\"stacks\":[]}\n";
        int count = stall->stacks_count < LIMIT_STACKS ? (int)stall->stacks_count : LIMIT_STACKS;
        int main_stack = record_main_stack(stall);
        size_t room = line->capacity - line->length;
        room = room > sizeof(rest) ? room - sizeof(rest) : 0;
        *choice = (struct choice){ .dropped = stall->stacks_dropped + (uint32_t)(stall->stacks_count - (size_t)count) };
        for (int i = 0; i < count; i++) {
                struct text probe = behind(line);
                write_stack(&probe, &stall->stacks[i]);
                if (probe.cut || probe.length + 1 > room) {
                        choice->dropped++;
                        continue;
                }
                choice->kept[i] = true;
                choice->size[i] = probe.length + 1;
                choice->total += choice->size[i];
        }
        while (choice->total > room)
                drop(choice, least_wanted(choice, stall, count, main_stack));
}

static void write_stacks(struct text *line, const struct record_stall *stall)
{
        struct choice choice;
        choose_stacks(line, stall, &choice);
        json_add_number(line, "stacks_dropped", choice.dropped);
        if (choice.total == 0)
                return;
        json_write_name(line, "stacks");
        json_open(line, '[');
        for (size_t i = 0; i < stall->stacks_count && i < LIMIT_STACKS; i++)
                if (choice.kept[i])
                        write_stack(line, &stall->stacks[i]);
        text_char(line, ']');
}

/* ---- the types ---- */

/* What the program said of it, */
static void write_said(struct text *line, const struct record_stall *stall)
{
        write_callback(line, stall->callback);
        if (stall->callbacks)
                json_add_number(line, "callbacks", stall->callbacks);
        write_labels(line, stall->labels, stall->labels_count);
}

/* and what was found out. */
static void write_culprit(struct text *line, const struct record_stall *stall)
{
        if (!stall->culprit)
                return;
        json_write_name(line, "culprit");
        write_frame(line, stall->culprit);
}

static void write_served(struct text *line, const struct record_stall *stall)
{
        write_fds(line, "ready", stall->ready, stall->ready_count);
        if (stall->ready_more)
                json_add_number(line, "ready_more", stall->ready_more);
        if (stall->ready_before)
                json_add_number(line, "ready_before", stall->ready_before);
        json_add_string(line, "ready_loss", stall->ready_loss);
}

static void write_samples(struct text *line, const struct record_stall *stall)
{
        json_add_number(line, "samples", stall->samples);
        write_lost(line, stall->samples_lost, stall->losses, stall->losses_count);
        if (stall->script_losses) {
                json_add_number(line, "script_losses", stall->script_losses);
                json_add_string(line, "script_loss", stall->script_loss);
        }
}

static void write_loop_name(struct text *line, const struct record_stall *stall)
{
        json_add_number(line, "id", stall->id);
        json_add_time(line, "begin", stall->begin_ns);
        json_add_signed(line, "tid", stall->tid);
        json_add_string(line, "thread", stall->thread);
        json_add_string(line, "loop", stall->loop);
}

static void write_stall(struct text *line, const struct record_stall *stall)
{
        write_loop_name(line, stall);
        json_add_number(line, "threshold_ns", stall->threshold_ns);
        json_add_number(line, "duration_ns", stall->duration_ns);
        if (stall->cpu_ns || stall->detail.cpu_known)
                json_add_number(line, "cpu_ns", stall->cpu_ns);
        json_add_some(line, "suspended_ns", stall->suspended_ns);
        json_add_number(line, "late_ns", stall->late_ns);
        json_add_number(line, "yields", stall->yields);
        json_add_string(line, "phase", stall->phase);
        json_add_string(line, "end", stall->end);
        json_add_string(line, "cause", record_cause_name(stall->cause));
        write_detail(line, &stall->detail);
        write_said(line, stall);
        json_add_hex(line, "signature", "", stall->signature, 16);
        json_add_number(line, "repeats", stall->repeats);
        write_culprit(line, stall);
        write_served(line, stall);
        write_samples(line, stall);
        json_add_some(line, "callbacks_seen", stall->callbacks_seen);
        write_profile(line, stall->profile, stall->profile_count);
        json_add_if(line, "stacks_omitted", stall->stacks_omitted);
        write_others(line, stall->others, stall->others_count);
        write_stacks(line, stall);
}

static void write_dump(struct text *line, const struct record_stall *dump)
{
        write_loop_name(line, dump);
        json_add_string(line, "state", dump->state);
        json_add_number(line, "threshold_ns", dump->threshold_ns);
        json_add_number(line, "duration_ns", dump->duration_ns);
        write_detail(line, &dump->detail);
        write_said(line, dump);
        write_culprit(line, dump);
        write_served(line, dump);
        write_samples(line, dump);
        write_others(line, dump->others, dump->others_count);
        write_stacks(line, dump);
}

static void write_process(struct text *line, const struct record_process *process)
{
        json_add_string(line, "command", process->command);
        json_add_string(line, "executable", process->executable);
        json_add_string(line, "agent_version", process->agent_version);
        json_add_signed(line, "ppid", process->ppid);
        json_add_number(line, "threshold_ns", process->threshold_ns);
        json_add_number(line, "interval_ns", process->interval_ns);
        json_add_string(line, "clock", process->clock);
        json_add_time(line, "begin", process->begin_ns);
        json_write_name(line, "notices");
        json_open(line, '[');
        for (size_t i = 0; i < process->notices_count; i++)
                json_write_string(line, process->notices[i]);
        text_char(line, ']');
}

static void write_loop(struct text *line, const struct record_loop *loop)
{
        json_add_signed(line, "tid", loop->tid);
        json_add_string(line, "thread", loop->thread);
        json_add_string(line, "loop", loop->loop);
        json_add_number(line, "iterations", loop->iterations);
        json_add_number(line, "busy_ns", loop->busy_ns);
        json_add_number(line, "idle_ns", loop->idle_ns);
        json_add_number(line, "outside_ns", loop->outside_ns);
        json_add_number(line, "stalls", loop->stalls);
        json_add_number(line, "stall_ns", loop->stall_ns);
        json_add_number(line, "longest_ns", loop->longest_ns);
        json_write_name(line, "buckets");
        json_open(line, '[');
        for (size_t i = 0; i < loop->buckets_count; i++) {
                json_open(line, '{');
                json_add_number(line, "from_ns", loop->buckets[i].from_ns);
                json_add_number(line, "count", loop->buckets[i].count);
                text_char(line, '}');
        }
        text_char(line, ']');
}

static uint64_t sum_of(const struct record_loss *losses, size_t count)
{
        uint64_t sum = 0;
        for (size_t i = 0; i < count; i++)
                sum += losses[i].count;
        return sum;
}

static void write_exit(struct text *line, const struct record_exit *exit)
{
        json_add_string(line, "reason", exit->reason);
        json_add_number(line, "loops", exit->loops);
        json_add_number(line, "stalls", exit->stalls);
        json_add_number(line, "stalls_startup", exit->stalls_startup);
        json_add_number(line, "stalls_suspended", exit->stalls_suspended);
        json_add_number(line, "stalls_crowded", exit->stalls_crowded);
        json_add_number(line, "captures", exit->captures);
        json_add_number(line, "captures_signal", exit->captures_signal);
        json_add_number(line, "candidates_dropped", exit->candidates_dropped);
        json_add_number(line, "iterations_lost", exit->iterations_lost);
        json_add_number(line, "loops_unwatched", exit->loops_unwatched);
        json_add_number(line, "records_dropped", exit->records_dropped);
        json_add_number(line, "bytes_dropped", exit->bytes_dropped);
        json_add_number(line, "reopened", exit->reopened);
        json_add_number(line, "watchdog_cpu_ns", exit->watchdog_cpu_ns);
        json_add_number(line, "wakeups", exit->wakeups);
        json_add_number(line, "latest_ns", exit->latest_ns);
        json_add_number(line, "starved_ns", exit->starved_ns);
        json_add_number(line, "stopped_ns", exit->stopped_ns);
        json_add_number(line, "captures_ns", exit->captures_ns);
        json_add_number(line, "calls_mended", exit->calls_mended);
        json_add_number(line, "calls_unmended", exit->calls_unmended);
        write_lost(line, sum_of(exit->losses, exit->losses_count), exit->losses, exit->losses_count);
}

static void write_common(struct text *line, const struct record *record)
{
        json_add_number(line, "v", RECORD_VERSION);
        json_add_string(line, "type", record_type_name(record->type));
        json_add_time(line, "time", record->time_ns);
        json_add_string(line, "host", record->host);
        json_add_signed(line, "pid", record->pid);
        json_add_string(line, "run", record->run);
        json_add_string(line, "program", record->program);
}

static void write_body(struct text *line, const struct record *record)
{
        switch (record->type) {
        case RECORD_PROCESS:
                write_process(line, &record->process);
                break;
        case RECORD_STALL_BEGIN:
        case RECORD_STALL:
                write_stall(line, &record->stall);
                break;
        case RECORD_DUMP:
                write_dump(line, &record->stall);
                break;
        case RECORD_LOOP:
                write_loop(line, &record->loop);
                break;
        case RECORD_EXIT:
                write_exit(line, &record->exit);
                break;
        }
}

int record_write_json(struct text *text, const struct record *record)
{
        if (text->cut || text->capacity <= text->length)
                return -EMSGSIZE;
        struct text line = behind(text);
        if (line.capacity > LIMIT_LINE_BYTES + 1)
                line.capacity = LIMIT_LINE_BYTES + 1;
        text_char(&line, '{');
        write_common(&line, record);
        write_body(&line, record);
        text_string(&line, "}\n");
        if (line.cut) {
                text->bytes[text->length] = '\0'; /* as it was before */
                return -EMSGSIZE;
        }
        text->length += line.length;
        return 0;
}
