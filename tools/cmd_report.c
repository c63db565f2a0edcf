/* SPDX-License-Identifier: Apache-2.0
 *
 * cmd_report.c - loopdog report [FILE|DIR|- ...]
 *
 * Context: reader
 */
#include <argp.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "alloc.h"
#include "command.h"
#include "options.h"
#include "render/report.h"
#include "say.h"

enum {
        KEY_BY = 256,
        KEY_JSON,
        KEY_ALL_FRAMES,
        KEY_COLOUR,
        KEY_TREE,
};

static const struct argp_option options[] = {
        { "by", KEY_BY, "KEY", 0, "What to add up by: culprit (default), cause, stack, loop, thread or process", 0 },
        { "json", KEY_JSON, NULL, 0, "One JSON document (docs/report-json.md) instead of text", 0 },
        { "tree", KEY_TREE, NULL, 0, "Where the time was lost as a tree of calls, instead of the table", 0 },
        { "all-frames", KEY_ALL_FRAMES, NULL, 0, "Do not fold the frames of frameworks and libraries", 0 },
        { "color", KEY_COLOUR, "WHEN", 0, "auto (default), always or never", 0 },
        { 0 },
};

struct report_options {
        enum group_by by;
        bool json;
        bool all_frames;
        bool tree;
        struct filter filter;
        enum colour_choice colour;
        char **paths;
        int paths_count;
};

static error_t parse_option(int key, char *argument, struct argp_state *state)
{
        struct report_options *chosen = state->input;
        switch (key) {
        case ARGP_KEY_INIT:
                state->child_inputs[0] = &chosen->filter;
                return 0;
        case KEY_BY:
                chosen->by = (enum group_by)option_word(state, "by", argument, group_by_from_name,
                                                        "by culprit, cause, stack, loop, thread or process");
                return 0;
        case KEY_JSON:
                chosen->json = true;
                return 0;
        case KEY_ALL_FRAMES:
                chosen->all_frames = true;
                return 0;
        case KEY_TREE:
                chosen->tree = true;
                return 0;
        case KEY_COLOUR:
                chosen->colour = (enum colour_choice)option_word(state, "color", argument, colour_from_name,
                                                                 "auto, always or never");
                return 0;
        case ARGP_KEY_ARGS:
                chosen->paths = state->argv + state->next;
                chosen->paths_count = state->argc - state->next;
                return 0;
        case ARGP_KEY_NO_ARGS:
                argp_error(state, "name a file, a folder, or - for standard input");
                return 0;
        default:
                return ARGP_ERR_UNKNOWN;
        }
}

static const struct argp_child children[] = { { &filter_argp, 0, NULL, 0 }, { 0 } };

static const struct argp parser = {
        .options = options,
        .children = children,
        .parser = parse_option,
        .args_doc = "FILE|DIR|-...",
        .doc = "Read the records of stalls (JSON Lines, as LOOPDOG_OUTPUT or \"loopdog run -o\" writes them) and show "
               "what they add up to: who stopped the loops, for how long and why, with an example of each of the worst."
               "\vLines that are no records are said on stderr, counted and skipped. The exit code is 0 if anything "
               "could be read or all files are empty, 1 if not, 2 for a wrong option.",
};

static void take(void *context, const struct parsed *parsed, const char *line, size_t length)
{
        analysis_add(context, &parsed->record, line, length);
}

static void grow_tree(void *context, const struct record *record, const struct counted *counted)
{
        if (counted->kind == KIND_STALL)
                calltree_add(context, record);
}

/* `gathered`: the tree by address; NULL: none is wanted. */
static int print_report(const struct report_options *chosen, const struct input *input, const struct analysis *analysis,
                        const struct calltree *gathered)
{
        struct symbolizer *symbolizer = chosen->filter.symbolizer;
        const struct record_style style = {
                .colour = terminal_colour(STDOUT_FILENO, chosen->colour),
                .columns = terminal_columns(STDOUT_FILENO),
                .all_frames = chosen->all_frames,
        };
        struct groups groups, suspended;
        struct calltree tree = { 0 };
        if (gathered)
                calltree_named(gathered, symbolizer, &tree);
        groups_make(&groups, analysis, chosen->by, KIND_STALL, symbolizer);
        groups_make(&suspended, analysis, GROUP_LOOP, KIND_SUSPENDED, symbolizer);
        const struct report report = { .input = input,
                                       .analysis = analysis,
                                       .groups = &groups,
                                       .suspended = &suspended,
                                       .tree = gathered ? &tree : NULL,
                                       .by = chosen->by,
                                       .symbolizer = symbolizer };
        if (chosen->json)
                report_json(&report, stdout);
        else
                report_text(&report, stdout, &style);
        groups_free(&groups);
        groups_free(&suspended);
        calltree_free(&tree);
        if (fflush(stdout) == 0 && !ferror(stdout))
                return EXIT_FINE;
        if (errno == EPIPE) /* whoever read it has seen enough */
                return EXIT_FINE;
        say("standard output: %s", strerror(errno));
        return EXIT_FAILED;
}

int cmd_report(int argc, char **argv)
{
        struct report_options chosen = { .by = GROUP_CULPRIT };
        error_t error = argp_parse(&parser, argc, argv, 0, NULL, &chosen);
        if (error)
                return EXIT_USAGE;
        signal(SIGPIPE, SIG_IGN);
        chosen.filter.symbolizer = symbolizer_new();
        struct calltree tree = { 0 };
        struct analysis analysis = {
                .filter = chosen.filter, .on_stall = chosen.tree ? grow_tree : NULL, .context = &tree
        };
        struct input input = { .take = take, .context = &analysis };
        for (int i = 0; i < chosen.paths_count; i++)
                input_read(&input, chosen.paths[i]);
        analysis_finish(&analysis);
        calltree_finish(&tree);
        int code = EXIT_FAILED;
        bool all_empty = input.files_empty > 0 && input.files_empty == input.files;
        if (input.records > 0 || all_empty)
                code = print_report(&chosen, &input, &analysis, chosen.tree ? &tree : NULL);
        else
                say("no record could be read");
        analysis_free(&analysis);
        calltree_free(&tree);
        symbolizer_free(chosen.filter.symbolizer);
        return code;
}
