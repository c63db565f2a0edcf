/* SPDX-License-Identifier: Apache-2.0
 *
 * test_storm.c - system calls that are interrupted by our signal a hundred times go on as if nothing had happened
 *
 * Each row of storm_calls.c makes one call that lasts 150 ms, while the thread gets a signal of ours every
 * millisecond (signal_ask() sends it although the thread sleeps, which capture_take() would never do). Result, errno
 * and time must be as without, and the number of calls that were made to go on proves that the signals did interrupt.
 *
 * Context: unit tests; each runs in a process of its own
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <signal.h>

#include "capture/handler.h"
#include "capture/signal.h"
#include "storm_calls.h"
#include "victim.h"

#define CAPTURES 100

static void *make_the_call(struct victim *victim)
{
        struct scene *scene = victim->argument;
        atomic_store(&scene->begin_ns, now_ns());
        errno = 0;
        scene->result = scene->row->call(scene);
        scene->error = errno;
        scene->end_ns = now_ns();
        return NULL;
}

static double took_ms(const struct scene *scene)
{
        return (double)(scene->end_ns - atomic_load(&scene->begin_ns)) / 1e6;
}

/* The kernel counts SO_RCVTIMEO and SO_SNDTIMEO in its own ticks, of up to 10 ms (HZ is 100 to 1000), and the first of
 * them has already begun when the call does: such a call may end up to a tick early, also without us. */
static double least_ms(const struct row *row)
{
        return CALL_MS - (row->how == ANEW ? 10 : 0.1);
}

static void check_scene(const struct scene *scene)
{
        const struct row *row = scene->row;
        cr_assert_eq(scene->result, row->result, "%s: %ld (errno %d)", row->name, scene->result, scene->error);
        if (row->result < 0)
                cr_assert_eq(scene->error, row->error, "%s: errno %d", row->name, scene->error);
        cr_assert(took_ms(scene) > least_ms(row), "%s: %.1f ms", row->name, took_ms(scene));
        if (row->finish == send_usr2 && row->result < 0)
                cr_assert_eq(handled, 1, "%s: its own signal's handler ran %d times", row->name, handled);
}

/* Interrupt it until shortly before it ends by itself. */
static void interrupt(struct scene *scene, unsigned captures)
{
        uint64_t begin_ns = atomic_load(&scene->begin_ns), mended = atomic_load(&handler.mended);
        struct sample sample;
        unsigned done = 0;
        while (done < captures && now_ns() < begin_ns + (CALL_MS - 10) * 1000000ull) {
                memset(&sample, 0, sizeof(sample));
                if (signal_ask(&scene->victim.task, begin_ns, &sample) == CAPTURE_OK)
                        done++;
                sleep_us(1000);
        }
        mended = atomic_load(&handler.mended) - mended;
        cr_assert_gt(done, captures / 20, "%s: %u captures", scene->row->name, done);
        cr_assert_eq(mended != 0, captures != 0 && scene->row->how != RESTARTED, "%s: mended %lu times",
                     scene->row->name, (unsigned long)mended);
}

/* How long it took. */
static double run_row_once(const struct row *row, unsigned captures)
{
        struct scene scene = { .row = row };
        handled = 0;
        row->prepare(&scene);
        if (row->number == SYS_io_uring_enter && scene.id < 0)
                return 0; /* no io_uring here */
        victim_start(&scene.victim, make_the_call, &scene);
        cr_assert(victim_sleeps(&scene.victim, row->number), "%s", row->name);
        if (captures != 0)
                interrupt(&scene, captures);
        while (row->finish != NULL && now_ns() < atomic_load(&scene.begin_ns) + CALL_MS * 1000000ull)
                sleep_us(1000);
        if (row->finish != NULL)
                row->finish(&scene);
        victim_join(&scene.victim);
        check_scene(&scene);
        return took_ms(&scene);
}

/* A time limit that begins anew with each capture takes 100 ms longer each time; a busy machine does not. */
static void run_row(const struct row *row, unsigned captures)
{
        double most_ms = CALL_MS + 60 + (row->how == ANEW && row->finish == NULL ? captures * 2 : 0);
        double took = 0;
        for (int tries = 0; tries < 5; tries++)
                if ((took = run_row_once(row, captures)) < most_ms)
                        return;
        cr_assert_fail("%s: %.1f ms", row->name, took);
}

static void begin(void)
{
        const char *why = NULL;
        cr_assert_eq(capture_start(0, &why), 0, "%s", why);
}

Test(storm, the_calls_do_without_us_what_the_table_says, .init = begin)
{
        for (size_t i = 0; i < rows_count; i++)
                run_row(&rows[i], 0);
}

Test(storm, no_call_sees_a_hundred_captures, .init = begin)
{
        for (size_t i = 0; i < rows_count; i++)
                run_row(&rows[i], CAPTURES);
}

/* The storm is real: a plain handler on the same signals is seen by every call that is mended. */
static void plain_handler(int number, siginfo_t *info, void *context)
{
        struct request *request = &handler.request;
        atomic_store(&request->word, (atomic_load(&request->word) & ~3ull) | REQUEST_DONE);
        atomic_fetch_add(&handler.arrived, 1);
}

Test(storm, with_a_plain_handler_every_mended_call_fails, .init = begin)
{
        struct sigaction action = { .sa_flags = SA_SIGINFO | SA_RESTART };
        action.sa_sigaction = plain_handler;
        sigaction(atomic_load(&handler.number), &action, NULL);
        for (size_t i = 0; i < rows_count; i++) {
                struct scene scene = { .row = &rows[i] };
                struct sample sample;
                if (rows[i].how == RESTARTED || rows[i].how == CHECKED)
                        continue;
                rows[i].prepare(&scene);
                if (rows[i].number == SYS_io_uring_enter && scene.id < 0)
                        continue;
                victim_start(&scene.victim, make_the_call, &scene);
                cr_assert(victim_sleeps(&scene.victim, rows[i].number), "%s", rows[i].name);
                signal_ask(&scene.victim.task, now_ns(), &sample);
                victim_join(&scene.victim);
                cr_assert_eq(scene.result, -1, "%s", rows[i].name);
                cr_assert_eq(scene.error, EINTR, "%s: errno %d", rows[i].name, scene.error);
        }
}
