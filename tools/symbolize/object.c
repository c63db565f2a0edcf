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

#define DEBUG_FOLDER "/usr/lib/debug"
#define BUILD_ID_DIGITS 128
#define ADDRESSES (UINT64_C(1) << 40) /* more than any object has */

/* ":.debug:/usr/lib/debug" and what was named before it: where libdwfl looks by build-id and by debug link. */
static char *debug_path(const struct object_places *places)
{
        char *path = alloc_string(":.debug");
        for (size_t i = 0; i < places->debug_count; i++) {
                char *longer = alloc_format("%s:%s", path, places->debug[i]);
                free(path);
                path = longer;
        }
        char *whole = places->sysroot ? alloc_format("%s:%s" DEBUG_FOLDER ":" DEBUG_FOLDER, path, places->sysroot)
                                      : alloc_format("%s:" DEBUG_FOLDER, path);
        free(path);
        return whole;
}

struct object *object_new(const char *path, const char *build_id, const struct object_places *places)
{
        struct object *object = alloc_zeroed(1, sizeof(*object));
        object->places = places;
        object->debug_path = debug_path(places);
        object->callbacks = (Dwfl_Callbacks){
                .find_elf = dwfl_build_id_find_elf,
                .find_debuginfo = dwfl_standard_find_debuginfo, /* and the network, if it is let */
                .debuginfo_path = &object->debug_path,
        };
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
        free(object->debug_path);
        free(object->build_id);
        free(object);
}

/* The bytes of hexadecimal digits; their number, 0 for anything else. */
static int read_hex(const char *digits, unsigned char bytes[static BUILD_ID_DIGITS / 2])
{
        size_t length = strlen(digits);
        if (length % 2 || length > BUILD_ID_DIGITS || strspn(digits, "0123456789abcdef") != length)
                return 0;
        for (size_t i = 0; i < length / 2; i++)
                sscanf(digits + 2 * i, "%2hhx", &bytes[i]);
        return (int)(length / 2);
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
        if (!object->places->network)
                unsetenv("DEBUGINFOD_URLS");
        object->dwfl = dwfl_begin(&object->callbacks);
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

/* The file at `path`, where the object's should be; `trouble` says why not. */
static bool open_path(struct object *object, const char *path, char *trouble, size_t capacity)
{
        char found[BUILD_ID_DIGITS + 1];
        int error = open_file(object, path);
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

static bool open_under(struct object *object, const char *root, const char *folder)
{
        const char *id = object->build_id;
        char found[BUILD_ID_DIGITS + 1];
        char *path = alloc_format("%s%s/.build-id/%.2s/%s.debug", root, folder, id, id + 2);
        int error = open_file(object, path);
        free(path);
        if (error < 0)
                return false;
        read_build_id(object, found);
        if (strcmp(found, id) == 0)
                return true;
        object_close(object);
        return false;
}

/* The debug file of the build that ran: it has the symbols and lines, if not the code. */
static bool open_debug_file(struct object *object)
{
        const struct object_places *places = object->places;
        const char *id = object->build_id;
        if (!id || strlen(id) < 3 || strlen(id) > BUILD_ID_DIGITS || strspn(id, "0123456789abcdef") != strlen(id))
                return false;
        for (size_t i = 0; i < places->debug_count; i++)
                if (open_under(object, places->debug[i], ""))
                        return true;
        return (places->sysroot && open_under(object, places->sysroot, DEBUG_FOLDER)) ||
               open_under(object, "", DEBUG_FOLDER);
}

/* By its build-id alone, from the servers that the user has named. */
static bool open_from_network(struct object *object)
{
        unsigned char bytes[BUILD_ID_DIGITS / 2];
        int length = object->places->network && object->build_id ? read_hex(object->build_id, bytes) : 0;
        GElf_Addr bias;
        if (length == 0)
                return false;
        object->dwfl = dwfl_begin(&object->callbacks);
        if (object->dwfl)
                object->module = dwfl_report_module(object->dwfl, object->path, 0, ADDRESSES);
        if (object->module && dwfl_module_report_build_id(object->module, bytes, (size_t)length, 0) == 0 &&
            dwfl_report_end(object->dwfl, NULL, NULL) == 0 && dwfl_module_getelf(object->module, &object->bias) &&
            dwfl_module_getdwarf(object->module, &bias))
                return true;
        object_close(object);
        return false;
}

/* The object among the other machine's files, where there is a copy of them. */
static bool open_in_sysroot(struct object *object, char *trouble, size_t capacity)
{
        if (!object->places->sysroot)
                return false;
        char *path = alloc_format("%s%s", object->places->sysroot, object->path);
        bool opened = open_path(object, path, trouble, capacity);
        free(path);
        return opened;
}

bool object_open(struct object *object)
{
        char trouble[256];
        if (object->dwfl)
                return true;
        if (object->tried && !object->usable)
                return false;
        object->usable = open_in_sysroot(object, trouble, sizeof(trouble)) ||
                         open_path(object, object->path, trouble, sizeof(trouble)) || open_debug_file(object) ||
                         open_from_network(object);
        if (!object->usable && !object->tried)
                say("%s: %s; its frames keep the names in the record and get no lines", object->path, trouble);
        object->tried = true;
        return object->usable;
}
