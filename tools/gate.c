/* SPDX-License-Identifier: Apache-2.0
 *
 * gate.c - when a report ends with exit code 3: for CI
 *
 * Context: reader
 */
#include "gate.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "base/config.h"
#include "render/words.h"
#include "say.h"

static int parse_bound(const char *text, bool *set, uint64_t *bound_ns)
{
        *set = true;
        return config_parse_duration(text, bound_ns) < 0 ? -EINVAL : 0;
}

static int parse_word(struct gate *gate, const char *word)
{
        if (strcmp(word, "any") == 0)
                gate->any = true;
        else if (strcmp(word, "new") == 0)
                gate->new_culprit = true;
        else if (strcmp(word, "worse") == 0)
                gate->worse = true;
        else if (strncmp(word, "total>", 6) == 0)
                return parse_bound(word + 6, &gate->total, &gate->total_ns);
        else if (strncmp(word, "max>", 4) == 0)
                return parse_bound(word + 4, &gate->longest, &gate->longest_ns);
        else
                return -EINVAL;
        return 0;
}

int gate_parse(struct gate *gate, const char *list)
{
        char *copy = alloc_string(list);
        char *rest = NULL;
        int error = copy[0] ? 0 : -EINVAL;
        for (char *word = strtok_r(copy, ",", &rest); word && error == 0; word = strtok_r(NULL, ",", &rest))
                error = parse_word(gate, word);
        free(copy);
        return error;
}

bool gate_compares(const struct gate *gate)
{
        return gate->new_culprit || gate->worse;
}

static void say_bound(const char *what, uint64_t is_ns, uint64_t bound_ns)
{
        char *is = words_duration(is_ns);
        char *bound = words_duration(bound_ns);
        say("gate: %s is %s, more than %s", what, is, bound);
        free(is);
        free(bound);
}

static bool shut_by_change(const struct diff *diff, enum diff_change change)
{
        for (size_t i = 0; i < diff->count; i++) {
                if (diff->rows[i].change != change)
                        continue;
                char *culprit = words_frame(&diff->rows[i].after->culprit);
                char *lost = words_duration(diff->rows[i].after->stalls.total_ns);
                say("gate: %s: %s, %s lost", diff_change_name(change), culprit, lost);
                free(culprit);
                free(lost);
        }
        return diff->changes[change] > 0;
}

bool gate_shut(const struct gate *gate, const struct analysis *analysis, const struct diff *diff)
{
        const struct spread *stalls = &analysis->stalls;
        bool shut = false;
        if (gate->any && stalls->count > 0) {
                say("gate: %llu stall%s", (unsigned long long)stalls->count, words_plural(stalls->count));
                shut = true;
        }
        if (gate->total && stalls->total_ns > gate->total_ns) {
                say_bound("the time lost", stalls->total_ns, gate->total_ns);
                shut = true;
        }
        if (gate->longest && stalls->longest_ns > gate->longest_ns) {
                say_bound("the longest stall", stalls->longest_ns, gate->longest_ns);
                shut = true;
        }
        if (diff && gate->new_culprit)
                shut = shut_by_change(diff, DIFF_NEW) || shut;
        if (diff && gate->worse)
                shut = shut_by_change(diff, DIFF_WORSE) || shut;
        return shut;
}
