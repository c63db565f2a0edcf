/* SPDX-License-Identifier: Apache-2.0
 *
 * test_hints.c - record/hints.c: one line of advice, and none that could be wrong
 *
 * Context: unit test
 */
#include <criterion/criterion.h>
#include <string.h>

#include "capture/sample.h"
#include "record/frame.h"
#include "record/record.h"
#include "record_samples.h"

static const char *hint_for(const char *call, char state)
{
        struct record_stack stack = { .count = 1, .state = state };
        struct record_stall stall = {
                .cause = RECORD_BLOCKED, .detail = { .call = call }, .stacks = &stack, .stacks_count = 1
        };
        return record_hint(&stall);
}

static void expect_hint(const char *call, char state, const char *word)
{
        const char *hint = hint_for(call, state);
        cr_assert_not_null(hint, "%s %c", call, state);
        cr_expect_not_null(strstr(hint, word), "%s %c: %s", call, state, hint);
        cr_expect_leq(strlen(hint), 110);
}

Test(hint, fits_call_and_state)
{
        expect_hint("clock_nanosleep", 'S', "sleep");
        expect_hint("nanosleep", 'S', "sleep");
        expect_hint("fsync", 'D', "disk");
        expect_hint("fdatasync", 'S', "disk");
        expect_hint("flock", 'S', "lock");
        expect_hint("fcntl", 'S', "lock");
        expect_hint("connect", 'S', "connecting");
        expect_hint("wait4", 'S', "child");
        expect_hint("waitid", 'S', "child");
        expect_hint("futex", 'S', "another thread");
        expect_hint("poll", 'S', "synchronous clients");
        expect_hint("write", 'S', "not read fast enough");
        expect_hint("write", 'D', "disk");
        expect_hint("read", 'S', "not there yet");
        expect_hint("read", 'D', "disk");
}

Test(hint, is_not_given_where_it_could_be_wrong)
{
        cr_expect_null(hint_for("clock_nanosleep", 'D'));
        cr_expect_null(hint_for("openat", 'S'));
        cr_expect_null(hint_for("ioctl", 'S'));
        cr_expect_null(hint_for("sleep", 'S')); /* a part of a word in the table */
        cr_expect_null(hint_for("", 'S'));
        cr_expect_null(hint_for(NULL, 'S'));
        cr_expect_null(hint_for("write", 0)); /* a pipe, or a disk? */
        expect_hint("futex", 0, "another thread");
        struct record_stall busy = { .cause = RECORD_CPU, .detail = { .call = "poll" } };
        cr_expect_null(record_hint(&busy));
}

/* With the words that the capture stage really uses. */
Test(hint, tells_how_to_get_stacks)
{
        static const struct {
                enum capture_loss loss;
                const char *word;
        } cases[] = {
                { CAPTURE_NOT_DUMPABLE, "PR_SET_DUMPABLE" },
                { CAPTURE_NO_PROC, "mount" },
                { CAPTURE_UNREADABLE, "seccomp" },
                { CAPTURE_FILTERED, "rt_tgsigqueueinfo" },
                { CAPTURE_FILTERED_THREAD, "before the first wait" },
                { CAPTURE_NO_FILES, "ulimit -n" },
                { CAPTURE_SIGNAL_BLOCKED, "LOOPDOG_SIGNAL" },
                { CAPTURE_SIGNAL_TAKEN, "LOOPDOG_SIGNAL" },
                { CAPTURE_SIGNAL_LATE, NULL },
                { CAPTURE_ENDED, NULL },
                { CAPTURE_MOVED, NULL },
                { CAPTURE_STOPPED, NULL },
                { CAPTURE_GONE, NULL },
        };
        for (size_t i = 0; i < COUNT(cases); i++) {
                const char *remedy = record_remedy(capture_loss_text(cases[i].loss));
                if (!cases[i].word)
                        cr_expect_null(remedy, "%s", remedy);
                else
                        cr_expect(remedy && strstr(remedy, cases[i].word), "%s", capture_loss_text(cases[i].loss));
        }
        cr_expect_null(record_remedy(NULL));
}
