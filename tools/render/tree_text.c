/* SPDX-License-Identifier: Apache-2.0
 *
 * tree_text.c - a tree of calls for people
 *
 * A stack is some forty frames deep, but forks in few places: only there a line moves to the right.
 *
 * Context: reader
 */
#include "render/tree_text.h"

#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "record/frame.h"
#include "record/parts.h"
#include "render/words.h"

#define LEAST_PERCENT 1
#define FOREIGN_RUN 4
#define INDENT_COLUMNS 2
#define INDENT_MOST 30 /* deeper forks are not moved any further */
#define LINE_BYTES 1024
#define PACKAGES_NAMED 4
#define PACKAGE_BYTES 64

struct tree_view {
        const struct calltree *tree;
        FILE *out;
        const struct record_style *style;
        size_t *children; /* nodes by parent, most time first */
        size_t *first;    /* of each node, in `children`; one more at the end */
};

/* ---------------------------------------------------------------------------------------------------------- order */

static int by_parent_and_time(const void *a, const void *b, void *context)
{
        const struct calltree_node *nodes = context;
        size_t left = *(const size_t *)a;
        size_t right = *(const size_t *)b;
        if (nodes[left].parent != nodes[right].parent)
                return nodes[left].parent < nodes[right].parent ? -1 : 1;
        if (nodes[left].total_ns != nodes[right].total_ns)
                return nodes[left].total_ns < nodes[right].total_ns ? 1 : -1;
        return left < right ? -1 : left > right;
}

static void order(struct tree_view *view)
{
        const struct calltree *tree = view->tree;
        size_t count = tree->nodes_count - 1;
        view->children = alloc_zeroed(count, sizeof(*view->children));
        view->first = alloc_zeroed(tree->nodes_count + 1, sizeof(*view->first));
        for (size_t i = 0; i < count; i++)
                view->children[i] = i + 1;
        qsort_r(view->children, count, sizeof(*view->children), by_parent_and_time, tree->nodes);
        for (size_t i = 0; i < count; i++)
                view->first[tree->nodes[view->children[i]].parent + 1]++;
        for (size_t i = 1; i <= tree->nodes_count; i++)
                view->first[i] += view->first[i - 1];
}

static size_t children_count(const struct tree_view *view, size_t node)
{
        return view->first[node + 1] - view->first[node];
}

/* The only child, if all of the node's time was lost there; else 0. */
static size_t only_child(const struct tree_view *view, size_t node)
{
        const struct calltree_node *at = &view->tree->nodes[node];
        if (at->own_ns > 0 || children_count(view, node) != 1)
                return 0;
        return view->children[view->first[node]];
}

/* --------------------------------------------------------------------------------------------------------- lines */

static const struct record_frame *frame_of(const struct tree_view *view, size_t node)
{
        return &view->tree->frames[view->tree->nodes[node].frame];
}

static bool is_own(const struct tree_view *view, size_t node)
{
        return view->tree->nodes[node].depth == 1 ||
               record_frame_owner(frame_of(view, node), view->style->own_prefixes) == RECORD_OWN;
}

static void put_padded(struct text *line, char *string, size_t width)
{
        for (size_t length = strlen(string); length < width; length++)
                text_char(line, ' ');
        text_string(line, string);
        free(string);
}

static void start_line(const struct tree_view *view, struct text *line, size_t node, size_t indent)
{
        if (node > 0) {
                uint64_t total_ns = view->tree->nodes[node].total_ns;
                put_padded(line, words_duration(total_ns), 12);
                put_padded(line, words_share(total_ns, view->tree->nodes[0].total_ns), 9);
        } else {
                put_padded(line, alloc_string(""), 12 + 9);
        }
        for (size_t i = 0; i < 2 + indent; i++)
                text_char(line, ' ');
}

static void end_line(const struct tree_view *view, const struct text *line, const char *code)
{
        char bytes[2 * LINE_BYTES];
        struct text text = TEXT_IN(bytes);
        part_line(&text, view->style, code, line);
        fputs(bytes, view->out);
}

static void write_frame(const struct tree_view *view, size_t node, size_t indent, bool own)
{
        char bytes[LINE_BYTES];
        struct text line = TEXT_IN(bytes);
        const struct record_frame *frame = frame_of(view, node);
        char *name = calltree_name(view->tree, &view->tree->nodes[node]);
        start_line(view, &line, node, indent);
        part_start(&line, name, 80);
        free(name);
        text_string(&line, frame->inlined ? " [inlined]" : "");
        if (frame->function && frame->file) {
                text_string(&line, "  ");
                part_location(&line, frame, PART_BYTES);
        } else if (frame->function && frame->module) {
                text_string(&line, "  ");
                part_start(&line, record_basename(frame->module), 60);
        }
        end_line(view, &line, own ? BOLD : DIM);
}

/* "... 14 frames of starlette, uvicorn" */
static void write_fold(const struct tree_view *view, const size_t *nodes, size_t count, size_t indent)
{
        char bytes[LINE_BYTES];
        struct text line = TEXT_IN(bytes);
        char names[PACKAGES_NAMED][PACKAGE_BYTES];
        size_t named = 0;
        start_line(view, &line, 0, indent);
        text_format(&line, "... %zu frames", count);
        for (size_t i = 0; i < count && named < PACKAGES_NAMED; i++) {
                struct text package = { .bytes = names[named], .capacity = PACKAGE_BYTES };
                record_frame_package(&package, frame_of(view, nodes[i]));
                bool known = package.length == 0;
                for (size_t j = 0; j < named; j++)
                        known = known || strcmp(names[j], names[named]) == 0;
                if (known)
                        continue;
                text_string(&line, named++ ? ", " : " of ");
                text_printable(&line, package.bytes);
        }
        end_line(view, &line, DIM);
}

/* Frames that only call each other. */
static void write_chain(const struct tree_view *view, const size_t *nodes, size_t count, size_t indent)
{
        for (size_t from = 0, to; from < count; from = to) {
                bool own = is_own(view, nodes[from]);
                for (to = from + 1; to < count && is_own(view, nodes[to]) == own; to++)
                        ;
                size_t shown = to - from;
                if (!own && !view->style->all_frames && shown >= FOREIGN_RUN)
                        shown = 1; /* and the innermost, who was called */
                for (size_t i = from; i < from + shown; i++)
                        write_frame(view, nodes[i], indent, own);
                if (shown == to - from)
                        continue;
                write_fold(view, nodes + from + 1, to - from - 2, indent);
                write_frame(view, nodes[to - 1], indent, own);
        }
}

static void write_rest(const struct tree_view *view, size_t count, uint64_t rest_ns, size_t indent)
{
        char bytes[LINE_BYTES];
        struct text line = TEXT_IN(bytes);
        char *rest = words_duration(rest_ns);
        start_line(view, &line, 0, indent);
        text_format(&line, "... and %zu more with %s", count, rest);
        free(rest);
        end_line(view, &line, DIM);
}

static void write_branch(const struct tree_view *view, size_t node, size_t indent)
{
        size_t *chain = NULL;
        size_t length = 0;
        size_t last = node;
        for (size_t at = node; at; at = only_child(view, at)) {
                chain = alloc_resize(chain, length + 1, sizeof(*chain));
                chain[length++] = last = at;
        }
        if (node)
                write_chain(view, chain, length, indent);
        free(chain);
        if (node && indent < INDENT_MOST)
                indent += INDENT_COLUMNS;
        size_t end = view->first[last + 1];
        for (size_t i = view->first[last]; i < end; i++) {
                const struct calltree_node *child = &view->tree->nodes[view->children[i]];
                if (child->total_ns / LEAST_PERCENT >= view->tree->nodes[0].total_ns / 100) {
                        write_branch(view, view->children[i], indent);
                        continue;
                }
                uint64_t rest_ns = 0;
                for (size_t j = i; j < end; j++)
                        rest_ns += view->tree->nodes[view->children[j]].total_ns;
                write_rest(view, end - i, rest_ns, indent);
                break;
        }
}

void tree_text(const struct calltree *tree, FILE *out, const struct record_style *style)
{
        struct tree_view view = { .tree = tree, .out = out, .style = style };
        if (tree->nodes_count < 2)
                return;
        order(&view);
        fputs("\n        lost    share  who called whom, outermost first\n", out);
        write_branch(&view, 0, 0);
        free(view.children);
        free(view.first);
}
