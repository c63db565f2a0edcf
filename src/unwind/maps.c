/* SPDX-License-Identifier: Apache-2.0
 *
 * maps.c - the lines of /proc/self/maps
 *
 * The kernel writes a newline in a path as \012 and everything else as it is, spaces included, so the path is simply
 * the rest of the line. A file whose name really contains \012, or ends in " (deleted)", is misread: there is no way to
 * tell, and its build-id still decides what is believed about it.
 *
 * Context: watchdog (a static buffer)
 * Limits:  lines of BUFFER bytes (a path has at most 4096); allocates nothing
 */
#include "unwind/maps.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define BUFFER 8192

static int hex_digit(char c)
{
        if (c >= '0' && c <= '9')
                return c - '0';
        if (c >= 'a' && c <= 'f')
                return c - 'a' + 10;
        return -1;
}

/* A number in base 10 or 16, then `after`; moves *at behind that. */
static bool take_number(char **at, unsigned base, char after, uint64_t *value)
{
        char *p = *at;
        *value = 0;
        for (int digit; (digit = hex_digit(*p)) >= 0 && (unsigned)digit < base; p++) {
                if (p - *at >= 20)
                        return false;
                *value = *value * base + (unsigned)digit;
        }
        if (p == *at || *p != after)
                return false;
        *at = p + 1;
        return true;
}

static void decode_newlines(char *path)
{
        char *to = strstr(path, "\\012");
        if (to == NULL)
                return;
        for (const char *from = to; *from != '\0'; to++) {
                if (strncmp(from, "\\012", 4) == 0) {
                        *to = '\n';
                        from += 4;
                } else {
                        *to = *from++;
                }
        }
        *to = '\0';
}

static bool cut_suffix(char *path, const char *suffix)
{
        size_t length = strlen(path), suffix_length = strlen(suffix);
        if (length <= suffix_length || strcmp(path + length - suffix_length, suffix) != 0)
                return false;
        path[length - suffix_length] = '\0';
        return true;
}

bool maps_parse_line(char *line, struct mapping *mapping)
{
        uint64_t major, minor;
        char *at = line;
        if (!take_number(&at, 16, '-', &mapping->start) || !take_number(&at, 16, ' ', &mapping->end) ||
            mapping->end <= mapping->start || strnlen(at, 5) < 5 || at[4] != ' ')
                return false;
        mapping->readable = at[0] == 'r';
        mapping->writable = at[1] == 'w';
        mapping->executable = at[2] == 'x';
        at += 5;
        if (!take_number(&at, 16, ' ', &mapping->offset) || !take_number(&at, 16, ':', &major) ||
            !take_number(&at, 16, ' ', &minor))
                return false;
        size_t length = strlen(at);
        if (!take_number(&at, 10, ' ', &mapping->inode)) {
                char *end = at + length; /* without a path some kernels end the line right here */
                if (!take_number(&at, 10, '\0', &mapping->inode))
                        return false;
                at = end;
        }
        mapping->device_major = (uint32_t)major;
        mapping->device_minor = (uint32_t)minor;
        at += strspn(at, " ");
        mapping->deleted = cut_suffix(at, " (deleted)");
        decode_newlines(at);
        mapping->path = at;
        return true;
}

/* Hand over the whole lines in `buffer`; returns how many bytes they took. */
static size_t each_line(char *buffer, size_t used, void (*each)(const struct mapping *mapping, void *context),
                        void *context)
{
        size_t start = 0;
        for (char *newline; (newline = memchr(buffer + start, '\n', used - start)) != NULL;) {
                struct mapping mapping;
                *newline = '\0';
                if (maps_parse_line(buffer + start, &mapping))
                        each(&mapping, context);
                start = (size_t)(newline - buffer) + 1;
        }
        return start;
}

int maps_read(int fd, void (*each)(const struct mapping *mapping, void *context), void *context)
{
        static char buffer[BUFFER];
        size_t used = 0;
        bool skipping = false; /* the rest of a line that was too long */
        for (;;) {
                ssize_t n = read(fd, buffer + used, sizeof(buffer) - used);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n <= 0)
                        return n < 0 ? -errno : 0;
                used += (size_t)n;
                if (skipping) {
                        char *newline = memchr(buffer, '\n', used);
                        if (newline == NULL) {
                                used = 0;
                                continue;
                        }
                        used -= (size_t)(newline + 1 - buffer);
                        memmove(buffer, newline + 1, used);
                        skipping = false;
                }
                size_t done = each_line(buffer, used, each, context);
                used -= done;
                memmove(buffer, buffer + done, used);
                if (used == sizeof(buffer)) {
                        skipping = true;
                        used = 0;
                }
        }
}
