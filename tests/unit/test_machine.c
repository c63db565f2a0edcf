/* SPDX-License-Identifier: Apache-2.0
 *
 * test_machine.c - what the files say about quotas, pressure and stolen time
 *
 * Fixtures, because not every machine that runs the tests has all of it. Those marked as captured were copied from a
 * virtual machine on a busy host; a quota of cgroup version 2 was not at hand, so its lines follow the kernel's
 * documentation (admin-guide/cgroup-v2.rst).
 *
 * Context: unit test
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <string.h>

#include "explain/machine.h"

/* After the documentation: cgroup version 2 with a quota. */
static const char second_version[] = "usage_usec 61302214\nuser_usec 60277102\nsystem_usec 1025111\n"
                                     "core_sched.force_idle_usec 0\nnr_periods 1210\nnr_throttled 1198\n"
                                     "throttled_usec 58914235\nnr_bursts 0\nburst_usec 0\n";
/* Captured: version 1, 20 ms in each 100. */
static const char first_version[] = "nr_periods 10\nnr_throttled 9\nthrottled_time 682008741\nnr_bursts 0\n"
                                    "burst_time 0\n";
/* Captured. */
static const char pressure[] = "some avg10=89.99 avg60=75.84 avg300=48.16 total=7329586977\n"
                               "full avg10=0.00 avg60=0.00 avg300=0.00 total=0\n";
/* Captured: two CPUs, with stolen time. */
static const char stat[] = "cpu  1745011 490341 401018 1964649 8913 0 53907 166935 0 0\n"
                           "cpu0 844559 239747 197955 1022549 2131 0 28655 76961 0 0\n"
                           "cpu1 900452 250594 203062 942100 6781 0 25251 89973 0 0\nintr 1 0 9\nctxt 1\n";

Test(machine, reads_how_long_a_group_was_throttled)
{
        uint64_t ns = 0;
        cr_expect(machine_parse_throttled(second_version, &ns));
        cr_expect(eq(u64, ns, 58914235000));
        cr_expect(machine_parse_throttled(first_version, &ns));
        cr_expect(eq(u64, ns, 682008741));
        cr_expect(not(machine_parse_throttled("usage_usec 1\nuser_usec 1\n", &ns)), "a root group has no quota");
        cr_expect(not(machine_parse_throttled("", &ns)));
        cr_expect(not(machine_parse_throttled("throttled_usec \n", &ns)));
        cr_expect(not(machine_parse_throttled("xthrottled_usec 5\n", &ns)));
}

Test(machine, reads_the_pressure)
{
        uint64_t ns = 0;
        cr_expect(machine_parse_pressure(pressure, &ns));
        cr_expect(eq(u64, ns, 7329586977000));
        cr_expect(not(machine_parse_pressure("full avg10=0.00 total=7\n", &ns)));
        cr_expect(not(machine_parse_pressure("", &ns)));
}

Test(machine, reads_stolen_time_and_counts_the_cpus)
{
        uint64_t ns = 0;
        uint32_t cpus = 0;
        cr_expect(machine_parse_stat(stat, &ns, &cpus));
        cr_expect(eq(u64, ns, 1669350000000));
        cr_expect(eq(uint, cpus, 2));
        cr_expect(not(machine_parse_stat("cpu  1 2 3 4 5 6 7\n", &ns, &cpus)), "older than stolen time");
        cr_expect(not(machine_parse_stat("", &ns, &cpus)));
        cr_expect(not(machine_parse_stat("cpu0 1 2 3 4 5 6 7 8\n", &ns, &cpus)));
}

Test(machine, reads_how_many_threads_could_run)
{
        uint32_t runnable = 7;
        cr_expect(machine_parse_load("4.23 3.12 2.12 4/107 22144\n", &runnable));
        cr_expect(eq(uint, runnable, 4));
        cr_expect(not(machine_parse_load("4.23 3.12", &runnable)));
        cr_expect(not(machine_parse_load("/", &runnable)));
        cr_expect(not(machine_parse_load("", &runnable)));
}

static bool finds_group(const char *text, bool second, const char *path)
{
        static char line[256];
        struct machine_group group;
        strcpy(line, text);
        return machine_parse_group(line, &group) && group.second == second && strcmp(group.path, path) == 0;
}

Test(machine, finds_the_group_that_rules_cpu_time)
{
        cr_expect(finds_group("0::/system.slice/nginx.service", true, "/system.slice/nginx.service"));
        cr_expect(finds_group("4:cpu,cpuacct:/docker/ab", false, "/docker/ab"));
        cr_expect(finds_group("4:cpuacct,cpu:/a:b", false, "/a:b"));
        cr_expect(not(finds_group("3:cpuset:/x", false, "/x")));
        cr_expect(not(finds_group("2:cpuacct:/x", false, "/x")));
        cr_expect(not(finds_group("9:name=systemd:/", false, "/")));
        cr_expect(not(finds_group("", false, "")));
        cr_expect(not(finds_group("0::", true, "")));
        cr_expect(not(finds_group("nonsense", false, "")));
}

/* The folder, or "" where that is not the mount. */
static const char *folder_of(const char *text, bool second, const char *path)
{
        static char line[512], folder[64];
        unsigned long mount_length = 0;
        struct machine_group group = { .second = second, .path = path };
        strcpy(line, text);
        folder[0] = '\0';
        return machine_parse_mount(line, &group, folder, sizeof folder, &mount_length) ? folder : "";
}

Test(machine, finds_the_folder_of_a_group)
{
        static const char v1[] = "32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu";
        static const char v2[] = "41 31 0:38 / /sys/fs/cgroup rw,relatime shared:9 - cgroup2 cgroup2 rw,nsdelegate";
        static const char inside[] = "41 31 0:38 /docker/ab /sys/fs/cgroup ro - cgroup2 cgroup rw";
        cr_expect_str_eq(folder_of(v1, false, "/a/b"), "/sys/fs/cgroup/cpu/a/b");
        cr_expect_str_eq(folder_of(v1, false, "/"), "/sys/fs/cgroup/cpu");
        cr_expect_str_eq(folder_of(v2, true, "/a"), "/sys/fs/cgroup/a");
        cr_expect_str_eq(folder_of(v2, false, "/a"), "", "version 2");
        cr_expect_str_eq(folder_of(inside, true, "/docker/ab/c"), "/sys/fs/cgroup/c");
        cr_expect_str_eq(folder_of(inside, true, "/docker/abc"), "", "another one");
        cr_expect_str_eq(folder_of("33 31 0:30 / /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset", false, "/"), "");
        cr_expect_str_eq(folder_of("22 1 8:1 / / rw - ext4 /dev/sda1 rw", false, "/"), "");
        cr_expect_str_eq(folder_of("", true, "/"), "");
        cr_expect_str_eq(folder_of(" - cgroup2", true, "/"), "");
        cr_expect_str_eq(folder_of(v2, true, "/a-path-that-is-longer-than-the-buffer-which-is-given-for-it/and-more"),
                         "");
}

Test(machine, compares_two_readings_and_never_counts_backwards)
{
        struct machine_reading before = {
                .throttled_known = true, .throttled_ns = 50, .steal_known = true, .steal_ns = 100, .runnable = 9
        };
        struct machine_reading after = { .throttled_known = true,
                                         .throttled_ns = 80,
                                         .steal_known = true,
                                         .steal_ns = 90,
                                         .pressure_known = true,
                                         .pressure_ns = 5,
                                         .cpus = 4 };
        struct machine_change change = machine_compare(&before, &after);
        cr_expect(eq(u64, change.throttled_ns, 30));
        cr_expect(eq(u64, change.steal_ns, 0));
        cr_expect(not(change.pressure_known), "nothing was known before");
        cr_expect(eq(u64, change.pressure_ns, 0));
        cr_expect(eq(uint, change.cpus, 4));
        cr_expect(eq(uint, change.runnable, 9));
}

Test(machine, reads_this_machine)
{
        struct machine_reading reading;
        machine_read(&reading);
        cr_expect(reading.steal_known);
        cr_expect(ge(uint, reading.cpus, 1));
        cr_expect(ge(uint, reading.runnable, 1), "this test runs");
        machine_end();
}
