/* SPDX-License-Identifier: Apache-2.0
 *
 * source.c - lines of source files, for struct record_style
 *
 * Paths come from records, maybe of another machine: only regular files of a sane size are read, and a file that was
 * changed since the record was written is not quoted, because its line may be another one now.
 *
 * Context: reader
 * Limits:  FILE_BYTES a file, HELD_BYTES altogether
 */
#include "render/source.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "alloc.h"

#define FILE_BYTES (4u << 20)
#define HELD_BYTES (64u << 20)

struct source_file {
        char *text; /* NULL: not to be had */
        size_t length;
        uint64_t changed_ns;
        char *line; /* the one returned last */
};

static void release_file(void *pointer)
{
        struct source_file *file = pointer;
        free(file->text);
        free(file->line);
        free(file);
}

static void read_all(struct source_file *file, int fd, size_t size)
{
        file->text = alloc_zeroed(size + 1, 1);
        while (file->length < size) {
                ssize_t got = read(fd, file->text + file->length, size - file->length);
                if (got <= 0)
                        break;
                file->length += (size_t)got;
        }
}

static struct source_file *load(const char *path)
{
        struct source_file *file = alloc_zeroed(1, sizeof(*file));
        struct stat status;
        int fd = path[0] == '/' ? open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY) : -1;
        if (fd < 0)
                return file;
        if (fstat(fd, &status) == 0 && S_ISREG(status.st_mode) && status.st_size <= FILE_BYTES) {
                file->changed_ns = (uint64_t)status.st_mtim.tv_sec * 1000000000u + (uint64_t)status.st_mtim.tv_nsec;
                read_all(file, fd, (size_t)status.st_size);
        }
        close(fd);
        return file;
}

static struct source_file *find(struct source_lines *sources, const char *path)
{
        struct source_file *file = map_find_string(&sources->files, path);
        if (file)
                return file;
        if (sources->bytes > HELD_BYTES) {
                map_free(&sources->files, release_file);
                sources->bytes = 0;
        }
        file = load(path);
        sources->bytes += file->length;
        *map_at_string(&sources->files, path) = file;
        return file;
}

const char *source_line(void *context, const char *path, uint32_t line)
{
        struct source_lines *sources = context;
        struct source_file *file = path && line > 0 ? find(sources, path) : NULL;
        if (!file || !file->text || (sources->written_ns && file->changed_ns > sources->written_ns))
                return NULL;
        const char *at = file->text;
        for (uint32_t number = 1; at && number < line; number++) {
                at = strchr(at, '\n');
                at += at != NULL;
        }
        if (!at)
                return NULL;
        at += strspn(at, " \t");
        size_t length = strcspn(at, "\r\n");
        while (length > 0 && (at[length - 1] == ' ' || at[length - 1] == '\t'))
                length--;
        free(file->line);
        file->line = alloc_bytes(at, length);
        return length > 0 ? file->line : NULL;
}

void source_lines_free(struct source_lines *sources)
{
        map_free(&sources->files, release_file);
        *sources = (struct source_lines){ 0 };
}
