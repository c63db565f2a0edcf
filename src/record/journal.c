/* SPDX-License-Identifier: Apache-2.0
 *
 * journal.c - what is written, when, and in which form
 *
 * Nothing is written before the first loop is confirmed. With a file, every record is a line; without, stalls are text
 * on stderr and the rest is not said. Notices (notice.h) go to stderr in both cases, once, and into the process record;
 * they are what is wrong or missing, and nothing that an orderly service does each night.
 *
 * Context: watchdog; journal_setup() in the constructor, journal_keep() on a thread of the host
 */
#include "record/journal.h"

#include <errno.h>

#include "base/clock.h"
#include "base/config.h"
#include "base/notice.h"
#include "base/table.h"
#include "base/text.h"
#include "record/fill.h"
#include "record/sink.h"

static struct {
        bool announced; /* the process record is due or written */
        size_t notices_said;
        uint64_t begin_ns; /* CLOCK_REALTIME */
        uint64_t dropped;  /* records that are in no file */
        char *line;        /* LIMIT_LINE_BYTES, mapped for the first record */
} journal;

void journal_setup(void)
{
        sink_setup(config.output, config.limit_bytes);
}

void journal_keep(void)
{
        sink_keep();
}

void journal_discard_unused(void)
{
        sink_discard_unused();
}

int journal_descriptor_to_keep(void)
{
        return sink_descriptor_to_keep();
}

void journal_note_thread(int32_t tid)
{
        sink_note_thread(tid);
}

void journal_begin(void)
{
        sink_begin();
        if (journal.begin_ns != 0) /* the watchdog was only stopped for a fork */
                return;
        journal.begin_ns = clock_realtime_ns();
        fill_begin();
}

/* ---- lines ---- */

static void write_process(void);

static bool has_line(void)
{
        if (journal.line == NULL)
                journal.line = table_map(LIMIT_LINE_BYTES);
        return journal.line != NULL;
}

static int try_record(const struct record *record, bool *fresh)
{
        if (!has_line())
                return -ENOMEM;
        struct text text = { .bytes = journal.line, .capacity = LIMIT_LINE_BYTES };
        int error = record_write_json(&text, record);
        return error != 0 ? error : sink_line(journal.line, text.length, fresh);
}

static void write_record(const struct record *record)
{
        bool fresh = false;
        int error = try_record(record, &fresh);
        if (fresh) {
                /* A new file begins with the process record, which overwrites the line. */
                if (record->type != RECORD_PROCESS)
                        write_process();
                struct record again = *record;
                again.time_ns = clock_realtime_ns(); /* after the process record's */
                error = try_record(&again, &fresh);
        }
        journal.dropped += error != 0;
}

static void write_process(void)
{
        const char *notices[LIMIT_NOTICES];
        struct record record;
        fill_process(&record);
        record.process.threshold_ns = config.threshold_ns;
        record.process.interval_ns = config.interval_ns;
        record.process.begin_ns = journal.begin_ns;
        record.process.notices = notices;
        for (size_t i = 0; i < notice_count() && i < LIMIT_NOTICES; i++)
                notices[record.process.notices_count++] = notice_get(i);
        write_record(&record);
}

static void say_notices(void)
{
        for (; journal.notices_said < notice_count(); journal.notices_said++) {
                char bytes[LIMIT_NOTICE_BYTES + 16];
                struct text line = TEXT_IN(bytes);
                text_string(&line, "loopdog: ");
                text_printable(&line, notice_get(journal.notices_said));
                text_char(&line, '\n');
                sink_text(bytes, line.length);
        }
}

void journal_process(void)
{
        if (journal.announced)
                return;
        journal.announced = true;
        say_notices();
        if (sink_is_file())
                write_process();
}

/* ---- stalls ---- */

static void say(const struct record *record)
{
        if (!has_line())
                return;
        struct text text = { .bytes = journal.line, .capacity = LIMIT_LINE_BYTES };
        struct record_style style = { .own_prefixes = config.own };
        record_write_text(&text, record, &style);
        sink_text(journal.line, text.length);
}

static bool is_to_be_said(const struct record_stall *stall)
{
        return stall->phase == NULL && stall->cause != RECORD_SUSPENDED;
}

const struct record_stall *journal_stall(const struct explained *explained, enum journal_stall_as as)
{
        static struct record record;
        /* As text a stall is told when it has ended, or goes on and on; as records also when it begins. */
        if (as == JOURNAL_BEGUN && !sink_is_file())
                return NULL;
        fill_stall(&record, explained);
        if (sink_is_file())
                write_record(&record);
        else if (is_to_be_said(&record.stall))
                say(&record);
        return &record.stall;
}

bool journal_dump(const struct explained *explained)
{
        static struct record record;
        if (!journal.announced)
                return false;
        fill_dump(&record, explained);
        if (sink_is_file())
                write_record(&record);
        else
                say(&record);
        return true;
}

/* ---- loops and the end ---- */

bool journal_takes_records(void)
{
        return journal.announced && sink_is_file();
}

bool journal_is_read(void)
{
        return journal_takes_records() && sink_is_read();
}

void journal_loop(const struct record_loop *loop)
{
        struct record record;
        fill_common(&record, RECORD_LOOP);
        record.loop = *loop;
        record.loop.thread = fill_thread_name(loop->tid);
        write_record(&record);
}

void journal_notices(void)
{
        if (journal.announced)
                say_notices();
}

void journal_exit(const struct record_exit *exit)
{
        struct record record;
        fill_common(&record, RECORD_EXIT);
        record.exit = *exit;
        record.exit.records_dropped = journal.dropped;
        record.exit.bytes_dropped = sink_bytes_dropped();
        record.exit.reopened = sink_reopened();
        write_record(&record);
}

void journal_end(void)
{
        sink_close();
}

void journal_after_fork(void)
{
        journal.announced = false;
        journal.notices_said = 0;
        journal.begin_ns = 0;
        journal.dropped = 0;
        sink_after_fork();
}
