/* SPDX-License-Identifier: Apache-2.0
 *
 * api.c - what a call of the API costs
 *
 *     api CASE BLOCKS CALLS
 *
 * Linked with libloopdog. Blocks of the calls and of an equal loop with an empty function of this program's in their
 * place take turns; one line a turn: nanoseconds a call of the empty function, of the API, of the empty one again.
 * LOOPDOG_THRESHOLD=0 switches the detector off.
 *
 * Context: one thread
 */
#include <loopdog.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../victims/truth.h"

#define WARM_NS 400000000u /* the agent turns to the TSC 100 ms after the first wait, at the watchdog's next pass */

static loopdog_loop *loop;

static VICTIM_FRAME void nothing(void)
{
        __asm__ volatile("");
}

/* Each does two calls, so that what begins also ends. */
static void pair_nothing(void)
{
        nothing();
        nothing();
}

static void pair_wait(void)
{
        loopdog_wait_begin(loop);
        loopdog_wait_end(loop);
}

static void pair_callback(void)
{
        loopdog_callback_begin("callback", NULL, "fd", 12);
        loopdog_callback_end();
}

static void pair_label(void)
{
        loopdog_label("request", "GET /users/42");
        loopdog_label("request", NULL);
}

static void pair_section(void)
{
        loopdog_section_begin(1000000);
        loopdog_section_end();
}

static void pair_pause(void)
{
        loopdog_pause(loop);
        loopdog_resume(loop);
}

static const struct {
        const char *name;
        void (*pair)(void);
} cases[] = {
        { "wait", pair_wait },       { "callback", pair_callback }, { "label", pair_label },
        { "section", pair_section }, { "pause", pair_pause },
};

static VICTIM_FRAME double run_block(void (*pair)(void), unsigned calls)
{
        uint64_t begin_ns = truth_now_ns();
        for (unsigned i = 0; i < calls; i++)
                pair();
        return (double)(truth_now_ns() - begin_ns) / calls / 2;
}

int main(int argc, char **argv)
{
        if (argc != 4)
                return 2;
        unsigned blocks = (unsigned)atoi(argv[2]), calls = (unsigned)atoi(argv[3]), which = 0;
        while (which < sizeof cases / sizeof *cases && strcmp(cases[which].name, argv[1]) != 0)
                which++;
        if (which == sizeof cases / sizeof *cases)
                return 2;
        loop = loopdog_loop_open("bench", NULL);
        for (uint64_t end_ns = truth_now_ns() + WARM_NS; truth_now_ns() < end_ns;) {
                run_block(cases[which].pair, 500);
                pair_wait();
        }
        for (unsigned i = 0; i < blocks; i++) {
                double first = run_block(pair_nothing, calls), api = run_block(cases[which].pair, calls);
                printf("%.2f %.2f %.2f\n", first, api, run_block(pair_nothing, calls));
                pair_wait();
        }
        return 0;
}
