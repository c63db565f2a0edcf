/* SPDX-License-Identifier: Apache-2.0
 *
 * main.c - the `loopdog` command: one table of commands
 *
 * Context: reader
 */
#include <argp.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "alloc.h"
#include "command.h"
#include "doctor/trial.h"
#include "launch/options.h"
#include "loopdog.h"
#include "say.h"

const struct command commands[] = {
        { "run", cmd_run, "start a program under loopdog and show its stalls as they end", run_parser },
        { "report", cmd_report, "what recorded stalls add up to, by culprit, cause or loop", report_parser },
        { "show", cmd_show, "one stall whole: each of its stacks, when, and why", show_parser },
        { "top", cmd_top, "loops and their stalls as they happen, on a screen", top_parser },
        { "export", cmd_export, "a page to look at, and the formats of other tools", export_parser },
        { "doctor", cmd_doctor, "what works on this machine and in a process, and what to do", doctor_parser },
        { "help", cmd_help, "this list, or the options of one command", NULL },
        { 0 },
};

const struct command *command_find(const char *name)
{
        for (const struct command *command = commands; command->name; command++)
                if (strcmp(command->name, name) == 0)
                        return command;
        return NULL;
}

int command_run(const struct command *command, int argc, char **argv)
{
        argv[0] = alloc_format("loopdog %s", command->name); /* for messages and usage; until the end */
        return command->run(argc, argv);
}

/* Where one of the first three descriptors is closed, the next file opened would be taken for it. A command that we
 * start finds it closed as it was. */
static void fill_descriptors(void)
{
        int fd;
        do {
                fd = open("/dev/null", O_RDWR | O_CLOEXEC);
        } while (fd >= 0 && fd <= STDERR_FILENO);
        if (fd > STDERR_FILENO)
                close(fd);
}

int main(int argc, char **argv)
{
        fill_descriptors();
        argp_err_exit_status = EXIT_USAGE;
        if (argc < 2) {
                say("which command? \"loopdog help\" lists them");
                return EXIT_USAGE;
        }
        const char *name = argv[1];
        if (strcmp(name, "--version") == 0 || strcmp(name, "-V") == 0) {
                puts("loopdog " LOOPDOG_VERSION);
                return fflush(stdout) == 0 ? EXIT_FINE : EXIT_FAILED;
        }
        if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0)
                name = "help";
        if (strcmp(name, "__complete") == 0)
                return complete(argc - 2, argv + 2);
        if (strcmp(name, "__trial") == 0)
                return trial_stall();
        const struct command *command = command_find(name);
        if (!command) {
                say("\"%s\" is not a command; \"loopdog help\" lists them", name);
                return EXIT_USAGE;
        }
        return command_run(command, argc - 1, argv + 1);
}
