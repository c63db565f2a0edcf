/* SPDX-License-Identifier: Apache-2.0
 *
 * config.h - the settings
 *
 * One table (config.c) holds each setting's name, default, range, parser and one line of help: it serves the agent's
 * environment, the flags and the help of `loopdog run`, and the README's table is checked against it by a test.
 *
 * Context: config_load() once in the library's constructor; read everywhere afterwards
 */
#ifndef LOOPDOG_BASE_CONFIG_H
#define LOOPDOG_BASE_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum config_loops {
        CONFIG_LOOPS_AUTO,
        CONFIG_LOOPS_ALL,
        CONFIG_LOOPS_API,
};

/* Bits of LOOPDOG_REDACT. */
#define CONFIG_REDACT_PEERS 1u
#define CONFIG_REDACT_PATHS 2u
#define CONFIG_REDACT_LABELS 4u

#define CONFIG_SIGNAL_NONE (-1) /* running threads are not captured */

struct config {
        uint64_t threshold_ns; /* 0: the detector is off */
        uint64_t interval_ns;
        uint64_t grace_ns;
        uint64_t limit_bytes;
        enum config_loops loops;
        unsigned redact;
        bool follow;
        bool python;        /* read the frames of CPython */
        int signal;         /* 0: chosen by the agent; CONFIG_SIGNAL_NONE */
        const char *output; /* NULL: text on stderr; a copy of what was in the environment */
        const char *own;    /* prefixes separated by ':'; NULL */
};

struct config_setting {
        const char *variable; /* "LOOPDOG_THRESHOLD" */
        const char *flag;     /* "threshold" for `loopdog run --threshold` */
        const char *argument; /* "DURATION" */
        const char *fallback; /* the default as text, "" where there is none */
        const char *range;    /* "1ms to 1h, or 0 to turn the detector off" */
        const char *help;     /* one line */
        /* 0, -EINVAL: not understood, -ERANGE. Strings are borrowed from `value`. */
        int (*parse)(struct config *into, const char *value);
};

extern struct config config;

/* The table, ended by an entry whose variable is NULL. */
extern const struct config_setting config_settings[];

/* Read every LOOPDOG_* variable of `environment` into `*into`. What is out of range or not understood is noted
 * (notice.h) in one line that names the setting, its range and what is used instead; so is a LOOPDOG_ variable that
 * does not exist, with the nearest name that does. Pure but for the notes; allocates nothing; keeps copies of strings
 * in static memory, which the next call overwrites. */
void config_load(struct config *into, char *const *environment);

/* Check one value for the command line: 0, or -EINVAL with the complaint in `complaint`. `name` is a flag (without
 * "--") or a variable. */
int config_check(const char *name, const char *value, char *complaint, size_t capacity);

/* Parse "100ms", "2s", "1.5s", "3m" or "3min", "1h", "250us", "100" (milliseconds), "0". 0 or -EINVAL / -ERANGE. */
int config_parse_duration(const char *text, uint64_t *duration_ns);

/* Parse "256MB", "64k" (thousands), "1GiB", "1000000" (bytes). 0 or -EINVAL / -ERANGE. */
int config_parse_size(const char *text, uint64_t *bytes);

#endif
