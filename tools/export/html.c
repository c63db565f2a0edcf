/* SPDX-License-Identifier: Apache-2.0
 *
 * html.c - export: one page to look at, with nothing to be fetched
 *
 * page.html is the whole page but its data, which stands in it as JSON. What comes from records is hostile: in the JSON
 * no character is left that HTML knows ("<" becomes \u003c), the page puts strings into text nodes only, and its policy
 * allows no script but its own, by a number that nobody could have guessed when the records were made.
 *
 * Context: reader
 * Limits:  STALLS_DRAWN stalls on the timeline, the first of them; totals, table and flame graph are of all
 */
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "alloc.h"
#include "export/export.h"
#include "loopdog.h"
#include "now.h"
#include "render/example.h"
#include "render/json_set.h"
#include "render/words.h"

#define STALLS_DRAWN 100000
#define NODES_DRAWN_SHARE 5000 /* a node that lost less than this part of all is too narrow to be seen */

static const char page[] =
#include <page.inc> /* made from page.html */
        ;

struct drawn {
        uint64_t begin_ns;
        uint64_t duration_ns;
        uint64_t id;
        size_t culprit; /* index in `culprits` */
        enum record_cause cause;
        bool ended;
};

struct page_state {
        struct map culprits; /* name -> index + 1 */
        struct drawn *stalls;
        const struct analysed_loop **of; /* of each stall */
        size_t count;
        size_t capacity;
        uint64_t left_out;
};

/* ----------------------------------------------------------------------------------------------------- gathering */

static void begin(struct export *export)
{
        export->state = alloc_zeroed(1, sizeof(struct page_state));
}

static size_t culprit_index(struct page_state *state, const struct record_frame *culprit)
{
        char *name = export_culprit(culprit);
        void **at = map_at_string(&state->culprits, name);
        free(name);
        if (!*at)
                *at = (void *)(uintptr_t)state->culprits.count;
        return (size_t)(uintptr_t)*at - 1;
}

static void add_stall(struct export *export, const struct record *record, const struct counted *counted)
{
        struct page_state *state = export->state;
        const struct record_stall *stall = &record->stall;
        if (counted->kind != KIND_STALL)
                return;
        if (state->count == STALLS_DRAWN) {
                state->left_out++;
                return;
        }
        if (state->count == state->capacity) {
                state->capacity = state->capacity ? 2 * state->capacity : 64;
                state->stalls = alloc_resize(state->stalls, state->capacity, sizeof(*state->stalls));
                state->of = alloc_resize(state->of, state->capacity, sizeof(*state->of));
        }
        state->of[state->count] = counted->loop;
        state->stalls[state->count++] = (struct drawn){
                .begin_ns = stall->begin_ns,
                .duration_ns = stall->duration_ns,
                .id = stall->id,
                .culprit = culprit_index(state, stall->culprit),
                .cause = stall->cause,
                .ended = counted->ended,
        };
}

/* ------------------------------------------------------------------------------------------------------ the data */

static json_t *spread_json(const struct spread *spread)
{
        json_t *object = json_object();
        json_set_number(object, "count", spread->count);
        json_set_number(object, "total", spread->total_ns);
        json_set_number(object, "longest", spread->longest_ns);
        json_set_number(object, "p50", spread_median_ns(spread));
        json_set_number(object, "p99", spread_permille_ns(spread, 990));
        return object;
}

static json_t *loops_json(const struct analysis *analysis)
{
        json_t *list = json_array();
        for (size_t i = 0; i < analysis->loops.count; i++) {
                const struct analysed_loop *loop = analysis->loops.entries[i].value;
                const struct analysed_process *process = loop->process;
                json_t *object = spread_json(&loop->stalls);
                json_t *buckets = json_array();
                char *name = alloc_format("%s %d%s%s, %s", process->program, process->pid,
                                          process->host[0] ? " on " : "", process->host, loop->name);
                json_set_string(object, "name", name);
                json_set_string(object, "thread", loop->thread);
                json_set_string(object, "run", process->run);
                json_set_number(object, "busy", loop->busy_ns);
                json_set_number(object, "idle", loop->idle_ns);
                json_set_number(object, "iterations", loop->iterations);
                for (size_t j = 0; j < loop->buckets_count; j++) {
                        json_array_append_new(buckets, json_integer((json_int_t)loop->buckets[j].from_ns));
                        json_array_append_new(buckets, json_integer(loop->buckets[j].count));
                }
                json_set(object, "buckets", buckets);
                json_array_append_new(list, object);
                free(name);
        }
        return list;
}

static json_t *groups_json(const struct export *export)
{
        json_t *list = json_array();
        struct groups groups;
        groups_make(&groups, export->analysis, GROUP_CULPRIT, KIND_STALL, export->symbolizer);
        for (size_t i = 0; i < groups.count; i++) {
                const struct group *group = &groups.items[i];
                const struct record_frame *culprit = &group->culprit;
                bool known = culprit->function || culprit->file || culprit->module;
                json_t *object = spread_json(&group->stalls);
                char *name = export_culprit(known ? culprit : NULL);
                char *cause = words_cause(group->causes[0].cause, group->causes[0].call);
                char *id = alloc_format("%s-%llu", group->example_process->run, (unsigned long long)group->example_id);
                json_set_string(object, "name", name);
                json_set_string(object, "cause", cause);
                json_set_string(object, "id", id);
                json_set_string(object, "hint", example_hint(group->example));
                json_array_append_new(list, object);
                free(name);
                free(cause);
                free(id);
        }
        groups_free(&groups);
        return list;
}

static json_t *keys_json(const struct map *map)
{
        json_t *list = json_array();
        for (size_t i = 0; i < map->count; i++)
                json_array_append_new(list, json_safe_string(map->entries[i].key));
        return list;
}

/* Microseconds since the first, which is given in full. */
static json_t *stalls_json(const struct page_state *state, const struct analysis *analysis, uint64_t origin_ns)
{
        json_t *list = json_array();
        struct map indices = { 0 };
        for (size_t i = 0; i < analysis->loops.count; i++) {
                const void *loop = analysis->loops.entries[i].value;
                *map_at(&indices, (const char *)&loop, sizeof(loop)) = (void *)(uintptr_t)(i + 1);
        }
        for (size_t i = 0; i < state->count; i++) {
                const struct drawn *stall = &state->stalls[i];
                size_t loop = (size_t)(uintptr_t)map_find(&indices, (const char *)&state->of[i], sizeof(state->of[i]));
                const uint64_t numbers[] = { (stall->begin_ns - origin_ns) / 1000,
                                             stall->duration_ns / 1000,
                                             loop - 1,
                                             stall->culprit,
                                             stall->cause,
                                             stall->id,
                                             stall->ended };
                for (size_t j = 0; j < sizeof(numbers) / sizeof(*numbers); j++)
                        json_array_append_new(list, json_integer((json_int_t)numbers[j]));
        }
        map_free(&indices, NULL);
        return list;
}

static json_t *frames_json(const struct calltree *tree)
{
        json_t *list = json_array();
        for (size_t i = 0; i < tree->frames_count; i++) {
                const struct record_frame *frame = &tree->frames[i];
                const struct calltree_node node = { .frame = i };
                char *name = calltree_name(tree, &node);
                char *place = frame->line ? alloc_format("%s:%u", frame->file ? frame->file : "", frame->line)
                                          : alloc_string(frame->file ? frame->file : frame->module);
                json_array_append_new(list, json_safe_string(name));
                json_array_append_new(list, json_safe_string(place));
                free(name);
                free(place);
        }
        return list;
}

/* Parent, frame and own time of each node that can be seen; what is too narrow counts as its caller's own. */
static json_t *nodes_json(const struct calltree *tree)
{
        json_t *list = json_array();
        size_t *drawn = alloc_zeroed(tree->nodes_count, sizeof(*drawn));
        uint64_t *own_ns = alloc_zeroed(tree->nodes_count, sizeof(*own_ns));
        uint64_t least_ns = tree->nodes[0].total_ns / NODES_DRAWN_SHARE;
        size_t count = 1;
        for (size_t i = 1; i < tree->nodes_count; i++)
                if (tree->nodes[i].total_ns > least_ns)
                        drawn[i] = count++;
        for (size_t i = tree->nodes_count; i > 0; i--) {
                own_ns[i - 1] += tree->nodes[i - 1].own_ns;
                if (i > 1 && !drawn[i - 1])
                        own_ns[tree->nodes[i - 1].parent] += own_ns[i - 1];
        }
        for (size_t i = 0; i < tree->nodes_count; i++) {
                if (i > 0 && !drawn[i])
                        continue;
                json_array_append_new(list, json_integer((json_int_t)drawn[tree->nodes[i].parent]));
                json_array_append_new(list, json_integer((json_int_t)tree->nodes[i].frame));
                json_array_append_new(list, json_integer((json_int_t)own_ns[i]));
        }
        free(drawn);
        free(own_ns);
        return list;
}

static json_t *causes_json(void)
{
        json_t *list = json_array();
        for (int cause = RECORD_UNKNOWN; cause <= RECORD_SUSPENDED; cause++)
                json_array_append_new(list, json_safe_string(record_cause_name((enum record_cause)cause)));
        return list;
}

static json_t *data_json(const struct export *export)
{
        const struct page_state *state = export->state;
        const struct analysis *analysis = export->analysis;
        json_t *data = json_object();
        uint64_t origin_ns = UINT64_MAX;
        for (size_t i = 0; i < state->count; i++)
                origin_ns = state->stalls[i].begin_ns < origin_ns ? state->stalls[i].begin_ns : origin_ns;
        json_set_string(data, "version", LOOPDOG_VERSION);
        json_set_time(data, "made", now_ns(CLOCK_REALTIME));
        json_set_number(data, "origin", state->count ? origin_ns / 1000 : 0);
        json_set_number(data, "processes", analysis->processes.count);
        json_set(data, "total", spread_json(&analysis->stalls));
        json_set(data, "startup", spread_json(&analysis->startup));
        json_set(data, "suspended", spread_json(&analysis->suspended));
        json_set_number(data, "open", analysis->never_ended);
        json_set_number(data, "undrawn", state->left_out);
        json_set(data, "causes", causes_json());
        json_set(data, "loops", loops_json(analysis));
        json_set(data, "groups", groups_json(export));
        json_set(data, "culprits", keys_json(&state->culprits));
        json_set(data, "stalls", stalls_json(state, analysis, origin_ns));
        json_set(data, "frames", frames_json(export->tree));
        json_set(data, "nodes", nodes_json(export->tree));
        return data;
}

/* ------------------------------------------------------------------------------------------------------- the page */

static int put_escaped(const char *bytes, size_t length, void *context)
{
        FILE *out = context;
        for (size_t i = 0; i < length; i++) {
                if (strchr("<>&'", bytes[i]) && bytes[i])
                        fprintf(out, "\\u%04x", (unsigned)bytes[i]);
                else
                        fputc(bytes[i], out);
        }
        return 0;
}

static void make_nonce(char nonce[static 33])
{
        unsigned char bytes[16] = { 0 };
        if (getrandom(bytes, sizeof(bytes), 0) != (ssize_t)sizeof(bytes))
                memcpy(bytes, &(uint64_t){ now_ns(CLOCK_REALTIME) }, sizeof(uint64_t));
        for (size_t i = 0; i < sizeof(bytes); i++)
                snprintf(nonce + 2 * i, 3, "%02x", bytes[i]);
}

static void write_page(FILE *out, const json_t *data)
{
        char nonce[33];
        make_nonce(nonce);
        for (const char *at = page; *at;) {
                if (strncmp(at, "@NONCE@", 7) == 0) {
                        fputs(nonce, out);
                        at += 7;
                } else if (strncmp(at, "@DATA@", 6) == 0) {
                        json_dump_callback(data, put_escaped, out, JSON_COMPACT | JSON_ENSURE_ASCII);
                        at += 6;
                } else {
                        fputc(*at++, out);
                }
        }
}

static void end(struct export *export)
{
        struct page_state *state = export->state;
        json_t *data = data_json(export);
        write_page(export->out, data);
        json_decref(data);
        map_free(&state->culprits, NULL);
        free(state->stalls);
        free(state->of);
        free(state);
}

const struct export_format export_html = {
        .name = "html",
        .help = "one page to look at in a browser, needing no network",
        .wants_tree = true,
        .begin = begin,
        .stall = add_stall,
        .end = end,
};
