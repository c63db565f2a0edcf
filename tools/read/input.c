/* SPDX-License-Identifier: Apache-2.0
 *
 * input.c - records out of files, with an account of what was no record
 *
 * Context: reader
 */
#include "read/input.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "alloc.h"
#include "read/pool.h"
#include "say.h"
#include "symbolize/jit.h"

#define COMPLAINTS_SHOWN 5 /* of each file */
#define POOL_FROM_BYTES ((uint64_t)4 << 20)
#define FOLDERS_DEEP 4 /* folders within folders */

void source_init(struct source *source, const char *name)
{
        *source = (struct source){ .name = alloc_string(name) };
}

void source_free(struct source *source)
{
        lines_free(&source->lines);
        free(source->name);
        *source = (struct source){ 0 };
}

static void skip_line(struct input *input, struct source *source, uint64_t number, const char *why)
{
        input->lines++;
        input->skipped++;
        if (source->complaints++ < COMPLAINTS_SHOWN)
                say("%s:%llu: skipped: %s", source->name, (unsigned long long)number, why);
}

static void take_record(struct input *input, struct source *source, const struct taken *taken)
{
        input->lines++;
        input->records++;
        source->records++;
        input->take(input->context, &taken->parsed, taken->line, taken->length);
}

/* A line that was parsed, and is freed. Where its stacks were left out and are wanted, it is parsed once more. */
static void take_parsed(struct input *input, struct source *source, struct taken *taken)
{
        if (taken->status == 0 && taken->brief && input->wants_stacks(input->context, &taken->parsed.record)) {
                parsed_free(&taken->parsed);
                parse_taken(taken, false);
        }
        if (taken->status == 0) {
                take_record(input, source, taken);
                parsed_free(&taken->parsed);
        } else if (taken->status < 0) {
                bool cut = !taken->whole && taken->line[0] == '{';
                skip_line(input, source, taken->number, cut ? "the file ends in the middle of this line" : taken->why);
        }
        free(taken->why);
        taken->why = NULL;
}

static void take_pooled(void *context, struct taken *taken)
{
        struct input *input = context;
        take_parsed(input, input->pooled, taken);
}

/* A small file is not worth a thread. Only one file's lines are in the pool at a time. */
static bool use_pool(struct input *input, struct source *source)
{
        if (input->pooled)
                return true;
        if (!input->every_cpu || source->bytes < POOL_FROM_BYTES)
                return false;
        if (!input->pool)
                input->pool = pool_new(input->wants_stacks, take_pooled, input);
        input->every_cpu = input->pool;
        input->pooled = input->pool ? source : NULL;
        return input->pooled;
}

static void take_line(struct input *input, struct source *source, const char *line, size_t length, bool whole)
{
        if (use_pool(input, source)) {
                pool_add(input->pool, line, length, source->lines.number, whole);
                return;
        }
        struct taken taken = { .line = line, .length = length, .number = source->lines.number, .whole = whole };
        parse_taken(&taken, input->wants_stacks);
        take_parsed(input, source, &taken);
}

/* Complaints come in the order of the lines. */
static void skip_long_line(struct input *input, struct source *source)
{
        if (input->pooled)
                pool_flush(input->pool);
        skip_line(input, source, source->lines.number, "longer than a record may be (256 KB)");
}

static void take_lines(struct input *input, struct source *source)
{
        char *line;
        size_t length;
        for (;;) {
                switch (lines_next(&source->lines, &line, &length)) {
                case LINES_NONE:
                        return;
                case LINES_LINE:
                        take_line(input, source, line, length, true);
                        break;
                case LINES_TOO_LONG:
                        skip_long_line(input, source);
                        break;
                }
        }
}

static int take_all(struct input *input, struct source *source, int fd, bool finished)
{
        char *line;
        size_t length;
        int got;
        while ((got = lines_fill(&source->lines, fd)) > 0) {
                source->bytes += (uint64_t)got;
                if (input->progress)
                        input->progress(input->context, (uint64_t)got);
                take_lines(input, source);
        }
        if (got < 0)
                return got;
        if (finished && lines_last(&source->lines, &line, &length) == LINES_LINE)
                take_line(input, source, line, length, false);
        lines_rest(&source->lines);
        return 0;
}

int input_take(struct input *input, struct source *source, int fd, bool finished)
{
        int error = take_all(input, source, fd, finished);
        if (input->pooled)
                pool_flush(input->pool);
        input->pooled = NULL;
        return error;
}

void input_finish(struct input *input)
{
        pool_free(input->pool);
        input->pool = NULL;
}

void input_close(struct input *input, struct source *source)
{
        if (source->complaints > COMPLAINTS_SHOWN)
                say("%s: %llu more lines skipped", source->name,
                    (unsigned long long)(source->complaints - COMPLAINTS_SHOWN));
}

/* An agent makes its file before it has something to write (while it still may), and the process can be killed in
 * between: then an empty file is all there is to be read. */
static void take_empty(struct input *input, const char *name, int fd)
{
        struct stat status;
        if (fstat(fd, &status) < 0 || !S_ISREG(status.st_mode)) {
                say("%s: empty", name);
                return;
        }
        say("%s: empty: its process ended before its first record", name);
        input->files_empty++;
}

static void read_descriptor(struct input *input, const char *name, int fd)
{
        struct source source;
        source_init(&source, name);
        int error = input_take(input, &source, fd, true);
        input_close(input, &source);
        if (error < 0) {
                say("%s: %s", name, strerror(-error));
                input->files_bad++;
        } else if (source.lines.number == 0) {
                take_empty(input, name, fd);
        }
        source_free(&source);
}

static void read_file(struct input *input, int folder, const char *entry, const char *name)
{
        /* Not to hang on a named pipe that nobody writes to, unless it was named by the user. */
        int fd = openat(folder, entry, O_RDONLY | O_CLOEXEC | O_NOCTTY | (folder == AT_FDCWD ? 0 : O_NONBLOCK));
        if (fd < 0) {
                say("%s: %s", name, strerror(errno));
                input->files_bad++;
                return;
        }
        if (input->opened)
                input->opened(input->context, name);
        read_descriptor(input, name, fd);
        close(fd);
}

/* Maps of code made at run time lie beside the records (symbolize/jit.h). */
static int is_record_file(const struct dirent *entry)
{
        return entry->d_name[0] != '.' && !jit_is_map_name(entry->d_name);
}

static void read_folder(struct input *input, const char *path, int depth);

static void read_entry(struct input *input, int folder, const char *entry, const char *name, int depth)
{
        struct stat status;
        bool known = fstatat(folder, entry, &status, 0) == 0;
        if (!known || S_ISREG(status.st_mode)) {
                input->files++;
                read_file(input, folder, entry, name);
        } else if (S_ISDIR(status.st_mode) && depth < FOLDERS_DEEP &&
                   fstatat(folder, entry, &status, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(status.st_mode)) {
                read_folder(input, name, depth + 1);
        }
}

/* In the order of their names, with the folders within it (one for each host, say); links to folders, sockets and the
 * like are passed over. */
static void read_folder(struct input *input, const char *path, int depth)
{
        struct dirent **entries;
        int folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        int count = folder < 0 ? -1 : scandirat(folder, ".", &entries, is_record_file, alphasort);
        if (count < 0) {
                say("%s: %s", path, strerror(errno));
                input->files_bad++;
        }
        uint64_t files = input->files;
        for (int i = 0; i < count; i++) {
                char *name = alloc_format("%s/%s", path, entries[i]->d_name);
                read_entry(input, folder, entries[i]->d_name, name, depth);
                free(name);
                free(entries[i]);
        }
        if (count >= 0) {
                free(entries);
                if (input->files == files && depth == 0)
                        say("%s: no files in this folder", path);
        }
        if (folder >= 0)
                close(folder);
}

void input_read(struct input *input, const char *path)
{
        struct stat status;
        if (strcmp(path, "-") == 0) {
                input->files++;
                read_descriptor(input, "stdin", STDIN_FILENO);
        } else if (stat(path, &status) == 0 && S_ISDIR(status.st_mode)) {
                read_folder(input, path, 0);
        } else {
                input->files++;
                read_file(input, AT_FDCWD, path, path);
        }
}
