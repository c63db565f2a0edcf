/* SPDX-License-Identifier: Apache-2.0
 *
 * analysis.c - what the records of many processes add up to
 *
 * Context: reader
 * Limits:  SAYINGS distinct labels or callbacks; what the others lost is one sum
 */
#include "analyse/analysis.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "read/parse.h"
#include "read/scan.h"

#define SAYINGS 10000

static struct kept keep(const char *line, size_t length)
{
        return (struct kept){ .line = alloc_bytes(line, length), .length = length };
}

/* ---------------------------------------------------------------------------------------------- processes and loops */

static struct analysed_process *find_process(struct analysis *analysis, const struct record *record)
{
        void **at = map_at_string(&analysis->processes, record->run);
        struct analysed_process *process = *at;
        if (!process) {
                process = *at = alloc_zeroed(1, sizeof(*process));
                process->run = alloc_string(record->run);
                process->host = alloc_string(record->host ? record->host : "");
                process->program = alloc_string(record->program ? record->program : "?");
                process->pid = record->pid;
                process->first_ns = process->last_ns = record->time_ns;
        }
        if (record->time_ns < process->first_ns)
                process->first_ns = record->time_ns;
        if (record->time_ns > process->last_ns)
                process->last_ns = record->time_ns;
        return process;
}

void **analysis_loop_at(struct map *loops, const char *run, int32_t tid, const char *name)
{
        char *key = alloc_format("%s\n%d\n%s", run, tid, name ? name : "");
        void **at = map_at_string(loops, key);
        free(key);
        return at;
}

static struct analysed_loop *find_loop(struct analysis *analysis, struct analysed_process *process, int32_t tid,
                                       const char *name, const char *thread)
{
        void **at = analysis_loop_at(&analysis->loops, process->run, tid, name);
        struct analysed_loop *loop = *at;
        if (!loop) {
                loop = *at = alloc_zeroed(1, sizeof(*loop));
                loop->process = process;
                loop->name = alloc_string(name ? name : "?");
                loop->thread = alloc_string(thread ? thread : "");
                loop->tid = tid;
        }
        return loop;
}

static void add_process(struct analysis *analysis, struct analysed_process *process, const struct record *record)
{
        const struct record_process *line = &record->process;
        for (size_t i = 0; i < line->notices_count; i++)
                map_at_string(&analysis->notices, line->notices[i]);
        process->threshold_ns = line->threshold_ns;
        if (!process->executable && line->executable)
                process->executable = alloc_string(line->executable);
        if (!process->agent_version && line->agent_version)
                process->agent_version = alloc_string(line->agent_version);
        if (line->begin_ns && line->begin_ns < process->first_ns)
                process->first_ns = line->begin_ns;
}

/* Totals since the loop began: the line that says most is the latest. */
static void add_loop(struct analysis *analysis, struct analysed_process *process, const struct record *record)
{
        const struct record_loop *line = &record->loop;
        struct analysed_loop *loop = find_loop(analysis, process, line->tid, line->loop, line->thread);
        if (loop->counted && line->iterations < loop->iterations)
                return;
        loop->counted = true;
        loop->iterations = line->iterations;
        loop->busy_ns = line->busy_ns;
        loop->idle_ns = line->idle_ns;
        loop->outside_ns = line->outside_ns;
        loop->longest_ns = line->longest_ns;
        free(loop->buckets);
        loop->buckets = alloc_zeroed(line->buckets_count, sizeof(*loop->buckets));
        loop->buckets_count = line->buckets_count;
        for (size_t i = 0; i < line->buckets_count; i++)
                loop->buckets[i] = line->buckets[i];
        process->stalls_counted += line->stalls - loop->stalls_counted;
        loop->stalls_counted = line->stalls;
}

/* Of several the latest says it all: after an exec that failed a process goes on, and counts on. */
static void add_exit(struct analysed_process *process, const struct record *record, const char *line, size_t length)
{
        if (record->time_ns < process->exit_ns)
                return;
        free(process->exit_line.line);
        process->exit_line = keep(line, length);
        process->exit_ns = record->time_ns;
        process->exited = true;
}

static void finish_exit(struct analysis *analysis, struct analysed_process *process)
{
        struct parsed parsed;
        char why[128];
        if (!process->exit_line.line ||
            parse_record(&parsed, process->exit_line.line, process->exit_line.length, why, sizeof(why)) != 0)
                return;
        process->exit = parsed.record.exit;
        process->exit.reason = NULL;
        process->exit.losses = NULL;
        for (size_t i = 0; i < parsed.record.exit.losses_count; i++) {
                const struct record_loss *line = &parsed.record.exit.losses[i];
                void **at = map_at_string(&analysis->losses, line->reason);
                struct analysed_loss *loss = *at;
                if (!loss) {
                        loss = *at = alloc_zeroed(1, sizeof(*loss));
                        loss->reason = alloc_string(line->reason);
                }
                loss->count += line->count;
        }
        parsed_free(&parsed);
}

/* --------------------------------------------------------------------------------------------------------- stalls */

static bool has_frames(const struct record_stall *stall)
{
        for (size_t i = 0; i < stall->stacks_count; i++)
                if (stall->stacks[i].frames_count > 0)
                        return true;
        return false;
}

static const char *missing_reason(const struct record_stall *stall)
{
        for (size_t i = 0; i < stall->stacks_count; i++)
                if (stall->stacks[i].missing)
                        return stall->stacks[i].missing;
        return stall->losses_count > 0 ? stall->losses[0].reason : "";
}

/* Code made at run time has no part in the signature: the stall's culprit among it; NULL: the stall has no such code,
 * or nobody knows its names. From then on all stalls of the signature, and of the process, are asked for their stacks.
 */
static const struct record_frame *find_made(struct analysis *analysis, struct analysed_process *process,
                                            const struct record *record, struct record_frame *made)
{
        uint64_t signature = record->stall.signature;
        if (!analysis->filter.symbolizer || !symbolize_made(analysis->filter.symbolizer, record, made))
                return NULL;
        process->makes_code = true;
        *map_at(&analysis->made, (const char *)&signature, sizeof(signature)) = analysis;
        return made;
}

static bool may_have_made(const struct analysis *analysis, const struct record *record)
{
        const struct analysed_process *process = map_find_string(&analysis->processes, record->run);
        uint64_t signature = record->stall.signature;
        return (process && process->makes_code) ||
               map_find(&analysis->made, (const char *)&signature, sizeof(signature)) != NULL;
}

static const char *or_empty(const char *string)
{
        return string ? string : "";
}

static char *stack_key(const struct record_stall *stall, const struct record_frame *made)
{
        const struct record_frame *culprit = made ? made : stall->culprit;
        if (stall->signature && made && made->function)
                return alloc_format("%016llx\n%s\n%s", (unsigned long long)stall->signature, made->function,
                                    or_empty(made->file));
        if (stall->signature)
                return alloc_format("%016llx", (unsigned long long)stall->signature);
        return alloc_format("%s\n%s\n%s\n%s", record_cause_name(stall->cause), missing_reason(stall),
                            culprit ? or_empty(culprit->function) : "", culprit ? or_empty(culprit->file) : "");
}

static void take_example(struct analysed_stack *stack, const struct analysed_process *process,
                         const struct record_stall *stall, struct kept line, bool framed)
{
        free(stack->example.line);
        stack->example = line;
        stack->example_ns = stall->duration_ns;
        stack->example_id = stall->id;
        stack->example_process = process;
        stack->example_framed = framed;
}

static struct analysed_stack *find_stack(struct analysis *analysis, const struct analysed_process *process,
                                         const struct record_stall *stall, const struct record_frame *made,
                                         const char *line, size_t length)
{
        char *key = stack_key(stall, made);
        void **at = map_at_string(&analysis->stacks, key);
        struct analysed_stack *stack = *at;
        if (!stack) {
                stack = *at = alloc_zeroed(1, sizeof(*stack));
                stack->key = key;
        } else {
                free(key);
        }
        bool framed = has_frames(stall) || (!stall->stacks_omitted && scan_frames(line, length));
        bool better = framed != stack->example_framed ? framed : stall->duration_ns > stack->example_ns;
        if (!stack->example.line || better)
                take_example(stack, process, stall, keep(line, length), framed);
        return stack;
}

const char *stall_call(const struct record_stall *stall)
{
        if (stall->cause == RECORD_UNKNOWN)
                return stall->detail.reason;
        return stall->cause == RECORD_LOCK ? stall->detail.object : stall->detail.call;
}

enum analysed_kind stall_kind(const struct record_stall *stall)
{
        if (stall->phase && strcmp(stall->phase, "startup") == 0)
                return KIND_STARTUP;
        return stall->cause == RECORD_SUSPENDED ? KIND_SUSPENDED : KIND_STALL;
}

/* "request GET /orders, user 7"; of one key its value alone. To be freed. */
static char *labels_of(const struct record_stall *stall, const char *key)
{
        char *all = NULL;
        for (size_t i = 0; i < stall->labels_count; i++) {
                const struct record_label *label = &stall->labels[i];
                if (key && strcmp(label->key, key) == 0) {
                        free(all);
                        return alloc_string(label->value);
                }
                if (key)
                        continue;
                char *longer = alloc_format("%s%s%s %s", all ? all : "", all ? ", " : "", label->key, label->value);
                free(all);
                all = longer;
        }
        return all ? all : alloc_string("");
}

/* What the program said of this stall, as far as that is asked for; to be freed. A server may have a label of its own
 * for each request: what is too much to be told apart is put together. */
static char *said_of(struct analysis *analysis, const struct record_stall *stall)
{
        const struct record_callback *callback = stall->callback;
        char *said = NULL;
        if (analysis->said == SAID_LABEL)
                said = labels_of(stall, analysis->label_key);
        else if (analysis->said == SAID_CALLBACK && callback)
                said = alloc_string(callback->name ? callback->name : callback->function ? callback->function : "");
        else if (analysis->said == SAID_CALLBACK)
                said = alloc_string("");
        if (said && analysis->sayings.count >= SAYINGS && !map_has_string(&analysis->sayings, said)) {
                free(said);
                said = alloc_string("(others)");
        }
        if (said)
                map_at_string(&analysis->sayings, said);
        return said;
}

static struct analysed_unit *find_unit(struct analysis *analysis, struct analysed_stack *stack,
                                       struct analysed_loop *loop, const struct record_stall *stall)
{
        const char *call = stall_call(stall);
        enum analysed_kind kind = stall_kind(stall);
        char *said = said_of(analysis, stall);
        char *key = alloc_format("%s\n%p\n%d\n%s\n%d\n%s", stack->key, (void *)loop, (int)stall->cause,
                                 call ? call : "", (int)kind, said ? said : "");
        void **at = map_at_string(&analysis->units, key);
        struct analysed_unit *unit = *at;
        free(key);
        if (!unit) {
                unit = *at = alloc_zeroed(1, sizeof(*unit));
                unit->stack = stack;
                unit->loop = loop;
                unit->cause = stall->cause;
                unit->call = alloc_string(call);
                unit->said = alloc_string(said);
                unit->kind = kind;
        }
        free(said);
        return unit;
}

/* Whether the culprit is one that was asked for: each that the record names is looked at once. */
static bool takes_culprit(struct analysis *analysis, const struct record *record, const struct record_frame *made)
{
        static const char taken, left;
        const struct record_frame *culprit = record->stall.culprit;
        if (!analysis->filter.culprit)
                return true;
        if (made)
                return filter_takes_culprit(&analysis->filter, record);
        char *key = culprit ? alloc_format("%s\n%s\n%s\n%llx", culprit->function ? culprit->function : "",
                                           culprit->file ? culprit->file : "", culprit->module ? culprit->module : "",
                                           (unsigned long long)culprit->offset)
                            : alloc_string("");
        void **at = map_at_string(&analysis->verdicts, key);
        free(key);
        if (!*at)
                *at = (void *)(filter_takes_culprit(&analysis->filter, record) ? &taken : &left);
        return *at == &taken;
}

static struct spread *spread_of(struct analysis *analysis, enum analysed_kind kind)
{
        switch (kind) {
        case KIND_STARTUP:
                return &analysis->startup;
        case KIND_SUSPENDED:
                return &analysis->suspended;
        case KIND_STALL:
                break;
        }
        return &analysis->stalls;
}

static void count_stall(struct analysis *analysis, struct analysed_process *process, const struct record *record,
                        const char *line, size_t length, bool ended)
{
        const struct record_stall *stall = &record->stall;
        struct record_frame frame;
        process->stalls++;
        bool taken = filter_takes(&analysis->filter, stall);
        const struct record_frame *made = taken ? find_made(analysis, process, record, &frame) : NULL;
        if (!taken || !takes_culprit(analysis, record, made)) {
                analysis->left_out++;
                return;
        }
        struct analysed_loop *loop = find_loop(analysis, process, stall->tid, stall->loop, stall->thread);
        struct analysed_stack *stack = find_stack(analysis, process, stall, made, line, length);
        struct analysed_unit *unit = find_unit(analysis, stack, loop, stall);
        uint64_t stalled_ns = record_stalled_ns(stall);
        if (stalled_ns > unit->stalls.longest_ns || unit->stalls.count == 0)
                unit->longest_id = stall->id;
        spread_add(&unit->stalls, stalled_ns);
        unit->never_ended += !ended;
        analysis->never_ended += !ended;
        spread_add(spread_of(analysis, unit->kind), stalled_ns);
        if (unit->kind == KIND_STALL)
                spread_add(&loop->stalls, stalled_ns);
        const struct counted counted = { unit->kind, ended, process, loop, stack };
        if (analysis->on_stall)
                analysis->on_stall(analysis->context, record, &counted);
}

static void remove_open(struct analysed_process *process, uint64_t id)
{
        for (size_t i = 0; i < process->open_count; i++) {
                if (process->open[i].id != id)
                        continue;
                free(process->open[i].begin.line);
                process->open[i] = process->open[--process->open_count];
                return;
        }
}

static struct analysed_open *find_open(const struct analysed_process *process, uint64_t id)
{
        for (size_t i = 0; i < process->open_count; i++)
                if (process->open[i].id == id)
                        return &process->open[i];
        return NULL;
}

/* Of two the later one counts, in whichever order they are read. */
static void add_begin(struct analysed_process *process, const struct record_stall *stall, const char *line,
                      size_t length)
{
        struct analysed_open *known = find_open(process, stall->id);
        if (idset_has(&process->ended, stall->id) || (known && known->duration_ns >= stall->duration_ns))
                return;
        if (known) {
                free(known->begin.line);
        } else {
                process->open = alloc_resize(process->open, process->open_count + 1, sizeof(*process->open));
                known = &process->open[process->open_count++];
        }
        *known = (struct analysed_open){ stall->id, stall->duration_ns, keep(line, length) };
}

static void add_stall(struct analysis *analysis, struct analysed_process *process, const struct record *record,
                      const char *line, size_t length)
{
        if (!idset_add(&process->ended, record->stall.id))
                return;
        remove_open(process, record->stall.id);
        if (!record_was_no_stall(&record->stall))
                count_stall(analysis, process, record, line, length, true);
}

bool analysis_wants_stacks(const struct analysis *analysis, const struct record *record)
{
        if (record->type == RECORD_STALL_BEGIN)
                return false; /* its line is kept, and read where no end follows */
        if (analysis->on_stall || analysis->filter.culprit || record->stall.signature == 0)
                return true;
        if (may_have_made(analysis, record))
                return true;
        char key[20];
        snprintf(key, sizeof(key), "%016llx", (unsigned long long)record->stall.signature);
        const struct analysed_stack *stack = map_find_string(&analysis->stacks, key);
        return !stack || !stack->example_framed;
}

void analysis_add(struct analysis *analysis, const struct record *record, const char *line, size_t length)
{
        struct analysed_process *process = find_process(analysis, record);
        if (record->time_ns > process->exit_ns)
                process->exited = false;
        switch (record->type) {
        case RECORD_PROCESS:
                add_process(analysis, process, record);
                break;
        case RECORD_STALL_BEGIN:
                add_begin(process, &record->stall, line, length);
                break;
        case RECORD_STALL:
                add_stall(analysis, process, record, line, length);
                break;
        case RECORD_DUMP:
                if (record->stall.id > process->dumps)
                        process->dumps = record->stall.id;
                break;
        case RECORD_LOOP:
                add_loop(analysis, process, record);
                break;
        case RECORD_EXIT:
                add_exit(process, record, line, length);
                break;
        }
}

/* The last that is known of it: at least until the process's last line it went on. */
static void finish_open(struct analysis *analysis, struct analysed_process *process, const struct analysed_open *open)
{
        struct parsed parsed;
        char why[128];
        if (parse_record(&parsed, open->begin.line, open->begin.length, why, sizeof(why)) != 0)
                return; /* it was parsed when it came */
        struct record_stall *stall = &parsed.record.stall;
        if (stall->begin_ns + stall->duration_ns < process->last_ns)
                stall->duration_ns = process->last_ns - stall->begin_ns;
        count_stall(analysis, process, &parsed.record, open->begin.line, open->begin.length, false);
        parsed_free(&parsed);
}

void analysis_finish(struct analysis *analysis)
{
        for (size_t i = 0; i < analysis->processes.count && !analysis->finished; i++) {
                struct analysed_process *process = analysis->processes.entries[i].value;
                for (size_t j = 0; j < process->open_count; j++)
                        finish_open(analysis, process, &process->open[j]);
                finish_exit(analysis, process);
        }
        analysis->finished = true;
}

/* ------------------------------------------------------------------------------------------------------ questions */

uint64_t bucket_middle_ns(const struct record_bucket *bucket)
{
        uint64_t width_ns = bucket->from_ns / 16 > 1024 ? bucket->from_ns / 16 : 1024;
        return bucket->from_ns + width_ns / 2;
}

uint64_t buckets_permille_ns(const struct record_bucket *buckets, size_t count, uint64_t longest_ns, unsigned permille)
{
        uint64_t iterations = 0;
        for (size_t i = 0; i < count; i++)
                iterations += buckets[i].count;
        uint64_t rank = iterations / 1000 * permille + (iterations % 1000 * permille + 999) / 1000;
        for (size_t i = 0; i < count; i++) {
                if (buckets[i].count < rank) {
                        rank -= buckets[i].count;
                        continue;
                }
                uint64_t middle_ns = bucket_middle_ns(&buckets[i]);
                return longest_ns && middle_ns > longest_ns ? longest_ns : middle_ns;
        }
        return 0;
}

uint64_t analysed_loop_permille_ns(const struct analysed_loop *loop, unsigned permille)
{
        return buckets_permille_ns(loop->buckets, loop->buckets_count, loop->longest_ns, permille);
}

bool analysis_span(const struct analysis *analysis, uint64_t *first_ns, uint64_t *last_ns)
{
        *first_ns = UINT64_MAX;
        *last_ns = 0;
        for (size_t i = 0; i < analysis->processes.count; i++) {
                const struct analysed_process *process = analysis->processes.entries[i].value;
                *first_ns = process->first_ns < *first_ns ? process->first_ns : *first_ns;
                *last_ns = process->last_ns > *last_ns ? process->last_ns : *last_ns;
        }
        return analysis->processes.count > 0;
}

static int by_string(const void *a, const void *b)
{
        return strcmp(*(const char *const *)a, *(const char *const *)b);
}

int analysis_run_digits(const struct analysis *analysis)
{
        size_t count = analysis->processes.count;
        const char **runs = alloc_zeroed(count, sizeof(*runs));
        size_t digits = 4;
        for (size_t i = 0; i < count; i++)
                runs[i] = analysis->processes.entries[i].key;
        qsort(runs, count, sizeof(*runs), by_string);
        for (size_t i = 1; i < count; i++) {
                size_t common = 0;
                while (runs[i][common] && runs[i][common] == runs[i - 1][common])
                        common++;
                if (common + 1 > digits)
                        digits = common + 1;
        }
        free(runs);
        return (int)digits;
}

/* -------------------------------------------------------------------------------------------------------- freeing */

static void free_process(void *pointer)
{
        struct analysed_process *process = pointer;
        for (size_t i = 0; i < process->open_count; i++)
                free(process->open[i].begin.line);
        free(process->open);
        free(process->exit_line.line);
        idset_free(&process->ended);
        free(process->run);
        free(process->host);
        free(process->program);
        free(process->executable);
        free(process->agent_version);
        free(process);
}

static void free_loop(void *pointer)
{
        struct analysed_loop *loop = pointer;
        spread_free(&loop->stalls);
        free(loop->buckets);
        free(loop->name);
        free(loop->thread);
        free(loop);
}

static void free_stack(void *pointer)
{
        struct analysed_stack *stack = pointer;
        free(stack->key);
        free(stack->example.line);
        free(stack);
}

static void free_unit(void *pointer)
{
        struct analysed_unit *unit = pointer;
        spread_free(&unit->stalls);
        free(unit->call);
        free(unit->said);
        free(unit);
}

static void free_loss(void *pointer)
{
        struct analysed_loss *loss = pointer;
        free(loss->reason);
        free(loss);
}

void analysis_free(struct analysis *analysis)
{
        map_free(&analysis->units, free_unit);
        map_free(&analysis->stacks, free_stack);
        map_free(&analysis->loops, free_loop);
        map_free(&analysis->processes, free_process);
        map_free(&analysis->losses, free_loss);
        map_free(&analysis->notices, NULL);
        map_free(&analysis->verdicts, NULL);
        map_free(&analysis->made, NULL);
        map_free(&analysis->sayings, NULL);
        spread_free(&analysis->stalls);
        spread_free(&analysis->suspended);
        spread_free(&analysis->startup);
        *analysis = (struct analysis){ 0 };
}
