/* SPDX-License-Identifier: Apache-2.0
 *
 * speedscope.c - export: speedscope's own format, one profile a program
 *
 * Context: reader
 */
#include <stdlib.h>

#include "export/export.h"
#include "loopdog.h"
#include "render/json_set.h"

static json_t *frames_json(const struct calltree *tree)
{
        json_t *list = json_array();
        for (size_t i = 0; i < tree->frames_count; i++) {
                const struct record_frame *frame = &tree->frames[i];
                const struct calltree_node node = { .frame = i };
                json_t *object = json_object();
                char *name = calltree_name(tree, &node);
                json_set_string(object, "name", name);
                json_set_string(object, "file", frame->file ? frame->file : frame->module);
                if (frame->line)
                        json_set_number(object, "line", frame->line);
                json_array_append_new(list, object);
                free(name);
        }
        return list;
}

static void add_sample(const struct calltree *tree, size_t node, json_t *samples, json_t *weights)
{
        size_t count;
        size_t *path = export_path(tree, node, &count);
        json_t *stack = json_array();
        for (size_t i = 1; i < count; i++) /* the program is the profile */
                json_array_append_new(stack, json_integer((json_int_t)tree->nodes[path[i]].frame));
        json_array_append_new(samples, stack);
        json_array_append_new(weights, json_integer((json_int_t)tree->nodes[node].own_ns));
        free(path);
}

static size_t program_of(const struct calltree *tree, size_t node)
{
        while (tree->nodes[node].depth > 1)
                node = tree->nodes[node].parent;
        return node;
}

static json_t *profile_json(const struct calltree *tree, size_t program)
{
        json_t *object = json_object();
        json_t *samples = json_array();
        json_t *weights = json_array();
        char *name = calltree_name(tree, &tree->nodes[program]);
        for (size_t i = program; i < tree->nodes_count; i++)
                if (export_is_leaf(&tree->nodes[i]) && program_of(tree, i) == program)
                        add_sample(tree, i, samples, weights);
        json_set_string(object, "type", "sampled");
        json_set_string(object, "name", name);
        json_set_string(object, "unit", "nanoseconds");
        json_set_number(object, "startValue", 0);
        json_set_number(object, "endValue", tree->nodes[program].total_ns);
        json_set(object, "samples", samples);
        json_set(object, "weights", weights);
        free(name);
        return object;
}

static void end(struct export *export)
{
        const struct calltree *tree = export->tree;
        json_t *root = json_object();
        json_t *shared = json_object();
        json_t *profiles = json_array();
        json_set(shared, "frames", frames_json(tree));
        for (size_t i = 1; i < tree->nodes_count; i++)
                if (tree->nodes[i].depth == 1)
                        json_array_append_new(profiles, profile_json(tree, i));
        json_set_string(root, "$schema", "https://www.speedscope.app/file-format-schema.json");
        json_set_string(root, "name", "time that event loops lost");
        json_set_string(root, "exporter", "loopdog " LOOPDOG_VERSION);
        json_set_number(root, "activeProfileIndex", 0);
        json_set(root, "shared", shared);
        json_set(root, "profiles", profiles);
        json_dumpf(root, export->out, JSON_COMPACT | JSON_PRESERVE_ORDER);
        fputc('\n', export->out);
        json_decref(root);
}

static void begin(struct export *export)
{
}

const struct export_format export_speedscope = {
        .name = "speedscope",
        .help = "for speedscope",
        .wants_tree = true,
        .begin = begin,
        .end = end,
};
