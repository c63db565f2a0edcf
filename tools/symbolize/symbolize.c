/* SPDX-License-Identifier: Apache-2.0
 *
 * symbolize.c - a stall with functions, files and lines
 *
 * Context: reader
 * Limits:  OPEN_OBJECTS files are open at the same time; what was looked up is kept as long as the symbolizer
 */
#include "symbolize/symbolize.h"

#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "kept_frame.h"
#include "map.h"
#include "record/frame.h"
#include "symbolize/jit.h"
#include "symbolize/object.h"
#include "symbolize/place.h"

#define OPEN_OBJECTS 128

struct symbolizer {
        struct object_places where;
        struct map objects;  /* path and build-id -> struct object */
        struct map places;   /* object, address and symbol -> struct places */
        struct map culprits; /* signature -> struct record_frame with strings of its own */
        struct jit jit;
        const struct perf_file *made; /* code of the process whose record is being symbolized; NULL */
};

struct symbolizer *symbolizer_new(const struct object_places *places)
{
        struct symbolizer *symbolizer = alloc_zeroed(1, sizeof(*symbolizer));
        if (places)
                symbolizer->where = *places;
        return symbolizer;
}

static void release_object(void *object)
{
        object_free(object);
}

static void release_culprit(void *pointer)
{
        kept_frame_release(pointer);
        free(pointer);
}

void symbolizer_free(struct symbolizer *symbolizer)
{
        map_free(&symbolizer->places, places_free);
        map_free(&symbolizer->objects, release_object);
        map_free(&symbolizer->culprits, release_culprit);
        jit_free(&symbolizer->jit);
        free(symbolizer);
}

void symbolizer_add_file(struct symbolizer *symbolizer, const char *path)
{
        jit_add_file(&symbolizer->jit, path);
}

static void close_objects(struct symbolizer *symbolizer)
{
        size_t open = 0;
        for (size_t i = 0; i < symbolizer->objects.count; i++)
                open += ((struct object *)symbolizer->objects.entries[i].value)->dwfl != NULL;
        if (open < OPEN_OBJECTS)
                return;
        for (size_t i = 0; i < symbolizer->objects.count; i++)
                object_close(symbolizer->objects.entries[i].value);
}

static struct object *find_object(struct symbolizer *symbolizer, const struct record_frame *frame)
{
        if (!frame->module || frame->module[0] != '/')
                return NULL; /* "[vdso]", or code of no module */
        char *key = alloc_format("%s\n%s", frame->build_id ? frame->build_id : "", frame->module);
        struct object *object = map_find_string(&symbolizer->objects, key);
        if (!object) {
                close_objects(symbolizer);
                object = object_new(frame->module, frame->build_id, &symbolizer->where);
                *map_at_string(&symbolizer->objects, key) = object;
        }
        free(key);
        return object;
}

static const struct places *find_places(struct symbolizer *symbolizer, const struct record_frame *frame)
{
        uint64_t offset = frame->offset - (frame->caller && frame->offset > 0);
        char *key = alloc_format("%llx\n%s\n%s\n%s", (unsigned long long)offset, frame->build_id ? frame->build_id : "",
                                 frame->module ? frame->module : "", frame->function ? frame->function : "");
        struct places *places = map_find_string(&symbolizer->places, key);
        if (!places) {
                places = places_find(find_object(symbolizer, frame), offset, frame->function);
                *map_at_string(&symbolizer->places, key) = places;
        }
        free(key);
        return places;
}

/* Code of no module, made at run time, that nobody has named yet. */
static bool is_made(const struct record_frame *frame)
{
        return frame->lang == RECORD_JIT && !frame->module && !frame->function;
}

static void name_made(const struct symbolizer *symbolizer, struct record_frame *frame)
{
        if (symbolizer->made)
                perf_file_name(symbolizer->made, frame->offset - (frame->caller && frame->offset > 0), frame);
}

/* Append what `frame` stands for to `out`, which has room. Returns how many frames that are. */
static size_t expand(struct symbolizer *symbolizer, const struct record_frame *frame, struct record_frame *out)
{
        out[0] = *frame;
        if (is_made(frame))
                name_made(symbolizer, out);
        if (frame->lang != RECORD_NATIVE) /* as it was: what was named here is no address of a module */
                return 1;
        const struct places *places = find_places(symbolizer, frame);
        for (size_t i = 0; i < places->count; i++) {
                out[i] = *frame;
                out[i].inlined = i + 1 < places->count;
                out[i].function = places->items[i].function;
                out[i].file = places->items[i].file;
                out[i].line = places->items[i].line;
        }
        return places->count;
}

static size_t expanded_count(struct symbolizer *symbolizer, const struct record_frame *frame)
{
        return frame->lang == RECORD_NATIVE ? find_places(symbolizer, frame)->count : 1;
}

static struct record_frame *expand_stack(struct symbolizer *symbolizer, const struct record_stack *stack, size_t *count)
{
        size_t room = 0;
        for (size_t i = 0; i < stack->frames_count; i++)
                room += expanded_count(symbolizer, &stack->frames[i]);
        struct record_frame *frames = alloc_zeroed(room, sizeof(*frames));
        *count = 0;
        for (size_t i = 0; i < stack->frames_count; i++)
                *count += expand(symbolizer, &stack->frames[i], frames + *count);
        return frames;
}

struct record_frame *symbolize_frame(struct symbolizer *symbolizer, const struct record_frame *frame, size_t *count)
{
        const struct record_stack stack = { .frames = frame, .frames_count = 1 };
        return expand_stack(symbolizer, &stack, count);
}

/* Whether the record names `frame` as `culprit`; what the culprit leaves out does not count against it. */
static bool is_culprit(const struct record_frame *culprit, const struct record_frame *frame)
{
        if (culprit->lang != frame->lang || !record_same_string(culprit->function, frame->function))
                return false;
        if (culprit->module && !record_same_string(culprit->module, frame->module))
                return false;
        if (culprit->offset && culprit->offset != frame->offset)
                return false;
        if (frame->lang != RECORD_NATIVE)
                return record_same_string(culprit->file, frame->file) && culprit->line == frame->line;
        return true;
}

/* Code that the compiler puts into everybody's functions, by where it was written. */
static bool is_foreign(const char *file)
{
        static const char *const folders[] = { "/usr/include/", "/usr/lib/", "/rustc/", "/usr/src/rustc" };
        for (size_t i = 0; i < sizeof(folders) / sizeof(*folders); i++)
                if (strncmp(file, folders[i], strlen(folders[i])) == 0)
                        return true;
        return strstr(file, "/rustlib/src/rust/library/");
}

/* Of a native culprit and what was inlined into it: the innermost that its author wrote. */
static struct record_frame blame_inlined(struct symbolizer *symbolizer, const struct record_frame *frame)
{
        size_t count = expanded_count(symbolizer, frame);
        struct record_frame *frames = alloc_zeroed(count, sizeof(*frames));
        expand(symbolizer, frame, frames);
        size_t chosen = 0;
        while (chosen + 1 < count) {
                const struct record_frame *candidate = &frames[chosen];
                if (candidate->file && !is_foreign(candidate->file) &&
                    record_frame_owner(candidate, NULL) == RECORD_OWN)
                        break;
                chosen++;
        }
        struct record_frame result = frames[chosen];
        free(frames);
        return result;
}

static void remember_culprit(struct symbolizer *symbolizer, uint64_t signature, const struct record_frame *culprit)
{
        if (signature == 0 || map_find(&symbolizer->culprits, (const char *)&signature, sizeof(signature)))
                return;
        struct record_frame *copy = alloc_zeroed(1, sizeof(*copy));
        kept_frame_set(copy, culprit);
        *map_at(&symbolizer->culprits, (const char *)&signature, sizeof(signature)) = copy;
}

/* The culprit with its line: from the frame of the stacks that it is, else from an earlier stall, else by its own
 * fields. */
static struct record_frame find_culprit(struct symbolizer *symbolizer, const struct record_stall *stall)
{
        const struct record_frame *culprit = stall->culprit;
        if (culprit->lang != RECORD_NATIVE)
                return *culprit;
        for (size_t i = 0; i < stall->stacks_count; i++) {
                const struct record_stack *stack = &stall->stacks[i];
                for (size_t j = 0; j < stack->frames_count; j++) {
                        if (!is_culprit(culprit, &stack->frames[j]))
                                continue;
                        struct record_frame found = blame_inlined(symbolizer, &stack->frames[j]);
                        remember_culprit(symbolizer, stall->signature, &found);
                        return found;
                }
        }
        const struct record_frame *earlier =
                map_find(&symbolizer->culprits, (const char *)&stall->signature, sizeof(stall->signature));
        return earlier ? *earlier : blame_inlined(symbolizer, culprit);
}

static const struct record_stack *most_seen(const struct record_stall *stall)
{
        const struct record_stack *most = NULL;
        for (size_t i = 0; i < stall->stacks_count; i++)
                if (stall->stacks[i].frames_count > 0 && (!most || stall->stacks[i].count > most->count))
                        most = &stall->stacks[i];
        return most;
}

/* The code made at run time that is to blame for a stack with its names; NULL: it is other code. */
static const struct record_frame *find_made(const struct record_stack *stack)
{
        int index = stack ? record_find_culprit(stack->frames, stack->frames_count, NULL) : -1;
        if (index < 0 || (stack->frames[index].lang != RECORD_JAVASCRIPT && stack->frames[index].lang != RECORD_JIT))
                return NULL;
        return &stack->frames[index];
}

/* The agent did not know the names of code made at run time: the user's own may be among it. What it says of the parts
 * of the stall goes by the frames that it knew, and would contradict the culprit. Not remembered: such code has no part
 * in the signature, so another stall of the same may be another function's. */
static void blame_made(const struct symbolizer *symbolizer, struct symbolized *out)
{
        const struct record_frame *made = symbolizer->made ? find_made(most_seen(&out->record.stall)) : NULL;
        if (!made)
                return;
        out->culprit = *made;
        out->record.stall.culprit = &out->culprit;
        out->record.stall.profile_count = 0;
}

bool symbolize_has_made(const struct record_stall *stall)
{
        for (size_t i = 0; i < stall->stacks_count; i++)
                for (size_t j = 0; j < stall->stacks[i].frames_count; j++)
                        if (is_made(&stall->stacks[i].frames[j]))
                                return true;
        return false;
}

bool symbolize_made(struct symbolizer *symbolizer, const struct record *record, struct record_frame *culprit)
{
        const struct record_stack *stack = most_seen(&record->stall);
        *culprit = (struct record_frame){ 0 };
        symbolizer->made = symbolize_has_made(&record->stall) ? jit_map_of(&symbolizer->jit, record) : NULL;
        if (!symbolizer->made)
                return false;
        struct record_stack named = *stack;
        struct record_frame *frames = expand_stack(symbolizer, stack, &named.frames_count);
        named.frames = frames;
        const struct record_frame *made = find_made(&named);
        if (made)
                *culprit = *made;
        free(frames);
        symbolizer->made = NULL;
        return true;
}

bool symbolize_jit(struct symbolizer *symbolizer, const struct record *record, struct symbolized *out)
{
        const struct record_stall *in = &record->stall;
        symbolizer->made = symbolize_has_made(in) ? jit_map_of(&symbolizer->jit, record) : NULL;
        if (!symbolizer->made)
                return false;
        *out = (struct symbolized){ .record = *record };
        out->stacks = alloc_zeroed(in->stacks_count, sizeof(*out->stacks));
        out->frames = alloc_zeroed(in->stacks_count, sizeof(*out->frames));
        out->record.stall.others_count = 0;
        for (size_t i = 0; i < in->stacks_count; i++) {
                const struct record_stack *stack = &in->stacks[i];
                out->stacks[i] = *stack;
                out->stacks[i].frames = out->frames[i] = alloc_zeroed(stack->frames_count, sizeof(**out->frames));
                for (size_t j = 0; j < stack->frames_count; j++) {
                        out->frames[i][j] = stack->frames[j];
                        if (is_made(&stack->frames[j]))
                                name_made(symbolizer, &out->frames[i][j]);
                }
        }
        out->record.stall.stacks = out->stacks;
        symbolizer->made = NULL;
        return true;
}

void symbolize(struct symbolizer *symbolizer, const struct record *record, struct symbolized *out)
{
        const struct record_stall *in = &record->stall;
        *out = (struct symbolized){ .record = *record };
        symbolizer->made = symbolize_has_made(in) ? jit_map_of(&symbolizer->jit, record) : NULL;
        struct record_stall *stall = &out->record.stall;
        out->stacks = alloc_zeroed(in->stacks_count, sizeof(*out->stacks));
        out->others = alloc_zeroed(in->others_count, sizeof(*out->others));
        out->profile = alloc_zeroed(in->profile_count, sizeof(*out->profile));
        out->frames = alloc_zeroed(in->stacks_count + in->others_count, sizeof(*out->frames));
        for (size_t i = 0; i < in->stacks_count; i++) {
                out->stacks[i] = in->stacks[i];
                out->frames[i] = expand_stack(symbolizer, &in->stacks[i], &out->stacks[i].frames_count);
                out->stacks[i].frames = out->frames[i];
        }
        for (size_t i = 0; i < in->others_count; i++) {
                struct record_frame **frames = &out->frames[in->stacks_count + i];
                struct record_stack stack = { .frames = in->others[i].frames,
                                              .frames_count = in->others[i].frames_count };
                out->others[i] = in->others[i];
                *frames = expand_stack(symbolizer, &stack, &out->others[i].frames_count);
                out->others[i].frames = *frames;
        }
        for (size_t i = 0; i < in->profile_count; i++) {
                out->profile[i] = in->profile[i];
                out->profile[i].frame = blame_inlined(symbolizer, &in->profile[i].frame);
        }
        stall->stacks = out->stacks;
        stall->others = out->others;
        stall->profile = out->profile;
        if (in->culprit) {
                out->culprit = find_culprit(symbolizer, in);
                stall->culprit = &out->culprit;
        }
        blame_made(symbolizer, out);
        symbolizer->made = NULL;
}

void symbolized_free(struct symbolized *symbolized)
{
        const struct record_stall *stall = &symbolized->record.stall;
        for (size_t i = 0; i < stall->stacks_count + stall->others_count; i++)
                free(symbolized->frames[i]);
        free(symbolized->frames);
        free(symbolized->others);
        free(symbolized->profile);
        free(symbolized->stacks);
        *symbolized = (struct symbolized){ 0 };
}
