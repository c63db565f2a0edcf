/* SPDX-License-Identifier: Apache-2.0
 *
 * diff.c - the stalls of one run beside those of another
 *
 * Context: reader
 */
#include "analyse/diff.h"

#include <stdlib.h>
#include <string.h>

#include "alloc.h"

#define HOUR_NS UINT64_C(3600000000000)

const char *diff_change_name(enum diff_change change)
{
        static const char *const names[] = { [DIFF_NEW] = "new",
                                             [DIFF_WORSE] = "worse",
                                             [DIFF_SAME] = "same",
                                             [DIFF_BETTER] = "better",
                                             [DIFF_GONE] = "gone" };
        return names[change];
}

/* How long all processes were seen, from the first line of each to its last. Never shorter than what was lost: a file
 * with a single stall says no more than that. */
static uint64_t watched_ns(const struct analysis *analysis)
{
        uint64_t watched = 0;
        for (size_t i = 0; i < analysis->processes.count; i++) {
                const struct analysed_process *process = analysis->processes.entries[i].value;
                watched += process->last_ns - process->first_ns;
        }
        return watched > analysis->stalls.total_ns ? watched : analysis->stalls.total_ns;
}

static uint64_t per_hour_ns(uint64_t lost_ns, uint64_t watched)
{
        return watched ? (uint64_t)((unsigned __int128)lost_ns * HOUR_NS / watched) : 0;
}

static enum diff_change judge(const struct diff_row *row)
{
        if (!row->before)
                return DIFF_NEW;
        if (!row->after)
                return DIFF_GONE;
        if (row->after_per_hour_ns / 6 > row->before_per_hour_ns / 5)
                return DIFF_WORSE;
        return row->after_per_hour_ns / 5 < row->before_per_hour_ns / 6 ? DIFF_BETTER : DIFF_SAME;
}

static void add_row(struct diff *diff, const struct group *before, const struct group *after)
{
        struct diff_row row = {
                .before = before,
                .after = after,
                .before_per_hour_ns = before ? per_hour_ns(before->stalls.total_ns, diff->before_watched_ns) : 0,
                .after_per_hour_ns = after ? per_hour_ns(after->stalls.total_ns, diff->after_watched_ns) : 0,
        };
        row.change = judge(&row);
        diff->changes[row.change]++;
        diff->rows = alloc_resize(diff->rows, diff->count + 1, sizeof(*diff->rows));
        diff->rows[diff->count++] = row;
}

static uint64_t distance(const struct diff_row *row)
{
        uint64_t a = row->before_per_hour_ns;
        uint64_t b = row->after_per_hour_ns;
        return a > b ? a - b : b - a;
}

static int by_change(const void *a, const void *b)
{
        const struct diff_row *left = a;
        const struct diff_row *right = b;
        if (left->change != right->change)
                return left->change < right->change ? -1 : 1;
        uint64_t left_ns = left->change == DIFF_SAME ? left->after_per_hour_ns : distance(left);
        uint64_t right_ns = right->change == DIFF_SAME ? right->after_per_hour_ns : distance(right);
        if (left_ns != right_ns)
                return left_ns < right_ns ? 1 : -1;
        return strcmp(left->after ? left->after->key : left->before->key,
                      right->after ? right->after->key : right->before->key);
}

void diff_make(struct diff *diff, const struct analysis *before, const struct groups *before_groups,
               const struct analysis *after, const struct groups *after_groups)
{
        struct map keys = { 0 };
        struct map seen = { 0 };
        *diff = (struct diff){ .before_watched_ns = watched_ns(before), .after_watched_ns = watched_ns(after) };
        diff->before_per_hour_ns = per_hour_ns(before->stalls.total_ns, diff->before_watched_ns);
        diff->after_per_hour_ns = per_hour_ns(after->stalls.total_ns, diff->after_watched_ns);
        for (size_t i = 0; i < before_groups->count; i++)
                *map_at_string(&keys, before_groups->items[i].key) = &before_groups->items[i];
        for (size_t i = 0; i < after_groups->count; i++) {
                const struct group *group = &after_groups->items[i];
                add_row(diff, map_find_string(&keys, group->key), group);
                *map_at_string(&seen, group->key) = (void *)group;
        }
        for (size_t i = 0; i < before_groups->count; i++)
                if (!map_find_string(&seen, before_groups->items[i].key))
                        add_row(diff, &before_groups->items[i], NULL);
        if (diff->count > 0)
                qsort(diff->rows, diff->count, sizeof(*diff->rows), by_change);
        map_free(&keys, NULL);
        map_free(&seen, NULL);
}

void diff_free(struct diff *diff)
{
        free(diff->rows);
        *diff = (struct diff){ 0 };
}
