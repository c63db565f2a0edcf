/* SPDX-License-Identifier: Apache-2.0
 *
 * taken.c - a line of a file and what it turned out to be
 *
 * Context: reader, any of its threads
 */
#include "read/taken.h"

#include <stdlib.h>

#include "alloc.h"
#include "read/brief.h"
#include "read/scan.h"

/* What stands before the stacks is an object of its own, once it is closed. */
static bool parse_scalars(struct taken *taken)
{
        size_t scalars = scan_stacks(taken->line, taken->length);
        char why[256];
        if (scalars == 0)
                return false;
        taken->status = 0;
        if (brief_parse(&taken->parsed, taken->line, scalars))
                return true;
        char *object = alloc_bytes(taken->line, scalars + 1);
        object[scalars] = '}';
        taken->status = parse_record(&taken->parsed, object, scalars + 1, why, sizeof(why));
        free(object);
        return taken->status == 0; /* else the whole line tells better what is wrong */
}

void parse_taken(struct taken *taken, bool briefly)
{
        char why[256];
        taken->why = NULL;
        taken->brief = briefly && parse_scalars(taken);
        if (taken->brief)
                return;
        taken->status = parse_record(&taken->parsed, taken->line, taken->length, why, sizeof(why));
        if (taken->status < 0)
                taken->why = alloc_string(why);
}
