/* SPDX-License-Identifier: Apache-2.0
 *
 * print_settings.c - the table of settings as it must stand in the README
 *
 * Printed from the agent's own table, so that the check compares what is true and not what a script made of config.c.
 *
 * Context: run by check_docs.py
 */
#include <stdio.h>

#include "base/config.h"

/* A bar parts cells, even within backticks. */
static void print_in_cell(const char *text)
{
        for (; *text != '\0'; text++) {
                if (*text == '|')
                        putchar('\\');
                putchar(*text);
        }
}

int main(void)
{
        puts("| variable | flag of `loopdog run` | default | range | meaning |");
        puts("|---|---|---|---|---|");
        for (const struct config_setting *setting = config_settings; setting->variable != NULL; setting++) {
                printf("| `%s` | ", setting->variable);
                if (setting->flag != NULL) {
                        printf("`--%s ", setting->flag);
                        print_in_cell(setting->argument);
                        putchar('`');
                }
                printf(" | %s | %s | %s |\n", setting->fallback, setting->range, setting->help);
        }
        return 0;
}
