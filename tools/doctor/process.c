/* SPDX-License-Identifier: Apache-2.0
 *
 * process.c - is the agent in the process, and what keeps it from its work
 *
 * Context: reader
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "alloc.h"
#include "base/config.h"
#include "base/notice.h"
#include "doctor/check.h"
#include "doctor/interpreter.h"
#include "launch/program.h"
#include "symbolize/jit.h"
#include "symbolize/perf_file.h"

#define ROOT_FIX "sudo loopdog doctor %d"

/* Nothing is to be said of a process that is not there. */
static bool is_alive(const struct subject *subject)
{
        return subject->exists && subject->state != 'Z' && !subject->kernel;
}

static const struct finding nothing;

/* ---------------------------------------------------------------------------------------------------- the process */

static struct finding look_process(const struct examined *examined)
{
        const struct subject *subject = examined->subject;
        if (!subject->exists)
                return finding_make(VERDICT_PROBLEM, alloc_format("there is no process %d here", subject->pid),
                                    alloc_string("ps -e lists them; of a container, ask inside of it or on its host"));
        if (subject->state == 'Z')
                return finding_make(VERDICT_PROBLEM, alloc_format("%s has ended", subject->name),
                                    alloc_string("read what it has recorded: loopdog report"));
        if (subject->kernel)
                return finding_make(VERDICT_PROBLEM, alloc_format("%s is a thread of the kernel", subject->name),
                                    alloc_string("name a server's process"));
        return finding_ok("%s (%s), user %u, %zu thread%s", subject->name,
                          subject->executable ? subject->executable : "its program can't be seen", subject->uid,
                          subject->threads, subject->threads == 1 ? "" : "s");
}

static struct finding look_view(const struct examined *examined)
{
        const struct subject *subject = examined->subject;
        bool all = !subject->maps_error && !subject->environment_error && subject->executable;
        if (!is_alive(subject) || all)
                return nothing;
        int error = subject->maps_error          ? subject->maps_error
                    : subject->environment_error ? subject->environment_error
                                                 : subject->executable_error;
        return finding_make(VERDICT_NOTE,
                            alloc_format("can't be seen from here (%s):%s%s%s", strerror(error),
                                         subject->executable ? "" : " its program,",
                                         subject->maps_error ? " what is loaded in it," : "",
                                         subject->environment_error ? " its environment and records" : " and more"),
                            alloc_format(ROOT_FIX, subject->pid));
}

/* libloopdog.a needs the dynamic loader as well. That a preload would be ignored is for `loaded`, and not asked here.
 */
static const char *way_around(enum program_kind kind)
{
        switch (kind) {
        case PROGRAM_FOREIGN:
                return "run a 64-bit build for x86-64";
        case PROGRAM_GO:
                return "nothing: loopdog can't watch Go programs";
        case PROGRAM_STATIC:
                return "link it dynamically";
        case PROGRAM_OTHER_LOADER:
                return "run a build for glibc";
        case PROGRAM_REACHED:
        case PROGRAM_SECURE:
                break;
        }
        return "start it as \"loopdog run -- COMMAND\", which says more";
}

static struct finding look_program(const struct examined *examined)
{
        const struct subject *subject = examined->subject;
        struct program program;
        struct finding finding;
        if (!is_alive(subject) || !subject->executable)
                return nothing;
        char *path = alloc_format("%s/exe", subject->folder);
        program_examine_running(&program, path, subject->executable);
        if (program.obstacle && subject->watchdog_tid)
                finding = finding_ok("%s; but libloopdog.a is linked into it", program.obstacle);
        else if (program.obstacle)
                finding = finding_make(VERDICT_PROBLEM, alloc_string(program.obstacle),
                                       alloc_string(way_around(program.kind)));
        else if (program.elf)
                finding = finding_ok("LD_PRELOAD reaches such a program");
        else
                finding = finding_make(VERDICT_NOTE, alloc_format("%s can't be looked into", subject->executable),
                                       alloc_format(ROOT_FIX, subject->pid));
        program_free(&program);
        free(path);
        return finding;
}

/* ------------------------------------------------------------------------------------------------------ the agent */

static bool is_same_library(const struct subject_file *file, const char *library)
{
        struct stat status;
        return library && stat(library, &status) == 0 && status.st_ino == file->inode &&
               major(status.st_dev) == file->major && minor(status.st_dev) == file->minor;
}

/* The part of LD_PRELOAD, a list, that is our library; NULL. To be freed. */
static char *preloaded_path(const struct subject *subject)
{
        const char *at = subject_variable(subject, "LD_PRELOAD");
        while (at && *at) {
                size_t length = strcspn(at, ": ");
                char *path = alloc_bytes(at, length);
                if (strstr(path, "libloopdog"))
                        return path;
                free(path);
                at += length + (at[length] != '\0');
        }
        return NULL;
}

/* Why LD_PRELOAD has not brought it in. */
static char *why_not_loaded(const struct subject *subject)
{
        if (subject->secure_known && subject->secure)
                return alloc_string("it was started in secure mode (set-user-ID, set-group-ID or file capabilities), "
                                    "where the loader ignores LD_PRELOAD");
        if (subject->environment_error)
                return alloc_string("its environment can't be seen");
        char *preload = preloaded_path(subject);
        if (!preload)
                return alloc_string("LD_PRELOAD did not name it when it was started");
        char *path = subject_path(subject, preload);
        char *why = access(path, R_OK) < 0
                            ? alloc_format("LD_PRELOAD names %s, which it can't open: %s", preload, strerror(errno))
                            : alloc_format("LD_PRELOAD names %s, but its loader did not take it", preload);
        free(path);
        free(preload);
        return why;
}

/* The path to name in a unit file: "libloopdog.so" without a version stays through upgrades. To be freed. */
static char *lasting_path(const char *library)
{
        static const char name[] = "/libloopdog.so";
        char *path = alloc_string(library ? library : "/path/to/libloopdog.so");
        char *slash = strrchr(path, '/');
        if (!library || !slash || strncmp(slash, name, strlen(name)) != 0 || !slash[strlen(name)])
                return path;
        slash[strlen(name)] = '\0';
        if (access(path, R_OK) == 0)
                return path;
        free(path);
        return alloc_string(library);
}

static struct finding not_loaded(const struct examined *examined)
{
        char *why = why_not_loaded(examined->subject), *path = lasting_path(examined->library);
        struct finding finding = finding_make(
                VERDICT_PROBLEM, alloc_format("libloopdog.so is not in it: %s", why),
                alloc_format("start it as \"loopdog run -- COMMAND\", or with LD_PRELOAD=%s in its environment", path));
        free(path);
        free(why);
        return finding;
}

static struct finding look_loaded(const struct examined *examined)
{
        const struct subject *subject = examined->subject;
        if (!is_alive(subject))
                return nothing;
        const struct subject_file *file = subject_find_file(subject, "libloopdog.so");
        if (!file && subject->watchdog_tid)
                return finding_ok("it is at work there%s", subject->maps_error ? "" : ", linked in (libloopdog.a)");
        if (!file && subject->maps_error)
                return finding_make(VERDICT_NOTE, alloc_string("whether libloopdog.so is in it can't be seen"),
                                    alloc_format(ROOT_FIX, subject->pid));
        if (!file)
                return not_loaded(examined);
        if (file->deleted)
                return finding_make(VERDICT_NOTE, alloc_format("%s, which was replaced since", file->path),
                                    alloc_string("restart the process to get the new one"));
        if (examined->library && !is_same_library(file, examined->library))
                return finding_make(VERDICT_NOTE, alloc_format("%s, which is not this command's", file->path),
                                    alloc_string("nothing, if both are of one version; else restart it with this one"));
        return finding_ok("%s", file->path);
}

/* What the agent understood of the environment. The first call's notices are its own. */
static const struct config *settings_of(const struct subject *subject)
{
        static struct config settings;
        static bool loaded;
        if (!loaded)
                config_load(&settings, subject->environment);
        loaded = true;
        return &settings;
}

static struct finding look_watchdog(const struct examined *examined)
{
        const struct subject *subject = examined->subject;
        if (!is_alive(subject) || (!subject->watchdog_tid && !subject_find_file(subject, "libloopdog.so")))
                return nothing;
        if (subject->watchdog_tid)
                return finding_ok("thread %d watches the loops", subject->watchdog_tid);
        const struct config *settings = settings_of(subject);
        if (settings->threshold_ns == 0)
                return finding_make(VERDICT_PROBLEM, alloc_string("LOOPDOG_THRESHOLD=0 turns the detector off"),
                                    alloc_string("start it with another threshold, such as LOOPDOG_THRESHOLD=100ms"));
        if (settings->loops == CONFIG_LOOPS_API)
                return finding_make(VERDICT_NOTE,
                                    alloc_string("with LOOPDOG_LOOPS=api it waits for loops that the program names"),
                                    alloc_string("nothing, if it names one; else start it with LOOPDOG_LOOPS=auto"));
        return finding_make(
                VERDICT_NOTE,
                alloc_string("no loop was seen: nothing came back from epoll, poll or select to wait there again"),
                alloc_string("ask the server something; if it waits by io_uring or calls of its own, name its "
                             "loop (man loopdog.h)"));
}

static struct finding look_settings(const struct examined *examined)
{
        const struct subject *subject = examined->subject;
        if (!is_alive(subject) || subject->environment_error)
                return nothing;
        settings_of(subject);
        char *all = NULL;
        for (size_t i = 0; i < notice_count(); i++) {
                char *longer = all ? alloc_format("%s; %s", all, notice_get(i)) : alloc_string(notice_get(i));
                free(all);
                all = longer;
        }
        if (all)
                return finding_make(VERDICT_PROBLEM, all, alloc_string("correct its environment and restart it"));
        if (subject_find_file(subject, "libloopdog.so") && !subject_variable(subject, "LD_PRELOAD"))
                return finding_make(
                        VERDICT_NOTE,
                        alloc_string(
                                "its environment is not what it was at the start (a server writes its title there)"),
                        alloc_string("nothing: what was wrong with its settings stands in its records"));
        size_t count = 0;
        for (char **entry = subject->environment; *entry; entry++)
                count += strncmp(*entry, "LOOPDOG_", 8) == 0;
        if (count == 0)
                return finding_ok("none in its environment: defaults");
        return finding_ok("%zu in its environment, understood", count);
}

/* --------------------------------------------------------------------------------------------------------- rights */

static struct finding look_rights(const struct examined *examined)
{
        const struct subject *subject = examined->subject;
        if (!is_alive(subject))
                return nothing;
        if (subject->file_uid != subject->uid && subject->file_uid == 0)
                return finding_make(
                        VERDICT_NOTE,
                        alloc_string("it is not dumpable (it has changed its user): threads that sleep give no stack, "
                                     "but for the one that made the change"),
                        alloc_string("start it as its user from the beginning (User= in its systemd unit)"));
        return finding_ok("it may look at itself");
}

static struct finding look_seccomp(const struct examined *examined)
{
        const struct subject *subject = examined->subject;
        if (!is_alive(subject))
                return nothing;
        if (subject->seccomp == 0)
                return finding_ok("no filter%s", subject->no_new_privileges ? "; it gets no new privileges" : "");
        if (subject->seccomp == 1)
                return finding_make(VERDICT_PROBLEM, alloc_string("strict mode: it may only read, write and exit"),
                                    alloc_string("nothing: such a process can't be watched"));
        return finding_make(
                VERDICT_NOTE,
                alloc_format("%u seccomp filter%s: loopdog does without the calls that are forbidden",
                             subject->filters ? subject->filters : 1, subject->filters > 1 ? "s" : ""),
                alloc_string("nothing where its stalls have stacks; else let process_vm_readv and those of \"memory\" "
                             "and \"sockets\" above pass (in systemd: SystemCallFilter=@debug)"));
}

/* Many libraries have a thread for their own work that takes no signals, and is no loop. */
static struct finding look_signals(const struct examined *examined)
{
        const struct subject *subject = examined->subject;
        if (!is_alive(subject))
                return nothing;
        if (subject->threads_deaf == 0)
                return finding_ok("every thread takes real-time signals");
        char *found = alloc_format("%zu of %zu threads block every real-time signal: on the CPU they give no stack",
                                   subject->threads_deaf, subject->threads);
        if (!subject->first_deaf && subject->threads_deaf * 2 <= subject->threads)
                return finding_make(VERDICT_OK, found, NULL);
        return finding_make(VERDICT_NOTE, found, alloc_string("nothing if those are no loops; asleep they give one"));
}

/* ---------------------------------------------------------------------------------------------------- interpreter */

static struct finding judge_python(const struct interpreter *python, const struct subject *subject)
{
        const char *path = python->file->path;
        const char *setting = subject_variable(subject, "LOOPDOG_PYTHON");
        if (!python->readable)
                return finding_make(VERDICT_NOTE, alloc_format("CPython (%s), of a version that can't be seen", path),
                                    alloc_format(ROOT_FIX, subject->pid));
        if (setting && strcmp(setting, "0") == 0)
                return finding_make(VERDICT_NOTE, alloc_string("CPython, but LOOPDOG_PYTHON=0: no Python frames"),
                                    alloc_string("start it without LOOPDOG_PYTHON"));
        if (interpreter_is_supported(python))
                return finding_ok("CPython 3.%u (%s): its frames are told", python->minor, path);
        if (python->free_threaded)
                return finding_make(
                        VERDICT_NOTE,
                        alloc_format("CPython 3.%u without a global lock (%s): native frames only", python->minor,
                                     path),
                        alloc_string("run it with the build that has the lock (python3.X, not python3.Xt)"));
        return finding_make(VERDICT_NOTE, alloc_format("CPython 3.%u (%s): native frames only", python->minor, path),
                            alloc_string("Python frames are told of 3.8 to 3.13"));
}

/* Of another runtime: the reader names its code where it writes a perf map. */
static struct finding judge_other(const struct interpreter *other, const struct subject *subject)
{
        char *name = jit_runtime_path(subject->inner_pid);
        char *path = subject_path(subject, name);
        struct stat status;
        bool mapped = stat(path, &status) == 0;
        free(path);
        free(name);
        if (mapped && !perf_file_is_trusted(status.st_uid))
                return finding_make(VERDICT_NOTE,
                                    alloc_format("%s (%s): its perf map belongs to user %u and is not used",
                                                 other->name, other->file->path, status.st_uid),
                                    alloc_string("copy it beside the records, or read them as that user"));
        if (mapped)
                return finding_ok("%s (%s): its perf map names its functions", other->name, other->file->path);
        bool v8 = strstr(other->name, "V8");
        return finding_make(
                VERDICT_NOTE,
                alloc_format("%s (%s): stalls are found, with native frames only", other->name, other->file->path),
                alloc_string(v8 ? "start it with NODE_OPTIONS='--perf-basic-prof "
                                  "--interpreted-frames-native-stack': its functions get names then"
                                : "if it can write a perf map (.NET, Java), its functions get names then"));
}

static struct finding look_interpreter(const struct examined *examined)
{
        struct interpreter interpreter;
        if (!is_alive(examined->subject) || examined->subject->maps_error)
                return nothing;
        interpreter_find(&interpreter, examined->subject);
        if (!interpreter.name)
                return finding_ok("none: native frames are all there is");
        if (interpreter.python)
                return judge_python(&interpreter, examined->subject);
        return judge_other(&interpreter, examined->subject);
}

const struct check process_checks[] = {
        { "process", look_process },
        { "view", look_view },
        { "program", look_program },
        { "loaded", look_loaded },
        { "watchdog", look_watchdog },
        { "settings", look_settings },
        { "rights", look_rights },
        { "seccomp", look_seccomp },
        { "signals", look_signals },
        { "runtime", look_interpreter },
        { 0 },
};
