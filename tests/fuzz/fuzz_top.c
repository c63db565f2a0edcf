/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz_top.c - libFuzzer over `loopdog top` without its terminal: records as they come, rows, frames and keys
 *
 * The input is a file of records that is followed. After each record time passes, processes may be found gone, a key is
 * pressed, and the frame is written. Nothing is symbolized: that would open whatever file the fuzzer thinks of.
 *
 * ./dev fuzz builds and runs it, with -max_len=8192.
 *
 * Context: fuzzer
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/limits.h"
#include "read/input.h"
#include "top/fold_lines.h"
#include "top/frame.h"
#include "top/ui.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

struct fuzzed {
        struct top_model model;
        struct ui ui;
        struct rows rows[ROWS_PANES];
        unsigned steps;
};

static void check(bool holds)
{
        if (!holds)
                abort();
}

static enum top_state state_of(void *context, const struct top_process *process)
{
        static const enum top_state states[] = { TOP_GONE, TOP_RUNS, TOP_SILENT, TOP_RUNS };
        return states[(unsigned)process->pid % 4];
}

/* Nothing but what is printable may reach a terminal. */
static void check_text(const char *text)
{
        for (; *text; text++)
                check((unsigned char)*text >= ' ' || *text == '\n');
}

static void check_sums(const struct top_model *model)
{
        uint64_t count = 0;
        uint64_t total_ns = 0;
        for (size_t i = 0; i < model->culprits.count; i++) {
                const struct top_culprit *culprit = model->culprits.entries[i].value;
                count += culprit->stalls.count;
                total_ns += culprit->stalls.total_ns;
                check(culprit->example.line && culprit->name);
        }
        check(model->forgotten.culprits > 0 || (count == model->stalls.count && total_ns == model->stalls.total_ns));
        check(model->processes.count <= TOP_PROCESSES && model->loops.count <= TOP_LOOPS);
}

static void write_frame(const struct fuzzed *fuzzed, uint64_t now_ns)
{
        char *text;
        size_t length;
        const struct frame frame = { .model = &fuzzed->model,
                                     .view = &fuzzed->ui.view,
                                     .rows = fuzzed->rows,
                                     .now_ns = now_ns,
                                     .columns = fuzzed->steps % 140,
                                     .screen = fuzzed->steps % 2 };
        FILE *out = open_memstream(&text, &length);
        check(out);
        if (fuzzed->steps % 4 == 0)
                frame_json(&frame, out);
        else
                frame_text(&frame, out);
        fclose(out);
        check_text(text);
        free(text);
}

/* An open stall: no line is wider than the screen. */
static void wrap(const struct record *record, unsigned columns)
{
        static char bytes[LIMIT_LINE_BYTES];
        const struct record_style style = { .colour = columns % 2, .all_frames = columns % 3 };
        struct text text = TEXT_IN(bytes);
        record_write_text(&text, record, &style);
        char *wrapped = fold_lines(text.bytes, columns);
        size_t width = 0;
        for (const char *at = wrapped; *at; at++) {
                size_t colour = at[0] == '\033' ? strcspn(at, "m") : 0;
                at += colour;
                width = *at == '\n' ? 0 : width + (!colour && (*at & 0xc0) != 0x80);
                check(width <= columns);
        }
        check(count_lines(wrapped) >= count_lines(text.bytes));
        free(wrapped);
}

/* The key is a byte of the record, or one of those that no byte stands for. */
static void press(struct fuzzed *fuzzed, uint8_t byte)
{
        struct ui_room room;
        struct ui *ui = &fuzzed->ui;
        ui_layout(ui, fuzzed->steps % 40, fuzzed->rows, &room);
        ui_settle(ui, fuzzed->rows, &room);
        ui_key(ui, byte % 2 ? byte : UI_KEY_UP + byte % 28 / 2, fuzzed->rows, &room);
        ui_settle(ui, fuzzed->rows, &room);
        const struct row *row = ui_selected(ui, fuzzed->rows);
        check(row || fuzzed->rows[ui->focus].count == 0);
        if (row && row->culprit)
                top_model_watch(&fuzzed->model, &row->culprit->example);
        else if (row && row->open)
                top_model_watch(&fuzzed->model, &row->open->line);
}

static void take(void *context, const struct parsed *parsed, const char *line, size_t length)
{
        struct fuzzed *fuzzed = context;
        uint64_t now_ns = parsed->record.time_ns + fuzzed->steps % 8 * UINT64_C(700000000);
        fuzzed->steps++;
        top_model_add(&fuzzed->model, &parsed->record, line, length);
        if (fuzzed->steps % 3 == 0)
                top_model_tick(&fuzzed->model, now_ns);
        check_sums(&fuzzed->model);
        rows_free(fuzzed->rows);
        rows_make(fuzzed->rows, &fuzzed->model, &fuzzed->ui.view, now_ns);
        press(fuzzed, (uint8_t)line[length / 2]);
        if (parsed->record.type == RECORD_STALL || parsed->record.type == RECORD_STALL_BEGIN)
                wrap(&parsed->record, 20 + fuzzed->steps % 100);
        write_frame(fuzzed, now_ns);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length)
{
        struct fuzzed fuzzed = { .model.state_of = state_of };
        struct input input = { .take = take, .context = &fuzzed };
        struct source source;
        int fd = memfd_create("fuzz", MFD_CLOEXEC);
        check(fd >= 0 && write(fd, bytes, length) == (ssize_t)length && lseek(fd, 0, SEEK_SET) == 0);
        source_init(&source, "fuzz");
        source.complaints = 1000; /* it has been said: there are millions */
        check(input_take(&input, &source, fd, false) == 0);
        rows_free(fuzzed.rows);
        top_model_free(&fuzzed.model);
        source_free(&source);
        close(fd);
        return 0;
}
