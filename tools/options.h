/* SPDX-License-Identifier: Apache-2.0
 *
 * options.h - the options that several commands have
 *
 * Context: reader
 */
#ifndef LOOPDOG_TOOLS_OPTIONS_H
#define LOOPDOG_TOOLS_OPTIONS_H

#include <argp.h>

#include "analyse/filter.h"
#include "render/terminal.h"
#include "symbolize/object.h"

/* Which stalls: --since, --until, --min, --cause and --culprit into a struct filter. A child of a command's parser. */
extern const struct argp filter_argp;

/* Where names and lines of native frames come from: --sysroot, --debug-dir, --debuginfod into a struct symbol_options.
 * A child of a command's parser. */
extern const struct argp symbol_argp;

struct symbol_options {
        struct object_places places;
        const char **debug; /* the same as places.debug */
};

/* Helpers of the commands' own parsers: the value, or the end of the command with a complaint. */
uint64_t option_duration(const struct argp_state *state, const char *option, const char *text);
int option_word(const struct argp_state *state, const char *option, const char *word, int (*from_name)(const char *),
                const char *known);
enum colour_choice option_colour(const struct argp_state *state, const char *word);

#endif
