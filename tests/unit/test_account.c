/* SPDX-License-Identifier: Apache-2.0
 *
 * test_account.c - what the agent says of itself
 *
 * Context: unit test; Criterion gives each test a process of its own
 */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <fcntl.h>
#include <jansson.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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

/* ---- loops ---- */

static unsigned written_loops(void)
{
        static char line[LIMIT_LINE_BYTES];
        unsigned count = 0;
        FILE *file = fopen(output_path, "r");
        while (fgets(line, sizeof line, file) != NULL)
                count += strstr(line, "\"type\":\"loop\"") != NULL;
        fclose(file);
        return count;
}

/* A loop that iterates once between two wake-ups. Returns how many records of it there are then. */
static unsigned tick(uint64_t now_ns)
{
        static struct slot *slot;
        if (slot == NULL) {
                slot = slot_claim();
                atomic_store(&slot->state, SLOT_LOOP);
                atomic_store(&slot->confirmed, true);
        }
        histogram_count(slot, 1000);
        account_tick(now_ns);
        return written_loops();
}

Test(account, writes_loops_after_a_second_and_then_every_ten)
{
        cr_expect(zero(uint, tick(5000 * MS)));
        cr_expect(zero(uint, tick(5999 * MS)));
        cr_expect(eq(uint, tick(6000 * MS), 1));
        cr_expect(eq(uint, tick(15999 * MS), 1));
        cr_expect(eq(uint, tick(16000 * MS), 2));
        cr_expect(eq(uint, tick(25999 * MS), 2));
        cr_expect(eq(uint, tick(26000 * MS), 3));
}

Test(account, writes_loops_every_second_while_a_reader_shows_them_live)
{
        struct flock lock = { .l_type = F_RDLCK, .l_start = RECORD_READER_BYTE, .l_len = 1 };
        tick(5000 * MS);
        cr_expect(eq(uint, tick(6000 * MS), 1));
        cr_expect(eq(uint, tick(7000 * MS), 1));
        int fd = open(output_path, O_RDONLY);
        cr_assert(zero(int, fcntl(fd, F_OFD_SETLK, &lock)));
        cr_expect(eq(uint, tick(7500 * MS), 1), "asked a second after the last time");
        cr_expect(eq(uint, tick(8000 * MS), 2));
        cr_expect(eq(uint, tick(8999 * MS), 2));
        cr_expect(eq(uint, tick(9000 * MS), 3));
        close(fd);
        cr_expect(eq(uint, tick(10000 * MS), 3));
        cr_expect(eq(uint, tick(19000 * MS), 4));
}
