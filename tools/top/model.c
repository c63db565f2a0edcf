/* SPDX-License-Identifier: Apache-2.0
 *
 * model.c - what is known of processes, loops and stalls at this moment
 *
 * Context: reader
 */
#include "top/model.h"

#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "analyse/group.h"
#include "kept_frame.h"
#include "read/parse.h"
#include "record/frame.h"
#include "render/words.h"
#include "top/forget.h"

#define SECOND_NS UINT64_C(1000000000)
#define LIVE_SPAN_NS (5 * SECOND_NS)    /* records that come faster come every second, for somebody looks on; */
#define RESTS_LIVE_NS (3 * SECOND_NS)   /* then their absence says so after this time, */
#define RESTS_USUAL_NS (12 * SECOND_NS) /* else, where they come every 10 s, after this */
#define GONE_AFTER_NS (SECOND_NS / 2)   /* the last line of a process that ends may still be on its way */
#define KNOWN_SIGNATURES 16384
#define FORGET_EVERY 4096   /* records: a folder may hold many years */
#define ASKED_AT_A_TICK 256 /* whether they are gone */

/* ------------------------------------------------------------------------------------------------------- processes */

static struct top_process *find_process(struct top_model *model, const struct record *record)
{
        void **at = map_at_string(&model->processes, record->run);
        struct top_process *process = *at;
        if (!process) {
                process = *at = alloc_zeroed(1, sizeof(*process));
                process->run = alloc_string(record->run);
                process->host = alloc_string(record->host ? record->host : "");
                process->program = alloc_string(record->program ? record->program : "?");
                process->pid = record->pid;
                process->first_ns = record->time_ns;
        }
        if (record->time_ns < process->first_ns)
                process->first_ns = record->time_ns;
        if (record->time_ns > process->last_ns) {
                process->last_ns = record->time_ns;
                process->elsewhere |= process->state == TOP_GONE || process->state == TOP_SILENT;
                process->state = record->type == RECORD_EXIT ? TOP_ENDED_WELL : TOP_RUNS;
        }
        return process;
}

/* ----------------------------------------------------------------------------------------------------------- loops */

static struct top_loop *find_loop(struct top_model *model, struct top_process *process, int32_t tid, const char *name,
                                  const char *thread)
{
        void **at = analysis_loop_at(&model->loops, process->run, tid, name);
        struct top_loop *loop = *at;
        if (!loop) {
                loop = *at = alloc_zeroed(1, sizeof(*loop));
                loop->process = process;
                loop->name = alloc_string(name ? name : "?");
                loop->thread = alloc_string(thread ? thread : "");
                loop->tid = tid;
        }
        return loop;
}

static uint64_t more(uint64_t now, uint64_t before)
{
        return now > before ? now - before : 0;
}

/* The longest iteration since the last record: in the highest bucket that has more in it. */
static uint64_t longest_since(const struct top_loop *before, const struct record_loop *line)
{
        size_t j = before->buckets_count;
        if (line->longest_ns > before->all.longest_ns)
                return line->longest_ns;
        for (size_t i = line->buckets_count; i-- > 0;) {
                const struct record_bucket *bucket = &line->buckets[i];
                while (j > 0 && before->buckets[j - 1].from_ns > bucket->from_ns)
                        j--;
                bool same = j > 0 && before->buckets[j - 1].from_ns == bucket->from_ns;
                if (bucket->count > (same ? before->buckets[j - 1].count : 0))
                        return bucket_middle_ns(bucket);
        }
        return 0;
}

static void add_loop(struct top_model *model, struct top_process *process, const struct record *record)
{
        const struct record_loop *line = &record->loop;
        struct top_loop *loop = find_loop(model, process, line->tid, line->loop, line->thread);
        if (record->time_ns <= loop->told_ns && loop->counted)
                return;
        bool anew = !loop->counted || line->iterations < loop->all.iterations; /* another loop of the same name */
        if (anew) {
                loop->all = (struct top_span){ 0 };
                loop->buckets_count = 0;
        }
        loop->span = (struct top_span){
                .length_ns = anew ? line->busy_ns + line->idle_ns : record->time_ns - loop->told_ns,
                .iterations = line->iterations - loop->all.iterations,
                .busy_ns = more(line->busy_ns, loop->all.busy_ns),
                .idle_ns = more(line->idle_ns, loop->all.idle_ns),
                .longest_ns = longest_since(loop, line),
        };
        loop->all = (struct top_span){ line->busy_ns + line->idle_ns, line->iterations, line->busy_ns, line->idle_ns,
                                       line->longest_ns };
        loop->counted = true;
        loop->told_ns = record->time_ns;
        loop->buckets = alloc_resize(loop->buckets, line->buckets_count, sizeof(*loop->buckets));
        loop->buckets_count = line->buckets_count;
        for (size_t i = 0; i < line->buckets_count; i++)
                loop->buckets[i] = line->buckets[i];
}

/* -------------------------------------------------------------------------------------------------------- culprits */

/* The frame to blame, with its line, as a copy to be released; all NULL: none is known. */
static struct record_frame blame(const struct top_model *model, const struct record *record)
{
        struct record_frame frame = { 0 };
        struct symbolized symbolized;
        if (!record->stall.culprit)
                return frame;
        if (!model->filter.symbolizer) {
                kept_frame_set(&frame, record->stall.culprit);
                return frame;
        }
        symbolize(model->filter.symbolizer, record, &symbolized);
        kept_frame_set(&frame, symbolized.record.stall.culprit);
        symbolized_free(&symbolized);
        return frame;
}

/* Short, for a line of a screen: the file without its folder. */
static char *name_culprit(const struct record_frame *frame)
{
        struct record_frame brief = *frame;
        if (!frame->function && !frame->file && !frame->module)
                return alloc_string("(no stack)");
        if (frame->file && frame->file[0] != '<')
                brief.file = record_basename(frame->file);
        return words_frame(&brief);
}

static struct top_culprit *find_culprit(struct top_model *model, const struct record *record)
{
        struct record_frame frame = blame(model, record);
        char *key = group_culprit_key(&frame);
        void **at = map_at_string(&model->culprits, key);
        struct top_culprit *culprit = *at;
        if (!culprit)
                culprit = *at = alloc_zeroed(1, sizeof(*culprit));
        bool longer = record->stall.duration_ns >= culprit->example_ns;
        if (!culprit->key || longer) { /* the name has a line in it: the example's */
                free(culprit->key);
                free(culprit->name);
                kept_frame_release(&culprit->frame);
                culprit->key = key;
                culprit->name = name_culprit(&frame);
                culprit->frame = frame;
                return culprit;
        }
        free(key);
        kept_frame_release(&frame);
        return culprit;
}

static void keep_example(struct top_culprit *culprit, const struct record_stall *stall, const char *line, size_t length)
{
        bool stacked = !stall->stacks_omitted;
        bool better = stacked != culprit->example_stacked ? stacked : stall->duration_ns >= culprit->example_ns;
        if (culprit->example.line && !better)
                return;
        free(culprit->example.line);
        culprit->example = (struct kept){ alloc_bytes(line, length), length };
        culprit->example_ns = stall->duration_ns;
        culprit->example_stacked = stacked;
}

/* ---------------------------------------------------------------------------------------------------------- stalls */

/* In progress, it is as long as one likes, and there is no saying that it is too short. */
static bool takes(const struct top_model *model, const struct record *record)
{
        struct record_stall stall = record->stall;
        if (record->type == RECORD_STALL_BEGIN)
                stall.duration_ns = UINT64_MAX - stall.begin_ns;
        return filter_takes(&model->filter, &stall) && filter_takes_culprit(&model->filter, record);
}

static void set_call(char **call, const struct record_stall *stall)
{
        free(*call);
        *call = alloc_string(stall_call(stall));
}

static void count_stall(struct top_model *model, struct top_loop *loop, const struct record *record, const char *line,
                        size_t length, bool ended)
{
        const struct record_stall *stall = &record->stall;
        enum analysed_kind kind = stall_kind(stall);
        model->startup += kind == KIND_STARTUP;
        model->suspended += kind == KIND_SUSPENDED;
        if (kind != KIND_STALL)
                return;
        uint64_t stalled_ns = record_stalled_ns(stall);
        uint64_t end_ns = stall->begin_ns + stall->duration_ns;
        struct top_culprit *culprit = find_culprit(model, record);
        keep_example(culprit, stall, line, length);
        spread_add(&culprit->stalls, stalled_ns);
        spread_add(&model->stalls, stalled_ns);
        culprit->never_ended += !ended;
        model->never_ended += !ended;
        loop->stalls++;
        loop->lost_ns += stalled_ns;
        if (end_ns < culprit->last_ns)
                return;
        culprit->last_ns = end_ns;
        culprit->cause = stall->cause;
        set_call(&culprit->call, stall);
}

static struct top_open *find_open(const struct top_process *process, uint64_t id)
{
        for (size_t i = 0; i < process->open_count; i++)
                if (process->open[i].id == id)
                        return &process->open[i];
        return NULL;
}

static void remove_open(struct top_process *process, struct top_open *open)
{
        top_open_release(open);
        *open = process->open[--process->open_count];
}

static void add_begin(struct top_model *model, struct top_process *process, const struct record *record,
                      const char *line, size_t length)
{
        const struct record_stall *stall = &record->stall;
        if (idset_has(&process->ended, stall->id) || find_open(process, stall->id) || !takes(model, record))
                return;
        if (process->open_count == TOP_OPEN) {
                model->forgotten.stalls++;
                return;
        }
        struct top_loop *loop = find_loop(model, process, stall->tid, stall->loop, stall->thread);
        struct record_frame frame = blame(model, record);
        process->open = alloc_resize(process->open, process->open_count + 1, sizeof(*process->open));
        process->open[process->open_count++] = (struct top_open){
                .id = stall->id,
                .begin_ns = stall->begin_ns,
                .told_ns = stall->duration_ns,
                .startup = stall_kind(stall) == KIND_STARTUP,
                .cause = stall->cause,
                .call = alloc_string(stall_call(stall)),
                .culprit = name_culprit(&frame),
                .loop = alloc_string(loop->name),
                .tid = stall->tid,
                .line = { alloc_bytes(line, length), length },
        };
        kept_frame_release(&frame);
        loop->stalling_ns = stall->begin_ns;
}

static bool is_watched(const struct top_model *model, const struct top_process *process, uint64_t id)
{
        const struct top_watched *watched = &model->watched;
        return watched->run && watched->id == id && strcmp(watched->run, process->run) == 0;
}

static void forget_watched(struct top_model *model)
{
        free(model->watched.run);
        free(model->watched.line.line);
        model->watched = (struct top_watched){ 0 };
}

void top_model_watch(struct top_model *model, const struct kept *line)
{
        struct parsed parsed;
        char why[128];
        forget_watched(model);
        if (parse_record(&parsed, line->line, line->length, why, sizeof(why)) != 0)
                return; /* it was parsed when it came */
        const struct record *record = &parsed.record;
        const struct top_process *process = map_find_string(&model->processes, record->run);
        bool open = record->type == RECORD_STALL_BEGIN;
        model->watched = (struct top_watched){
                .run = alloc_string(record->run),
                .id = record->stall.id,
                .line = { alloc_bytes(line->line, line->length), line->length },
                .open = open,
        };
        if (!process || process->state != TOP_RUNS)
                model->watched.at_most_ns =
                        process ? more(process->last_ns, record->stall.begin_ns) : record->stall.duration_ns;
        parsed_free(&parsed);
}

static void add_stall(struct top_model *model, struct top_process *process, const struct record *record,
                      const char *line, size_t length)
{
        const struct record_stall *stall = &record->stall;
        if (!idset_add(&process->ended, stall->id))
                return;
        struct top_open *open = find_open(process, stall->id);
        struct top_loop *loop = find_loop(model, process, stall->tid, stall->loop, stall->thread);
        if (open)
                remove_open(process, open);
        if (is_watched(model, process, stall->id)) {
                const struct kept end = { (char *)line, length };
                top_model_watch(model, &end);
        }
        loop->stalling_ns = 0;
        if (!record_was_no_stall(stall) && takes(model, record))
                count_stall(model, loop, record, line, length, true);
}

/* Its process is over: it lasted at least until the last that was heard of that. */
static void give_up_open(struct top_model *model, struct top_process *process, struct top_open *open)
{
        struct parsed parsed;
        char why[128];
        if (idset_add(&process->ended, open->id) &&
            parse_record(&parsed, open->line.line, open->line.length, why, sizeof(why)) == 0) {
                struct record_stall *stall = &parsed.record.stall;
                struct top_loop *loop = find_loop(model, process, stall->tid, stall->loop, stall->thread);
                stall->duration_ns = more(process->last_ns, stall->begin_ns) > stall->duration_ns
                                             ? process->last_ns - stall->begin_ns
                                             : stall->duration_ns;
                loop->stalling_ns = 0;
                if (is_watched(model, process, open->id))
                        model->watched.at_most_ns = stall->duration_ns;
                count_stall(model, loop, &parsed.record, open->line.line, open->line.length, false);
                parsed_free(&parsed);
        }
        remove_open(process, open);
}

static void end_process(struct top_model *model, struct top_process *process)
{
        while (process->open_count > 0)
                give_up_open(model, process, &process->open[process->open_count - 1]);
}

bool top_model_wants_stacks(const struct top_model *model, const struct record *record)
{
        const struct record_stall *stall = &record->stall;
        const struct record_frame *culprit = stall->culprit;
        bool asks = culprit && (culprit->lang == RECORD_NATIVE || culprit->lang == RECORD_JIT);
        return asks && model->filter.symbolizer &&
               !map_find(&model->known, (const char *)&stall->signature, sizeof(stall->signature));
}

/* The symbolizer remembers the culprit of a signature, unless it is code made at run time, which has no part in that.
 */
static void note_signature(struct top_model *model, struct top_process *process, const struct record_stall *stall)
{
        process->makes_code |= symbolize_has_made(stall);
        if (stall->stacks_count == 0 || process->makes_code)
                return;
        if (model->known.count == KNOWN_SIGNATURES)
                map_free(&model->known, NULL);
        *map_at(&model->known, (const char *)&stall->signature, sizeof(stall->signature)) = model;
}

/* ------------------------------------------------------------------------------------------------------- in time */

void top_model_tick(struct top_model *model, uint64_t now_ns)
{
        size_t stride = 1 + model->processes.count / ASKED_AT_A_TICK;
        for (size_t i = model->ticks++ % stride; i < model->processes.count; i += stride) {
                struct top_process *process = model->processes.entries[i].value;
                if (process->state != TOP_RUNS || process->elsewhere || !model->state_of ||
                    now_ns < process->last_ns + GONE_AFTER_NS)
                        continue;
                process->state = model->state_of(model->context, process);
                if (process->state != TOP_RUNS)
                        end_process(model, process);
        }
        top_forget(model);
}

/* --------------------------------------------------------------------------------------------------------- records */

static bool is_wanted(const struct top_model *model, int32_t pid)
{
        for (size_t i = 0; i < model->pids_count; i++)
                if (model->pids[i] == pid)
                        return true;
        return model->pids_count == 0;
}

void top_model_add(struct top_model *model, const struct record *record, const char *line, size_t length)
{
        if (!is_wanted(model, record->pid))
                return;
        if (++model->records % FORGET_EVERY == 0)
                top_forget(model);
        struct top_process *process = find_process(model, record);
        switch (record->type) {
        case RECORD_PROCESS:
        case RECORD_DUMP: /* no stall, and asked for by somebody else */
                break;
        case RECORD_STALL_BEGIN:
                add_begin(model, process, record, line, length);
                break;
        case RECORD_STALL:
                add_stall(model, process, record, line, length);
                note_signature(model, process, &record->stall);
                break;
        case RECORD_LOOP:
                add_loop(model, process, record);
                break;
        case RECORD_EXIT:
                if (process->state == TOP_ENDED_WELL)
                        end_process(model, process);
                break;
        }
}

/* ------------------------------------------------------------------------------------------------------- questions */

uint64_t top_open_ns(const struct top_open *open, uint64_t now_ns)
{
        uint64_t age_ns = more(now_ns, open->begin_ns);
        return age_ns > open->told_ns ? age_ns : open->told_ns;
}

size_t top_model_open(const struct top_model *model)
{
        size_t count = 0;
        for (size_t i = 0; i < model->processes.count; i++) {
                const struct top_process *process = model->processes.entries[i].value;
                for (size_t j = 0; j < process->open_count; j++)
                        count += !process->open[j].startup;
        }
        return count;
}

uint64_t top_loop_rests_ns(const struct top_loop *loop, uint64_t now_ns)
{
        uint64_t age_ns = more(now_ns, loop->told_ns);
        uint64_t enough_ns = loop->span.length_ns < LIVE_SPAN_NS ? RESTS_LIVE_NS : RESTS_USUAL_NS;
        bool known = loop->counted && loop->process->state == TOP_RUNS && loop->stalling_ns == 0;
        return known && age_ns > enough_ns ? age_ns : 0;
}

void top_model_free(struct top_model *model)
{
        top_forget_all(model);
        map_free(&model->known, NULL);
        spread_free(&model->stalls);
        forget_watched(model);
        *model = (struct top_model){ 0 };
}
