/* SPDX-License-Identifier: Apache-2.0
 *
 * hooks.c - look up the functions behind the hooks
 *
 * Context: app thread. dlsym(RTLD_NEXT) takes the loader's lock, so all are looked up at once in the constructor; a
 *          hook that runs before it (another library's constructor) looks them up itself.
 */
#include "hooks/hooks.h"

#include <dlfcn.h>
#include <errno.h>

struct real_functions hooks_real;

static void nothing(void)
{
}

static const struct hooks_calls no_calls = {
        .rights_end = nothing,
        .threads_end = nothing,
        .exec_begins = nothing,
        .exec_failed = nothing,
        .code_unloaded = nothing,
};
const struct hooks_calls *hooks_calls = &no_calls;

static const struct {
        const char *name;
        void **place;
} rows[] = {
#define HOOK(result, name, parameters) { #name, (void **)&hooks_real.name },
#include "hooks/hooks.def"
#undef HOOK
};

void hooks_resolve(void)
{
        int saved_errno = errno;
        for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
                *rows[i].place = dlsym(RTLD_NEXT, rows[i].name);
        errno = saved_errno;
}
