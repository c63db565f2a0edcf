/* SPDX-License-Identifier: Apache-2.0
 *
 * reasons.h - why it stalled and who else is to blame, as people read it
 *
 * Context: watchdog, reader
 */
#ifndef LOOPDOG_RECORD_REASONS_H
#define LOOPDOG_RECORD_REASONS_H

#include "record/record.h"

/* For the head line: "blocked in read", "waiting for a mutex held by worker (4250)". */
void reason_put_cause(struct text *text, const struct record_stall *stall);

/* "the mutex was held by thread 4250, worker, which slept in nanosleep" */
void reason_put_other(struct text *text, const struct record_stall *stall, size_t index);

/* Each nothing, or a line without indentation and newline: the parts of the stall, and what the cause rests on. */
void reason_put_shares(struct text *line, const struct record_stall *stall);
void reason_put_evidence(struct text *line, const struct record_stall *stall);

#endif
