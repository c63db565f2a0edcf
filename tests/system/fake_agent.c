/* SPDX-License-Identifier: Apache-2.0
 *
 * fake_agent.c - a preload that writes the records that a test tells it to
 *
 * test_command.py tests the command: how it starts, follows and ends programs, whatever is in their records. Real
 * stalls of real servers are tested elsewhere; here the records have to come on time and to the byte, so they are
 * read from a script. FAKE_AGENT names it. FAKE_PROGRAM, if set, is the only program (by its short name) that plays
 * it. Its lines:
 *
 *     sleep MILLISECONDS
 *     part TEXT            written without a newline
 *     TEXT                 written with one
 *
 * In TEXT, @PID@ becomes the process's id. What follows the line "at exit" is written when the process exits.
 *
 * Context: constructor and destructor of a test's process
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static FILE *script;
static int output = -1;

static void open_output(void)
{
        const char *path = getenv("LOOPDOG_OUTPUT");
        char file[4096];
        size_t length = path ? strlen(path) : 0;
        if (length == 0 || length > sizeof(file) - 64)
                return;
        if (path[length - 1] == '/')
                snprintf(file, sizeof(file), "%sloopdog.fake.%d.jsonl", path, (int)getpid());
        else
                snprintf(file, sizeof(file), "%s", path);
        output = open(file, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0600);
}

static void play_text(const char *text, const char *end)
{
        char line[65536];
        size_t length = 0;
        while (*text && length < sizeof(line) - 32) {
                if (strncmp(text, "@PID@", 5) == 0) {
                        length += (size_t)snprintf(line + length, 16, "%d", (int)getpid());
                        text += 5;
                } else {
                        line[length++] = *text++;
                }
        }
        if (*end)
                line[length++] = *end;
        if (output < 0)
                open_output();
        if (output >= 0 && write(output, line, length) < 0)
                fprintf(stderr, "fake_agent: %s\n", strerror(errno));
}

static void pause_for(long milliseconds)
{
        struct timespec rest = { milliseconds / 1000, milliseconds % 1000 * 1000000 };
        while (nanosleep(&rest, &rest) < 0 && errno == EINTR)
                ;
}

/* Up to "at exit", or to the end. */
static void play(void)
{
        char line[65536];
        while (script && fgets(line, sizeof(line), script)) {
                line[strcspn(line, "\n")] = '\0';
                if (strcmp(line, "at exit") == 0)
                        return;
                if (strncmp(line, "sleep ", 6) == 0)
                        pause_for(atol(line + 6));
                else if (strncmp(line, "part ", 5) == 0)
                        play_text(line + 5, "");
                else
                        play_text(line, "\n");
        }
}

__attribute__((constructor)) static void begin(void)
{
        const char *path = getenv("FAKE_AGENT");
        const char *program = getenv("FAKE_PROGRAM");
        if (!path || (program && strcmp(program, program_invocation_short_name) != 0))
                return;
        script = fopen(path, "re");
        play();
}

__attribute__((destructor)) static void end(void)
{
        play();
        if (script)
                fclose(script);
}
