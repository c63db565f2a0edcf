/* SPDX-License-Identifier: Apache-2.0
 *
 * test_brief.c - tools/read: what stands before the stacks, read quickly, is what the whole parser reads
 *
 * Context: unit test
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "alloc.h"
#include "base/limits.h"
#include "read/brief.h"
#include "read/scan.h"

#define UNTIL_BEGIN                                                                                                    \
        "{\"v\":1,\"type\":\"stall\",\"time\":\"2026-11-22T20:15:03.620700Z\",\"host\":\"web1\",\"pid\":42,"           \
        "\"run\":\"b1946ac92492d234\",\"program\":\"uvicorn\",\"id\":7,\"cause\":\"cpu\""
#define BEGIN UNTIL_BEGIN ",\"begin\":\"2026-11-22T20:15:03Z\""

/* The record as JSON, without what a brief one has not got. To be freed. */
static char *to_json(struct record *record)
{
        struct record_stall *stall = &record->stall;
        struct text text = { .bytes = alloc_zeroed(LIMIT_LINE_BYTES + 2, 1), .capacity = LIMIT_LINE_BYTES + 2 };
        stall->ready_count = stall->profile_count = stall->others_count = stall->stacks_count = 0;
        stall->detail.waits_for_count = stall->detail.held_by_count = 0;
        cr_assert_eq(record_write_json(&text, record), 0);
        return text.bytes;
}

/* Is the beginning of a stall's line read quickly? Then it is read rightly. */
static bool is_brief(const char *line, size_t length)
{
        struct parsed brief, whole;
        char why[256];
        char *object = alloc_bytes(line, length + 1); /* so that ASan sees a byte too far */
        bool read = brief_parse(&brief, object, length);
        object[length] = '}';
        int status = parse_record(&whole, object, length + 1, why, sizeof(why));
        if (read && status == 0) {
                char *got = to_json(&brief.record), *wanted = to_json(&whole.record);
                cr_expect_str_eq(got, wanted);
                free(got);
                free(wanted);
        }
        cr_expect(!read || status == 0, "%.*s: %s", (int)length, line, why);
        if (read)
                parsed_free(&brief);
        if (status == 0)
                parsed_free(&whole);
        free(object);
        return read;
}

static bool is_brief_text(const char *text)
{
        return is_brief(text, strlen(text));
}

Test(brief, reads_the_golden_stalls_as_the_whole_parser_does)
{
        static const char *const names[] = { "stall", "python", "said", "whom" };
        static char line[LIMIT_LINE_BYTES + 2];
        unsigned brief = 0, all = 0;
        for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
                char *path = alloc_format(GOLDEN "/v1/%s.jsonl", names[i]);
                FILE *file = fopen(path, "r");
                cr_assert(file, "%s", path);
                while (fgets(line, sizeof(line), file)) {
                        size_t scalars = scan_stacks(line, strcspn(line, "\n"));
                        all += scalars > 0;
                        brief += scalars > 0 && is_brief(line, scalars);
                }
                fclose(file);
                free(path);
        }
        cr_expect_geq(all, 8u);
        cr_expect_geq(2 * brief, all, "only %u of %u are read quickly", brief, all);
}

Test(brief, reads_whatever_stands_in_a_stall)
{
        static const char *const lines[] = {
                BEGIN,
                BEGIN ",\"duration_ns\":999999999999999999,\"tid\":-1,\"yields\":4294967295",
                BEGIN ",\"new\":[1,{\"a\":[]},\"]\"],\"newer\":{},\"newest\":true,\"other\":\"x\"",
                BEGIN ",\"detail\":{}",
                BEGIN ",\"detail\":{\"cpu_percent\":7,\"user_ns\":0,\"fd\":0,\"waits_for\":[{\"fd\":1}]}",
                BEGIN ",\"detail\":{\"call\":\"read\",\"deadlock\":true}",
                BEGIN ",\"culprit\":{\"lang\":\"native\",\"offset\":\"0x5bfc\",\"caller\":true,\"line\":3}",
                BEGIN
                ",\"labels\":[{\"key\":\"a\",\"value\":\"b\"},{\"value\":\"d\",\"key\":\"c\"}],\"signature\":\"ff\"",
                BEGIN
                ",\"callback\":{\"name\":\"f\",\"duration_ns\":3},\"stacks_omitted\":false,\"lost\":{\"samples\":2}",
                UNTIL_BEGIN ",\"begin\":\"2024-02-29T23:59:59.5Z\"",
                UNTIL_BEGIN ",\"begin\":\"2100-02-28T00:00:00Z\"",
                UNTIL_BEGIN ",\"begin\":\"2026-12-31T12:00:00.000001Z\"",
        };
        for (size_t i = 0; i < sizeof(lines) / sizeof(*lines); i++)
                cr_expect(is_brief_text(lines[i]), "%s", lines[i]);
}

Test(brief, leaves_what_is_unusual_to_the_whole_parser)
{
        static const char *const lines[] = {
                "",
                "{",
                "[",
                "x",
                "{\"v\":1",
                "{\"v\":1,\"type\":\"stall\"",
                BEGIN ",",
                BEGIN ",\"a\"",
                BEGIN ",\"a\":",
                BEGIN ",\"a\":\"b",
                BEGIN " ",
                BEGIN ", \"a\":1",
                BEGIN ",\"thread\":\"a\\\"b\"",
                BEGIN ",\"thread\":\"\xc3\xa4\"",
                BEGIN ",\"thread\":\"\t\"",
                BEGIN ",\"thread\":null",
                BEGIN ",\"thread\":1",
                BEGIN ",\"tid\":1.5",
                BEGIN ",\"tid\":1e3",
                BEGIN ",\"tid\":01",
                BEGIN ",\"tid\":-",
                BEGIN ",\"tid\":2147483648",
                BEGIN ",\"tid\":true",
                BEGIN ",\"duration_ns\":1000000000000000000",
                BEGIN ",\"stacks_omitted\":1",
                BEGIN ",\"cause\":\"moon\"",
                BEGIN ",\"v\":2",
                BEGIN ",\"type\":\"loop\"",
                BEGIN ",\"id\":0",
                BEGIN ",\"run\":\"\"",
                BEGIN ",\"signature\":\"xyz\"",
                UNTIL_BEGIN ",\"begin\":\"2026-11-31T00:00:00Z\"x",
                BEGIN ",\"lost\":{\"samples\":2,\"reasons\":{\"a\":2}}",
                BEGIN ",\"lost\":{\"samples\":2},\"lost\":{}",
                BEGIN ",\"detail\":{\"call\":\"read\"},\"detail\":{\"fd\":3}",
                BEGIN ",\"labels\":[{\"key\":\"a\"}]",
                BEGIN ",\"labels\":[]",
                BEGIN ",\"culprit\":[]",
                BEGIN ",\"culprit\":{\"lang\":\"native\"",
                BEGIN ",\"a\":[}",
                BEGIN ",\"a\":{]",
                BEGIN ",\"a\":[\"\\\\\"]",
                BEGIN "}",
                BEGIN ",\"b\":truth",
        };
        for (size_t i = 0; i < sizeof(lines) / sizeof(*lines); i++)
                cr_expect_not(is_brief_text(lines[i]), "%s", lines[i]);
}

Test(brief, gives_up_beyond_its_limits)
{
        char line[2048] = BEGIN ",\"labels\":[";
        for (int i = 0; i < 9; i++)
                strcat(line, i ? ",{\"key\":\"a\",\"value\":\"b\"}" : "{\"key\":\"a\",\"value\":\"b\"}");
        strcat(line, "]");
        cr_expect_not(is_brief_text(line));
        strcpy(line, BEGIN ",\"a\":");
        for (int i = 0; i < 65; i++)
                strcat(line, "[");
        for (int i = 0; i < 65; i++)
                strcat(line, "]");
        cr_expect_not(is_brief_text(line));
}

Test(brief, knows_every_day_as_libc_does)
{
        for (time_t day = 0; day < 200 * 366; day++) {
                char date[32], line[256], why[256];
                time_t seconds = day * 86400 + day % 86400;
                struct tm parts;
                struct parsed parsed;
                strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", gmtime_r(&seconds, &parts));
                snprintf(line, sizeof(line), "{\"v\":1,\"type\":\"exit\",\"run\":\"a\",\"time\":\"%s.5Z\"}", date);
                cr_assert_eq(parse_record(&parsed, line, strlen(line), why, sizeof(why)), 0, "%s", why);
                cr_assert_eq(parsed.record.time_ns, (uint64_t)seconds * 1000000000u + 500000000u, "%s", date);
                parsed_free(&parsed);
        }
}
