/* SPDX-License-Identifier: Apache-2.0
 *
 * test_config.c - base/config.c
 *
 * Context: unit test; each test is a process of its own and begins without notices
 */
#include "base/config.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/limits.h"
#include "base/notice.h"

#define MS UINT64_C(1000000)
#define SECOND UINT64_C(1000000000)

static struct config load(char *const *environment)
{
        struct config loaded;
        memset(&loaded, 0xaa, sizeof(loaded));
        config_load(&loaded, environment);
        return loaded;
}

static struct config load_one(const char *variable)
{
        char copy[4096];
        snprintf(copy, sizeof(copy), "%s", variable);
        char *environment[] = { (char[]){ "PATH=/bin" }, copy, NULL };
        return load(environment);
}

/* The one line that is noted about `variable`, which must have it and no other effect. */
static const char *complaint_about(const char *variable)
{
        size_t before = notice_count();
        load_one(variable);
        cr_assert_eq(notice_count(), before + 1, "%s: %zu lines instead of one", variable, notice_count() - before);
        return notice_get(before);
}

static void expect_quiet(void)
{
        cr_expect_eq(notice_count(), 0, "noted: %s", notice_count() ? notice_get(0) : "");
}

/* ---- defaults ---- */

static void expect_defaults(const struct config *loaded)
{
        cr_expect_eq(loaded->threshold_ns, 100 * MS);
        cr_expect_eq(loaded->interval_ns, 10 * MS);
        cr_expect_eq(loaded->grace_ns, 0);
        cr_expect_eq(loaded->limit_bytes, 256000000);
        cr_expect_eq(loaded->loops, CONFIG_LOOPS_AUTO);
        cr_expect_eq(loaded->redact, 0);
        cr_expect(loaded->follow);
        cr_expect_eq(loaded->signal, 0);
        cr_expect_null(loaded->output);
        cr_expect_null(loaded->own);
}

Test(config, has_defaults_without_any_variable)
{
        struct config loaded = load((char *[]){ NULL });
        expect_defaults(&loaded);
        loaded = load(NULL); /* after clearenv() */
        expect_defaults(&loaded);
        expect_defaults(&config); /* before config_load() */
        expect_quiet();
}

Test(config, means_by_a_fallback_what_it_says)
{
        for (const struct config_setting *setting = config_settings; setting->variable; setting++) {
                char variable[256];
                snprintf(variable, sizeof(variable), "%s=%s", setting->variable, setting->fallback);
                if (strcmp(setting->variable, "LOOPDOG_INTERVAL") == 0 ||
                    strcmp(setting->variable, "LOOPDOG_SIGNAL") == 0)
                        continue; /* said in words */
                struct config loaded = load_one(variable);
                expect_defaults(&loaded);
        }
        expect_quiet();
}

Test(config, documents_every_setting)
{
        for (const struct config_setting *setting = config_settings; setting->variable; setting++) {
                char lower[64] = "LOOPDOG_";
                cr_expect_eq(strncmp(setting->variable, lower, 8), 0);
                for (size_t i = 0; setting->flag[i]; i++)
                        lower[8 + i] = (char)(setting->flag[i] - 'a' + 'A');
                cr_expect_str_eq(setting->variable, lower, "flag and variable are the same word");
                cr_expect(setting->argument[0] && setting->range[0] && setting->help[0] && setting->parse);
                cr_expect_null(strpbrk(setting->help, "\n|"), "the README has it in a table");
                cr_expect_null(strpbrk(setting->range, "\n|"), "the README has it in a table");
        }
}

/* ---- values ---- */

Test(config, reads_every_setting)
{
        char *environment[] = {
                (char[]){ "HOME=/root" },
                (char[]){ "LOOPDOG_THRESHOLD=20ms" },
                (char[]){ "LOOPDOG_OUTPUT=/var/log/%n.%p.%t.jsonl" },
                (char[]){ "LOOPDOG_INTERVAL=3ms" },
                (char[]){ "LOOPDOG_LOOPS=all" },
                (char[]){ "LOOPDOG_GRACE=5s" },
                (char[]){ "LOOPDOG_OWN=/srv/app:/opt/x" },
                (char[]){ "LOOPDOG_LIMIT=1MiB" },
                (char[]){ "LOOPDOG_REDACT=peers,labels" },
                (char[]){ "LOOPDOG_FOLLOW=0" },
                (char[]){ "LOOPDOG_SIGNAL=40" },
                NULL,
        };
        struct config loaded = load(environment);
        cr_expect_eq(loaded.threshold_ns, 20 * MS);
        cr_expect_str_eq(loaded.output, "/var/log/%n.%p.%t.jsonl");
        cr_expect_eq(loaded.interval_ns, 3 * MS);
        cr_expect_eq(loaded.loops, CONFIG_LOOPS_ALL);
        cr_expect_eq(loaded.grace_ns, 5 * SECOND);
        cr_expect_str_eq(loaded.own, "/srv/app:/opt/x");
        cr_expect_eq(loaded.limit_bytes, 1 << 20);
        cr_expect_eq(loaded.redact, CONFIG_REDACT_PEERS | CONFIG_REDACT_LABELS);
        cr_expect(!loaded.follow);
        cr_expect_eq(loaded.signal, 40);
        expect_quiet();
}

Test(config, keeps_copies_of_strings)
{
        char *environment[] = { (char[]){ "LOOPDOG_OUTPUT=/tmp/a" }, (char[]){ "LOOPDOG_OWN=/srv" }, NULL };
        struct config loaded = load(environment);
        memset(environment[0], 'x', strlen(environment[0]));
        memset(environment[1], 'x', strlen(environment[1]));
        cr_expect_str_eq(loaded.output, "/tmp/a");
        cr_expect_str_eq(loaded.own, "/srv");
}

Test(config, takes_the_first_of_two_equal_names_as_getenv_does)
{
        char *environment[] = { (char[]){ "LOOPDOG_THRESHOLD=1s" }, (char[]){ "LOOPDOG_THRESHOLD=nonsense" }, NULL };
        cr_expect_eq(load(environment).threshold_ns, SECOND);
        expect_quiet();
}

Test(config, derives_the_interval_from_the_threshold)
{
        static const struct {
                const char *variable;
                uint64_t interval_ns;
        } cases[] = {
                { "LOOPDOG_THRESHOLD=1ms", MS },           { "LOOPDOG_THRESHOLD=10ms", MS },
                { "LOOPDOG_THRESHOLD=35ms", 3500000 },     { "LOOPDOG_THRESHOLD=5s", 500 * MS },
                { "LOOPDOG_THRESHOLD=10s", SECOND },       { "LOOPDOG_THRESHOLD=1h", SECOND },
                { "LOOPDOG_THRESHOLD=nonsense", 10 * MS },
        };
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
                cr_expect_eq(load_one(cases[i].variable).interval_ns, cases[i].interval_ns, "%s", cases[i].variable);
}

Test(config, is_turned_off_by_a_threshold_of_zero)
{
        cr_expect_eq(load_one("LOOPDOG_THRESHOLD=0").threshold_ns, 0);
        cr_expect_eq(load_one("LOOPDOG_THRESHOLD=0.000s").threshold_ns, 0);
        expect_quiet();
}

Test(config, accepts_both_ends_of_a_range)
{
        cr_expect_eq(load_one("LOOPDOG_THRESHOLD=1ms").threshold_ns, MS);
        cr_expect_eq(load_one("LOOPDOG_THRESHOLD=1h").threshold_ns, 3600 * SECOND);
        cr_expect_eq(load_one("LOOPDOG_INTERVAL=1").interval_ns, MS);
        cr_expect_eq(load_one("LOOPDOG_INTERVAL=60s").interval_ns, 60 * SECOND);
        cr_expect_eq(load_one("LOOPDOG_LIMIT=4kB").limit_bytes, 4000);
        cr_expect_eq(load_one("LOOPDOG_LIMIT=1TB").limit_bytes, UINT64_C(1000000000000));
        expect_quiet();
}

Test(config, names_stderr)
{
        cr_expect_null(load_one("LOOPDOG_OUTPUT=stderr").output);
        cr_expect_str_eq(load_one("LOOPDOG_OUTPUT=./stderr").output, "./stderr");
        expect_quiet();
}

Test(config, takes_signals_in_every_usual_form)
{
        char number[64];
        snprintf(number, sizeof(number), "LOOPDOG_SIGNAL=%d", SIGRTMAX);
        cr_expect_eq(load_one(number).signal, SIGRTMAX);
        cr_expect_eq(load_one("LOOPDOG_SIGNAL=SIGRTMIN").signal, SIGRTMIN);
        cr_expect_eq(load_one("LOOPDOG_SIGNAL=SIGRTMIN+3").signal, SIGRTMIN + 3);
        cr_expect_eq(load_one("LOOPDOG_SIGNAL=RTMAX-5").signal, SIGRTMAX - 5);
        cr_expect_eq(load_one("LOOPDOG_SIGNAL=none").signal, CONFIG_SIGNAL_NONE);
        expect_quiet();
}

/* ---- wrong values ---- */

Test(config, says_setting_value_range_and_what_is_used_instead)
{
        cr_expect_str_eq(
                complaint_about("LOOPDOG_THRESHOLD=2h"),
                "LOOPDOG_THRESHOLD=2h is out of range (1ms to 1h, or 0 to turn the detector off): using 100ms");
        cr_expect_str_eq(
                complaint_about("LOOPDOG_THRESHOLD=-5"),
                "LOOPDOG_THRESHOLD=-5 is not understood (1ms to 1h, or 0 to turn the detector off): using 100ms");
        cr_expect_str_eq(complaint_about("LOOPDOG_GRACE=1e99h"),
                         "LOOPDOG_GRACE=1e99h is not understood (0 to 1h): using 0");
        cr_expect_str_eq(complaint_about("LOOPDOG_THRESHOLD="),
                         "LOOPDOG_THRESHOLD= is empty (1ms to 1h, or 0 to turn the detector off): using 100ms");
        cr_expect_str_eq(complaint_about("LOOPDOG_INTERVAL=0"),
                         "LOOPDOG_INTERVAL=0 is out of range (1ms to 60s): using a tenth of the threshold");
        cr_expect_str_eq(
                complaint_about("LOOPDOG_SIGNAL=9"),
                "LOOPDOG_SIGNAL=9 is out of range (SIGRTMIN to SIGRTMAX, as a number or like RTMAX-5, or none): "
                "using a free one");
}

Test(config, uses_the_default_for_every_wrong_value)
{
        static const char *const wrong[] = {
                "LOOPDOG_THRESHOLD=0.5",
                "LOOPDOG_THRESHOLD=1ns",
                "LOOPDOG_THRESHOLD=3601s",
                "LOOPDOG_THRESHOLD=abc",
                "LOOPDOG_THRESHOLD=100 ms x",
                "LOOPDOG_THRESHOLD=1e3",
                "LOOPDOG_THRESHOLD=+5ms",
                "LOOPDOG_THRESHOLD=.5s",
                "LOOPDOG_THRESHOLD=5.s",
                "LOOPDOG_THRESHOLD=0x10",
                "LOOPDOG_THRESHOLD=100MS",
                "LOOPDOG_THRESHOLD=\xff",
                "LOOPDOG_THRESHOLD=99999999999999999999999999999999",
                "LOOPDOG_THRESHOLD=0.0000000001ns",
                "LOOPDOG_OUTPUT=",
                "LOOPDOG_OUTPUT=/tmp/%q",
                "LOOPDOG_OUTPUT=/tmp/100%",
                "LOOPDOG_INTERVAL=61s",
                "LOOPDOG_INTERVAL=",
                "LOOPDOG_LOOPS=ALL",
                "LOOPDOG_LOOPS=",
                "LOOPDOG_GRACE=-1",
                "LOOPDOG_LIMIT=3999",
                "LOOPDOG_LIMIT=2TB",
                "LOOPDOG_LIMIT=1 000",
                "LOOPDOG_REDACT=",
                "LOOPDOG_REDACT=peers,",
                "LOOPDOG_REDACT=,peers",
                "LOOPDOG_REDACT=peer",
                "LOOPDOG_REDACT=none,peers",
                "LOOPDOG_FOLLOW=2",
                "LOOPDOG_FOLLOW=yes",
                "LOOPDOG_FOLLOW=",
                "LOOPDOG_SIGNAL=32",
                "LOOPDOG_SIGNAL=33",
                "LOOPDOG_SIGNAL=SIGUSR1",
                "LOOPDOG_SIGNAL=nonesuch",
                "LOOPDOG_SIGNAL=RTMAX+1",
                "LOOPDOG_SIGNAL=SIGRTMIN-1",
                "LOOPDOG_SIGNAL=RTMIN3",
                "LOOPDOG_SIGNAL=SIG40",
                "LOOPDOG_SIGNAL=RTMIN+",
                "LOOPDOG_SIGNAL=65",
                "LOOPDOG_SIGNAL=40.5",
                "LOOPDOG_SIGNAL=18446744073709551656",
                "LOOPDOG_SIGNAL=RTMAX-99999999999999999999",
        };
        for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
                size_t before = notice_count() + notice_lost();
                struct config loaded = load_one(wrong[i]);
                expect_defaults(&loaded);
                cr_expect_eq(notice_count() + notice_lost(), before + 1, "%s: one line", wrong[i]);
        }
}

Test(config, bounds_strings)
{
        char fits[LIMIT_PATH + 32] = "LOOPDOG_OUTPUT=", longer[LIMIT_PATH + 32] = "LOOPDOG_OWN=";
        memset(fits + strlen(fits), 'p', LIMIT_PATH - 1);
        cr_expect_eq(strlen(load_one(fits).output), LIMIT_PATH - 1);
        expect_quiet();
        strcat(fits, "p");
        cr_expect_null(load_one(fits).output);
        memset(longer + strlen(longer), 'p', LIMIT_PATH);
        cr_expect_null(load_one(longer).own);
        cr_assert_eq(notice_count(), 2);
        cr_expect_not_null(strstr(notice_get(1), "LOOPDOG_OWN=ppp"));
        cr_expect_not_null(strstr(notice_get(1), "ppp... is out of range"));
        cr_expect_lt(strlen(notice_get(1)), 200);
}

Test(config, shows_a_wrong_value_safely)
{
        cr_expect_str_eq(complaint_about("LOOPDOG_LOOPS=\x1b]0;x\x07"),
                         "LOOPDOG_LOOPS=\\x1b]0;x\\x07 is not understood (auto, all or api): using auto");
}

Test(config, goes_on_after_a_wrong_value)
{
        char *environment[] = { (char[]){ "LOOPDOG_THRESHOLD=x" }, (char[]){ "LOOPDOG_LOOPS=api" }, NULL };
        cr_expect_eq(load(environment).loops, CONFIG_LOOPS_API);
        cr_expect_eq(notice_count(), 1);
}

/* ---- unknown names ---- */

Test(config, suggests_the_nearest_name)
{
        cr_expect_str_eq(complaint_about("LOOPDOG_THRESOLD=50ms"),
                         "LOOPDOG_THRESOLD is not a setting and is ignored: did you mean LOOPDOG_THRESHOLD?");
        cr_expect_str_eq(complaint_about("LOOPDOG_INTREVAL=1"),
                         "LOOPDOG_INTREVAL is not a setting and is ignored: did you mean LOOPDOG_INTERVAL?");
        cr_expect_str_eq(complaint_about("LOOPDOG_LOOP=all"),
                         "LOOPDOG_LOOP is not a setting and is ignored: did you mean LOOPDOG_LOOPS?");
        cr_expect_str_eq(complaint_about("LOOPDOG_=1"),
                         "LOOPDOG_ is not a setting and is ignored; loopdog help run lists them");
        cr_expect_str_eq(complaint_about("LOOPDOG_V8=off"),
                         "LOOPDOG_V8 is not a setting and is ignored; loopdog help run lists them");
}

Test(config, survives_a_name_of_any_length)
{
        char variable[2000] = "LOOPDOG_";
        memset(variable + 8, 'T', 1500);
        variable[1508] = '=';
        cr_expect_not_null(strstr(complaint_about(variable), "TTT... is not a setting"));
}

Test(config, leaves_other_variables_alone)
{
        char *environment[] = { (char[]){ "LOOPDOG" },
                                (char[]){ "LOOPDOG_THRESHOLD" },
                                (char[]){ "XLOOPDOG_LOOPS=all" },
                                (char[]){ "LOOPDOGS=1" },
                                (char[]){ "" },
                                (char[]){ "=" },
                                NULL };
        struct config loaded = load(environment);
        expect_defaults(&loaded);
        expect_quiet();
}

/* ---- the command line ---- */

Test(config, checks_flags)
{
        char complaint[256];
        cr_expect_eq(config_check("threshold", "50ms", complaint, sizeof(complaint)), 0);
        cr_expect_str_eq(complaint, "");
        cr_expect_eq(config_check("LOOPDOG_THRESHOLD", "50ms", complaint, sizeof(complaint)), 0);
        cr_expect_eq(config_check("threshold", "2h", complaint, sizeof(complaint)), -EINVAL);
        cr_expect_str_eq(complaint, "--threshold=2h is out of range (1ms to 1h, or 0 to turn the detector off)");
        cr_expect_eq(config_check("LOOPDOG_LOOPS", "x", complaint, sizeof(complaint)), -EINVAL);
        cr_expect_str_eq(complaint, "LOOPDOG_LOOPS=x is not understood (auto, all or api)");
        cr_expect_eq(config_check("treshold", "2s", complaint, sizeof(complaint)), -EINVAL);
        cr_expect_str_eq(complaint, "--treshold is not a setting: did you mean --threshold?");
        cr_expect_eq(config_check("LOOPDOG_OWNS", "/", complaint, sizeof(complaint)), -EINVAL);
        cr_expect_str_eq(complaint, "LOOPDOG_OWNS is not a setting: did you mean LOOPDOG_OWN?");
        cr_expect_eq(config_check("nonsense", "1", complaint, sizeof(complaint)), -EINVAL);
        cr_expect_str_eq(complaint, "--nonsense is not a setting");
        expect_quiet();
}

Test(config, checks_without_a_place_for_the_complaint)
{
        char small[8];
        cr_expect_eq(config_check("threshold", "2h", NULL, 0), -EINVAL);
        cr_expect_eq(config_check("threshold", "2h", small, sizeof(small)), -EINVAL);
        cr_expect_str_eq(small, "--thres");
}

/* ---- quantities ---- */

Test(config, parses_durations)
{
        static const struct {
                const char *text;
                int status;
                uint64_t duration_ns;
        } cases[] = {
                { "100ms", 0, 100 * MS },
                { "2s", 0, 2 * SECOND },
                { "1.5s", 0, 1500 * MS },
                { "3m", 0, 180 * SECOND },
                { "3min", 0, 180 * SECOND },
                { "1h", 0, 3600 * SECOND },
                { "250us", 0, 250000 },
                { "7ns", 0, 7 },
                { "100", 0, 100 * MS },
                { "0", 0, 0 },
                { "0h", 0, 0 },
                { " 100 ms ", 0, 100 * MS },
                { "0.001ms", 0, 1000 },
                { "1.0000019s", 0, 1000001000 },
                { "18446744073s", 0, 18446744073 * SECOND },
                { "18446744074s", -ERANGE, 0 },
                { "18446744073709551615ns", 0, UINT64_MAX },
                { "18446744073709551616ns", -ERANGE, 0 },
                { "18446744073709551716ns", -ERANGE, 0 }, /* 2^64 + 100 */
                { "0.9ns", -ERANGE, 0 },
                { "", -EINVAL, 0 },
                { " ", -EINVAL, 0 },
                { "ms", -EINVAL, 0 },
                { "-1", -EINVAL, 0 },
                { "1e99h", -EINVAL, 0 },
                { "1.2.3s", -EINVAL, 0 },
                { "1,5s", -EINVAL, 0 },
                { "1 s s", -EINVAL, 0 },
                { "1S", -EINVAL, 0 },
        };
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                uint64_t duration_ns = 0;
                cr_expect_eq(config_parse_duration(cases[i].text, &duration_ns), cases[i].status, "\"%s\"",
                             cases[i].text);
                if (cases[i].status == 0)
                        cr_expect_eq(duration_ns, cases[i].duration_ns, "\"%s\": %" PRIu64, cases[i].text, duration_ns);
        }
}

Test(config, parses_sizes)
{
        static const struct {
                const char *text;
                int status;
                uint64_t bytes;
        } cases[] = {
                { "256MB", 0, 256000000 }, { "64k", 0, 64000 },          { "64K", 0, 64000 },
                { "1KiB", 0, 1024 },       { "1GiB", 0, 1u << 30 },      { "1000000", 0, 1000000 },
                { "12B", 0, 12 },          { "1.5G", 0, 1500000000 },    { "2TiB", 0, UINT64_C(2) << 40 },
                { "1mb", -EINVAL, 0 },     { "MB", -EINVAL, 0 },         { "-1", -EINVAL, 0 },
                { "", -EINVAL, 0 },        { "99999999TB", -ERANGE, 0 }, { "0.5B", -ERANGE, 0 },
        };
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                uint64_t bytes = 0;
                cr_expect_eq(config_parse_size(cases[i].text, &bytes), cases[i].status, "\"%s\"", cases[i].text);
                if (cases[i].status == 0)
                        cr_expect_eq(bytes, cases[i].bytes, "\"%s\": %" PRIu64, cases[i].text, bytes);
        }
}
