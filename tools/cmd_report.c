/* SPDX-License-Identifier: Apache-2.0
 *
 * cmd_report.c - loopdog report [FILE|DIR|- ...]
 *
 * Context: reader
 */
#include <argp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "alloc.h"
#include "command.h"
#include "gate.h"
#include "options.h"
#include "reading.h"
#include "render/report.h"

enum {
        KEY_BY = 256,
        KEY_JSON,
        KEY_ALL_FRAMES,
        KEY_COLOUR,
        KEY_TREE,
        KEY_DIFF,
        KEY_FAIL_ON,
};

static const struct argp_option options[] = {
        { "by", KEY_BY, "KEY", 0,
          "What to add up by: culprit (default), cause, stack, loop, thread, process, label (all of a stall; "
          "label:KEY: the "
          "values of one) or callback",
          0 },
        { "json", KEY_JSON, NULL, 0, "One JSON document (docs/report-json.md) instead of text", 0 },
        { "tree", KEY_TREE, NULL, 0, "Where the time was lost as a tree of calls, instead of the table", 0 },
        { "diff", KEY_DIFF, "OLD", 0,
          "What has changed since an earlier run, per hour of run: new culprits, gone, "
          "better and worse. OLD is a file or a folder; may be given several times",
          0 },
        { "fail-on", KEY_FAIL_ON, "WHAT,...", 0,
          "Exit code 3 and the reason on stderr, for CI, where there is: new (a "
          "culprit that OLD has not), worse, any (stall), total>DURATION (time "
          "lost), max>DURATION (longest stall)",
          0 },
        { "all-frames", KEY_ALL_FRAMES, NULL, 0, "Do not fold the frames of frameworks and libraries", 0 },
        { "color", KEY_COLOUR, "WHEN", 0, "auto (default), always or never", 0 },
        { 0 },
};

struct report_options {
        enum group_by by;
        const char *label_key; /* of --by=label:KEY; NULL: all */
        bool json;
        bool all_frames;
        bool tree;
        struct gate gate;
        char **before; /* paths of the earlier run */
        int before_count;
        struct filter filter;
        struct symbol_options symbols;
        enum colour_choice colour;
        char **paths;
        int paths_count;
};

static void parse_by(const struct argp_state *state, struct report_options *chosen, const char *word)
{
        static const char label[] = "label:";
        chosen->label_key = NULL;
        if (strncmp(word, label, sizeof(label) - 1) == 0 && word[sizeof(label) - 1]) {
                chosen->label_key = word + sizeof(label) - 1;
                word = "label";
        }
        chosen->by = (enum group_by)option_word(state, "by", word, group_by_from_name,
                                                "by culprit, cause, stack, loop, thread, process, label or callback");
}

static enum analysed_said said_by(enum group_by by)
{
        return by == GROUP_LABEL ? SAID_LABEL : by == GROUP_CALLBACK ? SAID_CALLBACK : SAID_NOTHING;
}

/* Options that need or exclude each other. */
static void check_together(const struct argp_state *state, const struct report_options *chosen)
{
        if (gate_compares(&chosen->gate) && chosen->before_count == 0)
                argp_error(state, "--fail-on=new and worse compare with an earlier run: name it with --diff=OLD");
        if (chosen->before_count > 0 && group_by_is_of_run(chosen->by))
                argp_error(state, "--diff goes by culprit, cause, stack, label or callback: another run has other "
                                  "processes and loops");
        if (chosen->before_count > 0 && chosen->tree)
                argp_error(state, "--diff and --tree do not go together");
}

static error_t parse_option(int key, char *argument, struct argp_state *state)
{
        struct report_options *chosen = state->input;
        switch (key) {
        case ARGP_KEY_INIT:
                state->child_inputs[0] = &chosen->filter;
                state->child_inputs[1] = &chosen->symbols;
                return 0;
        case KEY_BY:
                parse_by(state, chosen, argument);
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
        case KEY_DIFF:
                chosen->before = alloc_resize(chosen->before, (size_t)chosen->before_count + 1, sizeof(char *));
                chosen->before[chosen->before_count++] = argument;
                return 0;
        case KEY_FAIL_ON:
                if (gate_parse(&chosen->gate, argument) < 0)
                        argp_error(state, "--fail-on=%s: %s", argument, GATE_WORDS);
                return 0;
        case KEY_COLOUR:
                chosen->colour = option_colour(state, argument);
                return 0;
        case ARGP_KEY_ARGS:
                chosen->paths = state->argv + state->next;
                chosen->paths_count = state->argc - state->next;
                return 0;
        case ARGP_KEY_NO_ARGS:
                argp_error(state, "name a file, a folder, or - for standard input");
                return 0;
        case ARGP_KEY_END:
                check_together(state, chosen);
                return 0;
        default:
                return ARGP_ERR_UNKNOWN;
        }
}

static const struct argp_child children[] = { { &filter_argp, 0, NULL, 0 }, { &symbol_argp, 0, NULL, 0 }, { 0 } };

static const struct argp parser = {
        .options = options,
        .children = children,
        .parser = parse_option,
        .args_doc = "FILE|DIR|-...",
        .doc = "Read the records of stalls (JSON Lines, as LOOPDOG_OUTPUT or \"loopdog run -o\" writes them) and show "
               "what they add up to: who stopped the loops, for how long and why, with an example of each of the worst."
               "\vLines that are no records are said on stderr, counted and skipped. The exit code is 0 if anything "
               "could be read or all files are empty, 1 if not, 2 for a wrong option, 3 if --fail-on says so.",
};

const struct argp *report_parser(void)
{
        return &parser;
}

struct growing {
        struct calltree tree;
        struct symbolizer *symbolizer;
};

static void grow_tree(void *context, const struct record *record, const struct counted *counted)
{
        struct growing *growing = context;
        if (counted->kind == KIND_STALL)
                calltree_add_named(&growing->tree, record, growing->symbolizer);
}

static void print(const struct report_options *chosen, const struct report *report)
{
        const struct record_style style = {
                .colour = terminal_colour(STDOUT_FILENO, chosen->colour),
                .columns = terminal_columns(STDOUT_FILENO),
                .all_frames = chosen->all_frames,
        };
        if (chosen->json)
                report_json(report, stdout);
        else
                report_text(report, stdout, &style);
}

/* `before`: the earlier run; NULL: none. `gathered`: the tree by address; NULL: none is wanted. Is the gate shut? */
static bool tell(const struct report_options *chosen, const struct reading *reading, const struct reading *before,
                 const struct calltree *gathered)
{
        struct symbolizer *symbolizer = chosen->filter.symbolizer;
        struct groups groups, suspended, before_groups = { 0 };
        struct calltree tree = { 0 };
        struct diff diff = { 0 };
        groups_make(&groups, &reading->analysis, chosen->by, KIND_STALL, symbolizer);
        groups_make(&suspended, &reading->analysis, GROUP_LOOP, KIND_SUSPENDED, symbolizer);
        if (gathered)
                calltree_named(gathered, symbolizer, &tree);
        if (before) {
                groups_make(&before_groups, &before->analysis, chosen->by, KIND_STALL, symbolizer);
                diff_make(&diff, &before->analysis, &before_groups, &reading->analysis, &groups);
        }
        const struct report report = { .input = &reading->input,
                                       .analysis = &reading->analysis,
                                       .groups = &groups,
                                       .suspended = &suspended,
                                       .by = chosen->by,
                                       .tree = gathered ? &tree : NULL,
                                       .diff = before ? &diff : NULL,
                                       .symbolizer = symbolizer };
        print(chosen, &report);
        bool shut = gate_shut(&chosen->gate, &reading->analysis, before ? &diff : NULL);
        diff_free(&diff);
        groups_free(&before_groups);
        calltree_free(&tree);
        groups_free(&groups);
        groups_free(&suspended);
        return shut;
}

static int run(const struct report_options *chosen)
{
        struct growing growing = { .symbolizer = chosen->filter.symbolizer };
        struct reading reading = {
                .symbolizer = chosen->filter.symbolizer,
                .analysis = { .filter = chosen->filter,
                              .on_stall = chosen->tree ? grow_tree : NULL,
                              .context = &growing,
                              .said = said_by(chosen->by),
                              .label_key = chosen->label_key },
        };
        struct reading before = {
                .symbolizer = chosen->filter.symbolizer,
                .analysis = { .filter = chosen->filter, .said = said_by(chosen->by), .label_key = chosen->label_key },
        };
        int code = EXIT_FAILED;
        bool compare = chosen->before_count > 0;
        if ((!compare || reading_all(&before, chosen->before, chosen->before_count)) &&
            reading_all(&reading, chosen->paths, chosen->paths_count)) {
                calltree_finish(&growing.tree);
                bool shut = tell(chosen, &reading, compare ? &before : NULL, chosen->tree ? &growing.tree : NULL);
                code = stdout_finish();
                if (code == EXIT_FINE && shut)
                        code = EXIT_STALLED;
        }
        reading_free(&reading);
        reading_free(&before);
        calltree_free(&growing.tree);
        return code;
}

int cmd_report(int argc, char **argv)
{
        struct report_options chosen = { .by = GROUP_CULPRIT };
        if (argp_parse(&parser, argc, argv, 0, NULL, &chosen) != 0)
                return EXIT_USAGE;
        signal(SIGPIPE, SIG_IGN);
        chosen.filter.symbolizer = symbolizer_new(&chosen.symbols.places);
        int code = run(&chosen);
        symbolizer_free(chosen.filter.symbolizer);
        free(chosen.symbols.debug);
        free(chosen.before);
        return code;
}
