/* SPDX-License-Identifier: Apache-2.0
 *
 * journal.h - what is written, when, and in which form
 *
 * Between the stages that find things out and the sink that takes bytes: the order of lines, the first and the last of
 * a file, the statistics, and what people see on stderr where there is no file.
 *
 * Context: watchdog, except where a function says otherwise
 */
#ifndef LOOPDOG_RECORD_JOURNAL_H
#define LOOPDOG_RECORD_JOURNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "explain/explained.h"
#include "record/record.h"

/* A stall that goes on this long is told (again) before it ends. */
#define JOURNAL_REMINDER_NS 1000000000ull

enum journal_stall_as {
        JOURNAL_BEGUN,
        JOURNAL_REMINDER,
        JOURNAL_ENDED,
};

/* Constructor: the output as configured. */
void journal_setup(void);

/* Thread of the host: open the output now, it can't be opened later. */
void journal_keep(void);

/* Thread of the host: the process ends or becomes another program; leave no empty file behind. */
void journal_discard_unused(void);

void journal_begin(void);
int journal_descriptor_to_keep(void);  /* see sink_descriptor_to_keep() */
void journal_note_thread(int32_t tid); /* see sink_note_thread() */
void journal_process(void);
/* Returns what was written, valid until the next call; NULL: nothing is written of this. */
const struct record_stall *journal_stall(const struct explained *explained, enum journal_stall_as as);
/* False: nothing is written yet, for no loop is confirmed. */
bool journal_dump(const struct explained *explained);
void journal_notices(void);
void journal_end(void);

/* Is there a file, and has its first record been written? Otherwise loop and exit records need not be made. */
bool journal_takes_records(void);

/* Does somebody show the file live, who wants to see the loops more often? */
bool journal_is_read(void);

/* Write a record; the fields that every line has are filled here. */
void journal_loop(const struct record_loop *loop);
void journal_exit(const struct record_exit *exit);

void journal_after_fork(void);

#endif
