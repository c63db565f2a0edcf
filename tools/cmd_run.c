/* SPDX-License-Identifier: Apache-2.0
 *
 * cmd_run.c - loopdog run [OPTION...] [--] COMMAND [ARGUMENT...]
 *
 * Nothing is done to the command but to set its environment. Everything that can go wrong on our side (a library, an
 * output, a wrong option) is found before it is started; from then on its exit code is what counts.
 *
 * Context: reader
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "alloc.h"
#include "base/config.h"
#include "base/notice.h"
#include "command.h"
#include "launch/child.h"
#include "launch/library.h"
#include "launch/options.h"
#include "launch/output.h"
#include "launch/program.h"
#include "launch/survivors.h"
#include "live.h"
#include "now.h"
#include "read/follow.h"
#include "render/overview.h"
#include "render/words.h"
#include "say.h"
#include "symbolize/jit.h"

#define SCAN_EVERY_NS UINT64_C(50000000) /* records are read at most this often */
#define SURVIVOR_TRIES 10                /* children that end with the command get 200 ms for it */
#define SURVIVOR_WAIT_US 20000
#define CULPRITS_SHOWN 5

struct run {
        struct run_options options;
        struct config config; /* what the agent will understand of the environment */
        char *library;
        struct output output;
        struct program program;
        char **environment;
        struct child child;
        struct live live;
        struct follow follow;
};

/* ------------------------------------------------------------------------------------------------------ following */

/* Milliseconds from `now` until `at`, rounded up; -1 for never. */
static int until_ms(uint64_t now, uint64_t at)
{
        if (at == UINT64_MAX)
                return -1;
        return at <= now ? 0 : (int)((at - now + 999999) / 1000000 < 60000 ? (at - now + 999999) / 1000000 : 60000);
}

/* Sleep until a signal, room on stderr, a record or `wake_ns`. True where a record may have come. */
static bool wait_for_news(const struct run *run, uint64_t wake_ns, bool watch_files)
{
        struct pollfd wanted[3] = {
                { .fd = run->child.signals, .events = POLLIN },
                { .fd = say_pending() ? STDERR_FILENO : -1, .events = POLLOUT },
                { .fd = watch_files ? follow_descriptor(&run->follow) : -1, .events = POLLIN },
        };
        poll(wanted, 3, until_ms(now_ns(CLOCK_MONOTONIC), wake_ns));
        return wanted[2].revents != 0;
}

/* Until the command has ended. */
static void follow_command(struct run *run)
{
        bool polled = follow_descriptor(&run->follow) < 0; /* no inotify: look again and again */
        bool news = true;
        uint64_t scanned_ns = 0;
        while (!run->child.ended) {
                uint64_t wake_ns = live_next_ns(&run->live);
                if (news || polled)
                        wake_ns = wake_ns < scanned_ns + SCAN_EVERY_NS ? wake_ns : scanned_ns + SCAN_EVERY_NS;
                news |= wait_for_news(run, wake_ns, !news);
                child_handle(&run->child);
                say_drain();
                uint64_t now = now_ns(CLOCK_MONOTONIC);
                if ((news || polled) && now >= scanned_ns + SCAN_EVERY_NS) {
                        follow_scan(&run->follow);
                        scanned_ns = now;
                        news = false;
                }
                live_tick(&run->live, now);
        }
}

/* -------------------------------------------------------------------------------------------------------- the end */

/* The names of code that was made at run time mean nothing without the map of the process that made it. */
static void save_maps(const struct run *run)
{
        const struct map *processes = &run->live.analysis.processes;
        for (size_t i = 0; i < processes->count && !run->output.temporary; i++) {
                const struct analysed_process *process = processes->entries[i].value;
                int error = jit_save(run->output.folder, process->run, process->pid);
                if (error < 0)
                        say("%s: the map of %s %d can't be kept: %s", run->output.folder, process->program,
                            process->pid, strerror(-error));
        }
}

/* Processes that go on keep their output: a temporary folder stays for them, and is named. */
static void leave_output(struct run *run)
{
        char *names = NULL;
        size_t count = 0;
        if (!run->output.temporary)
                return;
        for (int i = 0; i < SURVIVOR_TRIES; i++) {
                free(names);
                count = survivors_find(&run->live.analysis, run->output.variable, &names);
                if (count == 0)
                        break;
                usleep(SURVIVOR_WAIT_US);
                follow_scan(&run->follow);
        }
        if (count > 0) {
                say("%zu process%s on under loopdog (%s): what they record is shown by \"loopdog report %s\"", count,
                    count == 1 ? " goes" : "es go", names, run->output.folder);
                run->output.temporary = false;
        }
        free(names);
}

static void say_no_loop(const struct run *run)
{
        if (run->config.threshold_ns == 0)
                say("nothing was watched: LOOPDOG_THRESHOLD=0 turns the detector off");
        else if (run->config.loops == CONFIG_LOOPS_API)
                say("no event loop was seen: with LOOPDOG_LOOPS=api only those count that the program names itself");
        else if (run->program.obstacle)
                say("no event loop was seen: %s", run->program.obstacle);
        else
                say("no event loop was seen: nothing came back from epoll, poll or select to wait there again (or it "
                    "waits by io_uring, or by system calls of its own)");
}

/* Lines that are not indented get our name in front, like every message. */
static void say_lines(char *text)
{
        char *rest = NULL;
        for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
                char *whole = alloc_format("%s%s\n", line[0] == ' ' ? "" : "loopdog: ", line);
                say_bytes(whole, strlen(whole));
                free(whole);
        }
}

static void summarise(const struct run *run)
{
        const struct analysis *analysis = &run->live.analysis;
        if (analysis->processes.count == 0) {
                say_no_loop(run);
                return;
        }
        char *text;
        size_t length;
        struct groups groups;
        FILE *out = open_memstream(&text, &length);
        if (!out)
                return;
        const struct record_style *style = &run->live.style;
        const struct overview view = { .out = out, .columns = style->columns, .colour = style->colour };
        overview_totals(&view, analysis);
        groups_make(&groups, analysis, GROUP_CULPRIT, KIND_STALL, run->live.symbolizer);
        overview_groups(&view, &groups, GROUP_CULPRIT, CULPRITS_SHOWN);
        overview_losses(&view, analysis);
        fclose(out);
        say_lines(text);
        free(text);
        groups_free(&groups);
}

/* The command's own code, unless it did well and a stall is a failure. */
static int judge(const struct run *run)
{
        int code = child_exit_code(&run->child);
        if (code != 0 || !run->options.gate || run->live.gate_count == 0)
                return code;
        char *longest = words_duration(run->live.gate_longest_ns);
        char *least = words_duration(run->options.gate_ns > run->config.threshold_ns ? run->options.gate_ns
                                                                                     : run->config.threshold_ns);
        say("failed by --fail-on-stall: %llu stall%s of %s or longer, the longest %s",
            (unsigned long long)run->live.gate_count, words_plural(run->live.gate_count), least, longest);
        free(longest);
        free(least);
        return EXIT_STALLED;
}

/* ------------------------------------------------------------------------------------------------------ the start */

/* What the agent will say about the settings is said now: without a loop it would say nothing. */
static void check_settings(struct run *run)
{
        config_load(&run->config, run->environment);
        run->live.style.own_prefixes = run->config.own;
        for (size_t i = 0; i < notice_count(); i++) {
                map_at_string(&run->live.analysis.notices, notice_get(i));
                say("%s", notice_get(i));
        }
        if (run->options.gate && run->config.threshold_ns == 0)
                say("--fail-on-stall never fails: LOOPDOG_THRESHOLD=0 turns the detector off");
        else if (run->options.gate_ns > 0 && run->options.gate_ns < run->config.threshold_ns)
                say("--fail-on-stall: stalls below the threshold are not seen; lower it, too (-t)");
}

/* An exit code, or -1 where the command can be started. */
static int check_program(struct run *run)
{
        const char *command = run->options.command[0];
        program_examine(&run->program, command);
        if (!run->program.path) {
                say("%s: command not found", command);
                return EXIT_NOT_FOUND;
        }
        if (run->program.obstacle)
                say("warning: %s; its loops will not be seen", run->program.obstacle);
        return -1;
}

static int start_failed(const struct run *run, int error)
{
        const char *command = run->options.command[0];
        if (error == -ENOENT && run->program.missing)
                say("%s: its interpreter %s does not exist", command, run->program.missing);
        else
                say("%s: %s", command, strerror(-error));
        return error == -ENOENT && !run->program.missing ? EXIT_NOT_FOUND : EXIT_CANNOT_RUN;
}

static int follow_output(struct run *run)
{
        int error = follow_open(&run->follow, &run->live.input, run->output.folder, run->output.pattern, 0);
        if (error < 0)
                say("%s: %s", run->output.folder, strerror(-error));
        return error;
}

/* Start the command and stay with it to its end. Returns the exit code. */
static int run_command(struct run *run)
{
        if (follow_output(run) < 0)
                return EXIT_FAILED;
        int error =
                child_start(&run->child, run->program.path, !run->program.elf, run->options.command, run->environment);
        if (error < 0) {
                follow_close(&run->follow, false);
                return start_failed(run, error);
        }
        say_queue();
        follow_command(run);
        follow_scan(&run->follow);
        leave_output(run);
        follow_close(&run->follow, true);
        live_finish(&run->live);
        save_maps(run);
        output_remove(&run->output);
        run->output.temporary = false;
        child_release(&run->child); /* from here on Ctrl-C ends us: nothing is left to be done for the command */
        say_unqueue();
        summarise(run);
        return judge(run);
}

static int prepare_and_run(struct run *run)
{
        int code = check_program(run);
        if (code >= 0)
                return code;
        run->library = library_find();
        if (!run->library || !output_prepare(&run->output, run_output(&run->options)))
                return EXIT_FAILED;
        run->environment =
                run_environment(&run->options, run->program.refuses ? NULL : run->library, run->output.variable);
        check_settings(run);
        return run_command(run);
}

int cmd_run(int argc, char **argv)
{
        struct run run = { 0 };
        run_options_parse(&run.options, argc, argv);
        const struct record_style style = {
                .colour = terminal_colour(STDERR_FILENO, run.options.colour),
                .columns = terminal_columns(STDERR_FILENO),
        };
        int error = child_prepare(&run.child);
        if (error < 0) {
                say("signalfd: %s", strerror(-error));
                return EXIT_FAILED;
        }
        live_init(&run.live, &style, run.options.gate_ns);
        int code = prepare_and_run(&run);
        output_remove(&run.output);
        output_free(&run.output);
        program_free(&run.program);
        free(run.library);
        if (run.environment)
                run_environment_free(run.environment);
        live_free(&run.live);
        child_release(&run.child);
        return code;
}
