/* SPDX-License-Identifier: Apache-2.0
 *
 * names.c - the words for types, languages and causes in a record
 *
 * These words are the format: once a release has written one it is never renamed (docs/records.md).
 *
 * Context: watchdog, reader
 */
#include <string.h>

#include "record/record.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const char *const types[] = {
        [RECORD_PROCESS] = "process", [RECORD_STALL_BEGIN] = "stall-begin",
        [RECORD_STALL] = "stall",     [RECORD_LOOP] = "loop",
        [RECORD_EXIT] = "exit",       [RECORD_DUMP] = "dump",
};

static const char *const langs[] = {
        [RECORD_NATIVE] = "native",
        [RECORD_PYTHON] = "python",
        [RECORD_JAVASCRIPT] = "javascript",
        [RECORD_JIT] = "jit",
};

static const char *const causes[] = {
        [RECORD_UNKNOWN] = "unknown", [RECORD_CPU] = "cpu",
        [RECORD_BLOCKED] = "blocked", [RECORD_LOCK] = "lock",
        [RECORD_GIL] = "gil",         [RECORD_PAGE_FAULT] = "page-fault",
        [RECORD_STARVED] = "starved", [RECORD_SUSPENDED] = "suspended",
};

static const char *name_at(const char *const *names, size_t count, unsigned index)
{
        return index < count ? names[index] : "?";
}

static int index_of(const char *const *names, size_t count, const char *name)
{
        for (size_t i = 0; name && i < count; i++)
                if (strcmp(names[i], name) == 0)
                        return (int)i;
        return -1;
}

const char *record_type_name(enum record_type type)
{
        return name_at(types, COUNT(types), type);
}

const char *record_lang_name(enum record_lang lang)
{
        return name_at(langs, COUNT(langs), lang);
}

const char *record_cause_name(enum record_cause cause)
{
        return name_at(causes, COUNT(causes), cause);
}

int record_type_from_name(const char *name)
{
        return index_of(types, COUNT(types), name);
}

int record_lang_from_name(const char *name)
{
        return index_of(langs, COUNT(langs), name);
}

int record_cause_from_name(const char *name)
{
        return index_of(causes, COUNT(causes), name);
}

bool record_was_no_stall(const struct record_stall *stall)
{
        return stall->end && strcmp(stall->end, "left") == 0;
}

uint64_t record_stalled_ns(const struct record_stall *stall)
{
        bool partly = stall->cause != RECORD_SUSPENDED && stall->suspended_ns < stall->duration_ns;
        return partly ? stall->duration_ns - stall->suspended_ns : stall->duration_ns;
}
