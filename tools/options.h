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

/* Which stalls: --since, --until, --min, --cause and --culprit into a struct filter. A child of a command's parser. */
extern const struct argp filter_argp;

/* Helpers of the commands' own parsers: the value, or the end of the command with a complaint. */
uint64_t option_duration(const struct argp_state *state, const char *option, const char *text);
int option_word(const struct argp_state *state, const char *option, const char *word, int (*from_name)(const char *),
                const char *known);

#endif
