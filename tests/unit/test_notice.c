/* SPDX-License-Identifier: Apache-2.0
 *
 * test_notice.c - base/notice.c
 *
 * Criterion runs each test in a process of its own, so each begins without notices.
 *
 * Context: unit test
 */
#include "base/notice.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <stdio.h>

#include "base/limits.h"

Test(notice, begins_empty)
{
        cr_expect_eq(notice_count(), 0);
        cr_expect_null(notice_get(0));
        cr_expect_eq(notice_lost(), 0);
}

Test(notice, keeps_the_order)
{
        notice("first %d", 1);
        notice("second %s", "text");
        cr_assert_eq(notice_count(), 2);
        cr_expect_str_eq(notice_get(0), "first 1");
        cr_expect_str_eq(notice_get(1), "second text");
        cr_expect_null(notice_get(2));
}

Test(notice, says_the_same_once)
{
        for (int i = 0; i < 100; i++)
                notice("the same %d", i / 50);
        cr_expect_eq(notice_count(), 2);
        cr_expect_eq(notice_lost(), 0);
}

Test(notice, counts_what_has_no_room)
{
        for (int i = 0; i < LIMIT_NOTICES + 3; i++)
                notice("number %d", i);
        notice("number 0"); /* known: not lost */
        cr_expect_eq(notice_count(), LIMIT_NOTICES);
        cr_expect_eq(notice_lost(), 3);
        cr_expect_null(notice_get(LIMIT_NOTICES));
}

Test(notice, cuts_long_lines)
{
        char longer[LIMIT_NOTICE_BYTES * 2];
        memset(longer, 'x', sizeof(longer) - 1);
        longer[sizeof(longer) - 1] = '\0';
        notice("%s", longer);
        cr_expect_eq(strlen(notice_get(0)), LIMIT_NOTICE_BYTES - 1);
}

Test(notice, is_safe_on_a_terminal)
{
        notice("path %s", "/tmp/\x1b[31m\n");
        cr_expect_str_eq(notice_get(0), "path /tmp/\\x1b[31m\\x0a");
}

Test(notice, has_nothing_to_say_about_nothing)
{
        notice("%s", "");
        cr_expect_eq(notice_count(), 0);
}

#define THREADS 8
#define ROUNDS 2000

static pthread_barrier_t together;
static _Atomic int go_on = 1;

/* All threads note the same few lines at the same time: each may appear once only. */
static void *note_all(void *argument)
{
        (void)argument;
        pthread_barrier_wait(&together);
        for (int i = 0; i < ROUNDS; i++)
                notice("line %d of all threads", i % LIMIT_NOTICES);
        return NULL;
}

/* What is visible is whole and never changes. */
static void *read_all(void *argument)
{
        char seen[LIMIT_NOTICES][LIMIT_NOTICE_BYTES] = { { 0 } };
        size_t known = 0;
        (void)argument;
        pthread_barrier_wait(&together);
        while (go_on) {
                size_t count = notice_count();
                cr_expect_geq(count, known);
                for (; known < count; known++)
                        snprintf(seen[known], sizeof(seen[known]), "%s", notice_get(known));
                for (size_t i = 0; i < known; i++) {
                        cr_expect_str_eq(seen[i], notice_get(i));
                        cr_expect_not_null(strstr(seen[i], " of all threads"));
                }
        }
        return NULL;
}

Test(notice, is_a_set_for_many_threads)
{
        pthread_t writers[THREADS], reader;
        pthread_barrier_init(&together, NULL, THREADS + 1);
        pthread_create(&reader, NULL, read_all, NULL);
        for (int i = 0; i < THREADS; i++)
                pthread_create(&writers[i], NULL, note_all, NULL);
        for (int i = 0; i < THREADS; i++)
                pthread_join(writers[i], NULL);
        go_on = 0;
        pthread_join(reader, NULL);
        cr_assert_eq(notice_count(), LIMIT_NOTICES);
        cr_expect_eq(notice_lost(), 0);
        for (size_t i = 0; i < LIMIT_NOTICES; i++)
                for (size_t j = 0; j < i; j++)
                        cr_expect_str_neq(notice_get(i), notice_get(j));
}
