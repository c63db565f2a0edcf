/* SPDX-License-Identifier: Apache-2.0
 *
 * group.c - the stalls of an analysis by culprit, cause, stack, loop, thread, process, label or callback
 *
 * The example that stands for a group is the longest stall of the stack that lost most time: what one would look at
 * first.
 *
 * Context: reader
 */
#include "analyse/group.h"

#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "kept_frame.h"
#include "read/taken.h"

static const char *const names[] = {
        [GROUP_CULPRIT] = "culprit", [GROUP_CAUSE] = "cause",       [GROUP_STACK] = "stack",
        [GROUP_LOOP] = "loop",       [GROUP_THREAD] = "thread",     [GROUP_PROCESS] = "process",
        [GROUP_LABEL] = "label",     [GROUP_CALLBACK] = "callback",
};

int group_by_from_name(const char *name)
{
        for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
                if (strcmp(names[i], name) == 0)
                        return (int)i;
        return -1;
}

const char *group_by_name(enum group_by by)
{
        return by < sizeof(names) / sizeof(*names) ? names[by] : NULL;
}

bool group_by_is_of_run(enum group_by by)
{
        return by == GROUP_LOOP || by == GROUP_THREAD || by == GROUP_PROCESS;
}

/* --------------------------------------------------------------------------------------------- culprits of stacks */

static void free_frame(void *frame)
{
        kept_frame_release(frame);
        free(frame);
}

static void symbolize_culprit(struct record_frame *culprit, const struct analysed_stack *stack,
                              struct symbolizer *symbolizer)
{
        struct parsed parsed;
        struct symbolized symbolized;
        char why[128];
        if (parse_record(&parsed, stack->example.line, stack->example.length, why, sizeof(why)) != 0)
                return;
        symbolize(symbolizer, &parsed.record, &symbolized);
        if (symbolized.record.stall.culprit)
                kept_frame_set(culprit, symbolized.record.stall.culprit);
        symbolized_free(&symbolized);
        parsed_free(&parsed);
}

/* A script's line stands in the record as it is: the stacks have nothing to add. */
static bool is_script(const struct record_frame *culprit)
{
        return culprit && culprit->lang != RECORD_NATIVE && culprit->lang != RECORD_JIT;
}

/* The culprit of a stack's example, with its source line. */
static struct record_frame *find_culprit(const struct analysed_stack *stack, struct symbolizer *symbolizer)
{
        struct record_frame *culprit = alloc_zeroed(1, sizeof(*culprit));
        struct taken taken = { .line = stack->example.line, .length = stack->example.length, .whole = true };
        parse_taken(&taken, true);
        bool script = taken.status == 0 && is_script(taken.parsed.record.stall.culprit);
        if (script)
                kept_frame_set(culprit, taken.parsed.record.stall.culprit);
        if (taken.status == 0)
                parsed_free(&taken.parsed);
        free(taken.why);
        if (!script)
                symbolize_culprit(culprit, stack, symbolizer);
        return culprit;
}

/* ------------------------------------------------------------------------------------------------------- grouping */

static const char *or_empty(const char *string)
{
        return string ? string : "";
}

char *group_culprit_key(const struct record_frame *culprit)
{
        if (!culprit->function && !culprit->file && !culprit->module)
                return alloc_string("");
        if (!culprit->function && !culprit->file) /* each place of a stripped program for itself */
                return alloc_format("%s\n%llx", culprit->module, (unsigned long long)culprit->offset);
        return alloc_format("%s\n%s\n%s", record_lang_name(culprit->lang), or_empty(culprit->function),
                            culprit->file ? culprit->file : or_empty(culprit->module));
}

static char *make_key(const struct analysed_unit *unit, const struct record_frame *culprit, enum group_by by)
{
        switch (by) {
        case GROUP_CULPRIT:
                return group_culprit_key(culprit);
        case GROUP_CAUSE:
                return alloc_format("%d\n%s", (int)unit->cause, or_empty(unit->call));
        case GROUP_STACK:
                return alloc_string(unit->stack->key);
        case GROUP_LOOP:
                return alloc_format("%p", (const void *)unit->loop);
        case GROUP_THREAD:
                return alloc_format("%s\n%d", unit->loop->process->run, unit->loop->tid);
        case GROUP_PROCESS:
                return alloc_string(unit->loop->process->run);
        case GROUP_LABEL:
        case GROUP_CALLBACK:
                return alloc_string(or_empty(unit->said));
        }
        return alloc_string("");
}

static void add_cause(struct group *group, const struct analysed_unit *unit)
{
        size_t i = 0;
        while (i < group->causes_count && (group->causes[i].cause != unit->cause ||
                                           strcmp(or_empty(group->causes[i].call), or_empty(unit->call)) != 0))
                i++;
        if (i == group->causes_count) {
                group->causes = alloc_resize(group->causes, ++group->causes_count, sizeof(*group->causes));
                group->causes[i] = (struct group_cause){ .cause = unit->cause, .call = unit->call };
        }
        group->causes[i].count += unit->stalls.count;
        group->causes[i].total_ns += unit->stalls.total_ns;
}

/* The example is the stack's, if that is one of the group's at all. */
static void name_example(struct group *group, const struct analysed_unit *unit, enum group_by by)
{
        bool of_stack = by == GROUP_CULPRIT || by == GROUP_CAUSE || by == GROUP_STACK;
        group->example_process = of_stack ? unit->stack->example_process : unit->loop->process;
        group->example_id = of_stack ? unit->stack->example_id : unit->longest_id;
}

static void add_unit(struct group *group, const struct analysed_unit *unit, const struct record_frame *culprit,
                     enum group_by by)
{
        add_cause(group, unit);
        spread_merge(&group->stalls, &unit->stalls);
        group->never_ended += unit->never_ended;
        bool better = unit->stack->example_framed == (group->example && group->example->example_framed)
                              ? unit->stalls.total_ns > group->example_total_ns
                              : unit->stack->example_framed;
        if (group->example && !better)
                return;
        kept_frame_release(&group->culprit);
        kept_frame_set(&group->culprit, culprit);
        group->example = unit->stack;
        group->example_total_ns = unit->stalls.total_ns;
        group->loop = unit->loop;
        group->said = unit->said;
        name_example(group, unit, by);
}

static int by_time(const void *a, const void *b)
{
        const struct group *left = a;
        const struct group *right = b;
        if (left->stalls.total_ns != right->stalls.total_ns)
                return left->stalls.total_ns < right->stalls.total_ns ? 1 : -1;
        if (left->stalls.count != right->stalls.count)
                return left->stalls.count < right->stalls.count ? 1 : -1;
        return strcmp(left->key, right->key);
}

static int cause_by_time(const void *a, const void *b)
{
        const struct group_cause *left = a;
        const struct group_cause *right = b;
        return (left->total_ns < right->total_ns) - (left->total_ns > right->total_ns);
}

/* The group of a unit, made where it is new. `indices` has each key's index + 1. */
static struct group *find_group(struct groups *groups, struct map *indices, char *key)
{
        void **at = map_at_string(indices, key);
        if (*at) {
                free(key);
                return &groups->items[(uintptr_t)*at - 1];
        }
        groups->items = alloc_resize(groups->items, groups->count + 1, sizeof(*groups->items));
        groups->items[groups->count] = (struct group){ .key = key };
        *at = (void *)(uintptr_t)(groups->count + 1);
        return &groups->items[groups->count++];
}

/* Stacks are counted by marking each once for each group. */
static void count_stack(struct group *group, struct map *seen, const struct analysed_stack *stack)
{
        char *key = alloc_format("%s\n%p", group->key, (const void *)stack);
        void **at = map_at_string(seen, key);
        free(key);
        group->stacks += !*at;
        *at = group->key;
}

void groups_make(struct groups *groups, const struct analysis *analysis, enum group_by by, enum analysed_kind kind,
                 struct symbolizer *symbolizer)
{
        struct map indices = { 0 };
        struct map culprits = { 0 };
        struct map seen = { 0 };
        *groups = (struct groups){ 0 };
        for (size_t i = 0; i < analysis->units.count; i++) {
                const struct analysed_unit *unit = analysis->units.entries[i].value;
                if (unit->kind != kind)
                        continue;
                void **culprit = map_at_string(&culprits, unit->stack->key);
                if (!*culprit)
                        *culprit = find_culprit(unit->stack, symbolizer);
                struct group *group = find_group(groups, &indices, make_key(unit, *culprit, by));
                add_unit(group, unit, *culprit, by);
                count_stack(group, &seen, unit->stack);
                groups->total_ns += unit->stalls.total_ns;
        }
        for (size_t i = 0; i < groups->count; i++)
                qsort(groups->items[i].causes, groups->items[i].causes_count, sizeof(struct group_cause),
                      cause_by_time);
        if (groups->count > 0)
                qsort(groups->items, groups->count, sizeof(*groups->items), by_time);
        map_free(&indices, NULL);
        map_free(&culprits, free_frame);
        map_free(&seen, NULL);
}

void groups_free(struct groups *groups)
{
        for (size_t i = 0; i < groups->count; i++) {
                free(groups->items[i].key);
                free(groups->items[i].causes);
                spread_free(&groups->items[i].stalls);
                kept_frame_release(&groups->items[i].culprit);
        }
        free(groups->items);
        *groups = (struct groups){ 0 };
}
