/* SPDX-License-Identifier: Apache-2.0
 *
 * check.c - findings, made and freed
 *
 * Context: reader
 */
#include "doctor/check.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "alloc.h"

const char *verdict_name(enum verdict verdict)
{
        static const char *const names[] = {
                [VERDICT_NONE] = "", [VERDICT_OK] = "ok", [VERDICT_NOTE] = "note", [VERDICT_PROBLEM] = "problem"
        };
        return names[verdict];
}

struct finding finding_make(enum verdict verdict, char *found, char *fix)
{
        return (struct finding){ .verdict = verdict, .found = found, .fix = fix };
}

struct finding finding_ok(const char *format, ...)
{
        char *found = NULL;
        va_list arguments;
        va_start(arguments, format);
        if (vasprintf(&found, format, arguments) < 0)
                found = NULL;
        va_end(arguments);
        return finding_make(VERDICT_OK, found ? found : alloc_string(""), NULL);
}

void finding_free(struct finding *finding)
{
        free(finding->found);
        free(finding->fix);
        *finding = (struct finding){ 0 };
}
