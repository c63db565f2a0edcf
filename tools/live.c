/* SPDX-License-Identifier: Apache-2.0
 *
 * live.c - show stalls while a command runs
 *
 * A stall is shown once it has ended and everything is known of it. One that goes on is announced once, after a second:
 * most are over by then, and two reports of each would be noise.
 *
 * Context: reader
 */
#include "live.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "now.h"
#include "read/parse.h"
#include "render/example.h"
#include "say.h"

#define ANNOUNCE_AFTER_NS UINT64_C(1000000000)

struct live_begin {
        char *run;
        uint64_t id;
        struct kept line;
        uint64_t announce_ns; /* CLOCK_MONOTONIC; UINT64_MAX: done */
        bool deadlock;
};

/* -------------------------------------------------------------------------------------------------------- showing */

static void show(struct live *live, const struct record *record)
{
        char *text = example_text(record, live->symbolizer, &live->sources, &live->style);
        say_bytes(text, strlen(text));
        free(text);
}

/* A stall that has not ended, as long as it has lasted up to now. */
static void show_begun(struct live *live, const struct live_begin *begun)
{
        struct parsed parsed;
        char why[128];
        if (parse_record(&parsed, begun->line.line, begun->line.length, why, sizeof(why)) != 0)
                return;
        struct record_stall *stall = &parsed.record.stall;
        uint64_t now = now_ns(CLOCK_REALTIME);
        if (now > stall->begin_ns)
                example_prolong(stall, now - stall->begin_ns);
        show(live, &parsed.record);
        parsed_free(&parsed);
}

static void count_gate(struct live *live, uint64_t duration_ns)
{
        if (duration_ns < live->gate_ns)
                return;
        live->gate_count++;
        if (duration_ns > live->gate_longest_ns)
                live->gate_longest_ns = duration_ns;
}

/* -------------------------------------------------------------------------------------------------------- records */

/* What is not told while the program runs: it is not the program's doing that the loop stood still. */
static bool is_apart(const struct record *record)
{
        if (record->stall.cause == RECORD_SUSPENDED)
                return true;
        return record->stall.phase && strcmp(record->stall.phase, "startup") == 0;
}

static struct live_begin *find_begun(struct live *live, const struct record *record)
{
        for (size_t i = 0; i < live->begun_count; i++)
                if (live->begun[i].id == record->stall.id && strcmp(live->begun[i].run, record->run) == 0)
                        return &live->begun[i];
        return NULL;
}

/* More is known of it by now. That it is a deadlock is told at once, also where it was told that it goes on. */
static void replace_begun(struct live_begin *begun, const struct record *record, const char *line, size_t length)
{
        bool news = record->stall.detail.deadlock && !begun->deadlock;
        free(begun->line.line);
        begun->line = (struct kept){ .line = alloc_bytes(line, length), .length = length };
        begun->deadlock = record->stall.detail.deadlock;
        if (news)
                begun->announce_ns = now_ns(CLOCK_MONOTONIC);
}

static void add_begun(struct live *live, const struct record *record, const char *line, size_t length)
{
        struct live_begin *known = find_begun(live, record);
        if (known) {
                replace_begun(known, record, line, length);
                return;
        }
        live->begun = alloc_resize(live->begun, live->begun_count + 1, sizeof(*live->begun));
        live->begun[live->begun_count++] = (struct live_begin){
                .run = alloc_string(record->run),
                .id = record->stall.id,
                .line = { .line = alloc_bytes(line, length), .length = length },
                .announce_ns = now_ns(CLOCK_MONOTONIC) + ANNOUNCE_AFTER_NS,
                .deadlock = record->stall.detail.deadlock,
        };
}

/* Has it been shown that this stall had begun? */
static bool remove_begun(struct live *live, const struct record *record)
{
        struct live_begin *begun = find_begun(live, record);
        if (!begun)
                return false;
        bool shown = begun->announce_ns == UINT64_MAX;
        free(begun->run);
        free(begun->line.line);
        *begun = live->begun[--live->begun_count];
        return shown;
}

/* What a process says about its settings, each thing once. */
static void say_notices(const struct live *live, size_t from)
{
        for (size_t i = from; i < live->analysis.notices.count; i++)
                say("%s", live->analysis.notices.entries[i].key);
}

static void take(void *context, const struct parsed *parsed, const char *line, size_t length)
{
        struct live *live = context;
        const struct record *record = &parsed->record;
        size_t notices = live->analysis.notices.count;
        analysis_add(&live->analysis, record, line, length);
        say_notices(live, notices);
        if (record->type == RECORD_DUMP)
                show(live, record);
        bool stall = record->type == RECORD_STALL || record->type == RECORD_STALL_BEGIN;
        if (!stall)
                return;
        bool apart = is_apart(record);
        if (record->type == RECORD_STALL_BEGIN) {
                if (!apart)
                        add_begun(live, record, line, length);
                return;
        }
        bool shown = remove_begun(live, record);
        if (apart || record_was_no_stall(&record->stall)) {
                if (shown)
                        show(live, record);
                return;
        }
        count_gate(live, record_stalled_ns(&record->stall));
        show(live, record);
}

/* -------------------------------------------------------------------------------------------------------- in time */

void live_init(struct live *live, const struct record_style *style, uint64_t gate_ns)
{
        *live = (struct live){
                .input = { .take = take, .context = live },
                .symbolizer = symbolizer_new(NULL),
                .style = *style,
                .gate_ns = gate_ns,
        };
        live->analysis.filter.symbolizer = live->symbolizer;
}

uint64_t live_next_ns(const struct live *live)
{
        uint64_t next_ns = UINT64_MAX;
        for (size_t i = 0; i < live->begun_count; i++)
                if (live->begun[i].announce_ns < next_ns)
                        next_ns = live->begun[i].announce_ns;
        return next_ns;
}

void live_tick(struct live *live, uint64_t now)
{
        for (size_t i = 0; i < live->begun_count; i++) {
                if (live->begun[i].announce_ns > now)
                        continue;
                live->begun[i].announce_ns = UINT64_MAX;
                show_begun(live, &live->begun[i]);
        }
}

void live_finish(struct live *live)
{
        uint64_t now = now_ns(CLOCK_REALTIME);
        for (size_t i = 0; i < live->analysis.processes.count; i++) {
                struct analysed_process *process = live->analysis.processes.entries[i].value;
                if (process->open_count > 0 && now > process->last_ns)
                        process->last_ns = now;
        }
        for (size_t i = 0; i < live->begun_count; i++) {
                struct parsed parsed;
                const struct kept *line = &live->begun[i].line;
                char why[128];
                show_begun(live, &live->begun[i]);
                if (parse_record(&parsed, line->line, line->length, why, sizeof(why)) != 0)
                        continue;
                uint64_t begin_ns = parsed.record.stall.begin_ns;
                count_gate(live, now > begin_ns ? now - begin_ns : parsed.record.stall.duration_ns);
                parsed_free(&parsed);
        }
        analysis_finish(&live->analysis);
}

void live_free(struct live *live)
{
        for (size_t i = 0; i < live->begun_count; i++) {
                free(live->begun[i].run);
                free(live->begun[i].line.line);
        }
        free(live->begun);
        analysis_free(&live->analysis);
        source_lines_free(&live->sources);
        symbolizer_free(live->symbolizer);
        *live = (struct live){ 0 };
}
