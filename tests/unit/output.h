/* SPDX-License-Identifier: Apache-2.0
 *
 * output.h - a process whose first loop was just confirmed, with a file of records of its own
 *
 * Context: unit tests; Criterion gives each test a process of its own
 */
#ifndef LOOPDOG_TESTS_OUTPUT_H
#define LOOPDOG_TESTS_OUTPUT_H

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/config.h"
#include "record/journal.h"

static char output_folder[64];
static char output_path[128];

static inline void output_begin(void)
{
        strcpy(output_folder, "/tmp/loopdog-output-XXXXXX");
        cr_assert(mkdtemp(output_folder) != NULL);
        snprintf(output_path, sizeof output_path, "%s/out.jsonl", output_folder);
        config.output = output_path;
        journal_setup();
        journal_begin();
        journal_process();
}

static inline void output_remove(void)
{
        char command[128];
        snprintf(command, sizeof command, "rm -rf %s", output_folder);
        cr_expect(zero(int, system(command)));
}

#endif
