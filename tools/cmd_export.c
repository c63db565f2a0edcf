/* SPDX-License-Identifier: Apache-2.0
 *
 * cmd_export.c - loopdog export --format FORMAT FILE|DIR|-...
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
#include "export/export.h"
#include "options.h"
#include "reading.h"
#include "say.h"

enum {
        KEY_FORMAT = 'f',
        KEY_OUTPUT = 'o',
};

static const struct argp_option options[] = {
        { "format", KEY_FORMAT, "FORMAT", 0, "One of the formats below", 0 },
        { "output", KEY_OUTPUT, "FILE", 0, "Write there instead of to standard output", 0 },
        { 0 },
};

struct export_options {
        const struct export_format *format;
        const char *output; /* NULL: stdout */
        struct filter filter;
        struct symbol_options symbols;
        char **paths;
        int paths_count;
};

static const struct export_format *find_format(const struct argp_state *state, const char *name)
{
        for (const struct export_format *const *format = export_formats; *format; format++)
                if (strcmp((*format)->name, name) == 0)
                        return *format;
        argp_error(state, "--format=%s: \"loopdog help export\" lists the formats", name);
        return NULL;
}

static error_t parse_option(int key, char *argument, struct argp_state *state)
{
        struct export_options *chosen = state->input;
        switch (key) {
        case ARGP_KEY_INIT:
                state->child_inputs[0] = &chosen->filter;
                state->child_inputs[1] = &chosen->symbols;
                return 0;
        case KEY_FORMAT:
                chosen->format = find_format(state, argument);
                return 0;
        case KEY_OUTPUT:
                chosen->output = argument;
                return 0;
        case ARGP_KEY_ARGS:
                chosen->paths = state->argv + state->next;
                chosen->paths_count = state->argc - state->next;
                return 0;
        case ARGP_KEY_NO_ARGS:
                argp_error(state, "name a file, a folder, or - for standard input");
                return 0;
        case ARGP_KEY_END:
                if (!chosen->format)
                        argp_error(state, "--format=FORMAT is missing: \"loopdog help export\" lists the formats");
                return 0;
        default:
                return ARGP_ERR_UNKNOWN;
        }
}

static const struct argp_child children[] = { { &filter_argp, 0, NULL, 0 }, { &symbol_argp, 0, NULL, 0 }, { 0 } };

/* The list of formats is their table. */
static char *help_filter(int key, const char *text, void *input)
{
        if (key != ARGP_KEY_HELP_POST_DOC)
                return (char *)text;
        char *help = alloc_string("Formats:\n");
        for (const struct export_format *const *format = export_formats; *format; format++) {
                char *more = alloc_format("%s  %-11s %s\n", help, (*format)->name, (*format)->help);
                free(help);
                help = more;
        }
        return help;
}

static const struct argp parser = {
        .options = options,
        .children = children,
        .parser = parse_option,
        .help_filter = help_filter,
        .args_doc = "FILE|DIR|-...",
        .doc = "Write recorded stalls in the format of another program, each once, with symbolized frames.\v",
};

const struct argp *export_parser(void)
{
        return &parser;
}

struct exporting {
        const struct export_format *format;
        struct export export;
        struct calltree tree; /* by address */
        bool begun;
};

/* Nothing is written before something could be read. */
static void begin(struct exporting *exporting)
{
        if (!exporting->begun)
                exporting->format->begin(&exporting->export);
        exporting->begun = true;
}

static void take_stall(void *context, const struct record *record, const struct counted *counted)
{
        struct exporting *exporting = context;
        struct symbolized symbolized;
        if (exporting->format->wants_tree && counted->kind == KIND_STALL)
                calltree_add_named(&exporting->tree, record, exporting->export.symbolizer);
        if (!exporting->format->stall)
                return;
        begin(exporting);
        symbolize(exporting->export.symbolizer, record, &symbolized);
        exporting->format->stall(&exporting->export, &symbolized.record, counted);
        exporting->export.stalls++;
        symbolized_free(&symbolized);
}

static void finish(struct exporting *exporting, const struct analysis *analysis)
{
        struct calltree named = { 0 };
        calltree_finish(&exporting->tree);
        if (exporting->format->wants_tree)
                calltree_named(&exporting->tree, exporting->export.symbolizer, &named);
        exporting->export.analysis = analysis;
        exporting->export.tree = &named;
        begin(exporting);
        exporting->format->end(&exporting->export);
        calltree_free(&named);
}

static int close_output(const struct export_options *chosen, FILE *out)
{
        if (!chosen->output)
                return stdout_finish();
        bool failed = ferror(out);
        failed = fclose(out) != 0 || failed;
        if (failed)
                say("%s: %s", chosen->output, strerror(errno));
        return failed ? EXIT_FAILED : EXIT_FINE;
}

static int run(const struct export_options *chosen, FILE *out)
{
        struct exporting exporting = { .format = chosen->format,
                                       .export = { .out = out, .symbolizer = chosen->filter.symbolizer } };
        struct reading reading = {
                .symbolizer = exporting.export.symbolizer,
                .analysis = { .filter = chosen->filter, .on_stall = take_stall, .context = &exporting },
        };
        bool read = reading_all(&reading, chosen->paths, chosen->paths_count);
        if (read || exporting.begun)
                finish(&exporting, &reading.analysis);
        reading_free(&reading);
        calltree_free(&exporting.tree);
        int code = close_output(chosen, out);
        return read ? code : EXIT_FAILED;
}

int cmd_export(int argc, char **argv)
{
        struct export_options chosen = { 0 };
        if (argp_parse(&parser, argc, argv, 0, NULL, &chosen) != 0)
                return EXIT_USAGE;
        signal(SIGPIPE, SIG_IGN);
        if (chosen.format->binary && !chosen.output && isatty(STDOUT_FILENO)) {
                say("%s is not for a terminal: name a file with --output", chosen.format->name);
                return EXIT_USAGE;
        }
        FILE *out = chosen.output ? fopen(chosen.output, "we") : stdout;
        if (!out) {
                say("%s: %s", chosen.output, strerror(errno));
                return EXIT_FAILED;
        }
        chosen.filter.symbolizer = symbolizer_new(&chosen.symbols.places);
        int code = run(&chosen, out);
        symbolizer_free(chosen.filter.symbolizer);
        free(chosen.symbols.debug);
        return code;
}
