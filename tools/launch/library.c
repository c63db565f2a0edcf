/* SPDX-License-Identifier: Apache-2.0
 *
 * library.c - where libloopdog.so is
 *
 * The library that belongs to this very program comes before the installed one, so that a build folder and a copied
 * installation work without any setting.
 *
 * Context: reader
 */
#include "launch/library.h"

#include <errno.h>
#include <limits.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "alloc.h"
#include "say.h"

#ifndef LOOPDOG_LIBDIR
#error "LOOPDOG_LIBDIR: the folder of libloopdog.so comes from tools/meson.build"
#endif

/* Relative to the folder of this program. The name with the interface's version is what packages without -dev have. */
static const char *const beside[] = {
        "../src/libloopdog.so", /* in a build folder */
        "../lib/x86_64-linux-gnu/libloopdog.so.0",
        "../lib64/libloopdog.so.0",
        "../lib/libloopdog.so.0",
        "libloopdog.so.0",
};

static bool is_file(const char *path)
{
        struct stat status;
        return stat(path, &status) == 0 && S_ISREG(status.st_mode);
}

static char *program_folder(void)
{
        char path[PATH_MAX];
        ssize_t length = readlink("/proc/self/exe", path, sizeof(path) - 1);
        if (length <= 0)
                return NULL;
        path[length] = '\0';
        char *slash = strrchr(path, '/');
        return slash ? alloc_bytes(path, (size_t)(slash - path)) : NULL;
}

/* LD_PRELOAD is a list, and the loader replaces words that begin with '$': such a path can't be said. */
static char *check(char *path, char **trouble)
{
        char *absolute = realpath(path, NULL);
        if (!absolute)
                *trouble = alloc_format("%s: %s", path, strerror(errno));
        else if (access(absolute, R_OK) < 0)
                *trouble = alloc_format("%s: %s", absolute, strerror(errno));
        else if (strpbrk(absolute, ": $"))
                *trouble = alloc_format("%s: can't be preloaded, because its path has a blank, a colon or a dollar in "
                                        "it",
                                        absolute);
        free(path);
        if (!*trouble)
                return absolute;
        free(absolute);
        return NULL;
}

static char *find_beside(void)
{
        char *folder = program_folder();
        for (size_t i = 0; folder && i < sizeof(beside) / sizeof(*beside); i++) {
                char *path = alloc_format("%s/%s", folder, beside[i]);
                if (is_file(path)) {
                        free(folder);
                        return path;
                }
                free(path);
        }
        free(folder);
        return NULL;
}

char *library_locate(char **trouble)
{
        const char *named = getenv("LOOPDOG_LIBRARY");
        *trouble = NULL;
        if (named && named[0])
                return check(alloc_string(named), trouble);
        char *path = find_beside();
        if (path)
                return check(path, trouble);
        if (is_file(LOOPDOG_LIBDIR "/libloopdog.so.0"))
                return check(alloc_string(LOOPDOG_LIBDIR "/libloopdog.so.0"), trouble);
        *trouble = alloc_string("libloopdog.so is not to be found, neither beside this program nor in " LOOPDOG_LIBDIR
                                "; LOOPDOG_LIBRARY=/path/to/libloopdog.so names it");
        return NULL;
}

char *library_find(void)
{
        char *trouble;
        char *path = library_locate(&trouble);
        if (!path)
                say("%s", trouble);
        free(trouble);
        return path;
}
