/* SPDX-License-Identifier: Apache-2.0
 *
 * fill.c - turn what the agent knows into records
 *
 * Addresses become module, build-id, offset and function name here, so that a line stands alone. The signature names a
 * place in the code for ever: it is made of names and offsets, never of addresses.
 *
 * Context: watchdog
 */
#include "record/fill.h"

#include <errno.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/calls.h"
#include "base/clock.h"
#include "base/config.h"
#include "base/hash.h"
#include "base/notice.h"
#include "base/proc.h"
#include "base/raw.h"
#include "base/text.h"
#include "base/thread.h"
#include "explain/names.h"
#include "loopdog.h"
#include "record/frame.h"
#include "record/repeat.h"
#include "record/shares.h"

/* Frames from the culprit outwards that make the signature: enough to tell two callers of one helper apart, few enough
 * that a router's depth does not split one place into many. */
#define SIGNATURE_FRAMES 6
#define WORK_SHARE 10  /* labels are told that were set for a tenth of the stall */
#define OTHERS_SHARE 5 /* another thread is named where it held the loop up in a fifth of the samples */

static struct {
        char host[65];
        char program[64];
        char run[17];
        char command[256];
        char executable[1024];
} process;

static struct {
        struct record_stack stacks[LIMIT_STACKS];
        struct record_frame frames[LIMIT_STALL_FRAMES];
        struct record_frame culprit;
        int callbacks[LIMIT_STACKS];
        struct record_share shares[SHARES];
        struct record_other others[LIMIT_CHAIN];
        struct record_frame other_frames[LIMIT_CHAIN][LIMIT_OTHER_FRAMES];
        char called[256];
        struct record_loss losses[CAPTURE_LOSSES];
        struct record_callback callback;
        char callback_object[LIMIT_SAID_NAME + 24];
        struct record_label labels[LIMIT_LABELS];
        char thread[64];
} made;

/* ---- the process ---- */

/* Mix the bits of a hash (the finalizer of splitmix64). */
static uint64_t mix(uint64_t value)
{
        value = (value ^ value >> 30) * 0xbf58476d1ce4e5b9ull;
        value = (value ^ value >> 27) * 0x94d049bb133111ebull;
        return value ^ value >> 31;
}

/* Random without a system call: the kernel's gift at exec, told apart in forked children by pid and time. */
static uint64_t make_run(void)
{
        uint64_t seed = 0;
        const void *random = (const void *)(uintptr_t)getauxval(AT_RANDOM);
        if (random != NULL)
                memcpy(&seed, random, sizeof seed);
        uint64_t run = mix(seed ^ mix(clock_realtime_ns()) ^ mix((uint64_t)process_id() << 32));
        return run != 0 ? run : 1;
}

static void read_command(void)
{
        char bytes[sizeof process.command];
        struct text command = TEXT_IN(process.command);
        text_clear(&command);
        if (proc_read("self/cmdline", bytes, sizeof bytes) > 0)
                text_string(&command, bytes); /* argv[0] only: the rest may hold secrets */
}

static void read_executable(void)
{
        ssize_t n = proc_readlink("self/exe", process.executable, sizeof process.executable);
        process.executable[n > 0 ? n : 0] = '\0';
}

static void read_program(void)
{
        /* After chroot without /proc: the last part of argv[0]. */
        if (proc_read_line("self/comm", process.program, sizeof process.program) < 0) {
                const char *slash = strrchr(process.command, '/');
                struct text program = TEXT_IN(process.program);
                text_string(&program, slash != NULL ? slash + 1 : process.command);
        }
}

void fill_begin(void)
{
        struct utsname names;
        struct text host = TEXT_IN(process.host);
        struct text run = TEXT_IN(process.run);
        if (call_allowed_sigsafe(SYS_uname) && uname(&names) == 0)
                text_string(&host, names.nodename);
        text_hex(&run, make_run(), 16);
        read_command();
        read_executable();
        read_program();
        repeat_after_fork();
}

void fill_common(struct record *record, enum record_type type)
{
        *record = (struct record){
                .version = RECORD_VERSION,
                .type = type,
                .time_ns = clock_realtime_ns(),
                .host = process.host,
                .pid = process_id(),
                .run = process.run,
                .program = process.program,
        };
}

/* LOOPDOG_REDACT=paths: only the last component leaves the process. */
static const char *redacted(const char *path)
{
        const char *slash = path != NULL && config.redact & CONFIG_REDACT_PATHS ? strrchr(path, '/') : NULL;
        return slash != NULL ? slash + 1 : path;
}

void fill_process(struct record *record)
{
        fill_common(record, RECORD_PROCESS);
        record->process.command = redacted(process.command);
        record->process.executable = redacted(process.executable);
        record->process.agent_version = LOOPDOG_VERSION;
        record->process.ppid = call_allowed_sigsafe(SYS_getppid) ? getppid() : 0;
        record->process.clock = clock_name();
}

const char *fill_thread_name(int32_t tid)
{
        char path[64];
        struct text text = TEXT_IN(path);
        text_format(&text, "self/task/%d/comm", tid);
        return proc_read_line(path, made.thread, sizeof made.thread) >= 0 ? made.thread : NULL;
}

/* ---- stacks ---- */

static void fill_frame(struct record_frame *filled, const struct frame *frame)
{
        struct frame_names names = names_of(frame);
        bool script = names.file != NULL;
        *filled = (struct record_frame){
                .lang = script                 ? RECORD_PYTHON
                        : names.module == NULL ? RECORD_JIT
                                               : RECORD_NATIVE,
                .caller = frame->caller,
                .function = names.function,
                .file = names.file,
                .line = frame->line,
                .module = names.module,
                .build_id = names.build_id,
                .offset = names.offset,
        };
}

/* The agent's own hook at the innermost end is no news. */
static bool is_agent(const struct record_frame *frame)
{
        return record_frame_owner(frame, NULL) == RECORD_WATCHER;
}

/* Where the thread waits for the watchdog, at the program's wish. In the static library what is within it can't be told
 * from the program by its module. */
static bool is_asking(const struct record_frame *frame)
{
        static const char names[] = "loopdog_dump loopdog_flush loopdog_stop "
                                    "own_loopdog_dump own_loopdog_flush own_loopdog_stop"; /* api/static.c */
        return frame->function != NULL && record_has_word(names, frame->function);
}

/* When a sample was taken, from the stall's begin. The handler may have taken it at the very end, and the watchdog
 * noted the time after that. */
static uint64_t since_begin(const struct explained *explained, uint64_t time_ns)
{
        uint64_t since_ns = time_ns - explained->begin_ns;
        return since_ns < explained->duration_ns ? since_ns : explained->duration_ns;
}

/* Returns how many there are without the agent's own. */
static size_t fill_frames(struct record_frame *filled, const struct frame *frames, unsigned count)
{
        size_t kept = 0;
        names_resolve(frames, count);
        for (unsigned i = 0; i < count; i++) {
                fill_frame(&filled[kept], &frames[i]);
                kept = is_asking(&filled[kept]) ? 0 : kept + !is_agent(&filled[kept]);
        }
        return kept;
}

static void fill_stack(struct record_stack *filled, const struct explained *explained, uint32_t index)
{
        const struct profile *profile = explained->profile;
        const struct profile_stack *from = &profile->stacks[index];
        struct record_frame *frames = &made.frames[from->first_frame];
        size_t count = fill_frames(frames, &profile->frames[from->first_frame], from->frames_count);
        *filled = (struct record_stack){
                .count = from->count,
                .first_ns = since_begin(explained, from->first_ns),
                .last_ns = since_begin(explained, from->last_ns),
                .state = from->state,
                .complete = from->complete,
                .truncated = from->truncated,
                .frames = frames,
                .frames_count = count,
        };
        /* Those left out of the record stand within all others. */
        made.callbacks[index] =
                from->callback != PROFILE_NO_CALLBACK ? (int)from->callback - (int)(from->frames_count - count) : -1;
}

static void fill_losses(struct record_stall *stall, const struct profile *profile)
{
        for (int loss = CAPTURE_OK + 1; loss < CAPTURE_LOSSES; loss++) {
                /* A look before the threshold sends no signal: that a running thread gave no stack then is no loss,
                 * unless it is all there is to say. */
                bool no_loss = loss == CAPTURE_RUNNING && profile->stacks_count != 0;
                if (profile->losses[loss] == 0 || no_loss)
                        continue;
                made.losses[stall->losses_count].reason = capture_loss_text((enum capture_loss)loss);
                made.losses[stall->losses_count++].count = profile->losses[loss];
                stall->samples_lost += profile->losses[loss];
        }
        stall->losses = made.losses;
}

/* Of a stall beyond LIMIT_STALLS, or without memory for its samples, nothing was kept but how often it was looked at.
 */
static void fill_crowded(struct record_stall *stall, uint32_t samples)
{
        if (samples == 0)
                return;
        made.losses[0] =
                (struct record_loss){ "too many loops stalled at the same time, or no memory was left", samples };
        stall->losses = made.losses;
        stall->losses_count = 1;
        stall->samples = stall->samples_lost = samples;
}

/* The most frequent stack first: readers and people look there. */
static void put_main_first(const struct profile *profile)
{
        int main_stack = profile_main_stack(profile);
        if (main_stack <= 0)
                return;
        struct record_stack first = made.stacks[main_stack];
        memmove(&made.stacks[1], &made.stacks[0], (size_t)main_stack * sizeof first);
        made.stacks[0] = first;
}

static void fill_stacks(struct record_stall *stall, const struct explained *explained)
{
        const struct profile *profile = explained->profile;
        for (uint32_t i = 0; i < profile->stacks_count; i++)
                fill_stack(&made.stacks[i], explained, i);
        stall->profile_count = shares_find(made.stacks, made.callbacks, profile->stacks_count, config.own, made.shares);
        stall->profile = made.shares;
        stall->callbacks_seen = profile->callbacks;
        put_main_first(profile);
        stall->stacks = made.stacks;
        stall->stacks_count = profile->stacks_count;
        stall->stacks_dropped = profile->stacks_dropped;
        stall->script_losses = profile->script_losses;
        stall->script_loss = profile->script_loss;
        stall->detail.task = profile->task.text;
        stall->detail.coroutine = profile->coroutine.text;
        stall->samples = profile->samples;
        fill_losses(stall, profile);
}

/* ---- culprit and signature ---- */

/* The byte after it, which stands in no UTF-8, keeps "ab", "c" apart from "a", "bc". */
static uint64_t hash_name(uint64_t hash, const char *name)
{
        return hash_value(name != NULL ? hash_string(hash, name) : hash, 0xff);
}

static uint64_t hash_frame(uint64_t hash, const struct record_frame *frame)
{
        const char *place = frame->file != NULL ? frame->file : frame->module;
        const char *slash = place != NULL ? strrchr(place, '/') : NULL;
        hash = hash_name(hash, slash != NULL ? slash + 1 : place);
        if (frame->function != NULL)
                return hash_name(hash, frame->function);
        if (frame->module == NULL) /* code made at run time: its address means nothing */
                return hash;
        return hash_value(hash, mix(frame->offset));
}

static uint64_t make_signature(const struct record_stall *stall, int culprit)
{
        uint64_t hash = hash_name(HASH_BEGIN, record_cause_name(stall->cause));
        const struct record_stack *stack = &stall->stacks[0];
        for (size_t i = 0; i < SIGNATURE_FRAMES && (size_t)culprit + i < stack->frames_count; i++)
                hash = hash_frame(hash, &stack->frames[(size_t)culprit + i]);
        hash = mix(hash);
        return hash != 0 ? hash : 1;
}

/* "requests/api.py" is requests.api, "json/__init__.py" is json, "importlib._bootstrap>" importlib._bootstrap. */
static void put_module(struct text *text, const char *path)
{
        static const char package[] = "/__init__.py";
        size_t length = strcspn(path, ">"), tail = sizeof package - 1;
        if (length > tail && strcmp(path + length - tail, package) == 0)
                length -= tail;
        else if (length > 3 && strncmp(path + length - 3, ".py", 3) == 0)
                length -= 3;
        for (size_t i = 0; i < length; i++)
                text_char(text, path[i] == '/' ? '.' : path[i]);
}

static bool is_innermost_script(const struct record_frame *frames, int index)
{
        while (index > 0 && frames[index - 1].lang != RECORD_PYTHON)
                index--;
        return index == 0;
}

/* What the culprit has called: a function of a script is the next frame, a native one was found with the sample; most
 * of those that have a stack must say so. */
static void fill_called(struct record_stall *stall, const struct profile *profile, int culprit)
{
        const struct record_frame *frames = stall->stacks[0].frames;
        const struct record_frame *callee = culprit > 0 ? &frames[culprit - 1] : NULL;
        const char *rest;
        struct text called = TEXT_IN(made.called);
        text_clear(&called);
        if (frames[culprit].lang != RECORD_PYTHON)
                return;
        if (callee != NULL && callee->lang == RECORD_PYTHON && callee->function != NULL) {
                if (record_place_of(callee->file, &rest) != RECORD_ELSEWHERE) {
                        put_module(&called, rest);
                        text_char(&called, '.');
                }
                text_string(&called, callee->function);
        } else if (is_innermost_script(frames, culprit) &&
                   2 * profile->called.votes > stall->samples - stall->samples_lost) {
                text_string(&called, profile->called.text);
        }
        stall->detail.called = made.called;
}

static void fill_culprit(struct record_stall *stall, const struct profile *profile)
{
        if (stall->stacks_count == 0)
                return;
        int culprit = record_find_culprit(stall->stacks[0].frames, stall->stacks[0].frames_count, config.own);
        if (culprit < 0)
                return;
        made.culprit = stall->stacks[0].frames[culprit];
        stall->culprit = &made.culprit;
        stall->signature = make_signature(stall, culprit);
        fill_called(stall, profile, culprit);
}

/* ---- other threads ---- */

static const char *role_of(enum whom_kind kind)
{
        switch (kind) {
        case WHOM_GIL:
                return "gil-holder";
        case WHOM_END:
                return "joined";
        case WHOM_LOCK:
        case WHOM_NOBODY:
                break;
        }
        return "lock-owner";
}

static void fill_other(unsigned index, const struct whom_link *link)
{
        made.others[index] = (struct record_other){
                .role = role_of(link->holds),
                .tid = link->tid,
                .thread = link->thread,
                .state = link->state,
                .call = syscall_name(link->call),
                .object = link->object,
                .owner = link->waits_for,
                .frames = made.other_frames[index],
                .frames_count = fill_frames(made.other_frames[index], link->frames, link->frames_count),
        };
}

/* Whatever the cause, it is worth knowing who had what it waited for in a good part of the samples. */
static void fill_others(struct record_stall *stall, const struct profile *profile)
{
        const struct whom_chain *chain = &profile->chain;
        if (profile->waits == 0 || OTHERS_SHARE * profile->waits < profile->samples)
                return;
        for (uint32_t i = 0; i < chain->count; i++)
                fill_other(i, &chain->links[i]);
        stall->others = made.others;
        stall->others_count = chain->count;
        stall->detail.object = profile->object.text;
        stall->detail.owner = chain->first.tid;
        stall->detail.deadlock = profile->deadlock;
}

static void redact_all(struct record_frame *frames, size_t count)
{
        for (size_t i = 0; i < count; i++) {
                frames[i].module = redacted(frames[i].module);
                frames[i].file = redacted(frames[i].file);
        }
}

/* After the culprit was found, which needs whole paths. */
static void redact_frames(struct record_stall *stall)
{
        redact_all(&made.culprit, 1);
        for (size_t i = 0; i < stall->profile_count; i++)
                redact_all(&made.shares[i].frame, 1);
        for (size_t i = 0; i < stall->others_count; i++)
                redact_all(made.other_frames[i], stall->others[i].frames_count);
        for (size_t i = 0; i < stall->stacks_count; i++)
                redact_all((struct record_frame *)(uintptr_t)stall->stacks[i].frames, stall->stacks[i].frames_count);
}

/* ---- what the program said ---- */

static void fill_callback(struct record_stall *stall, const struct work *work, const struct explained *explained)
{
        struct text object = TEXT_IN(made.callback_object);
        text_clear(&object);
        text_string(&object, work->object);
        if (work->object[0] != '\0' && work->number >= 0)
                text_format(&object, " %lld", (long long)work->number);
        made.callback = (struct record_callback){
                .name = work->name,
                .function = work->function != 0 ? names_function_at(work->function) : NULL,
                .object = made.callback_object,
                .begin_ns = work->begin_ns > explained->begin_ns ? since_begin(explained, work->begin_ns) : 0,
                .duration_ns = work->callback_ns < explained->duration_ns ? work->callback_ns : explained->duration_ns,
        };
        stall->callback = &made.callback;
}

/* Labels of a small part of a stall would name the wrong work. */
static void fill_work(struct record_stall *stall, const struct explained *explained)
{
        const struct work *work = explained->work;
        if (work == NULL)
                return;
        stall->callbacks = work->callbacks;
        if (work->callback_ns != 0)
                fill_callback(stall, work, explained);
        if (work->labels_ns * WORK_SHARE < explained->duration_ns)
                return;
        for (uint32_t i = 0; i < work->labels_count && i < LIMIT_LABELS; i++)
                made.labels[i] = (struct record_label){ work->labels[i].key, config.redact & CONFIG_REDACT_LABELS
                                                                                     ? "[redacted]"
                                                                                     : work->labels[i].value };
        stall->labels = made.labels;
        stall->labels_count = work->labels_count;
}

/* ---- the record ---- */

static enum record_cause cause_of(enum cause cause)
{
        switch (cause) {
        case CAUSE_CPU:
                return RECORD_CPU;
        case CAUSE_BLOCKED:
                return RECORD_BLOCKED;
        case CAUSE_LOCK:
                return RECORD_LOCK;
        case CAUSE_GIL:
                return RECORD_GIL;
        case CAUSE_PAGE_FAULT:
                return RECORD_PAGE_FAULT;
        case CAUSE_STARVED:
                return RECORD_STARVED;
        case CAUSE_SUSPENDED:
                return RECORD_SUSPENDED;
        case CAUSE_UNKNOWN:
                break;
        }
        return RECORD_UNKNOWN;
}

/* CPU time is known to the nanosecond, how it divides in steps of 10 ms. */
static void fill_usage(struct record_detail *detail, const struct explained *explained)
{
        const struct sample_usage *usage = &explained->usage;
        uint64_t ticks = usage->user_ticks + usage->system_ticks;
        detail->usage_known = usage->known && explained->cpu_known;
        if (!detail->usage_known)
                return;
        detail->system_ns = ticks != 0 ? explained->cpu_ns / ticks * usage->system_ticks : 0;
        detail->user_ns = explained->cpu_ns - detail->system_ns;
        detail->voluntary = usage->voluntary;
        detail->involuntary = usage->involuntary;
        detail->major_faults = usage->major_faults;
}

/* What kept it from the CPU, where that was more than usual; a quota that is used up on several CPUs at once counts on
 * each of them. */
static void fill_machine(struct record_detail *detail, const struct explained *explained)
{
        const struct machine_change *machine = &explained->machine;
        uint64_t rest_ns = explained->duration_ns > explained->cpu_ns ? explained->duration_ns - explained->cpu_ns : 0;
        detail->delay_ns = explained->usage.delay_ns < rest_ns ? explained->usage.delay_ns : rest_ns;
        detail->watchdog_delay_ns = explained->starved_ns;
        detail->throttled_ns = machine->throttled_ns < rest_ns ? machine->throttled_ns : rest_ns;
        bool short_of_cpu = detail->delay_ns > explained->duration_ns / 10 || explained->starved_ns != 0;
        if (!short_of_cpu && explained->verdict.cause != CAUSE_STARVED)
                return;
        detail->steal_ns = machine->steal_ns;
        detail->others_cpu_ns = explained->others_cpu_ns;
        detail->pressure_ns = machine->pressure_ns;
        detail->runnable = machine->runnable;
        detail->cpus = machine->cpus;
}

static void fill_verdict(struct record_stall *stall, const struct explained *explained)
{
        const struct cause_verdict *verdict = &explained->verdict;
        stall->cause = cause_of(verdict->cause);
        stall->cpu_ns = explained->cpu_ns;
        stall->detail = (struct record_detail){
                .call = syscall_name(verdict->call),
                .reason = verdict->reason,
                .cpu_percent = verdict->cpu_percent,
                .cpu_known = verdict->cpu_known,
        };
        fill_usage(&stall->detail, explained);
        fill_machine(&stall->detail, explained);
}

static void drop_repeated_stacks(struct record_stall *stall)
{
        if (stall->signature == 0)
                return;
        stall->stacks_omitted = repeat_count(stall->signature, clock_now_ns(), &stall->repeats);
        if (stall->stacks_omitted)
                stall->stacks_count = 0;
}

/* What is known of a loop's thread, as far as it was sampled. */
static void fill_loop(struct record *record, enum record_type type, const struct explained *explained)
{
        fill_common(record, type);
        struct record_stall *stall = &record->stall;
        *stall = (struct record_stall){
                .id = explained->id,
                .begin_ns = clock_realtime_of(explained->begin_ns),
                .state = explained->state,
                .tid = explained->tid,
                .thread = fill_thread_name(explained->tid),
                .loop = explained->loop,
                .threshold_ns = explained->threshold_ns,
                .duration_ns = explained->duration_ns,
                .suspended_ns = explained->stopped_ns,
                .late_ns = explained->late_ns,
                .yields = explained->yields,
                .phase = explained->startup ? "startup" : NULL,
                .end = explained->end,
        };
        fill_verdict(stall, explained);
        fill_work(stall, explained);
        if (explained->profile == NULL) {
                fill_crowded(stall, explained->crowded);
                return;
        }
        fill_stacks(stall, explained);
        fill_culprit(stall, explained->profile);
        fill_evidence(stall, explained);
        fill_others(stall, explained->profile);
        redact_frames(stall);
}

void fill_stall(struct record *record, const struct explained *explained)
{
        fill_loop(record, explained->ended ? RECORD_STALL : RECORD_STALL_BEGIN, explained);
        if (explained->ended && explained->profile != NULL)
                drop_repeated_stacks(&record->stall);
}

void fill_dump(struct record *record, const struct explained *explained)
{
        fill_loop(record, RECORD_DUMP, explained);
        if (!explained->busy) /* nobody is to blame for a wait */
                record->stall.culprit = NULL;
}
