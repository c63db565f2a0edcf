/* SPDX-License-Identifier: Apache-2.0
 *
 * cmd_top.c - loopdog top [DIR|FILE|PID|- ...]
 *
 * Context: reader
 */
#include <argp.h>
#include <errno.h>
#include <locale.h>
#include <signal.h>
#include <stdlib.h>

#include "base/config.h"
#include "command.h"
#include "options.h"
#include "top/session.h"

#define DELAY_NS UINT64_C(1000000000) /* as often as agents write while somebody looks on */
#define DELAY_LEAST_NS UINT64_C(100000000)

enum {
        KEY_JSON = 256,
        KEY_SORT,
        KEY_COLOUR,
};

static const struct argp_option options[] = {
        { "batch", 'b', NULL, 0, "Write plain frames to standard output, for a log, instead of a screen", 0 },
        { "delay", 'd', "SECONDS", 0, "Time between two frames: 1 (default), 0.5, or a duration such as 1m", 0 },
        { "count", 'n', "N", 0, "End after so many frames", 0 },
        { "json", KEY_JSON, NULL, 0, "Like --batch, each frame as one line of JSON (docs/top-json.md)", 0 },
        { "sort", KEY_SORT, "KEY", 0,
          "Order of the loops by lag (default), busy, p99, stalls, lost or name, or of "
          "the stalls by lost (default), count, longest, p99, last or culprit",
          0 },
        { "color", KEY_COLOUR, "WHEN", 0, "auto (default), always or never", 0 },
        { 0 },
};

struct top_options {
        struct session_options session;
        struct symbol_options symbols;
};

/* A plain number is seconds, as with other programs of this name. */
static uint64_t parse_delay(const struct argp_state *state, const char *text)
{
        char *end;
        double seconds = strtod(text, &end);
        uint64_t delay_ns = 0;
        bool plain = end != text && *end == '\0' && seconds >= 0 && seconds < 1e6;
        if (plain)
                delay_ns = (uint64_t)(seconds * 1e9);
        else if (config_parse_duration(text, &delay_ns) < 0)
                argp_error(state, "--delay=%s is not a number of seconds, nor a duration such as 500ms or 1m", text);
        if (delay_ns < DELAY_LEAST_NS)
                argp_error(state, "--delay=%s: 0.1 is the shortest", text);
        return delay_ns;
}

static uint64_t parse_count(const struct argp_state *state, const char *text)
{
        char *end;
        errno = 0;
        uint64_t count = strtoull(text, &end, 10);
        if (text[0] < '0' || text[0] > '9' || *end || errno || count == 0)
                argp_error(state, "--count=%s is not a number of frames from 1 on", text);
        return count;
}

static void parse_sort(const struct argp_state *state, struct rows_view *view, const char *name)
{
        bool known = false;
        for (enum rows_pane pane = 0; pane < ROWS_PANES; pane++) {
                int order = rows_order_from_name(pane, name);
                if (order < 0)
                        continue;
                view->order[pane] = order;
                known = true;
        }
        if (!known)
                argp_error(state,
                           "--sort=%s: lag, busy, p99, stalls, lost or name for the loops, lost, count, longest, p99, "
                           "last or culprit for the stalls",
                           name);
}

static error_t parse_option(int key, char *argument, struct argp_state *state)
{
        struct top_options *chosen = state->input;
        struct session_options *session = &chosen->session;
        switch (key) {
        case ARGP_KEY_INIT:
                state->child_inputs[0] = &session->filter;
                state->child_inputs[1] = &chosen->symbols;
                return 0;
        case 'b':
                session->batch = true;
                return 0;
        case 'd':
                session->delay_ns = parse_delay(state, argument);
                return 0;
        case 'n':
                session->frames = parse_count(state, argument);
                return 0;
        case KEY_JSON:
                session->batch = session->json = true;
                return 0;
        case KEY_SORT:
                parse_sort(state, &session->view, argument);
                return 0;
        case KEY_COLOUR:
                session->colour = option_colour(state, argument);
                return 0;
        case ARGP_KEY_ARGS:
                session->names = state->argv + state->next;
                session->names_count = state->argc - state->next;
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
        .args_doc = "[DIR|FILE|PID|-]...",
        .doc = "Show loops and their stalls as they happen: how busy each loop is and how long events wait there, the "
               "stall in progress as it grows, and who is to blame for those before. Follows folders of records with "
               "all that comes into them, files, and running processes by their id; without any, every process of "
               "this machine that you may look into and that writes records."
               "\vKeys: q quits, arrows and Enter open a stall, s sorts, / filters, p pauses, ? lists the others. The "
               "exit code is 0, 1 if there is nothing to follow, 2 for a wrong option or where the terminal can't show "
               "a screen.",
};

const struct argp *top_parser(void)
{
        return &parser;
}

int cmd_top(int argc, char **argv)
{
        struct top_options chosen = { .session = { .delay_ns = DELAY_NS } };
        if (argp_parse(&parser, argc, argv, 0, NULL, &chosen) != 0)
                return EXIT_USAGE;
        setlocale(LC_CTYPE, "");
        signal(SIGPIPE, SIG_IGN);
        chosen.session.filter.symbolizer = symbolizer_new(&chosen.symbols.places);
        int code = session_run(&chosen.session);
        symbolizer_free(chosen.session.filter.symbolizer);
        free(chosen.symbols.debug);
        return code;
}
