/* SPDX-License-Identifier: Apache-2.0
 *
 * options.c - the options that several commands have
 *
 * Context: reader
 */
#include "options.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "alloc.h"
#include "base/config.h"
#include "now.h"

enum {
        KEY_SINCE = 4096, /* apart from the keys of the commands */
        KEY_UNTIL,
        KEY_MIN,
        KEY_CAUSE,
        KEY_CULPRIT,
        KEY_SYSROOT,
        KEY_DEBUG_DIR,
        KEY_DEBUGINFOD,
};

static const struct argp_option filter_options[] = {
        { NULL, 0, NULL, 0, "Which stalls:", 1 },
        { "since", KEY_SINCE, "WHEN", 0,
          "Only stalls that ended within this time, such as 2h, or after a moment (UTC) "
          "such as 2026-11-22T20:15",
          1 },
        { "until", KEY_UNTIL, "WHEN", 0, "Only stalls that began before then", 1 },
        { "min", KEY_MIN, "DURATION", 0, "Only stalls of this length or longer, such as 500ms", 1 },
        { "cause", KEY_CAUSE, "CAUSE,...", 0, "Only stalls with one of these causes, such as blocked,lock", 1 },
        { "culprit", KEY_CULPRIT, "TEXT", 0, "Only stalls whose culprit's function, file or module has TEXT in it", 1 },
        { 0 },
};

uint64_t option_duration(const struct argp_state *state, const char *option, const char *text)
{
        uint64_t duration_ns = 0;
        if (config_parse_duration(text, &duration_ns) < 0)
                argp_error(state, "--%s=%s is not a duration such as 500ms, 2s, 10m or 1h", option, text);
        return duration_ns;
}

int option_word(const struct argp_state *state, const char *option, const char *word, int (*from_name)(const char *),
                const char *known)
{
        int index = from_name(word);
        if (index < 0)
                argp_error(state, "--%s=%s: %s", option, word, known);
        return index;
}

enum colour_choice option_colour(const struct argp_state *state, const char *word)
{
        return (enum colour_choice)option_word(state, "color", word, colour_from_name, "auto, always or never");
}

/* "2026-11-22", "2026-11-22T20:15", "2026-11-22 20:15:03Z" in UTC. */
static bool parse_moment(const char *text, uint64_t *moment_ns)
{
        static const char *const formats[] = { "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M",
                                               "%Y-%m-%d %H:%M", "%Y-%m-%d" };
        for (size_t i = 0; i < sizeof(formats) / sizeof(*formats); i++) {
                struct tm date = { 0 };
                const char *rest = strptime(text, formats[i], &date);
                if (!rest || (*rest && strcmp(rest, "Z") != 0))
                        continue;
                time_t seconds = timegm(&date);
                *moment_ns = seconds > 0 ? (uint64_t)seconds * 1000000000u : 0;
                return true;
        }
        return false;
}

static uint64_t parse_when(const struct argp_state *state, const char *option, const char *text)
{
        uint64_t now = now_ns(CLOCK_REALTIME);
        uint64_t value_ns = 0;
        if (parse_moment(text, &value_ns))
                return value_ns;
        if (config_parse_duration(text, &value_ns) < 0)
                argp_error(state, "--%s=%s is not a duration such as 10m or 2h, nor a moment such as 2026-11-22T20:15",
                           option, text);
        return value_ns < now ? now - value_ns : 0;
}

static uint32_t parse_causes(const struct argp_state *state, const char *list)
{
        uint32_t causes = 0;
        char *copy = alloc_string(list);
        char *rest = NULL;
        for (char *word = strtok_r(copy, ",", &rest); word; word = strtok_r(NULL, ",", &rest)) {
                int cause = record_cause_from_name(word);
                if (cause < 0)
                        argp_error(state,
                                   "--cause=%s: cpu, blocked, lock, gil, page-fault, starved, suspended or "
                                   "unknown",
                                   word);
                else
                        causes |= 1u << cause;
        }
        free(copy);
        return causes;
}

static error_t parse_filter(int key, char *argument, struct argp_state *state)
{
        struct filter *filter = state->input;
        switch (key) {
        case KEY_SINCE:
                filter->since_ns = parse_when(state, "since", argument);
                return 0;
        case KEY_UNTIL:
                filter->until_ns = parse_when(state, "until", argument);
                return 0;
        case KEY_MIN:
                filter->min_ns = option_duration(state, "min", argument);
                return 0;
        case KEY_CAUSE:
                filter->causes |= parse_causes(state, argument);
                return 0;
        case KEY_CULPRIT:
                filter->culprit = argument;
                return 0;
        default:
                return ARGP_ERR_UNKNOWN;
        }
}

const struct argp filter_argp = { .options = filter_options, .parser = parse_filter };

static const struct argp_option symbol_options[] = {
        { NULL, 0, NULL, 0, "Names and lines of native frames:", 2 },
        { "sysroot", KEY_SYSROOT, "DIR", 0,
          "Look for programs and libraries below DIR first: records of another machine", 2 },
        { "debug-dir", KEY_DEBUG_DIR, "DIR", 0,
          "Look for debug files in DIR, as in /usr/lib/debug; may be given several "
          "times",
          2 },
        { "debuginfod", KEY_DEBUGINFOD, NULL, 0, "Ask the servers of DEBUGINFOD_URLS, too", 2 },
        { 0 },
};

static error_t parse_symbols(int key, char *argument, struct argp_state *state)
{
        struct symbol_options *symbols = state->input;
        struct object_places *places = &symbols->places;
        switch (key) {
        case KEY_SYSROOT:
                places->sysroot = argument;
                return 0;
        case KEY_DEBUG_DIR:
                symbols->debug = alloc_resize(symbols->debug, places->debug_count + 1, sizeof(*symbols->debug));
                symbols->debug[places->debug_count++] = argument;
                places->debug = symbols->debug;
                return 0;
        case KEY_DEBUGINFOD:
                places->network = true;
                if (!getenv("DEBUGINFOD_URLS"))
                        argp_error(state, "--debuginfod: DEBUGINFOD_URLS does not name a server");
                return 0;
        default:
                return ARGP_ERR_UNKNOWN;
        }
}

const struct argp symbol_argp = { .options = symbol_options, .parser = parse_symbols };
