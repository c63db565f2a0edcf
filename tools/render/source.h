/* SPDX-License-Identifier: Apache-2.0
 *
 * source.h - lines of source files, for struct record_style
 *
 * Context: reader
 */
#ifndef LOOPDOG_RENDER_SOURCE_H
#define LOOPDOG_RENDER_SOURCE_H

#include <stdint.h>

#include "map.h"

/* All zero: empty. */
struct source_lines {
        struct map files;    /* path -> struct source_file */
        size_t bytes;        /* held */
        uint64_t written_ns; /* of the record that is rendered: a file that was changed after it is not quoted */
};

/* Text of a line without its indentation, or NULL. `context` is a struct source_lines. */
const char *source_line(void *context, const char *file, uint32_t line);

void source_lines_free(struct source_lines *sources);

#endif
