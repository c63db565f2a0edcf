/* SPDX-License-Identifier: Apache-2.0
 *
 * example.h - one stall that stands for many
 *
 * Context: reader
 */
#ifndef LOOPDOG_RENDER_EXAMPLE_H
#define LOOPDOG_RENDER_EXAMPLE_H

#include <stddef.h>

#include "analyse/analysis.h"
#include "render/source.h"
#include "symbolize/symbolize.h"

#define EXAMPLE_BYTES ((size_t)4 << 20) /* of text: as many frames as a line can have */

/* Make a stall last for `duration_ns` if that is longer: it has not ended. What was measured up to the record's own
 * duration, its CPU time, does not go with that and becomes unknown. */
void example_prolong(struct record_stall *stall, uint64_t duration_ns);

/* A stall's record in its text form with source lines, to be freed. `style` needs no source_line. */
char *example_text(const struct record *record, struct symbolizer *symbolizer, struct source_lines *sources,
                   const struct record_style *style);

/* The same of a kept stall; NULL where its line can't be read any more. */
char *example_of_stack(const struct analysed_stack *stack, struct symbolizer *symbolizer, struct source_lines *sources,
                       const struct record_style *style);

/* Its line of advice, or NULL. */
const char *example_hint(const struct analysed_stack *stack);

/* A kept stall as a line of JSON with symbolized frames, to be freed; NULL where that is not possible. */
char *example_json(const struct analysed_stack *stack, struct symbolizer *symbolizer);

#endif
