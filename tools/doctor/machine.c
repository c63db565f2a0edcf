/* SPDX-License-Identifier: Apache-2.0
 *
 * machine.c - what works on this machine
 *
 * First whether the agent works at all, by a trial; then each thing of the kernel that it makes use of, with what is
 * lost without it. What only makes a stall's story poorer is a note and no problem.
 *
 * Context: reader
 */
#include <dlfcn.h>
#include <errno.h>
#include <link.h>
#include <linux/close_range.h>
#include <linux/membarrier.h>
#include <linux/perf_event.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "alloc.h"
#include "base/clock.h"
#include "base/config.h"
#include "base/memory.h"
#include "doctor/check.h"
#include "loopdog.h"
#include "read_file.h"

extern char **environ;

#define UNWIND_LIBRARY "libunwind-x86_64.so.8" /* as the agent opens it */
#define KERNEL_FIX "a later kernel, or a seccomp profile (of the container, say) that lets %s pass"

/* ----------------------------------------------------------------------------------------------------- the agent */

static struct finding look_library(const struct examined *examined)
{
        if (!examined->library)
                return finding_make(
                        VERDICT_PROBLEM, alloc_string(examined->library_trouble),
                        alloc_string("install it (./dev install), or LOOPDOG_LIBRARY=/path/to/libloopdog.so"));
        const char *version = examined->trial->version;
        if (!version)
                return finding_ok("%s", examined->library);
        if (strcmp(version, LOOPDOG_VERSION) == 0)
                return finding_ok("%s, version %s as this command", examined->library, version);
        return finding_make(VERDICT_NOTE,
                            alloc_format("%s is version %s, this command " LOOPDOG_VERSION, examined->library, version),
                            alloc_string("install both from one version: records may have what this command ignores"));
}

static struct finding look_preload(const struct examined *examined)
{
        const struct trial *trial = examined->trial;
        if (!examined->library)
                return (struct finding){ 0 };
        if (trial->trouble && !trial->version && !trial->crashed)
                return finding_make(VERDICT_PROBLEM,
                                    alloc_format("a program with LD_PRELOAD did not get it: %s", trial->trouble),
                                    alloc_string("see that the library and what \"ldd\" lists of it can be read here"));
        if (trial->trouble)
                return finding_make(VERDICT_PROBLEM,
                                    alloc_format("a trial program under it did not end well: %s", trial->trouble),
                                    alloc_string("run it once more; if it stays so, report it with this line"));
        if (!trial->recorded)
                return finding_make(VERDICT_PROBLEM, alloc_string("a trial program's loop was not recorded"),
                                    alloc_string("see that there is room in TMPDIR, and /proc"));
        return finding_ok("a trial program was watched: %u of its stalls were recorded",
                          trial->asleep.seen + trial->running.seen);
}

static struct finding judge_stalls(const struct trial_stalls *stalls, const char *what, const char *fix)
{
        if (stalls->seen == 0)
                return finding_make(VERDICT_NOTE, alloc_format("no stall of a loop %s was recorded", what),
                                    alloc_string("run it once more on a quieter machine"));
        if (stalls->with_stack == 0)
                return finding_make(VERDICT_PROBLEM,
                                    alloc_format("a loop %s gives no stack: %s", what,
                                                 stalls->loss ? stalls->loss : "not known why"),
                                    alloc_string(fix));
        return finding_ok("%u of %u stalls of a loop %s with their stack", stalls->with_stack, stalls->seen, what);
}

static struct finding look_asleep(const struct examined *examined)
{
        if (!examined->trial || !examined->trial->recorded)
                return (struct finding){ 0 };
        return judge_stalls(&examined->trial->asleep, "that sleeps", "let process_vm_readv and /proc/self/task pass");
}

static struct finding look_running(const struct examined *examined)
{
        if (!examined->trial || !examined->trial->recorded)
                return (struct finding){ 0 };
        return judge_stalls(&examined->trial->running, "on the CPU",
                            "leave one real-time signal free (LOOPDOG_SIGNAL)");
}

/* What the agent said of this machine, whatever it may be. */
static struct finding look_agent(const struct examined *examined)
{
        char *all = NULL;
        for (size_t i = 0; examined->trial && i < examined->trial->notices.count; i++) {
                const char *one = examined->trial->notices.entries[i].key;
                char *longer = all ? alloc_format("%s; %s", all, one) : alloc_string(one);
                free(all);
                all = longer;
        }
        if (!all)
                return (struct finding){ 0 };
        return finding_make(VERDICT_NOTE, all, alloc_string("each says what is missing; the records have it too"));
}

static struct finding look_libunwind(const struct examined *examined)
{
        void *library = dlopen(UNWIND_LIBRARY, RTLD_NOW | RTLD_LOCAL);
        struct link_map *map = NULL;
        if (!library)
                return finding_make(VERDICT_PROBLEM,
                                    alloc_string(UNWIND_LIBRARY " can't be opened: there are no stacks"),
                                    alloc_string("apt-get install libunwind8"));
        dlinfo(library, RTLD_DI_LINKMAP, &map);
        struct finding finding = finding_ok("%s", map && map->l_name ? map->l_name : UNWIND_LIBRARY);
        dlclose(library);
        return finding;
}

/* ----------------------------------------------------------------------------------------------------- the kernel */

static struct finding lacks(const char *call, int error, const char *loss)
{
        return finding_make(VERDICT_NOTE, alloc_format("%s: %s; %s", call, strerror(error), loss),
                            alloc_format(KERNEL_FIX, call));
}

static struct finding look_memory(const struct examined *examined)
{
        char from[64] = "loopdog", to[64] = "";
        ssize_t got = memory_read_sigsafe((uintptr_t)from, to, sizeof(from));
        if (got == (ssize_t)sizeof(from) && strcmp(from, to) == 0)
                return finding_ok("process_vm_readv reads the own process");
        struct finding finding = lacks("process_vm_readv", got < 0 ? (int)-got : EIO, "there are no stacks");
        finding.verdict = VERDICT_PROBLEM;
        return finding;
}

static struct finding look_membarrier(const struct examined *examined)
{
        long commands = syscall(SYS_membarrier, MEMBARRIER_CMD_QUERY, 0, 0);
        if (commands > 0 && (commands & MEMBARRIER_CMD_PRIVATE_EXPEDITED))
                return finding_ok("the watchdog sleeps without end while nothing happens");
        return lacks("membarrier", commands < 0 ? errno : ENOSYS,
                     "the watchdog wakes up now and then in an idle server");
}

static struct finding look_descriptors(const struct examined *examined)
{
        if (syscall(SYS_close_range, ~0u, ~0u, CLOSE_RANGE_UNSHARE) == 0)
                return finding_ok("close_range gives the watchdog a descriptor table of its own");
        return lacks("close_range", errno, "loopdog's files show in the program's own descriptor table");
}

static struct finding look_sockets(const struct examined *examined)
{
        int self = (int)syscall(SYS_pidfd_open, getpid(), 0);
        int copy = self >= 0 ? (int)syscall(SYS_pidfd_getfd, self, self, 0) : -1;
        int error = errno;
        if (copy >= 0)
                close(copy);
        if (self >= 0)
                close(self);
        if (copy >= 0)
                return finding_ok("pidfd_getfd: addresses and states of sockets are told");
        return lacks("pidfd_getfd", error, "addresses and states of sockets are not told");
}

/* The event that src/explain/fault.c asks for. What it may be refused for depends on the user, who may be another than
 * the server's: so the kernel's own setting is told, too. */
static struct finding look_faults(const struct examined *examined)
{
        struct perf_event_attr wanted = { .size = sizeof(wanted),
                                          .type = PERF_TYPE_SOFTWARE,
                                          .config = PERF_COUNT_SW_PAGE_FAULTS_MAJ,
                                          .sample_period = 1,
                                          .sample_type = PERF_SAMPLE_ADDR,
                                          .exclude_kernel = 1,
                                          .exclude_hv = 1 };
        int event = (int)syscall(SYS_perf_event_open, &wanted, gettid(), -1, -1, PERF_FLAG_FD_CLOEXEC);
        int error = errno;
        char *paranoid = read_line_of("/proc/sys/kernel/perf_event_paranoid");
        struct finding finding;
        if (event >= 0)
                finding = finding_ok("perf_event_open tells which memory a page fault waits for%s%s",
                                     paranoid && atoi(paranoid) > 2 ? "; kernel.perf_event_paranoid is " : "",
                                     paranoid && atoi(paranoid) > 2 ? paranoid : "");
        else
                finding = finding_make(
                        VERDICT_NOTE,
                        alloc_format("perf_event_open: %s (kernel.perf_event_paranoid is %s); which memory a page "
                                     "fault waits for is not told",
                                     strerror(error), paranoid ? paranoid : "not known"),
                        alloc_string("sysctl kernel.perf_event_paranoid=2, or CAP_PERFMON; in a container a seccomp "
                                     "profile that lets perf_event_open pass"));
        if (event >= 0)
                close(event);
        free(paranoid);
        return finding;
}

static struct finding look_state(const struct examined *examined)
{
        char *line = read_line_of("/proc/thread-self/syscall");
        if (line) {
                free(line);
                return finding_ok("/proc/self/task/*/syscall tells in which call a thread sleeps");
        }
        return finding_make(
                VERDICT_PROBLEM,
                alloc_format("/proc/thread-self/syscall: %s; threads that sleep give no stack", strerror(errno)),
                alloc_string("mount /proc; a kernel with CONFIG_HAVE_ARCH_TRACEHOOK (all of Debian's)"));
}

static struct finding look_clock(const struct examined *examined)
{
        char *source = read_line_of("/sys/devices/system/clocksource/clocksource0/current_clocksource");
        struct finding finding;
        if (clock_tsc_usable())
                finding = finding_ok("TSC: a wait costs some 30 ns");
        else
                finding = finding_make(VERDICT_NOTE,
                                       alloc_format("clock_gettime (the kernel's clock is %s): a wait costs some 50 ns",
                                                    source ? source : "not known"),
                                       alloc_string("a machine whose kernel trusts its TSC; nothing else is lost"));
        free(source);
        return finding;
}

/* ------------------------------------------------------------------------------------------------- who took the CPU */

static struct finding look_schedstat(const struct examined *examined)
{
        char *line = read_line_of("/proc/thread-self/schedstat");
        unsigned long long ran = 0, delayed = 0;
        bool counted = line && sscanf(line, "%llu %llu", &ran, &delayed) == 2 && ran > 0;
        free(line);
        if (counted)
                return finding_ok("the kernel counts how long a thread waits for a CPU");
        return finding_make(
                VERDICT_NOTE,
                alloc_string("no /proc/thread-self/schedstat: that a loop had no CPU is guessed from its CPU time"),
                alloc_string("a kernel with CONFIG_SCHED_INFO"));
}

static struct finding look_pressure(const struct examined *examined)
{
        char *line = read_line_of("/proc/pressure/cpu");
        bool there = line != NULL;
        free(line);
        if (there)
                return finding_ok("/proc/pressure/cpu tells when the machine is short of CPU");
        return finding_make(VERDICT_NOTE,
                            alloc_format("/proc/pressure/cpu: %s; the machine's pressure is not told", strerror(errno)),
                            alloc_string("boot with psi=1"));
}

/* "0::/system.slice/web.service", or "4:cpu,cpuacct:/docker/1" of version 1. Sets the file that counts throttling. */
static char *cpu_stat_path(const char *line, int *version)
{
        const char *controllers = strchr(line, ':');
        const char *group = controllers ? strchr(controllers + 1, ':') : NULL;
        if (!group)
                return NULL;
        if (group == controllers + 1) {
                *version = 2;
                return alloc_format("/sys/fs/cgroup%s/cpu.stat", strcmp(group + 1, "/") == 0 ? "" : group + 1);
        }
        if (strncmp(controllers, ":cpu,", 5) != 0 && strncmp(controllers, ":cpu:", 5) != 0)
                return NULL;
        *version = 1;
        return alloc_format("/sys/fs/cgroup/%.*s%s/cpu.stat", (int)(group - controllers - 1), controllers + 1,
                            group + 1);
}

static struct finding look_cgroup(const struct examined *examined)
{
        const char *folder = examined->subject && examined->subject->exists ? examined->subject->folder : "/proc/self";
        char *text = read_file_in(folder, "cgroup", NULL);
        char *rest = NULL;
        int version = 0;
        bool counted = false;
        for (char *line = text ? strtok_r(text, "\n", &rest) : NULL; line && !counted;
             line = strtok_r(NULL, "\n", &rest)) {
                char *path = cpu_stat_path(line, &version);
                char *stat = path ? read_file(path, NULL) : NULL;
                counted = stat != NULL;
                free(stat);
                free(path);
        }
        free(text);
        if (counted)
                return finding_ok("version %d: throttling by a CPU quota is told", version);
        return finding_make(VERDICT_NOTE,
                            alloc_string("no cpu.stat of the cgroup: throttling by a CPU quota is not told"),
                            alloc_string("mount /sys/fs/cgroup, with the cpu controller"));
}

/* ------------------------------------------------------------------------------------------------------ permission */

static struct finding look_ptrace(const struct examined *examined)
{
        char *scope = read_line_of("/proc/sys/kernel/yama/ptrace_scope");
        struct finding finding =
                scope ? finding_ok("yama's ptrace_scope is %s, which loopdog does not mind: a process looks at itself",
                                   scope)
                      : finding_ok("yama does not restrict it; loopdog looks only at its own process anyway");
        free(scope);
        return finding;
}

static struct finding look_seccomp_here(const struct examined *examined)
{
        char *status = read_file("/proc/self/status", NULL);
        const char *at = status ? strstr(status, "\nSeccomp:") : NULL;
        int mode = at ? atoi(at + strlen("\nSeccomp:")) : 0;
        free(status);
        if (mode == 0)
                return finding_ok("no filter here");
        return finding_make(
                VERDICT_NOTE,
                alloc_string("this shell is under a filter (a container's?): the agent does "
                             "without the calls that it forbids"),
                alloc_string("nothing where the lines above are ok; else a profile that lets those calls pass"));
}

/* What `loopdog run` would hand on to a command. */
static struct finding look_settings_here(const struct examined *examined)
{
        char complaint[512];
        if (examined->subject)
                return (struct finding){ 0 };
        for (char **entry = environ; *entry; entry++) {
                size_t length = strcspn(*entry, "=");
                if (strncmp(*entry, "LOOPDOG_", 8) != 0 || strncmp(*entry, "LOOPDOG_LIBRARY=", 16) == 0)
                        continue;
                char *name = alloc_bytes(*entry, length);
                int wrong = config_check(name, *entry + length + 1, complaint, sizeof(complaint));
                free(name);
                if (wrong < 0)
                        return finding_make(VERDICT_PROBLEM, alloc_format("in this shell: %s", complaint),
                                            alloc_string("correct or unset it; \"loopdog help run\" lists them"));
        }
        return finding_ok("those in this shell are understood");
}

const struct check machine_checks[] = {
        { "library", look_library },
        { "preload", look_preload },
        { "asleep", look_asleep },
        { "running", look_running },
        { "agent", look_agent },
        { "libunwind", look_libunwind },
        { "memory", look_memory },
        { "state", look_state },
        { "descriptors", look_descriptors },
        { "membarrier", look_membarrier },
        { "sockets", look_sockets },
        { "faults", look_faults },
        { "clock", look_clock },
        { "schedstat", look_schedstat },
        { "pressure", look_pressure },
        { "cgroup", look_cgroup },
        { "ptrace", look_ptrace },
        { "seccomp", look_seccomp_here },
        { "settings", look_settings_here },
        { 0 },
};
