/* SPDX-License-Identifier: Apache-2.0
 *
 * pprof.c - export: a profile for pprof, of samples and of nanoseconds lost
 *
 * A location is a function here: the tree has them by name. So there are as many locations as functions, with the same
 * numbers. The program stands as a label of each sample, for pprof's -tagfocus, and as the outermost frame.
 *
 * Context: reader
 */
#include <profile.pb-c.h> /* made from profile.proto */
#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "export/export.h"
#include "render/words.h"

struct builder {
        const struct calltree *tree;
        struct map strings; /* -> index + 1 */
        Pprof__Profile profile;
};

static int64_t string_index(struct builder *builder, const char *string)
{
        char *valid = words_utf8(string ? string : "");
        void **at = map_at_string(&builder->strings, valid);
        free(valid);
        if (!*at)
                *at = (void *)(uintptr_t)builder->strings.count;
        return (int64_t)(uintptr_t)*at - 1;
}

static Pprof__ValueType *value_type(struct builder *builder, const char *type, const char *unit)
{
        Pprof__ValueType *value = alloc_zeroed(1, sizeof(*value));
        pprof__value_type__init(value);
        value->type = string_index(builder, type);
        value->unit = string_index(builder, unit);
        return value;
}

static void add_types(struct builder *builder)
{
        Pprof__Profile *profile = &builder->profile;
        profile->sample_type = alloc_zeroed(2, sizeof(*profile->sample_type));
        profile->n_sample_type = 2;
        profile->sample_type[0] = value_type(builder, "samples", "count");
        profile->sample_type[1] = value_type(builder, "lost", "nanoseconds");
        profile->period_type = value_type(builder, "lost", "nanoseconds");
        profile->period = 1;
        profile->default_sample_type = string_index(builder, "lost");
}

static void add_functions(struct builder *builder)
{
        Pprof__Profile *profile = &builder->profile;
        size_t count = builder->tree->frames_count;
        profile->function = alloc_zeroed(count, sizeof(*profile->function));
        profile->location = alloc_zeroed(count, sizeof(*profile->location));
        for (size_t i = 1; i < count; i++) {
                const struct record_frame *frame = &builder->tree->frames[i];
                const struct calltree_node node = { .frame = i };
                char *name = calltree_name(builder->tree, &node);
                Pprof__Function *function = alloc_zeroed(1, sizeof(*function));
                Pprof__Location *location = alloc_zeroed(1, sizeof(*location));
                Pprof__Line *line = alloc_zeroed(1, sizeof(*line));
                pprof__function__init(function);
                pprof__location__init(location);
                pprof__line__init(line);
                function->id = location->id = line->function_id = i;
                function->name = function->system_name = string_index(builder, name);
                function->filename = string_index(builder, frame->file ? frame->file : frame->module);
                line->line = frame->line;
                location->line = alloc_zeroed(1, sizeof(Pprof__Line *));
                location->line[location->n_line++] = line;
                profile->function[profile->n_function++] = function;
                profile->location[profile->n_location++] = location;
                free(name);
        }
}

static Pprof__Sample *make_sample(struct builder *builder, size_t node)
{
        const struct calltree *tree = builder->tree;
        Pprof__Sample *sample = alloc_zeroed(1, sizeof(*sample));
        Pprof__Label *label = alloc_zeroed(1, sizeof(*label));
        size_t count;
        size_t *path = export_path(tree, node, &count);
        char *program = calltree_name(tree, &tree->nodes[path[0]]);
        pprof__sample__init(sample);
        pprof__label__init(label);
        sample->location_id = alloc_zeroed(count, sizeof(*sample->location_id));
        for (size_t i = count; i > 0; i--)
                sample->location_id[sample->n_location_id++] = tree->nodes[path[i - 1]].frame;
        sample->value = alloc_zeroed(2, sizeof(*sample->value));
        sample->n_value = 2;
        sample->value[0] = (int64_t)tree->nodes[node].own_samples;
        sample->value[1] = (int64_t)tree->nodes[node].own_ns;
        label->key = string_index(builder, "program");
        label->str = string_index(builder, program);
        sample->label = alloc_zeroed(1, sizeof(*sample->label));
        sample->label[sample->n_label++] = label;
        free(program);
        free(path);
        return sample;
}

static void add_samples(struct builder *builder)
{
        Pprof__Profile *profile = &builder->profile;
        const struct calltree *tree = builder->tree;
        profile->sample = alloc_zeroed(tree->nodes_count, sizeof(*profile->sample));
        for (size_t i = 1; i < tree->nodes_count; i++)
                if (export_is_leaf(&tree->nodes[i]))
                        profile->sample[profile->n_sample++] = make_sample(builder, i);
}

static void add_span(struct builder *builder, const struct analysis *analysis)
{
        uint64_t first_ns, last_ns;
        if (!analysis_span(analysis, &first_ns, &last_ns))
                return;
        builder->profile.time_nanos = (int64_t)first_ns;
        builder->profile.duration_nanos = (int64_t)(last_ns - first_ns);
}

/* Borrowed from the map. */
static void add_strings(struct builder *builder)
{
        size_t count = builder->strings.count;
        builder->profile.string_table = alloc_zeroed(count, sizeof(char *));
        builder->profile.n_string_table = count;
        for (size_t i = 0; i < count; i++)
                builder->profile.string_table[i] = builder->strings.entries[i].key;
}

static void release(struct builder *builder)
{
        Pprof__Profile *profile = &builder->profile;
        for (size_t i = 0; i < profile->n_sample_type; i++)
                free(profile->sample_type[i]);
        for (size_t i = 0; i < profile->n_function; i++) {
                free(profile->function[i]);
                free(profile->location[i]->line[0]);
                free(profile->location[i]->line);
                free(profile->location[i]);
        }
        for (size_t i = 0; i < profile->n_sample; i++) {
                free(profile->sample[i]->location_id);
                free(profile->sample[i]->value);
                free(profile->sample[i]->label[0]);
                free(profile->sample[i]->label);
                free(profile->sample[i]);
        }
        free(profile->sample_type);
        free(profile->period_type);
        free(profile->function);
        free(profile->location);
        free(profile->sample);
        free(profile->string_table);
        map_free(&builder->strings, NULL);
}

static void end(struct export *export)
{
        struct builder builder = { .tree = export->tree };
        pprof__profile__init(&builder.profile);
        string_index(&builder, ""); /* the first must be */
        add_types(&builder);
        add_functions(&builder);
        add_samples(&builder);
        add_span(&builder, export->analysis);
        add_strings(&builder);
        size_t size = pprof__profile__get_packed_size(&builder.profile);
        uint8_t *bytes = alloc_zeroed(size, 1);
        pprof__profile__pack(&builder.profile, bytes);
        fwrite(bytes, 1, size, export->out);
        free(bytes);
        release(&builder);
}

static void begin(struct export *export)
{
}

const struct export_format export_pprof = {
        .name = "pprof",
        .help = "a profile for pprof",
        .binary = true,
        .wants_tree = true,
        .begin = begin,
        .end = end,
};
