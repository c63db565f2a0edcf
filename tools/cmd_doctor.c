/* SPDX-License-Identifier: Apache-2.0
 *
 * cmd_doctor.c - loopdog doctor [PID]
 *
 * Context: reader
 */
#include <argp.h>
#include <ctype.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "alloc.h"
#include "command.h"
#include "doctor/check.h"
#include "launch/library.h"
#include "loopdog.h"
#include "now.h"
#include "options.h"
#include "reading.h"
#include "render/json_set.h"
#include "render/words.h"
#include "render/wrap.h"

#define NAME_WIDTH 12
#define TEXT_AT 23 /* column of what was found */

enum {
        KEY_JSON = 256,
        KEY_COLOUR,
};

static const struct argp_option options[] = {
        { "json", KEY_JSON, NULL, 0, "One JSON document (docs/doctor-json.md) instead of text", 0 },
        { "color", KEY_COLOUR, "WHEN", 0, "auto (default), always or never", 0 },
        { 0 },
};

struct doctor_options {
        int pid; /* 0: none */
        bool json;
        enum colour_choice colour;
};

static int parse_pid(const struct argp_state *state, const char *word)
{
        char *end;
        long pid = strtol(word, &end, 10);
        if (!isdigit((unsigned char)word[0]) || *end || pid <= 0 || pid > INT_MAX)
                argp_error(state, "\"%s\" is no process id", word);
        return (int)pid;
}

static error_t parse_option(int key, char *argument, struct argp_state *state)
{
        struct doctor_options *chosen = state->input;
        switch (key) {
        case KEY_JSON:
                chosen->json = true;
                return 0;
        case KEY_COLOUR:
                chosen->colour = option_colour(state, argument);
                return 0;
        case ARGP_KEY_ARG:
                if (state->arg_num > 0)
                        argp_error(state, "one process at a time");
                chosen->pid = parse_pid(state, argument);
                return 0;
        default:
                return ARGP_ERR_UNKNOWN;
        }
}

static const struct argp parser = {
        .options = options,
        .parser = parse_option,
        .args_doc = "[PID]",
        .doc = "Say what works on this machine and in the process PID, and what does not: why, and what to do about "
               "it. A "
               "small program that stalls is started under loopdog for it. Without root, what can't be seen of another "
               "user's process is said."
               "\vEach line is ok, a note (less is recorded than there could be) or a problem (nothing of use is). The "
               "exit "
               "code is 0 without a problem, 1 with one, 2 for a wrong option.",
};

const struct argp *doctor_parser(void)
{
        return &parser;
}

/* --------------------------------------------------------------------------------------------------------- asking */

static const struct part {
        const char *name;
        const struct check *checks;
        bool of_process;
} parts[] = {
        { "machine", machine_checks, false },
        { "process", process_checks, true },
        { "records", record_checks, true },
};
#define PARTS (sizeof(parts) / sizeof(*parts))

struct totals {
        size_t problems, notes;
};

/* Who is told of each finding. */
struct telling {
        void (*finding)(struct telling *telling, const char *part, const char *name, const struct finding *finding);
        const char *part; /* whose head stands there already */
        bool colour;
        unsigned columns;
        json_t *checks;
};

static struct totals ask_all(const struct examined *examined, struct telling *telling)
{
        struct totals totals = { 0 };
        for (size_t i = 0; i < PARTS; i++) {
                if (parts[i].of_process && !examined->subject)
                        continue;
                for (const struct check *check = parts[i].checks; check->name; check++) {
                        struct finding finding = check->look(examined);
                        totals.problems += finding.verdict == VERDICT_PROBLEM;
                        totals.notes += finding.verdict == VERDICT_NOTE;
                        if (finding.verdict != VERDICT_NONE)
                                telling->finding(telling, parts[i].name, check->name, &finding);
                        finding_free(&finding);
                }
        }
        return totals;
}

/* ------------------------------------------------------------------------------------------------------------ text */

static void begin_part(struct telling *telling, const char *name)
{
        if (telling->part == name)
                return;
        telling->part = name;
        printf("%s%s:%s\n", telling->colour ? "\033[1m" : "", name, telling->colour ? "\033[0m" : "");
}

static void text_finding(struct telling *telling, const char *part, const char *name, const struct finding *finding)
{
        static const char *const colours[] = {
                [VERDICT_NONE] = "", [VERDICT_OK] = "32", [VERDICT_NOTE] = "33", [VERDICT_PROBLEM] = "31"
        };
        begin_part(telling, part);
        char *found = words_printable(finding->found);
        char *fix = finding->fix ? words_printable(finding->fix) : NULL;
        char *line = fix ? alloc_format("to do: %s", fix) : NULL;
        if (telling->colour)
                printf("  \033[%sm%-7s\033[0m  %-*s", colours[finding->verdict], verdict_name(finding->verdict),
                       NAME_WIDTH, name);
        else
                printf("  %-7s  %-*s", verdict_name(finding->verdict), NAME_WIDTH, name);
        struct wrapping wrapping = { .indent = TEXT_AT, .width = telling->columns, .begun = true };
        wrap_write(stdout, found, &wrapping);
        wrapping.begun = false;
        if (line)
                wrap_write(stdout, line, &wrapping);
        free(line);
        free(fix);
        free(found);
}

static struct totals tell_text(const struct examined *examined, const struct doctor_options *chosen)
{
        struct utsname system;
        struct telling telling = { .finding = text_finding,
                                   .colour = terminal_colour(STDOUT_FILENO, chosen->colour),
                                   .columns = terminal_columns(STDOUT_FILENO) };
        uname(&system);
        printf("loopdog " LOOPDOG_VERSION " on %s, Linux %s, %s\n", system.nodename, system.release, system.machine);
        struct totals totals = ask_all(examined, &telling);
        printf("%zu problem%s, %zu note%s\n", totals.problems, words_plural(totals.problems), totals.notes,
               words_plural(totals.notes));
        return totals;
}

/* ------------------------------------------------------------------------------------------------------------ JSON */

static void json_finding(struct telling *telling, const char *part, const char *name, const struct finding *finding)
{
        json_t *check = json_object();
        json_set_string(check, "part", part);
        json_set_string(check, "name", name);
        json_set_string(check, "verdict", verdict_name(finding->verdict));
        json_set_string(check, "found", finding->found);
        json_set_string(check, "fix", finding->fix);
        json_array_append_new(telling->checks, check);
}

static struct totals tell_json(const struct examined *examined)
{
        struct utsname system;
        json_t *root = json_object();
        struct telling telling = { .finding = json_finding, .checks = json_array() };
        struct totals totals = ask_all(examined, &telling);
        uname(&system);
        json_set_number(root, "v", 1);
        json_set_string(root, "type", "doctor");
        json_set_time(root, "time", now_ns(CLOCK_REALTIME));
        json_set_string(root, "version", LOOPDOG_VERSION);
        json_set_string(root, "host", system.nodename);
        json_set_string(root, "kernel", system.release);
        if (examined->subject)
                json_set_number(root, "pid", (uint64_t)examined->subject->pid);
        json_set_number(root, "problems", totals.problems);
        json_set_number(root, "notes", totals.notes);
        json_set(root, "checks", telling.checks);
        json_dumpf(root, stdout, JSON_COMPACT);
        putchar('\n');
        json_decref(root);
        return totals;
}

/* --------------------------------------------------------------------------------------------------------- command */

int cmd_doctor(int argc, char **argv)
{
        struct doctor_options chosen = { 0 };
        struct trial trial = { 0 };
        struct subject subject = { 0 };
        struct account account = { 0 };
        char *trouble;
        if (argp_parse(&parser, argc, argv, 0, NULL, &chosen) != 0)
                return EXIT_USAGE;
        signal(SIGPIPE, SIG_IGN);
        char *library = library_locate(&trouble);
        if (library)
                trial_run(&trial, library);
        struct examined examined = { .library = library, .library_trouble = trouble, .trial = &trial };
        if (chosen.pid > 0) {
                subject_read(&subject, "/proc", chosen.pid);
                account_read(&account, &subject);
                examined.subject = &subject;
                examined.account = &account;
        }
        struct totals totals = chosen.json ? tell_json(&examined) : tell_text(&examined, &chosen);
        account_free(&account);
        subject_free(&subject);
        trial_free(&trial);
        free(library);
        free(trouble);
        int code = stdout_finish();
        return code == EXIT_FINE && totals.problems > 0 ? EXIT_FAILED : code;
}
