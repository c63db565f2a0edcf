/* SPDX-License-Identifier: Apache-2.0
 *
 * test_account.c - what the agent says of itself
 *
 * Context: unit test; Criterion gives each test a process of its own
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <jansson.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "output.h"

#include "account.c"

#define MS 1000000ull

TestSuite(account, .init = output_begin, .fini = output_remove);

static uint64_t written_cpu_ns(void)
{
        static char line[LIMIT_LINE_BYTES];
        json_int_t cpu_ns = -1;
        FILE *file = fopen(output_path, "r");
        while (fgets(line, sizeof line, file) != NULL) {
                json_t *record = json_loads(line, 0, NULL);
                if (strcmp(json_string_value(json_object_get(record, "type")), "exit") == 0)
                        cpu_ns = json_integer_value(json_object_get(record, "watchdog_cpu_ns"));
                json_decref(record);
        }
        fclose(file);
        cr_assert(cpu_ns >= 0, "no exit record");
        return (uint64_t)cpu_ns;
}

/* A watchdog that is stopped for a fork, after so much work. */
static void *work_and_end(void *cpu_ns)
{
        while (own_cpu_ns() < *(uint64_t *)cpu_ns)
                ;
        account_thread_ends();
        return NULL;
}

static void work_in_a_thread(uint64_t cpu_ns)
{
        pthread_t thread;
        pthread_create(&thread, NULL, work_and_end, &cpu_ns);
        pthread_join(thread, NULL);
}

Test(account, adds_up_the_cpu_time_of_all_its_threads)
{
        work_in_a_thread(30 * MS);
        work_in_a_thread(20 * MS);
        uint64_t before_ns = own_cpu_ns();
        account_exit();
        cr_expect(ge(u64, written_cpu_ns(), 50 * MS + before_ns));
        cr_expect(lt(u64, written_cpu_ns(), 100 * MS + before_ns));
}

Test(account, begins_at_0_in_a_child)
{
        work_in_a_thread(500 * MS);
        account_after_fork();
        account_exit();
        cr_expect(lt(u64, written_cpu_ns(), 500 * MS));
}
