/* SPDX-License-Identifier: Apache-2.0
 *
 * options.h - the command line of `loopdog run`
 *
 * Context: reader
 */
#ifndef LOOPDOG_LAUNCH_OPTIONS_H
#define LOOPDOG_LAUNCH_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "render/terminal.h"

#define RUN_SETTINGS 64 /* rows of config_settings[] that have room; checked at the start */

struct argp;

struct run_options {
        const char *settings[RUN_SETTINGS]; /* values by the index in config_settings[]; NULL: not given */
        enum colour_choice colour;
        bool gate;        /* --fail-on-stall */
        uint64_t gate_ns; /* 0: any stall */
        char **command;   /* ended by NULL */
};

/* Its options. Until the end of the process. */
const struct argp *run_parser(void);

/* Ends the program on --help and on what is wrong. */
void run_options_parse(struct run_options *options, int argc, char **argv);

/* The environment of the command, each string and the list to be freed: ours, `library` (may be NULL) in front of
 * LD_PRELOAD, the settings that were given, and LOOPDOG_OUTPUT=`output`. */
char **run_environment(const struct run_options *options, const char *library, const char *output);
void run_environment_free(char **environment);

/* The value of LOOPDOG_OUTPUT that was asked for, by flag or environment; NULL: none that is a path. Says what is wrong
 * with it. */
const char *run_output(const struct run_options *options);

#endif
