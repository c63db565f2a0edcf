/* SPDX-License-Identifier: Apache-2.0
 *
 * output.c - where the records of `loopdog run` go, and where they are read back
 *
 * Without a path of the user's they go to a folder in TMPDIR that nobody else can read. Root's folder may be
 * entered and written to by all, because servers change their user before they wait for the first time; its files
 * are still readable for their owner only, and what is no regular file there is never opened.
 *
 * Context: reader
 */
#include "launch/output.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "alloc.h"
#include "base/limits.h"
#include "base/text.h"
#include "name_pattern.h"
#include "say.h"

#define AGENT_FILES "loopdog.*.jsonl"       /* what the agent makes in a folder, */
#define AGENT_FILES_OF "loopdog.*.%d.jsonl" /* of one process */

/* Append `path` as it must stand in LOOPDOG_OUTPUT to be taken literally. */
static void append_literal(struct text *value, const char *path)
{
        for (; *path; path++) {
                text_char(value, *path);
                if (*path == '%')
                        text_char(value, '%');
        }
}

static bool keep_variable(struct output *output, const struct text *value)
{
        if (value->cut) {
                say("the path of the output is too long (%d bytes at most)", LIMIT_PATH - 1);
                return false;
        }
        output->variable = alloc_string(value->bytes);
        return true;
}

static bool prepare_private(struct output *output)
{
        char array[LIMIT_PATH];
        struct text value = TEXT_IN(array);
        const char *parent = getenv("TMPDIR");
        output->folder = alloc_format("%s/loopdog.XXXXXX", parent && parent[0] == '/' ? parent : "/tmp");
        if (!mkdtemp(output->folder)) {
                say("%s: %s; TMPDIR names another folder for temporary files", output->folder, strerror(errno));
                return false;
        }
        output->temporary = true;
        output->pattern = alloc_string(AGENT_FILES);
        if (geteuid() == 0 && chmod(output->folder, 01733) < 0)
                say("%s: %s; a command that changes its user can't write there", output->folder, strerror(errno));
        append_literal(&value, output->folder);
        text_char(&value, '/');
        return keep_variable(output, &value);
}

/* The path from the root, placeholders as they are. A relative one is taken from here: the command may change its
 * folder. */
static bool make_absolute(struct output *output, const char *path)
{
        char array[LIMIT_PATH];
        struct text value = TEXT_IN(array);
        text_clear(&value);
        if (path[0] != '/') {
                char *here = getcwd(NULL, 0);
                if (!here) {
                        say("%s: where this folder is can't be found out (%s): name the output by a path from /", path,
                            strerror(errno));
                        return false;
                }
                append_literal(&value, here);
                text_char(&value, '/');
                free(here);
        }
        text_string(&value, path);
        return keep_variable(output, &value);
}

/* A placeholder, that is '%' and a letter, in the first `length` bytes of a path? */
static bool has_placeholder(const char *path, size_t length)
{
        for (size_t i = 0; i < length; i++) {
                if (path[i] != '%')
                        continue;
                if (path[++i] != '%')
                        return true;
        }
        return false;
}

/* The path that LOOPDOG_OUTPUT's `value` stands for where it has no placeholders. */
static char *literal_path(const char *value, size_t length)
{
        char *path = alloc_zeroed(length + 1, 1);
        char *to = path;
        for (size_t i = 0; i < length; i++) {
                *to++ = value[i];
                i += value[i] == '%';
        }
        return path;
}

static bool may_write_folder(const char *folder)
{
        if (access(folder, W_OK | X_OK) == 0)
                return true;
        say("%s: %s", folder, strerror(errno));
        return false;
}

/* The file exists, or can be made: find out now, not when the command runs. */
static bool make_file(const char *path)
{
        struct stat status;
        int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0600);
        if (fd < 0) {
                say("%s: %s", path, errno == ELOOP ? "is a symbolic link, which is not followed" : strerror(errno));
                return false;
        }
        bool regular = fstat(fd, &status) == 0 && S_ISREG(status.st_mode);
        close(fd);
        if (!regular)
                say("%s: is no regular file", path);
        return regular;
}

static bool make_folder(const char *path)
{
        struct stat status;
        if (stat(path, &status) < 0 && mkdir(path, 0700) < 0) {
                say("%s: %s", path, strerror(errno));
                return false;
        }
        return may_write_folder(path);
}

bool output_split(const char *value, int pid, char **folder, char **pattern)
{
        size_t length = strlen(value);
        size_t folder_length = (size_t)(strrchr(value, '/') - value);
        struct stat status;
        if (has_placeholder(value, folder_length))
                return false;
        char *path = literal_path(value, length);
        bool is_folder = !has_placeholder(value, length) &&
                         (value[length - 1] == '/' || (stat(path, &status) == 0 && S_ISDIR(status.st_mode)));
        *folder = is_folder ? path : folder_length ? literal_path(value, folder_length) : alloc_string("/");
        *pattern = !is_folder ? name_pattern_of_output(value + folder_length + 1, pid)
                   : pid > 0  ? alloc_format(AGENT_FILES_OF, pid)
                              : alloc_string(AGENT_FILES);
        if (!is_folder)
                free(path);
        return true;
}

static bool prepare_path(struct output *output)
{
        const char *value = output->variable;
        size_t length = strlen(value);
        if (!output_split(value, 0, &output->folder, &output->pattern)) {
                say("%s: placeholders may stand in the name of the file only, not in that of its folder", value);
                return false;
        }
        if (has_placeholder(value, length))
                return may_write_folder(output->folder);
        if (strcmp(output->pattern, AGENT_FILES) == 0)
                return make_folder(output->folder);
        char *path = literal_path(value, length);
        bool ready = make_file(path);
        free(path);
        return ready;
}

bool output_prepare(struct output *output, const char *path)
{
        *output = (struct output){ 0 };
        if (!path)
                return prepare_private(output);
        return make_absolute(output, path) && prepare_path(output);
}

void output_remove(const struct output *output)
{
        if (!output->temporary)
                return;
        DIR *folder = opendir(output->folder);
        for (struct dirent *entry; folder && (entry = readdir(folder));)
                if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
                        unlinkat(dirfd(folder), entry->d_name, 0);
        if (folder)
                closedir(folder);
        if (rmdir(output->folder) < 0)
                say("%s: %s", output->folder, strerror(errno));
}

void output_free(struct output *output)
{
        free(output->variable);
        free(output->folder);
        free(output->pattern);
        *output = (struct output){ 0 };
}
