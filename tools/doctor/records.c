/* SPDX-License-Identifier: Apache-2.0
 *
 * records.c - what the process has recorded, and what its stalls will look like
 *
 * Context: reader
 */
#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "analyse/analysis.h"
#include "doctor/check.h"
#include "doctor/interpreter.h"
#include "doctor/symbols.h"
#include "render/words.h"

#define LOOPS_NAMED 4
#define LATE_NS UINT64_C(50000000) /* by then short stalls are missed */
#define LOST_PERCENT 10            /* of the samples, from which on it is worth a word */

static const struct finding nothing;

static bool is_at_work(const struct subject *subject)
{
        return subject->exists && (subject->watchdog_tid || subject_find_file(subject, "libloopdog.so"));
}

/* -------------------------------------------------------------------------------------------------------- the file */

static struct finding look_output(const struct examined *examined)
{
        const struct subject *subject = examined->subject;
        const struct account *account = examined->account;
        if (!is_at_work(subject))
                return nothing;
        if (account->trouble)
                return finding_make(VERDICT_NOTE, alloc_format("%s: %s", account->path, account->trouble),
                                    alloc_format("sudo loopdog doctor %d", subject->pid));
        if (account->path)
                return finding_ok("%s, %llu records", account->path,
                                  (unsigned long long)account->reading.input.records);
        if (subject->environment_error)
                return nothing; /* said already that this can't be seen */
        if (account->output && subject->watchdog_tid)
                return finding_make(VERDICT_PROBLEM,
                                    alloc_format("LOOPDOG_OUTPUT=%s, but there is no such file", account->output),
                                    alloc_string("see that its user may write there; its folder must exist"));
        if (account->output)
                return finding_ok("LOOPDOG_OUTPUT=%s; the file is made with the first loop", account->output);
        return finding_make(
                VERDICT_NOTE, alloc_string("stalls are told on its stderr only, as text"),
                alloc_string("start it with LOOPDOG_OUTPUT=/var/log/loopdog/ (a folder that its user may write to)"));
}

/* ----------------------------------------------------------------------------------------------------------- loops */

/* "epoll:5 (12,345 iterations, 3.1 % busy, p99 1.2 ms)" */
static char *describe_loop(const struct analysed_loop *loop)
{
        char *count = words_count(loop->iterations);
        char *busy = words_share(loop->busy_ns, loop->busy_ns + loop->idle_ns);
        char *p99 = words_duration(analysed_loop_permille_ns(loop, 990));
        char *name = words_printable(loop->name ? loop->name : "?");
        char *text = loop->counted ? alloc_format("%s (%s iterations, %s busy, p99 %s)", name, count, busy, p99)
                                   : alloc_string(name);
        free(count);
        free(busy);
        free(p99);
        free(name);
        return text;
}

static struct finding look_loops(const struct examined *examined)
{
        const struct account *account = examined->account;
        const struct analysis *analysis = &account->reading.analysis;
        char *names = NULL;
        size_t count = 0;
        for (size_t i = 0; i < analysis->loops.count; i++) {
                const struct analysed_loop *loop = analysis->loops.entries[i].value;
                if (strcmp(loop->process->run, account->run) != 0)
                        continue;
                if (++count > LOOPS_NAMED)
                        continue;
                char *one = describe_loop(loop);
                char *longer = names ? alloc_format("%s, %s", names, one) : alloc_string(one);
                free(one);
                free(names);
                names = longer;
        }
        if (count == 0 && !examined->subject->watchdog_tid)
                return nothing;
        struct finding finding =
                count == 0 ? finding_ok("seen; their statistics come every 10 s, into a file only")
                           : finding_ok("%zu: %s%s", count, names, count > LOOPS_NAMED ? " and others" : "");
        free(names);
        return finding;
}

/* ------------------------------------------------------------------------------------------------ the own account */

static char *join_keys(const struct map *map)
{
        char *all = NULL;
        for (size_t i = 0; i < map->count; i++) {
                char *one = words_printable(map->entries[i].key);
                char *longer = all ? alloc_format("%s; %s", all, one) : alloc_string(one);
                free(one);
                free(all);
                all = longer;
        }
        return all;
}

/* What the agent said once, when it found its first loop. */
static struct finding look_notices(const struct examined *examined)
{
        char *all = join_keys(&examined->account->notices);
        if (!all)
                return nothing;
        return finding_make(VERDICT_NOTE, all, alloc_string("each names what is wrong or missing"));
}

static struct finding look_stalls(const struct examined *examined)
{
        const struct account *account = examined->account;
        if (!account->run[0])
                return nothing;
        if (account->samples == 0)
                return finding_ok("none so far");
        char *late = words_duration(account->latest_ns);
        char *reasons = join_keys(&account->losses);
        char *found = alloc_format(
                "%llu stall%s, %llu samples, %llu of them without a stack%s%s; the watchdog at most %s late",
                (unsigned long long)account->stalls, words_plural(account->stalls),
                (unsigned long long)account->samples, (unsigned long long)account->samples_lost, reasons ? ": " : "",
                reasons ? reasons : "", late);
        struct finding finding = finding_make(VERDICT_OK, found, NULL);
        if (account->samples_lost * 100 > account->samples * LOST_PERCENT) {
                finding.verdict = VERDICT_NOTE;
                finding.fix = alloc_string("see the lines above on rights, seccomp and signals");
        } else if (account->latest_ns > LATE_NS) {
                finding.verdict = VERDICT_NOTE;
                finding.fix = alloc_string("give the machine more CPU: stalls are timed rightly, but sampled too late");
        }
        free(late);
        free(reasons);
        return finding;
}

/* --------------------------------------------------------------------------------------------------------- symbols */

static struct finding look_symbols(const struct examined *examined)
{
        const struct subject *subject = examined->subject;
        struct interpreter interpreter;
        struct symbols symbols;
        if (!subject->exists || subject->kernel || symbols_look(&symbols, subject) < 0 || symbols.modules == 0)
                return nothing;
        interpreter_find(&interpreter, subject);
        char *found = alloc_format("%s has %s; of %zu modules %zu have lines, %zu names only",
                                   subject->executable ? subject->executable : "the program",
                                   symbols.program_has_lines   ? "names and lines"
                                   : symbols.program_has_names ? "names but no lines"
                                                               : "neither names nor lines",
                                   symbols.modules, symbols.with_lines, symbols.with_names);
        if (symbols.program_has_lines || interpreter_is_supported(&interpreter))
                return finding_make(VERDICT_OK, found, NULL);
        return finding_make(
                VERDICT_NOTE, found,
                alloc_string("build it with -g, or install its debug symbols (Debian: PACKAGE-dbgsym); else "
                             "\"loopdog report --debuginfod\""));
}

const struct check record_checks[] = {
        { "output", look_output }, { "loops", look_loops },     { "notices", look_notices },
        { "stalls", look_stalls }, { "symbols", look_symbols }, { 0 },
};
