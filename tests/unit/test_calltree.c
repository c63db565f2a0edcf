/* SPDX-License-Identifier: Apache-2.0
 *
 * test_calltree.c - tools/analyse/calltree.c: every nanosecond lost stands at one node
 *
 * Context: unit test
 */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "analyse/calltree.h"

static struct calltree tree, named;
static struct symbolizer *symbolizer;

static void begin(void)
{
        symbolizer = symbolizer_new(NULL);
}

static void end(void)
{
        calltree_free(&tree);
        calltree_free(&named);
        symbolizer_free(symbolizer);
}

TestSuite(calltree, .init = begin, .fini = end);

static const struct record_frame at_8[] = {
        { .lang = RECORD_PYTHON, .function = "leaf", .file = "/a.py", .line = 8 },
        { .lang = RECORD_PYTHON, .function = "main", .file = "/a.py", .line = 1 },
};
static const struct record_frame at_9[] = {
        { .lang = RECORD_PYTHON, .function = "leaf", .file = "/a.py", .line = 9 },
        { .lang = RECORD_PYTHON, .function = "main", .file = "/a.py", .line = 1 },
};
static const struct record_frame other[] = {
        { .lang = RECORD_PYTHON, .function = "other", .file = "/a.py", .line = 20 },
        { .lang = RECORD_PYTHON, .function = "main", .file = "/a.py", .line = 1 },
};

static void add(uint64_t duration_ns, uint64_t signature, const struct record_stack *stacks, size_t count)
{
        struct record record = { .type = RECORD_STALL, .program = "app" };
        record.stall.duration_ns = duration_ns;
        record.stall.signature = signature;
        record.stall.stacks = stacks;
        record.stall.stacks_count = count;
        record.stall.stacks_omitted = count == 0 && signature;
        calltree_add(&tree, &record);
}

static void finish(void)
{
        calltree_finish(&tree);
        calltree_named(&tree, symbolizer, &named);
}

/* The node of that name, whoever called it; the test has one. */
static const struct calltree_node *node(const char *name)
{
        for (size_t i = 1; i < named.nodes_count; i++) {
                char *own = calltree_name(&named, &named.nodes[i]);
                bool same = strcmp(own, name) == 0;
                free(own);
                if (same)
                        return &named.nodes[i];
        }
        cr_assert_fail("no node %s", name);
        return NULL;
}

Test(calltree, divides_a_stall_among_its_stacks_by_their_samples)
{
        const struct record_stack stacks[] = {
                { .count = 2, .frames = at_8, .frames_count = 2 },
                { .count = 1, .frames = other, .frames_count = 2 },
                { .count = 5, .missing = "torn" },
        };
        add(100, 1, stacks, 3);
        finish();
        cr_expect_eq(node("leaf")->own_ns, 66);
        cr_expect_eq(node("other")->own_ns, 34, "the last takes the rest: nothing gets lost");
        cr_expect_eq(node("main")->total_ns, 100);
        cr_expect_eq(node("app")->total_ns, 100);
        cr_expect_eq(named.nodes[0].total_ns, 100);
        cr_expect_eq(node("leaf")->own_samples, 2);
}

Test(calltree, takes_the_lines_of_a_function_together)
{
        const struct record_stack one = { .count = 1, .frames = at_8, .frames_count = 2 };
        const struct record_stack two = { .count = 1, .frames = at_9, .frames_count = 2 };
        add(100, 1, &one, 1);
        add(50, 1, &two, 1);
        finish();
        cr_expect_eq(tree.nodes_count, 5, "root, program, main, and two lines");
        cr_expect_eq(named.nodes_count, 4);
        cr_expect_eq(node("leaf")->own_ns, 150);
        cr_expect_eq(named.frames[node("leaf")->frame].line, 0, "of several");
        cr_expect_eq(named.frames[node("main")->frame].line, 1);
}

Test(calltree, divides_repeats_without_stacks_as_those_with_stacks)
{
        const struct record_stack leaf = { .count = 1, .frames = at_8, .frames_count = 2 };
        const struct record_stack there = { .count = 1, .frames = other, .frames_count = 2 };
        add(1000, 1, NULL, 0);
        add(100, 1, &leaf, 1);
        add(300, 1, &there, 1);
        add(77, 2, NULL, 0);
        finish();
        cr_expect_eq(node("leaf")->own_ns, 350);
        cr_expect_eq(node("other")->own_ns, 1050);
        cr_expect_eq(node("(no stack)")->own_ns, 77, "of this signature no stack was read");
        cr_expect_eq(named.nodes[0].total_ns, 1477);
}

Test(calltree, keeps_what_has_no_stack)
{
        const struct record_stack missing = { .count = 3, .missing = "torn" };
        add(40, 0, &missing, 1);
        finish();
        cr_expect_eq(node("(no stack)")->total_ns, 40);
        cr_expect_eq(node("app")->total_ns, 40);
}

Test(calltree, does_not_grow_with_the_stalls)
{
        const struct record_stack one = { .count = 7, .frames = at_8, .frames_count = 2 };
        for (int i = 0; i < 5000; i++)
                add(UINT64_MAX / 8192, 1, &one, 1);
        finish();
        cr_expect_eq(tree.nodes_count, 4);
        cr_expect_eq(named.nodes[0].total_ns, UINT64_MAX / 8192 * 5000);
}

Test(calltree, is_empty_without_stalls)
{
        finish();
        cr_expect_eq(named.nodes_count, 1);
        cr_expect_eq(named.nodes[0].total_ns, 0);
}
