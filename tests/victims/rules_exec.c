/* SPDX-License-Identifier: Apache-2.0
 *
 * rules_exec.c - exec from a callback
 *
 *     rules_exec self|fail|late|within|chain[N]
 *
 * "self": after a stall of 300 ms that never ends by a wait the program runs itself as "after", which stalls too.
 * "fail": an exec that fails in the middle of a stall changes nothing. "late": one that only the kernel can refuse, as
 * the file is no program; a stall follows. "within": two of that kind in the middle of a stall. "chainN": N times in a
 * row 30 ms of computing in the callback, so that captures by signal are under way, and then exec: a signal left over
 * would kill the new program.
 *
 * Context: one thread
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "truth.h"
#include "turn.h"

static char *program;

static void run_as(const char *mode)
{
        char *arguments[] = { program, (char *)mode, NULL };
        execv(program, arguments);
        VICTIM_CHECK(!"execv returned");
}

static VICTIM_FRAME void on_self(struct turn *loop)
{
        planted_sleep_ms(300, "on_self");
        run_as("after");
}

static VICTIM_FRAME void on_fail(struct turn *loop)
{
        struct truth begin = truth_begin();
        char *arguments[] = { (char *)"/nonexistent", NULL };
        quiet_sleep_ms(150);
        errno = 0;
        VICTIM_CHECK(execv(arguments[0], arguments) == -1 && errno == ENOENT);
        quiet_sleep_ms(200);
        truth_end(begin, "blocked", "quiet_sleep_ms", "on_fail");
}

static void exec_no_program(void)
{
        char path[] = "/tmp/loopdog-no-program-XXXXXX";
        char *arguments[] = { path, NULL };
        int fd = mkstemp(path);
        VICTIM_CHECK(fd >= 0 && write(fd, "\1\2\3\4", 4) == 4 && fchmod(fd, 0700) == 0 && close(fd) == 0);
        VICTIM_CHECK(execv(path, arguments) == -1 && errno == ENOEXEC);
        unlink(path);
}

static VICTIM_FRAME void on_late(struct turn *loop)
{
        exec_no_program();
}

/* A single argument of more than 128 KB is too large everywhere. */
static void exec_too_large(void)
{
        static char large[1 << 20];
        char *arguments[] = { program, large, NULL };
        memset(large, 'x', sizeof large - 1);
        VICTIM_CHECK(execv(program, arguments) == -1 && errno == E2BIG);
}

/* It is told as far as the first of them; that it goes on must not make it a second stall. */
static VICTIM_FRAME void on_within(struct turn *loop)
{
        planted_sleep_ms(300, "on_within");
        exec_no_program();
        quiet_sleep_ms(150);
        exec_too_large();
        quiet_sleep_ms(150);
}

static VICTIM_FRAME void on_after(struct turn *loop)
{
        planted_sleep_ms(300, "on_after");
}

static int left;

static VICTIM_FRAME void on_chain(struct turn *loop)
{
        char next[32];
        quiet_busy_ms(30);
        snprintf(next, sizeof(next), "chain%d", left - 1);
        run_as(next);
}

int main(int argc, char **argv)
{
        struct turn loop;
        const char *mode = argc > 1 ? argv[1] : "self";
        program = argv[0];
        turn_open(&loop);
        if (!strncmp(mode, "chain", 5)) {
                left = atoi(mode + 5);
                turn_arm(&loop, 1);
                turn_wait(&loop, 1000, NULL);
                turn_arm(&loop, 1);
                turn_wait(&loop, 1000, left > 0 ? on_chain : NULL);
                return 0;
        }
        turn_run(&loop, 5, NULL);
        if (!strcmp(mode, "late") || !strcmp(mode, "within")) {
                turn_run(&loop, 1, mode[0] == 'l' ? on_late : on_within);
                turn_run(&loop, 5, NULL);
        }
        turn_run(&loop, 1, !strcmp(mode, "self") ? on_self : !strcmp(mode, "fail") ? on_fail : on_after);
        turn_run(&loop, 5, NULL);
        return 0;
}
