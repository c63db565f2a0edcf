/* SPDX-License-Identifier: Apache-2.0
 *
 * test_usage.c - what the kernel has counted of a thread
 *
 * Context: unit test
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "capture/usage.h"

static const char stat[] = "4242 (a) R (b) S 1 4242 4242 0 -1 4194560 900 0 17 0 120 30 0 0 20 0 3 0 99 1 2 3";

Test(usage, reads_faults_and_cpu_time)
{
        struct sample_usage usage = { .known = false };
        cr_assert(zero(int, usage_parse_stat(stat, &usage)));
        cr_expect(eq(u64, usage.major_faults, 17));
        cr_expect(eq(u64, usage.user_ticks, 120));
        cr_expect(eq(u64, usage.system_ticks, 30));
}

Test(usage, refuses_what_is_no_stat)
{
        static const char *const texts[] = { "",
                                             "4242 (a)",
                                             "4242 (a) ",
                                             "4242 (a) S",
                                             "4242 (a) S 1 2 3",
                                             "4242 (a) S 1 4242 4242 0 -1 x 900 0 17 0 120 30",
                                             "no parenthesis" };
        struct sample_usage usage;
        for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
                cr_expect(not(zero(int, usage_parse_stat(texts[i], &usage))), "%s", texts[i]);
}

Test(usage, reads_the_time_without_a_cpu)
{
        uint64_t delay_ns = 0;
        cr_expect(zero(int, usage_parse_delay("1140960 2060097 9\n", &delay_ns)));
        cr_expect(eq(u64, delay_ns, 2060097));
        cr_expect(not(zero(int, usage_parse_delay("", &delay_ns))));
        cr_expect(not(zero(int, usage_parse_delay("12", &delay_ns))));
        cr_expect(not(zero(int, usage_parse_delay("12 x", &delay_ns))));
}

Test(usage, counts_this_thread)
{
        struct capture_task task;
        struct sample_usage before, after;
        capture_task_open(&task, (int32_t)syscall(SYS_gettid), 0);
        capture_usage(&task, &before);
        usleep(1000);
        capture_usage(&task, &after);
        cr_assert(before.known && after.known);
        cr_expect(gt(u64, after.voluntary, before.voluntary));
        capture_task_close(&task);
}
