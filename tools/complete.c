/* SPDX-License-Identifier: Apache-2.0
 *
 * complete.c - what a word of a command line can become, for the completions of shells
 *
 * The scripts of the shells (completions/) only ask here, and here it is read from the tables that the commands are
 * parsed by: there is nothing to be kept in step.
 *
 * Context: reader
 */
#include <argp.h>
#include <stdio.h>
#include <string.h>

#include "analyse/group.h"
#include "command.h"
#include "export/export.h"
#include "render/terminal.h"
#include "top/rows.h"

static void offer(const char *word, const char *prefix, const char *value)
{
        if (strncmp(value, word, strlen(word)) == 0)
                printf("%s%s\n", prefix, value);
}

/* ------------------------------------------------------------------------------------------------------- options */

static void offer_options(const struct argp *parser, const char *word)
{
        for (const struct argp_option *option = parser->options; option && (option->name || option->doc); option++) {
                char flag[64];
                if (!option->name)
                        continue;
                snprintf(flag, sizeof(flag), "--%s%s", option->name,
                         option->arg && !(option->flags & OPTION_ARG_OPTIONAL) ? "=" : "");
                offer(word, "", flag);
        }
        for (const struct argp_child *child = parser->children; child && child->argp; child++)
                offer_options(child->argp, word);
}

/* -------------------------------------------------------------------------------------------------------- values */

static const char *by_name(int index)
{
        return group_by_name((enum group_by)index);
}

static const char *cause_name(int index)
{
        return index <= RECORD_SUSPENDED ? record_cause_name((enum record_cause)index) : NULL;
}

static const char *format_name(int index)
{
        return export_formats[index] ? export_formats[index]->name : NULL;
}

/* The keys of both tables, one behind the other. */
static const char *sort_name(int index)
{
        if (index < LOOPS_ORDERS)
                return rows_order_name(ROWS_LOOPS, index);
        return rows_order_name(ROWS_STALLS, index - LOOPS_ORDERS);
}

static const char *gate_name(int index)
{
        static const char *const names[] = { "new", "worse", "any", "total>", "max>", NULL };
        return names[index];
}

static const struct {
        const char *flag;
        const char *(*name)(int index); /* NULL behind the last */
        bool list;                      /* several, separated by commas */
} values[] = {
        { "--by=", by_name, false },        { "--cause=", cause_name, true },  { "--format=", format_name, false },
        { "--color=", colour_name, false }, { "--fail-on=", gate_name, true }, { "--sort=", sort_name, false },
};

/* "--by=cu" to "--by=culprit"; of a list its last part. `prefix` is what stands before the value. */
static void offer_values(size_t row, const char *word, const char *prefix)
{
        const char *part = values[row].list ? strrchr(word, ',') : NULL;
        part = part ? part + 1 : word;
        char before[256];
        snprintf(before, sizeof(before), "%s%.*s", prefix, (int)(part - word), word);
        for (int i = 0; values[row].name(i); i++)
                offer(part, before, values[row].name(i));
}

/* As "--by=cu", as "--by cu", or for the format as "-f ht". */
static bool complete_value(const char *previous, const char *word)
{
        for (size_t i = 0; i < sizeof(values) / sizeof(*values); i++) {
                const char *flag = values[i].flag;
                size_t length = strlen(flag);
                if (strncmp(word, flag, length) == 0) {
                        offer_values(i, word + length, flag);
                        return true;
                }
                bool apart = (strlen(previous) == length - 1 && strncmp(previous, flag, length - 1) == 0) ||
                             (strcmp(flag, "--format=") == 0 && strcmp(previous, "-f") == 0);
                if (apart) {
                        offer_values(i, word, "");
                        return true;
                }
        }
        return false;
}

/* Of `run`: what stands behind "--" is another program's business. */
static bool is_over(int argc, char **argv)
{
        for (int i = 1; i < argc - 1; i++)
                if (strcmp(argv[i], "--") == 0)
                        return true;
        return false;
}

int complete(int argc, char **argv)
{
        const char *word = argc > 0 ? argv[argc - 1] : "";
        const char *previous = argc > 1 ? argv[argc - 2] : "";
        const struct command *command = argc > 1 ? command_find(argv[0]) : NULL;
        if (argc <= 1 || (argc == 2 && command && strcmp(command->name, "help") == 0)) {
                for (const struct command *one = commands; one->name; one++)
                        offer(word, "", one->name);
        } else if (command && command->parser && !is_over(argc, argv) && !complete_value(previous, word) &&
                   word[0] == '-') {
                offer_options(command->parser(), word);
        }
        return fflush(stdout) == 0 ? EXIT_FINE : EXIT_FAILED;
}
