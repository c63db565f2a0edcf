/* SPDX-License-Identifier: Apache-2.0
 *
 * options.c - the command line of `loopdog run`
 *
 * Each setting of config.c's table is a flag here, with its default and range in the help; a flag becomes the variable
 * of the same setting for the command.
 *
 * Context: reader
 */
#include "launch/options.h"

#include <argp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "alloc.h"
#include "base/config.h"
#include "say.h"

extern char **environ;

enum {
        KEY_SETTING = 256, /* and the index of the setting */
        KEY_GATE = KEY_SETTING + RUN_SETTINGS,
        KEY_COLOUR,
};

/* Options are sorted by group, then by name: a group for each setting keeps the order of their table. */
enum {
        GROUP_OWN = 1,
        GROUP_SETTINGS,
        FIRST_SETTING,
};

/* The short flags that are worth one. */
static int key_of(int index)
{
        if (strcmp(config_settings[index].flag, "threshold") == 0)
                return 't';
        if (strcmp(config_settings[index].flag, "output") == 0)
                return 'o';
        return KEY_SETTING + index;
}

static int count_settings(void)
{
        int count = 0;
        while (config_settings[count].variable)
                count++;
        return count;
}

static int index_of_key(int key)
{
        for (int i = 0; i < count_settings(); i++)
                if (key_of(i) == key)
                        return i;
        return -1;
}

static int index_of_variable(const char *name, size_t length)
{
        for (int i = 0; i < count_settings(); i++)
                if (strlen(config_settings[i].variable) == length &&
                    memcmp(config_settings[i].variable, name, length) == 0)
                        return i;
        return -1;
}

/* -------------------------------------------------------------------------------------------------------- parsing */

static void set_setting(const struct argp_state *state, struct run_options *options, int index, const char *value)
{
        char complaint[512];
        const char *flag = config_settings[index].flag;
        if (config_check(flag, value, complaint, sizeof(complaint)) < 0)
                argp_error(state, "%s", complaint);
        if (strcmp(flag, "output") == 0 && strcmp(value, "stderr") == 0)
                argp_error(state, "--output=stderr: the stalls are shown on stderr anyway; name a file or a folder");
        options->settings[index] = value;
}

static error_t parse_option(int key, char *argument, struct argp_state *state)
{
        struct run_options *options = state->input;
        int index = index_of_key(key);
        int colour;
        if (index >= 0) {
                set_setting(state, options, index, argument);
                return 0;
        }
        switch (key) {
        case KEY_GATE:
                options->gate = true;
                if (argument && config_parse_duration(argument, &options->gate_ns) < 0)
                        argp_error(state, "--fail-on-stall=%s is not a duration such as 500ms or 2s", argument);
                return 0;
        case KEY_COLOUR:
                colour = colour_from_name(argument);
                if (colour < 0)
                        argp_error(state, "--color=%s: auto, always or never", argument);
                options->colour = (enum colour_choice)colour;
                return 0;
        case ARGP_KEY_ARG: /* from here on it is the command's own */
                options->command = state->argv + state->next - 1;
                state->next = state->argc;
                return 0;
        case ARGP_KEY_NO_ARGS:
                argp_error(state, "which command is to be started?");
                return 0;
        default:
                return ARGP_ERR_UNKNOWN;
        }
}

static char *describe(const struct config_setting *setting)
{
        const char *fallback = setting->fallback[0] ? setting->fallback : "none";
        if (strcmp(setting->flag, "output") == 0)
                fallback = "a temporary folder";
        return alloc_format("%s [%s: %s; default: %s]", setting->help, setting->variable, setting->range, fallback);
}

/* The table of argp, made of that of the settings; until the end of the process. */
static struct argp_option *make_table(void)
{
        int count = count_settings();
        if (count > RUN_SETTINGS)
                abort(); /* a setting was added: RUN_SETTINGS is to grow */
        struct argp_option *table = alloc_zeroed((size_t)count + 5, sizeof(*table));
        struct argp_option *next = table;
        *next++ = (struct argp_option){ .name = "fail-on-stall",
                                        .key = KEY_GATE,
                                        .arg = "DURATION",
                                        .flags = OPTION_ARG_OPTIONAL,
                                        .group = GROUP_OWN,
                                        .doc = "Exit with 3 if a loop stalled (for DURATION or longer), start-up "
                                               "excluded, and the command itself did not fail" };
        *next++ = (struct argp_option){ .name = "color",
                                        .key = KEY_COLOUR,
                                        .arg = "WHEN",
                                        .group = GROUP_OWN,
                                        .doc = "auto (default), always or never" };
        *next++ =
                (struct argp_option){ .group = GROUP_SETTINGS, .doc = "Settings, each also an environment variable:" };
        for (int i = 0; i < count; i++) {
                const struct config_setting *setting = &config_settings[i];
                *next++ = (struct argp_option){ .name = setting->flag,
                                                .key = key_of(i),
                                                .arg = setting->argument,
                                                .doc = describe(setting),
                                                .group = FIRST_SETTING + i };
        }
        return table;
}

const struct argp *run_parser(void)
{
        static struct argp parser = {
                .parser = parse_option,
                .args_doc = "[--] COMMAND [ARGUMENT...]",
                .doc = "Start COMMAND with the watchdog in it and show each stall of its event loops, and of those of "
                       "its children, as it ends."
                       "\vDurations: 100ms, 1.5s, 2m; a plain number is milliseconds. The exit code is the command's "
                       "own, 128 and the number of the signal that ended it, 126 or 127 if it can't be started, 3 for "
                       "--fail-on-stall, 2 for a wrong option, 1 if loopdog itself fails.\n\nWithout --output the "
                       "records are in a temporary folder that is removed at the end.",
        };
        if (!parser.options)
                parser.options = make_table();
        return &parser;
}

void run_options_parse(struct run_options *options, int argc, char **argv)
{
        *options = (struct run_options){ 0 };
        if (argp_parse(run_parser(), argc, argv, ARGP_IN_ORDER, NULL, options))
                exit(argp_err_exit_status);
}

/* ---------------------------------------------------------------------------------------------------- environment */

const char *run_output(const struct run_options *options)
{
        int index = index_of_key('o');
        const char *path = options->settings[index] ? options->settings[index] : getenv("LOOPDOG_OUTPUT");
        char complaint[512];
        if (!path || strcmp(path, "stderr") == 0)
                return NULL;
        if (config_check("LOOPDOG_OUTPUT", path, complaint, sizeof(complaint)) == 0)
                return path;
        say("%s: using a temporary folder", complaint);
        return NULL;
}

/* Whether the variable in `entry` ("NAME=value") is set anew and not inherited. */
static bool is_replaced(const struct run_options *options, const char *entry, const char *library)
{
        size_t length = strcspn(entry, "=");
        if (length == strlen("LOOPDOG_LIBRARY") && strncmp(entry, "LOOPDOG_LIBRARY", length) == 0)
                return true; /* for us only: the agent would take it for a misspelt setting */
        if (length == strlen("LD_PRELOAD") && strncmp(entry, "LD_PRELOAD", length) == 0)
                return library;
        int index = index_of_variable(entry, length);
        return index >= 0 && (options->settings[index] || index == index_of_key('o'));
}

char **run_environment(const struct run_options *options, const char *library, const char *output)
{
        size_t count = 0;
        while (environ[count])
                count++;
        char **result = alloc_zeroed(count + RUN_SETTINGS + 2, sizeof(*result));
        char **next = result;
        for (size_t i = 0; i < count; i++)
                if (!is_replaced(options, environ[i], library))
                        *next++ = alloc_string(environ[i]);
        const char *preload = getenv("LD_PRELOAD");
        if (library && preload && preload[0])
                *next++ = alloc_format("LD_PRELOAD=%s:%s", library, preload);
        else if (library)
                *next++ = alloc_format("LD_PRELOAD=%s", library);
        for (int i = 0; i < count_settings(); i++)
                if (options->settings[i] && i != index_of_key('o'))
                        *next++ = alloc_format("%s=%s", config_settings[i].variable, options->settings[i]);
        *next++ = alloc_format("%s=%s", config_settings[index_of_key('o')].variable, output);
        return result;
}

void run_environment_free(char **environment)
{
        for (char **entry = environment; *entry; entry++)
                free(*entry);
        free(environment);
}
