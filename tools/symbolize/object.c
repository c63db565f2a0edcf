/* SPDX-License-Identifier: Apache-2.0
 *
 * object.c - one ELF object with its debug information, found by path and build-id
 *
 * The path comes from a record, maybe from another machine: it is opened only where it is a regular file, and believed
 * only where its build-id is the record's. One Dwfl for each object keeps addresses simple: they are the ELF's own.
 *
 * Context: reader
 */
#include "symbolize/object.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "alloc.h"
#include "say.h"

#define DEBUG_FOLDER "/usr/lib/debug/.build-id"
#define BUILD_ID_DIGITS 128

static const Dwfl_Callbacks callbacks = {
        .find_elf = dwfl_build_id_find_elf,
        .find_debuginfo = dwfl_standard_find_debuginfo, /* .debug, /usr/lib/debug, and the network, if it is let */
};

struct object *object_new(const char *path, const char *build_id)
{
        struct object *object = alloc_zeroed(1, sizeof(*object));
        object->path = alloc_string(path);
        object->build_id = alloc_string(build_id);
        return object;
}

void object_close(struct object *object)
{
        if (object->dwfl)
                dwfl_end(object->dwfl);
        object->dwfl = NULL;
        object->module = NULL;
}

void object_free(struct object *object)
{
        object_close(object);
        free(object->path);
        free(object->build_id);
        free(object);
}

static int open_regular(const char *path)
{
        int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
        struct stat status;
        if (fd < 0)
                return -errno;
        if (fstat(fd, &status) == 0 && S_ISREG(status.st_mode))
                return fd;
        close(fd);
        return -EINVAL;
}

/* 0 or -errno; -ENOEXEC for a file that is no ELF object. */
static int open_file(struct object *object, const char *path)
{
        int fd = open_regular(path);
        if (fd < 0)
                return fd;
        unsetenv("DEBUGINFOD_URLS");
        object->dwfl = dwfl_begin(&callbacks);
        if (object->dwfl)
                object->module = dwfl_report_elf(object->dwfl, path, path, fd, 0, true);
        if (!object->module)
                close(fd);
        if (object->module && dwfl_report_end(object->dwfl, NULL, NULL) == 0 &&
            dwfl_module_getelf(object->module, &object->bias))
                return 0;
        object_close(object);
        return -ENOEXEC;
}

/* The open object's build-id in hexadecimal, empty where it has none. */
static void read_build_id(const struct object *object, char digits[static BUILD_ID_DIGITS + 1])
{
        const unsigned char *bytes;
        GElf_Addr address;
        int count = dwfl_module_build_id(object->module, &bytes, &address);
        digits[0] = '\0';
        for (int i = 0; i < count && i < BUILD_ID_DIGITS / 2; i++)
                sprintf(digits + 2 * i, "%02x", bytes[i]);
}

/* The file at the object's path; `trouble` says why not. */
static bool open_path(struct object *object, char *trouble, size_t capacity)
{
        char found[BUILD_ID_DIGITS + 1];
        int error = open_file(object, object->path);
        if (error < 0) {
                snprintf(trouble, capacity, "%s",
                         error == -ENOEXEC  ? "it is no ELF object"
                         : error == -EINVAL ? "it is no regular file"
                                            : strerror(-error));
                return false;
        }
        read_build_id(object, found);
        const char *wanted = object->build_id ? object->build_id : "";
        if (strcmp(found, wanted) == 0)
                return true;
        if (wanted[0])
                snprintf(trouble, capacity, "it is not the build that ran (build-id %.16s, the record says %.16s)",
                         found[0] ? found : "none", wanted);
        else
                snprintf(trouble, capacity, "the record does not say which build of it ran (here is %.16s)", found);
        object_close(object);
        return false;
}

/* The debug file of the build that ran: it has the symbols and lines, if not the code. */
static bool open_debug_file(struct object *object)
{
        const char *id = object->build_id;
        char path[sizeof(DEBUG_FOLDER) + BUILD_ID_DIGITS + 16];
        char found[BUILD_ID_DIGITS + 1];
        if (!id || strlen(id) < 3 || strlen(id) > BUILD_ID_DIGITS || strspn(id, "0123456789abcdef") != strlen(id))
                return false;
        snprintf(path, sizeof(path), DEBUG_FOLDER "/%.2s/%s.debug", id, id + 2);
        if (open_file(object, path) < 0)
                return false;
        read_build_id(object, found);
        if (strcmp(found, id) == 0)
                return true;
        object_close(object);
        return false;
}

bool object_open(struct object *object)
{
        char trouble[256];
        if (object->dwfl)
                return true;
        if (object->tried && !object->usable)
                return false;
        object->usable = open_path(object, trouble, sizeof(trouble)) || open_debug_file(object);
        if (!object->usable && !object->tried)
                say("%s: %s; its frames keep the names in the record and get no lines", object->path, trouble);
        object->tried = true;
        return object->usable;
}
