/* SPDX-License-Identifier: Apache-2.0
 *
 * machine.c - who else may have kept a thread from running: its cgroup's quota, other work, the hypervisor
 *
 * Read twice a stall, at its first sample and when it is told. The groups' files are looked up again where the process
 * has moved to another group; a quota may stand on any group above it, so all up to the root are read.
 *
 * Context: watchdog
 * Limits:  LEVELS groups; after a chroot cgroups can't be reached, the rest can
 */
#include "explain/machine.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>

#include "base/calls.h"
#include "base/descriptors.h"
#include "base/hash.h"
#include "base/number.h"
#include "base/proc.h"
#include "base/text.h"

#define LEVELS 8
#define TICK_NS 10000000ull /* USER_HZ is 100 on x86-64 */
#define FOLDER_BYTES 512

static struct {
        uint64_t group; /* of what /proc/self/cgroup said when they were opened */
        unsigned count;
        int files[LEVELS]; /* cpu.stat, from the own group upwards */
} groups;

/* ---- numbers in text ---- */

/* The number behind `name` at the beginning of a line or word. */
static bool find_number(const char *text, const char *name, uint64_t *value)
{
        size_t length = strlen(name);
        for (const char *at = text; (at = strstr(at, name)) != NULL; at += length) {
                if (at != text && at[-1] != '\n' && at[-1] != ' ')
                        continue;
                const char *number = at + length;
                if (number_take(&number, 10, value))
                        return true;
        }
        return false;
}

bool machine_parse_throttled(const char *cpu_stat, uint64_t *throttled_ns)
{
        if (find_number(cpu_stat, "throttled_time ", throttled_ns)) /* version 1 */
                return true;
        if (!find_number(cpu_stat, "throttled_usec ", throttled_ns))
                return false;
        *throttled_ns *= 1000;
        return true;
}

bool machine_parse_pressure(const char *pressure, uint64_t *some_ns)
{
        if (strncmp(pressure, "some ", 5) != 0 || !find_number(pressure, "total=", some_ns))
                return false;
        *some_ns *= 1000;
        return true;
}

/* "cpu  user nice system idle iowait irq softirq steal ...", then a line for each CPU on line. */
bool machine_parse_stat(const char *stat, uint64_t *steal_ns, uint32_t *cpus)
{
        if (strncmp(stat, "cpu ", 4) != 0)
                return false;
        const char *at = stat + 4;
        for (int field = 0; field < 8; field++)
                if (!number_take(&at, 10, steal_ns))
                        return false;
        *steal_ns *= TICK_NS;
        *cpus = 0;
        for (at = stat; (at = strstr(at, "\ncpu")) != NULL; at++)
                ++*cpus;
        return true;
}

/* "0.20 0.18 0.12 3/80 11206": running or ready, of all there are. */
bool machine_parse_load(const char *loadavg, uint32_t *runnable)
{
        const char *slash = strchr(loadavg, '/');
        if (slash == NULL)
                return false;
        const char *number = slash;
        uint64_t value;
        while (number > loadavg && number[-1] >= '0' && number[-1] <= '9')
                number--;
        if (!number_take(&number, 10, &value))
                return false;
        *runnable = (uint32_t)value;
        return true;
}

/* ---- the cgroup ---- */

/* Is `word` one of the words of a list that is separated by commas? */
static bool has_word(const char *list, const char *word)
{
        size_t length = strlen(word);
        for (; *list != '\0'; list += strcspn(list, ",") + (list[strcspn(list, ",")] == ','))
                if (strcspn(list, ",") == length && strncmp(list, word, length) == 0)
                        return true;
        return false;
}

/* "4:cpu,cpuacct:/path", or "0::/path" of version 2. */
bool machine_parse_group(char *line, struct machine_group *group)
{
        char *controllers = strchr(line, ':');
        char *path = controllers != NULL ? strchr(controllers + 1, ':') : NULL;
        if (path == NULL)
                return false;
        *path = '\0';
        group->second = strcmp(line, "0:") == 0;
        group->path = path + 1;
        return path[1] == '/' && (group->second || has_word(controllers + 1, "cpu"));
}

/* The next word of a line; it is terminated. */
static char *next_word(char **at)
{
        char *word = *at;
        size_t length = strcspn(word, " ");
        *at = word + length + (word[length] == ' ');
        word[length] = '\0';
        return word;
}

/* "32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu": the 4th word is what of the hierarchy is
 * mounted, the 5th where. */
bool machine_parse_mount(char *line, const struct machine_group *group, char *folder, unsigned long capacity,
                         unsigned long *mount_length)
{
        char *rest = strstr(line, " - ");
        if (rest == NULL)
                return false;
        *rest = '\0';
        rest += 3;
        const char *type = next_word(&rest);
        next_word(&rest);
        if (strcmp(type, group->second ? "cgroup2" : "cgroup") != 0 || (!group->second && !has_word(rest, "cpu")))
                return false;
        for (int i = 0; i < 3; i++)
                next_word(&line);
        const char *root = next_word(&line), *point = next_word(&line), *within = group->path;
        size_t length = strcmp(root, "/") == 0 ? 0 : strlen(root);
        if (strncmp(within, root, length) != 0 || (within[length] != '/' && within[length] != '\0'))
                return false;
        struct text text = { .bytes = folder, .capacity = capacity };
        text_string(&text, point);
        *mount_length = text.length;
        text_string(&text, strcmp(within + length, "/") == 0 ? "" : within + length);
        return !text.cut;
}

static void close_groups(void)
{
        for (unsigned i = 0; i < groups.count; i++)
                descriptor_close(groups.files[i]);
        groups.count = 0;
        groups.group = 0;
}

static void open_folder(char *folder, size_t mount_length)
{
        size_t length = strlen(folder);
        while (groups.count < LEVELS && call_allowed_sigsafe(SYS_openat)) {
                char bytes[FOLDER_BYTES + 16];
                struct text path = TEXT_IN(bytes);
                text_bytes(&path, folder, length);
                text_string(&path, "/cpu.stat");
                int fd = open(bytes, O_RDONLY | O_CLOEXEC);
                fd = descriptor_take(fd < 0 ? -errno : fd);
                if (fd >= 0)
                        groups.files[groups.count++] = fd;
                while (length > mount_length && folder[length - 1] != '/')
                        length--;
                if (length <= mount_length)
                        return;
                length--;
        }
}

static void open_mount(const struct machine_group *group)
{
        static char lines[16384];
        char folder[FOLDER_BYTES], *next;
        unsigned long mount_length;
        if (proc_read("self/mountinfo", lines, sizeof lines) <= 0)
                return;
        for (char *line = lines; line != NULL && *line != '\0'; line = next) {
                next = strchr(line, '\n');
                if (next != NULL)
                        *next++ = '\0';
                if (!machine_parse_mount(line, group, folder, sizeof folder, &mount_length))
                        continue;
                open_folder(folder, mount_length);
                return;
        }
}

/* Version 1 and 2 may stand side by side; the one that has the CPU controller counts. */
static void open_groups(void)
{
        char lines[2048], *next;
        if (proc_read("self/cgroup", lines, sizeof lines) <= 0)
                return;
        uint64_t hash = hash_string(HASH_BEGIN, lines);
        if (hash == groups.group)
                return;
        close_groups();
        groups.group = hash;
        for (char *line = lines; line != NULL && *line != '\0'; line = next) {
                struct machine_group group;
                next = strchr(line, '\n');
                if (next != NULL)
                        *next++ = '\0';
                if (machine_parse_group(line, &group))
                        open_mount(&group);
        }
}

static void read_groups(struct machine_reading *reading)
{
        char text[1024];
        open_groups();
        for (unsigned i = 0; i < groups.count; i++) {
                uint64_t throttled_ns;
                if (!descriptor_is_ours(groups.files[i]) || proc_read_fd(groups.files[i], text, sizeof text) <= 0 ||
                    !machine_parse_throttled(text, &throttled_ns))
                        continue;
                reading->throttled_known = true;
                reading->throttled_ns += throttled_ns;
        }
}

/* ---- all of it ---- */

static uint64_t process_cpu_ns(void)
{
        struct timespec time;
        if (!call_allowed_sigsafe(SYS_clock_gettime) || clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time) != 0)
                return 0;
        return (uint64_t)time.tv_sec * 1000000000ull + (uint64_t)time.tv_nsec;
}

void machine_read(struct machine_reading *reading)
{
        static char text[8192]; /* enough for the lines of some hundred CPUs, which come first */
        *reading = (struct machine_reading){ .process_ns = process_cpu_ns() };
        read_groups(reading);
        if (proc_read("pressure/cpu", text, sizeof text) > 0)
                reading->pressure_known = machine_parse_pressure(text, &reading->pressure_ns);
        if (proc_read("stat", text, sizeof text) > 0)
                reading->steal_known = machine_parse_stat(text, &reading->steal_ns, &reading->cpus);
        if (proc_read("loadavg", text, sizeof text) <= 0 || !machine_parse_load(text, &reading->runnable))
                reading->runnable = 0;
}

static uint64_t passed(bool known, uint64_t before, uint64_t after)
{
        return known && after > before ? after - before : 0;
}

struct machine_change machine_compare(const struct machine_reading *before, const struct machine_reading *after)
{
        struct machine_change change = {
                .throttled_known = before->throttled_known && after->throttled_known,
                .pressure_known = before->pressure_known && after->pressure_known,
                .steal_known = before->steal_known && after->steal_known,
                .cpus = after->cpus,
                .runnable = before->runnable > after->runnable ? before->runnable : after->runnable,
        };
        change.throttled_ns = passed(change.throttled_known, before->throttled_ns, after->throttled_ns);
        change.pressure_ns = passed(change.pressure_known, before->pressure_ns, after->pressure_ns);
        change.process_ns = passed(before->process_ns != 0, before->process_ns, after->process_ns);
        change.steal_ns = passed(change.steal_known, before->steal_ns, after->steal_ns);
        return change;
}

void machine_end(void)
{
        close_groups();
}

void machine_after_fork(void)
{
        groups.count = 0;
        groups.group = 0;
}
