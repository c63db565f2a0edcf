/* SPDX-License-Identifier: Apache-2.0
 *
 * library.c - the event-loop libraries whose poll() and select() are trusted at once
 *
 * CPython's select module is not among them: subprocess and urllib3 poll from the very same call site, so there the
 * sockets have to speak (loop.c).
 *
 * Context: app thread, watchdog
 */
#include "base/library.h"

#include <dlfcn.h>
#include <link.h>
#include <stddef.h>
#include <string.h>

static const char *const loop_libraries[] = {
        "libev.so",  "libuv.so",       "libevent.so",   "libevent-",
        "libevent_", "libglib-2.0.so", "libQt5Core.so", "libQt6Core.so",
};

/* glibc 2.35 and later; without it only the socket rule is left. */
__attribute__((weak)) int _dl_find_object(void *address, struct dl_find_object *result);

bool library_name_is_loop(const char *path)
{
        const char *slash = strrchr(path, '/');
        const char *name = slash != NULL ? slash + 1 : path;
        for (size_t i = 0; i < sizeof loop_libraries / sizeof *loop_libraries; i++)
                if (strncmp(name, loop_libraries[i], strlen(loop_libraries[i])) == 0)
                        return true;
        return false;
}

bool library_is_loop(uint64_t address)
{
        struct dl_find_object object;
        if (_dl_find_object == NULL || _dl_find_object((void *)(uintptr_t)address, &object) != 0)
                return false;
        return object.dlfo_link_map->l_name != NULL && library_name_is_loop(object.dlfo_link_map->l_name);
}
