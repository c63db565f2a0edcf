/* SPDX-License-Identifier: Apache-2.0
 *
 * command.h - the commands of `loopdog`
 *
 * A new command is one row in main.c's table, one prototype here and one file.
 *
 * Context: reader
 */
#ifndef LOOPDOG_TOOLS_COMMAND_H
#define LOOPDOG_TOOLS_COMMAND_H

struct argp;

enum exit_code {
        EXIT_FINE = 0,
        EXIT_FAILED = 1,
        EXIT_USAGE = 2,
        EXIT_STALLED = 3, /* run --fail-on-stall, report --fail-on, and there was one */
        EXIT_CANNOT_RUN = 126,
        EXIT_NOT_FOUND = 127,
};

struct command {
        const char *name;
        /* argv[0] is "loopdog NAME". Returns the exit code. */
        int (*run)(int argc, char **argv);
        const char *help;                   /* one line */
        const struct argp *(*parser)(void); /* its options; NULL: it has none. Until the end of the process */
};

/* Ended by a row without a name. */
extern const struct command commands[];

const struct command *command_find(const char *name); /* NULL: there is none */

/* Run it with argv[0] changed as it wants it. */
int command_run(const struct command *command, int argc, char **argv);

/* "report --b": what the last word can become, one a line; nothing where it is a file's name. For the shells. */
int complete(int argc, char **argv);

const struct argp *report_parser(void);
const struct argp *show_parser(void);
const struct argp *top_parser(void);
const struct argp *export_parser(void);
const struct argp *doctor_parser(void);

int cmd_run(int argc, char **argv);
int cmd_report(int argc, char **argv);
int cmd_show(int argc, char **argv);
int cmd_top(int argc, char **argv);
int cmd_export(int argc, char **argv);
int cmd_doctor(int argc, char **argv);
int cmd_help(int argc, char **argv);

#endif
