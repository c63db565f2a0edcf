/* SPDX-License-Identifier: Apache-2.0
 *
 * usage.c - what the kernel has counted of one thread
 *
 * Counters tell of the whole time between two readings, where samples tell of moments: how long the thread was ready
 * to run without a CPU, how its CPU time divides, how often memory had to be read for it.
 *
 * Context: watchdog
 */
#include "capture/usage.h"

#include <errno.h>
#include <string.h>

#include "base/descriptors.h"
#include "base/number.h"
#include "base/proc.h"
#include "base/text.h"
#include "capture/task.h"

/* Fields of `stat` behind the name, from 0 on. */
#define STAT_MAJOR_FAULTS 9
#define STAT_USER 11
#define STAT_SYSTEM 12

int usage_parse_stat(const char *text, struct sample_usage *usage)
{
        const char *at = strrchr(text, ')');
        uint64_t fields[STAT_SYSTEM + 1];
        if (at == NULL || at[1] != ' ' || at[2] == '\0')
                return -EINVAL;
        at += 3; /* the state is a letter */
        for (size_t i = 1; i <= STAT_SYSTEM; i++) {
                while (*at == ' ')
                        at++;
                if (*at == '-') /* no terminal is -1 */
                        at++;
                if (!number_take(&at, 10, &fields[i]))
                        return -EINVAL;
        }
        usage->major_faults = fields[STAT_MAJOR_FAULTS];
        usage->user_ticks = fields[STAT_USER];
        usage->system_ticks = fields[STAT_SYSTEM];
        return 0;
}

int usage_parse_delay(const char *text, uint64_t *delay_ns)
{
        uint64_t cpu_ns;
        return number_take(&text, 10, &cpu_ns) && number_take(&text, 10, delay_ns) ? 0 : -EINVAL;
}

/* CONFIG_SCHED_INFO is needed for it; without, all three numbers are 0. */
static void read_delay(const struct capture_task *task, struct sample_usage *usage)
{
        char bytes[96];
        struct text path = TEXT_IN(bytes);
        text_format(&path, "self/task/%d/schedstat", (int)task->tid);
        char numbers[96];
        if (proc_read(bytes, numbers, sizeof numbers) <= 0 || usage_parse_delay(numbers, &usage->delay_ns) != 0)
                return;
        usage->delay_known = numbers[0] != '0' || numbers[1] != ' ';
}

void capture_usage(const struct capture_task *task, struct sample_usage *usage)
{
        char text[512];
        struct task_status status;
        *usage = (struct sample_usage){ .known = false };
        if (descriptor_is_ours(task->stat_fd) && proc_read_fd(task->stat_fd, text, sizeof text) > 0)
                usage->known = usage_parse_stat(text, usage) == 0;
        usage->known = usage->known && task_read_status(task, &status) == 0; /* it may just have ended */
        if (!usage->known)
                return;
        usage->voluntary = status.switches;
        usage->involuntary = status.involuntary;
        read_delay(task, usage);
}
