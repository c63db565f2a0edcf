/* SPDX-License-Identifier: Apache-2.0
 *
 * fill.h - turn what the agent knows into records
 *
 * Agent only: the reader fills its records from files.
 *
 * Context: watchdog
 */
#ifndef LOOPDOG_RECORD_FILL_H
#define LOOPDOG_RECORD_FILL_H

#include "explain/explained.h"
#include "record/record.h"

/* Once a process (again after fork): names of host, program and run. Reads the settings (LOOPDOG_OWN,
 * LOOPDOG_REDACT). */
void fill_begin(void);

/* The fields that every line has. */
void fill_common(struct record *record, enum record_type type);

/* A stall or stall-begin record. Everything it points to is static and overwritten by the next call. Counts the
 * signature: a repeat seen more than REPEATS times in a minute comes without stacks. */
void fill_stall(struct record *record, const struct explained *explained);

/* A dump record, of one sample. As fill_stall(). */
void fill_dump(struct record *record, const struct explained *explained);

/* Of it: what it waited for and what it served (fill_evidence.c). Borrows from `explained`. */
void fill_evidence(struct record_stall *stall, const struct explained *explained);

/* The process record's fields that the system knows; settings and notices are the caller's. */
void fill_process(struct record *record);

/* "thread" of a record: the name of a thread of this process. */
const char *fill_thread_name(int32_t tid);

#endif
