/* SPDX-License-Identifier: Apache-2.0
 *
 * cmd_help.c - loopdog help [COMMAND]
 *
 * The list is the table of commands, the options of a command are its own option table.
 *
 * Context: reader
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "say.h"

static int list_commands(void)
{
        puts("Usage: loopdog COMMAND [OPTION...]\n\n"
             "A watchdog for event loops: which line of your code stopped the loop, for how\n"
             "long and why, in any Linux server, without a change to it.\n");
        for (const struct command *command = commands; command->name; command++)
                printf("  loopdog %-8s %s\n", command->name, command->help);
        puts("  loopdog --version\n\n"
             "\"loopdog help COMMAND\" shows its options. To begin with:\n\n"
             "  loopdog run -- python3 server.py");
        return fflush(stdout) == 0 ? EXIT_FINE : EXIT_FAILED;
}

int cmd_help(int argc, char **argv)
{
        if (argc < 2 || strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "help") == 0)
                return list_commands();
        const struct command *command = command_find(argv[1]);
        if (argc > 2 || !command) {
                say("\"%s\" is not a command; \"loopdog help\" lists them", argc > 2 ? argv[2] : argv[1]);
                return EXIT_USAGE;
        }
        char help[] = "--help";
        char *arguments[] = { NULL, help, NULL };
        return command_run(command, 2, arguments);
}
