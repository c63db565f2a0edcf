/* SPDX-License-Identifier: Apache-2.0
 *
 * machine.h - who else may have kept a thread from running: its cgroup's quota, other work, the hypervisor
 *
 * Context: watchdog
 */
#ifndef LOOPDOG_EXPLAIN_MACHINE_H
#define LOOPDOG_EXPLAIN_MACHINE_H

#include <stdbool.h>
#include <stdint.h>

/* Totals since some time before: only differences of two readings mean something. */
struct machine_reading {
        bool throttled_known;
        uint64_t throttled_ns; /* by the quotas of this process's cgroup and those above it */
        bool pressure_known;
        uint64_t pressure_ns; /* some task of the machine waited for a CPU */
        bool steal_known;
        uint64_t steal_ns;   /* taken by the hypervisor, of all CPUs together */
        uint64_t process_ns; /* CPU time of this process; 0: not known */
        uint32_t cpus;       /* on line; 0: not known */
        uint32_t runnable;   /* threads of the whole machine that run or could, at that moment; 0: not known */
};

/* What passed between two readings. */
struct machine_change {
        bool throttled_known, pressure_known, steal_known;
        uint64_t throttled_ns, pressure_ns, steal_ns, process_ns;
        uint32_t cpus, runnable;
};

void machine_read(struct machine_reading *reading);
struct machine_change machine_compare(const struct machine_reading *before, const struct machine_reading *after);

/* The watchdog begins or ends: forget what was opened. */
void machine_end(void);
void machine_after_fork(void);

/* The parsers, for the tests. False: it is not there. */
bool machine_parse_throttled(const char *cpu_stat, uint64_t *throttled_ns);
bool machine_parse_pressure(const char *pressure, uint64_t *some_ns);
bool machine_parse_stat(const char *stat, uint64_t *steal_ns, uint32_t *cpus);
bool machine_parse_load(const char *loadavg, uint32_t *runnable);

/* The folder of the cgroup that rules this process's CPU time, by its line in /proc/self/cgroup (`group`, changed) and
 * one line of /proc/self/mountinfo. False: that is not its mount. */
struct machine_group {
        bool second; /* version 2 */
        const char *path;
};
bool machine_parse_group(char *line, struct machine_group *group);
bool machine_parse_mount(char *line, const struct machine_group *group, char *folder, unsigned long capacity,
                         unsigned long *mount_length);

#endif
