/* SPDX-License-Identifier: Apache-2.0
 *
 * filter.c - which stalls are looked at
 *
 * Context: reader
 */
#include "analyse/filter.h"

#include <string.h>

bool filter_takes(const struct filter *filter, const struct record_stall *stall)
{
        return stall->duration_ns >= filter->min_ns && stall->begin_ns + stall->duration_ns >= filter->since_ns &&
               (filter->until_ns == 0 || stall->begin_ns <= filter->until_ns) &&
               (filter->causes == 0 || (filter->causes & 1u << stall->cause));
}

static bool has(const char *string, const char *part)
{
        return string && strstr(string, part);
}

static bool names(const struct record_frame *culprit, const char *part)
{
        return culprit && (has(culprit->function, part) || has(culprit->file, part) || has(culprit->module, part));
}

bool filter_takes_culprit(const struct filter *filter, const struct record *record)
{
        struct symbolized symbolized;
        if (!filter->culprit || names(record->stall.culprit, filter->culprit))
                return true;
        if (!filter->symbolizer || !record->stall.culprit)
                return false;
        symbolize(filter->symbolizer, record, &symbolized);
        bool named = names(symbolized.record.stall.culprit, filter->culprit);
        symbolized_free(&symbolized);
        return named;
}
