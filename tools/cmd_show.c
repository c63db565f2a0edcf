/* SPDX-License-Identifier: Apache-2.0
 *
 * cmd_show.c - loopdog show RUN-ID FILE|DIR|-...
 *
 * Context: reader
 */
#include <argp.h>
#include <ctype.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "alloc.h"
#include "base/limits.h"
#include "command.h"
#include "options.h"
#include "reading.h"
#include "render/example.h"
#include "render/show_text.h"
#include "say.h"

enum {
        KEY_JSON = 256,
        KEY_FOLD,
        KEY_COLOUR,
};

static const struct argp_option options[] = {
        { "json", KEY_JSON, NULL, 0, "The stall's record (docs/records.md) with symbolized frames instead of text", 0 },
        { "fold", KEY_FOLD, NULL, 0, "Fold the frames of frameworks and libraries", 0 },
        { "color", KEY_COLOUR, "WHEN", 0, "auto (default), always or never", 0 },
        { 0 },
};

/* A stall that has the number asked for, or a dump. */
struct match {
        struct kept line; /* its stall, or its stall-begin as long as that is all */
        bool ended;
        struct kept *loops; /* of a dump: the records of its loops */
        size_t loops_count;
        uint64_t duration_ns;
};

struct show_options {
        char *run; /* the beginning of it; "": any */
        uint64_t id;
        bool dump; /* it is the number of a dump */
        bool json;
        bool fold;
        enum colour_choice colour;
        struct symbol_options symbols;
        char **paths;
        int paths_count;
        struct map matches; /* run -> struct match */
};

/* "b194-7" or "7"; a dump is "b194-d1" or "d1". */
static void parse_name(const struct argp_state *state, struct show_options *chosen, const char *name)
{
        const char *dash = strrchr(name, '-');
        const char *digits = dash ? dash + 1 : name;
        chosen->dump = digits[0] == 'd';
        digits += chosen->dump;
        char *end;
        errno = 0;
        chosen->id = strtoull(digits, &end, 10);
        if (!isdigit((unsigned char)digits[0]) || *end || errno || chosen->id == 0)
                argp_error(state,
                           "\"%s\" is no stall's name: RUN-ID, such as b1946ac92492d234-7, or the beginning of the "
                           "run, or the number alone; of a dump RUN-d1",
                           name);
        free(chosen->run);
        chosen->run = dash ? alloc_bytes(name, (size_t)(dash - name)) : alloc_string("");
}

static error_t parse_option(int key, char *argument, struct argp_state *state)
{
        struct show_options *chosen = state->input;
        switch (key) {
        case ARGP_KEY_INIT:
                state->child_inputs[0] = &chosen->symbols;
                return 0;
        case KEY_JSON:
                chosen->json = true;
                return 0;
        case KEY_FOLD:
                chosen->fold = true;
                return 0;
        case KEY_COLOUR:
                chosen->colour = option_colour(state, argument);
                return 0;
        case ARGP_KEY_ARGS:
                parse_name(state, chosen, state->argv[state->next]);
                chosen->paths = state->argv + state->next + 1;
                chosen->paths_count = state->argc - state->next - 1;
                if (chosen->paths_count == 0)
                        argp_error(state, "name the file or the folder with the record behind it, or -");
                return 0;
        case ARGP_KEY_NO_ARGS:
                argp_error(state, "which stall? \"loopdog report\" names one below each row");
                return 0;
        default:
                return ARGP_ERR_UNKNOWN;
        }
}

static const struct argp_child children[] = { { &symbol_argp, 0, NULL, 0 }, { 0 } };

static const struct argp parser = {
        .options = options,
        .children = children,
        .parser = parse_option,
        .args_doc = "[RUN-]ID|[RUN-]dN FILE|DIR|-...",
        .doc = "Show one stall whole: when each of its stacks was seen, all of them with source lines, the other "
               "threads that had to do with it, and what its cause rests on. RUN may be as short as tells it from the "
               "others. RUN-d1 is the first dump that the program asked for (loopdog_dump)."
               "\vThe exit code is 0 if it was found, 1 if not or if several are called so, 2 for a wrong option.",
};

const struct argp *show_parser(void)
{
        return &parser;
}

/* Each loop once, though its file may be read twice. */
static void add_loop(struct match *match, const char *line, size_t length)
{
        for (size_t i = 0; i < match->loops_count; i++)
                if (match->loops[i].length == length && memcmp(match->loops[i].line, line, length) == 0)
                        return;
        match->loops = alloc_resize(match->loops, match->loops_count + 1, sizeof(*match->loops));
        match->loops[match->loops_count++] = (struct kept){ .line = alloc_bytes(line, length), .length = length };
}

static void look(void *context, const struct record *record, const char *line, size_t length)
{
        struct show_options *chosen = context;
        bool stall = record->type == RECORD_STALL || record->type == RECORD_STALL_BEGIN;
        bool wanted = chosen->dump ? record->type == RECORD_DUMP : stall;
        if (!wanted || record->stall.id != chosen->id || strncmp(record->run, chosen->run, strlen(chosen->run)) != 0)
                return;
        void **at = map_at_string(&chosen->matches, record->run);
        if (!*at)
                *at = alloc_zeroed(1, sizeof(struct match));
        struct match *match = *at;
        if (chosen->dump) {
                add_loop(match, line, length);
                return;
        }
        bool older = match->ended || match->duration_ns >= record->stall.duration_ns;
        if (match->line.line && record->type == RECORD_STALL_BEGIN && older)
                return;
        free(match->line.line);
        match->line = (struct kept){ .line = alloc_bytes(line, length), .length = length };
        match->ended = record->type == RECORD_STALL;
        match->duration_ns = record->stall.duration_ns;
}

static void free_match(void *pointer)
{
        struct match *match = pointer;
        for (size_t i = 0; i < match->loops_count; i++)
                free(match->loops[i].line);
        free(match->loops);
        free(match->line.line);
        free(match);
}

/* Of a repeat: the stall that has its stacks, to be freed by parsed_free() where it is there. */
static bool find_stacks(const struct analysis *analysis, const struct record_stall *stall, struct parsed *parsed)
{
        char key[20];
        char why[128];
        snprintf(key, sizeof(key), "%016llx", (unsigned long long)stall->signature);
        const struct analysed_stack *stack = map_find_string(&analysis->stacks, key);
        return stall->stacks_omitted && stall->signature && stack && stack->example_framed &&
               parse_record(parsed, stack->example.line, stack->example.length, why, sizeof(why)) == 0;
}

static void print_json(const struct record *record, struct symbolizer *symbolizer)
{
        struct symbolized symbolized;
        struct text text = { .bytes = alloc_zeroed(LIMIT_LINE_BYTES + 2, 1), .capacity = LIMIT_LINE_BYTES + 2 };
        symbolize(symbolizer, record, &symbolized);
        if (record_write_json(&text, &symbolized.record) == 0)
                fputs(text.bytes, stdout);
        symbolized_free(&symbolized);
        free(text.bytes);
}

static struct record_style style_of(const struct show_options *chosen)
{
        return (struct record_style){
                .colour = terminal_colour(STDOUT_FILENO, chosen->colour),
                .columns = terminal_columns(STDOUT_FILENO),
                .all_frames = !chosen->fold,
        };
}

/* One loop of a dump after the other, as they were written. */
static void print_dump(const struct show_options *chosen, const struct match *match, struct symbolizer *symbolizer)
{
        struct source_lines sources = { 0 };
        const struct record_style style = style_of(chosen);
        for (size_t i = 0; i < match->loops_count; i++) {
                struct parsed parsed;
                char why[128];
                if (parse_record(&parsed, match->loops[i].line, match->loops[i].length, why, sizeof(why)) != 0)
                        continue; /* it was parsed when it came */
                if (chosen->json) {
                        print_json(&parsed.record, symbolizer);
                } else {
                        char *text = example_text(&parsed.record, symbolizer, &sources, &style);
                        printf("%s%s", i ? "\n" : "", text);
                        free(text);
                }
                parsed_free(&parsed);
        }
        source_lines_free(&sources);
}

static void print(const struct show_options *chosen, const struct analysis *analysis, struct record *record,
                  struct symbolizer *symbolizer)
{
        struct parsed stacks;
        bool repeat = find_stacks(analysis, &record->stall, &stacks);
        const struct record_style style = style_of(chosen);
        const struct show show = {
                .record = record,
                .process = map_find_string(&analysis->processes, record->run),
                .stacks_of = repeat ? &stacks.record : NULL,
                .symbolizer = symbolizer,
        };
        if (record->type == RECORD_STALL_BEGIN && show.process->last_ns > record->stall.begin_ns)
                example_prolong(&record->stall, show.process->last_ns - record->stall.begin_ns);
        if (chosen->json)
                print_json(record, symbolizer);
        else
                show_text(&show, stdout, &style);
        if (repeat)
                parsed_free(&stacks);
}

static int show_match(const struct show_options *chosen, const struct analysis *analysis, struct symbolizer *symbolizer)
{
        const struct map *matches = &chosen->matches;
        const char *kind = chosen->dump ? "dump" : "stall";
        struct parsed parsed;
        char why[128];
        for (size_t i = 0; matches->count > 1 && i < matches->count; i++)
                say("%s-%s%llu is one of %zu %ss called so", matches->entries[i].key, chosen->dump ? "d" : "",
                    (unsigned long long)chosen->id, matches->count, kind);
        if (matches->count == 0)
                say("no %s %s%s%s%llu among what was read", kind, chosen->run, chosen->run[0] ? "-" : "",
                    chosen->dump ? "d" : "", (unsigned long long)chosen->id);
        if (matches->count != 1)
                return EXIT_FAILED;
        const struct match *match = matches->entries[0].value;
        if (chosen->dump) {
                print_dump(chosen, match, symbolizer);
                return stdout_finish();
        }
        if (parse_record(&parsed, match->line.line, match->line.length, why, sizeof(why)) != 0)
                return EXIT_FAILED; /* it was parsed when it came */
        print(chosen, analysis, &parsed.record, symbolizer);
        parsed_free(&parsed);
        return stdout_finish();
}

int cmd_show(int argc, char **argv)
{
        struct show_options chosen = { 0 };
        if (argp_parse(&parser, argc, argv, 0, NULL, &chosen) != 0)
                return EXIT_USAGE;
        signal(SIGPIPE, SIG_IGN);
        struct symbolizer *symbolizer = symbolizer_new(&chosen.symbols.places);
        struct reading reading = { .symbolizer = symbolizer,
                                   .analysis = { .filter = { .symbolizer = symbolizer } },
                                   .also = look,
                                   .context = &chosen };
        int code = EXIT_FAILED;
        if (reading_all(&reading, chosen.paths, chosen.paths_count))
                code = show_match(&chosen, &reading.analysis, symbolizer);
        reading_free(&reading);
        symbolizer_free(symbolizer);
        map_free(&chosen.matches, free_match);
        free(chosen.run);
        free(chosen.symbols.debug);
        return code;
}
