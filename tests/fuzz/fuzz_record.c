/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz_record.c - libFuzzer over the reader: lines, records, text, JSON and sums
 *
 * The input is a file of records. Each line is parsed, shown as text in several styles, written as JSON again,
 * which must be a record again, and added up. Nothing is symbolized: that would open whatever file the fuzzer
 * thinks of.
 *
 * ./dev fuzz builds and runs it, with -max_len=16384.
 *
 * Context: fuzzer
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "alloc.h"
#include "analyse/analysis.h"
#include "analyse/calltree.h"
#include "base/limits.h"
#include "read/brief.h"
#include "read/input.h"
#include "read/scan.h"

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

/* As JSON, without what is passed over where a record is read briefly. */
static void write_brief(struct record *record, struct text *text)
{
        struct record_stall *stall = &record->stall;
        stall->ready_count = stall->profile_count = stall->others_count = stall->stacks_count = 0;
        stall->detail.waits_for_count = stall->detail.held_by_count = 0;
        text_clear(text);
        if (record_write_json(text, record) < 0)
                text_clear(text);
}

/* What is read quickly is what the whole parser reads. `brief` is the whole parser's, and is changed. */
static void check_brief(struct parsed *brief, const char *line, size_t scalars)
{
        static char other[LIMIT_LINE_BYTES + 2];
        struct text wanted = TEXT_IN(output), got = TEXT_IN(other);
        struct parsed quick;
        char *object = alloc_bytes(line, scalars);
        if (brief_parse(&quick, object, scalars)) {
                write_brief(&quick.record, &got);
                write_brief(&brief->record, &wanted);
                check(strcmp(output, other) == 0);
                parsed_free(&quick);
        }
        free(object);
}

/* What stands before the stacks is the same record without them. */
static void check_scan(const struct parsed *parsed, const char *line, size_t length)
{
        size_t scalars = scan_stacks(line, length);
        struct parsed brief;
        char why[256];
        if (scalars == 0)
                return;
        char *object = alloc_bytes(line, scalars + 1);
        object[scalars] = '}';
        check(parse_record(&brief, object, scalars + 1, why, sizeof(why)) == 0);
        check(brief.record.type == parsed->record.type && brief.record.time_ns == parsed->record.time_ns);
        if (parsed->record.type == RECORD_STALL || parsed->record.type == RECORD_DUMP) {
                check(brief.record.stall.id == parsed->record.stall.id && brief.record.stall.stacks_count == 0);
                check(brief.record.stall.duration_ns == parsed->record.stall.duration_ns);
        }
        check_brief(&brief, line, scalars);
        parsed_free(&brief);
        free(object);
}

static void take(void *context, const struct parsed *parsed, const char *line, size_t length)
{
        check_scan(parsed, line, length);
        check(strlen(line) >= length || memchr(line, '\0', length));
        show(&parsed->record);
        write_again(&parsed->record);
        analysis_add(context, &parsed->record, line, length);
}

static void grow(void *context, const struct record *record, const struct counted *counted)
{
        check(record->stall.id > 0 && counted->process && counted->loop && counted->stack);
        if (counted->kind == KIND_STALL)
                calltree_add(context, record);
}

/* Whatever is divided, nothing of it gets lost. */
static void check_tree(struct calltree *tree, const struct analysis *analysis)
{
        calltree_finish(tree);
        check(tree->nodes[0].total_ns == analysis->stalls.total_ns);
        for (size_t i = 1; i < tree->nodes_count; i++) {
                check(tree->nodes[i].parent < i && tree->nodes[i].frame < tree->frames_count);
                check(tree->nodes[i].depth == tree->nodes[tree->nodes[i].parent].depth + 1);
        }
        calltree_free(tree);
}

static void check_loops(const struct analysis *analysis)
{
        check(analysis_run_digits(analysis) >= 4);
        for (size_t i = 0; i < analysis->loops.count; i++) {
                const struct analysed_loop *loop = analysis->loops.entries[i].value;
                uint64_t half_ns = analysed_loop_permille_ns(loop, 500);
                check(loop->longest_ns == 0 || half_ns <= loop->longest_ns);
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
        struct calltree tree = { 0 };
        struct analysis analysis = { .on_stall = grow, .context = &tree };
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
        check_tree(&tree, &analysis);
        check_loops(&analysis);
        analysis_free(&analysis);
        source_free(&source);
        close(fd);
        return 0;
}
