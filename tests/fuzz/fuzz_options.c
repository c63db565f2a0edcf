/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz_options.c - no words after a command make its options go wrong
 *
 * Durations, moments, causes and gates are parsed by the commands' own tables; a wrong one is an error and no crash.
 * The input is a list of words, one a line.
 *
 * ./dev fuzz builds and runs it, with -max_len=1024.
 *
 * Context: fuzzer
 */
#include <argp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "gate.h"
#include "now.h"
#include "options.h"

#define WORDS 16

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length);

static void check(bool holds)
{
        if (!holds)
                abort();
}

/* The words of `text`, which is changed. Their number. */
static int split(char *text, char *words[static WORDS + 1])
{
        static char name[] = "loopdog report";
        char *rest = NULL;
        int count = 0;
        words[count++] = name;
        for (char *word = strtok_r(text, "\n", &rest); word && count < WORDS; word = strtok_r(NULL, "\n", &rest))
                words[count++] = word;
        words[count] = NULL;
        return count;
}

static void parse(char **words, int count, const struct argp *argp, void *input)
{
        argp_parse(argp, count, words, ARGP_NO_EXIT | ARGP_NO_ERRS | ARGP_NO_HELP | ARGP_IN_ORDER, NULL, input);
}

static void check_filter(const struct filter *filter)
{
        check(filter->causes < 1u << (RECORD_SUSPENDED + 1));
        const struct record_stall stall = { .begin_ns = 1, .duration_ns = 1, .cause = RECORD_CPU };
        filter_takes(filter, &stall);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length)
{
        char *text = calloc(length + 1, 1);
        char *words[WORDS + 1];
        struct filter filter = { 0 };
        struct symbol_options symbols = { 0 };
        struct gate gate = { 0 };
        memcpy(text, data, length);
        int count = split(text, words);
        for (int i = 1; i < count; i++)
                if (gate_parse(&gate, words[i]) == 0)
                        check(gate.any || gate.new_culprit || gate.worse || gate.total || gate.longest ||
                              !words[i][0] || strspn(words[i], ",") == strlen(words[i]));
        parse(words, count, &filter_argp, &filter);
        check_filter(&filter);
        parse(words, count, &symbol_argp, &symbols);
        free(symbols.debug);
        free(text);
        return 0;
}
