/* SPDX-License-Identifier: Apache-2.0
 *
 * terminal.c - what a descriptor can show
 *
 * Context: reader
 */
#include "render/terminal.h"

#include <langinfo.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

const char *colour_name(int choice)
{
        static const char *const names[] = {
                [COLOUR_AUTO] = "auto", [COLOUR_ALWAYS] = "always", [COLOUR_NEVER] = "never"
        };
        return choice >= 0 && choice < (int)(sizeof(names) / sizeof(*names)) ? names[choice] : NULL;
}

int colour_from_name(const char *name)
{
        for (int i = 0; colour_name(i); i++)
                if (strcmp(colour_name(i), name) == 0)
                        return i;
        return -1;
}

static bool is_set(const char *variable)
{
        const char *value = getenv(variable);
        return value && value[0] != '\0';
}

bool terminal_colour(int fd, enum colour_choice choice)
{
        if (choice != COLOUR_AUTO)
                return choice == COLOUR_ALWAYS;
        if (is_set("NO_COLOR"))
                return false;
        if (is_set("CLICOLOR_FORCE") && strcmp(getenv("CLICOLOR_FORCE"), "0") != 0)
                return true;
        return isatty(fd) && is_set("TERM") && strcmp(getenv("TERM"), "dumb") != 0;
}

unsigned terminal_columns(int fd)
{
        struct winsize size;
        if (!isatty(fd) || ioctl(fd, TIOCGWINSZ, &size) < 0)
                return 0;
        return size.ws_col;
}

static bool is_utf8(void)
{
        static int known; /* 1 no, 2 yes */
        if (known == 0)
                known = setlocale(LC_CTYPE, "") && strcmp(nl_langinfo(CODESET), "UTF-8") == 0 ? 2 : 1;
        return known == 2;
}

const char *terminal_ellipsis(void)
{
        return is_utf8() ? "\xe2\x80\xa6" : "...";
}
