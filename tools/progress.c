/* SPDX-License-Identifier: Apache-2.0
 *
 * progress.c - how far a long read has come, on a terminal
 *
 * Context: reader
 */
#include "progress.h"

#include <ftw.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "alloc.h"
#include "now.h"
#include "render/terminal.h"
#include "say.h"

#define FIRST_NS UINT64_C(500000000)
#define EVERY_NS UINT64_C(100000000)
#define FOLDERS 16
#define BAR_LEAST 10 /* columns below which there is no bar */
#define BAR_MOST 40

static uint64_t summed_bytes; /* nftw() hands nothing through */

static int add_file(const char *path, const struct stat *status, int type, struct FTW *place)
{
        if (type == FTW_F && S_ISREG(status->st_mode))
                summed_bytes += (uint64_t)status->st_size;
        return 0;
}

/* Of all files together; 0 where one of them is a pipe or the like. */
static uint64_t sum_bytes(char *const *paths, int count)
{
        summed_bytes = 0;
        for (int i = 0; i < count; i++) {
                struct stat status;
                if (strcmp(paths[i], "-") == 0 || stat(paths[i], &status) < 0 ||
                    (!S_ISREG(status.st_mode) && !S_ISDIR(status.st_mode)))
                        return 0;
                nftw(paths[i], add_file, FOLDERS, 0);
        }
        return summed_bytes;
}

void progress_begin(struct progress *progress, char *const *paths, int count)
{
        const char *terminal = getenv("TERM");
        *progress = (struct progress){
                .wanted = isatty(STDERR_FILENO) && terminal && terminal[0] && strcmp(terminal, "dumb") != 0,
        };
        if (!progress->wanted)
                return;
        progress->total_bytes = sum_bytes(paths, count);
        progress->next_ns = now_ns(CLOCK_MONOTONIC) + FIRST_NS;
}

static char *bytes_text(uint64_t bytes)
{
        static const char *const units[] = { "B", "kB", "MB", "GB", "TB" };
        size_t unit = 0;
        double value = (double)bytes;
        for (; value >= 1000 && unit + 1 < sizeof(units) / sizeof(*units); unit++)
                value /= 1000;
        return alloc_format(unit > 0 && value < 10 ? "%.1f %s" : "%.0f %s", value, units[unit]);
}

char *progress_text(uint64_t done_bytes, uint64_t total_bytes, unsigned columns)
{
        char *done = bytes_text(done_bytes);
        char *total = bytes_text(total_bytes);
        uint64_t permille = total_bytes ? (uint64_t)((double)done_bytes / (double)total_bytes * 1000) : 0;
        permille = permille < 1000 ? permille : 1000; /* a file may grow meanwhile */
        char *text = total_bytes ? alloc_format("reading: %u %% of %s", (unsigned)(permille / 10), total)
                                 : alloc_format("reading: %s", done);
        size_t used = strlen(text) + sizeof(" []");
        size_t room = columns > used ? columns - used : 0;
        room = room < BAR_MOST ? room : BAR_MOST;
        if (total_bytes && room >= BAR_LEAST) {
                size_t full = room * permille / 1000;
                char *bar = alloc_zeroed(room + 1, 1);
                memset(bar, ' ', room);
                memset(bar, '=', full);
                char *longer = alloc_format("%s [%s]", text, bar);
                free(bar);
                free(text);
                text = longer;
        }
        free(done);
        free(total);
        return text;
}

void progress_add(struct progress *progress, uint64_t bytes)
{
        progress->done_bytes += bytes;
        if (!progress->wanted)
                return;
        uint64_t now = now_ns(CLOCK_MONOTONIC);
        if (now < progress->next_ns)
                return;
        char *text = progress_text(progress->done_bytes, progress->total_bytes, terminal_columns(STDERR_FILENO));
        say_passing(text);
        free(text);
        progress->next_ns = now + EVERY_NS;
}

void progress_end(struct progress *progress)
{
        if (progress->wanted)
                say_passing(NULL);
        progress->wanted = false;
}
