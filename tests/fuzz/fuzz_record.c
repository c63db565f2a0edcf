/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz_record.c - libFuzzer over the reader: lines, records, text, JSON and sums
 *
 * The input is a file of records. Each line is parsed, shown as text in several styles, written as JSON again,
 * which must be a record again, and added up. Nothing is symbolized: that would open whatever file the fuzzer
 * thinks of.
 *
 * ./dev fuzz builds and runs it. By hand, from the top folder:
 *
 *     clang -g -O1 -std=gnu11 -D_GNU_SOURCE -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=undefined \
 *           -Iinclude -Isrc -Itools -o /tmp/fuzz_record tests/fuzz/fuzz_record.c tools/{alloc,map,say}.c \
 *           tools/read/{fields,input,lines,parse}.c tools/analyse/{analysis,idset,spread}.c \
 *           src/base/{text,library}.c src/record/{frame,hints,json,names,owner,parts,text}.c -ljansson
 *     mkdir -p /tmp/corpus
 *     /tmp/fuzz_record -max_len=16384 -max_total_time=300 /tmp/corpus tests/fuzz/corpus/record
 *
 * Context: fuzzer
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "analyse/analysis.h"
#include "base/limits.h"
#include "read/input.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

static char output[LIMIT_LINE_BYTES + 2];

static const char *some_source(void *context, const char *file, uint32_t line)
{
        return line % 2 ? file : NULL;
}

static void check(bool holds)
{
        if (!holds)
                abort();
}

/* Nothing but what is printable, our own colours and whole characters may reach a terminal. */
static void check_text(const struct text *text, bool colour)
{
        for (size_t i = 0; i < text->length; i++) {
                unsigned char c = (unsigned char)text->bytes[i];
                check(c >= 0x20 || c == '\n' || (c == 0x1b && colour));
                check(c != 0x7f);
        }
}

static void show(const struct record *record)
{
        static const struct record_style styles[] = {
                { 0 },
                { .colour = true, .columns = 80, .source_line = some_source },
                { .columns = 21, .all_frames = true, .own_prefixes = "/srv:/usr/lib", .source_line = some_source },
        };
        for (size_t i = 0; i < sizeof(styles) / sizeof(*styles); i++) {
                struct text text = TEXT_IN(output);
                text_clear(&text);
                record_write_text(&text, record, &styles[i]);
                check(text.length == strlen(output));
                check_text(&text, styles[i].colour);
        }
}

static void write_again(const struct record *record)
{
        struct text text = TEXT_IN(output);
        struct parsed again;
        char why[256];
        text_clear(&text);
        if (record_write_json(&text, record) < 0)
                return; /* its scalars are too long for a line */
        check(text.length <= LIMIT_LINE_BYTES);
        check(parse_record(&again, output, text.length - 1, why, sizeof(why)) == 0);
        check(again.record.type == record->type && again.record.pid == record->pid);
        parsed_free(&again);
}

static void take(void *context, const struct parsed *parsed, const char *line, size_t length)
{
        check(strlen(line) >= length || memchr(line, '\0', length));
        show(&parsed->record);
        write_again(&parsed->record);
        analysis_add(context, &parsed->record, line, length);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
        struct analysis analysis = { 0 };
        struct input input = { .take = take, .context = &analysis };
        struct source source;
        int fd = memfd_create("fuzz", MFD_CLOEXEC);
        check(fd >= 0 && write(fd, bytes, length) == (ssize_t)length && lseek(fd, 0, SEEK_SET) == 0);
        source_init(&source, "fuzz");
        source.complaints = 1000; /* it has been said: there are millions */
        check(input_take(&input, &source, fd, true) == 0);
        check(input.lines == input.records + input.skipped);
        analysis_finish(&analysis);
        check(analysis.stalls.count + analysis.startup.count + analysis.suspended.count <= input.records);
        analysis_free(&analysis);
        source_free(&source);
        close(fd);
        return 0;
}
