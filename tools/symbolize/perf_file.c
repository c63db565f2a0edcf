/* SPDX-License-Identifier: Apache-2.0
 *
 * perf_file.c - the file of a perf map, which grows while its process runs
 *
 * A runtime only appends. So each look reads what is new as a map of its own, and maps are merged such that each has
 * less than half of the entries of the one before: there are few to be asked, and no entry is sorted often.
 *
 * Context: reader
 * Limits:  MAP_BYTES of a file, what is behind that is not looked at
 */
#include "symbolize/perf_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "alloc.h"
#include "say.h"
#include "symbolize/perf_map.h"

#define MAP_BYTES ((size_t)256 << 20)

struct perf_file {
        char *path;
        bool strict;
        bool refused; /* and that was said */
        ino_t inode;
        off_t size;              /* when it was read last */
        off_t offset;            /* up to which its lines have been read, whole */
        size_t bytes;            /* read in all */
        struct perf_map **parts; /* the newest last */
        size_t parts_count;
};

/* --------------------------------------------------------------------------------------------------------- opening */

bool perf_file_is_trusted(uid_t owner)
{
        return owner == geteuid() || owner == 0;
}

void perf_file_say_foreign(const char *path)
{
        say("%s belongs to another user and is not used: copy it beside the records", path);
}

int perf_file_open(const char *path, bool strict)
{
        struct stat status;
        int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
        if (fd < 0)
                return -errno;
        int error = 0;
        if (fstat(fd, &status) < 0)
                error = -errno;
        else if (!S_ISREG(status.st_mode))
                error = -EINVAL;
        else if (strict && !perf_file_is_trusted(status.st_uid))
                error = -EPERM;
        if (error == 0)
                return fd;
        close(fd);
        return error;
}

struct perf_file *perf_file_new(const char *path, bool strict)
{
        struct perf_file *file = alloc_zeroed(1, sizeof(*file));
        file->path = alloc_string(path);
        file->strict = strict;
        return file;
}

void perf_file_free(void *pointer)
{
        struct perf_file *file = pointer;
        if (!file)
                return;
        for (size_t i = 0; i < file->parts_count; i++)
                perf_map_free(file->parts[i]);
        free(file->parts);
        free(file->path);
        free(file);
}

/* --------------------------------------------------------------------------------------------------------- reading */

static void add_part(struct perf_file *file, struct perf_map *part)
{
        while (file->parts_count > 0) {
                struct perf_map *before = file->parts[file->parts_count - 1];
                if (perf_map_count(before) / 2 > perf_map_count(part))
                        break;
                perf_map_append(before, part);
                part = before;
                file->parts_count--;
        }
        file->parts = alloc_resize(file->parts, file->parts_count + 1, sizeof(*file->parts));
        file->parts[file->parts_count++] = part;
}

static size_t read_at(int fd, char *text, size_t length, off_t offset)
{
        size_t done = 0;
        ssize_t got;
        while (done < length && (got = pread(fd, text + done, length - done, offset + (off_t)done)) > 0)
                done += (size_t)got;
        return done;
}

/* A line that is still being written counts as it is, and is read again. */
static void read_new(struct perf_file *file, int fd)
{
        size_t length = (size_t)(file->size - file->offset);
        if (length > MAP_BYTES - file->bytes)
                length = MAP_BYTES - file->bytes;
        char *text = alloc_zeroed(length + 1, 1);
        length = read_at(fd, text, length, file->offset);
        const char *last = memrchr(text, '\n', length);
        file->bytes += length;
        file->offset += last ? last + 1 - text : 0;
        add_part(file, perf_map_parse(text, length));
        free(text);
}

bool perf_file_refresh(struct perf_file *file)
{
        struct stat status;
        bool known = file->parts_count > 0;
        if (lstat(file->path, &status) < 0 || (known && status.st_size == file->size && status.st_ino == file->inode))
                return known;
        int fd = perf_file_open(file->path, file->strict);
        if (fd == -EPERM && !file->refused)
                perf_file_say_foreign(file->path);
        file->refused |= fd == -EPERM;
        if (fd < 0)
                return known;
        if (fstat(fd, &status) == 0) {
                if (status.st_ino != file->inode || status.st_size < file->offset)
                        file->offset = 0; /* replaced: what was said before is the older */
                file->inode = status.st_ino;
                file->size = status.st_size;
                read_new(file, fd);
        }
        close(fd);
        return file->parts_count > 0;
}

bool perf_file_name(const struct perf_file *file, uint64_t address, struct record_frame *frame)
{
        for (size_t i = file->parts_count; i-- > 0;)
                if (perf_map_name(file->parts[i], address, frame))
                        return true;
        return false;
}
