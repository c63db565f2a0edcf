/* SPDX-License-Identifier: Apache-2.0
 *
 * reading.c - all that a command reads, added up
 *
 * Context: reader
 */
#include "reading.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "command.h"
#include "say.h"

static void take(void *context, const struct parsed *parsed, const char *line, size_t length)
{
        struct reading *reading = context;
        if (reading->also)
                reading->also(reading->context, &parsed->record, line, length);
        analysis_add(&reading->analysis, &parsed->record, line, length);
}

static void opened(void *context, const char *name)
{
        const struct reading *reading = context;
        if (reading->symbolizer)
                symbolizer_add_file(reading->symbolizer, name);
}

static void advance(void *context, uint64_t bytes)
{
        struct reading *reading = context;
        progress_add(&reading->progress, bytes);
}

static bool wants_stacks(void *context, const struct record *record)
{
        const struct reading *reading = context;
        return analysis_wants_stacks(&reading->analysis, record);
}

bool reading_all(struct reading *reading, char *const *paths, int count)
{
        struct input *input = &reading->input;
        input->take = take;
        input->wants_stacks = reading->analysis.on_stall ? NULL : wants_stacks; /* of each stall, then */
        input->every_cpu = true;
        input->progress = advance;
        input->opened = opened;
        input->context = reading;
        progress_begin(&reading->progress, paths, count);
        for (int i = 0; i < count; i++)
                input_read(input, paths[i]);
        input_finish(input);
        progress_end(&reading->progress);
        analysis_finish(&reading->analysis);
        if (input->records > 0 || (input->files_empty > 0 && input->files_empty == input->files))
                return true;
        say("no record could be read");
        return false;
}

void reading_free(struct reading *reading)
{
        analysis_free(&reading->analysis);
        *reading = (struct reading){ 0 };
}

int stdout_finish(void)
{
        if ((fflush(stdout) == 0 && !ferror(stdout)) || errno == EPIPE)
                return EXIT_FINE;
        say("standard output: %s", strerror(errno));
        return EXIT_FAILED;
}
