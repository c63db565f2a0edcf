/* SPDX-License-Identifier: Apache-2.0
 *
 * text_evidence.h - what a stall waited for and what it served, as people read it
 *
 * Context: watchdog, reader
 */
#ifndef LOOPDOG_RECORD_TEXT_EVIDENCE_H
#define LOOPDOG_RECORD_TEXT_EVIDENCE_H

#include "record/record.h"

/* Behind "blocked in read": " of pipe:[123], fd 7, other end held by sleep (4711)". */
void text_put_waited(struct text *text, const struct record *record);

/* Lines of their own: what else is known of the call; the descriptors of the iteration's events. Where nothing is, no
 * line. */
void text_write_waited(struct text *text, const struct record_stall *stall);
void text_write_served(struct text *text, const struct record_stall *stall);

#endif
