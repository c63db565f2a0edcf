/* SPDX-License-Identifier: Apache-2.0
 *
 * hooks.c - look up the functions behind the hooks, and look at what they are given
 *
 * Context: app thread. dlsym(RTLD_NEXT) takes the loader's lock, so all are looked up at once in the constructor; a
 *          hook that runs before it (another library's constructor) looks them up itself.
 */
#include "hooks/hooks.h"

#include <dlfcn.h>
#include <errno.h>
#include <linux/futex.h>
#include <sys/syscall.h>

#include "base/raw.h"

struct real_functions hooks_real;

static void nothing(void)
{
}

static void nothing_of(uint64_t bytes)
{
}

static bool is_never(int number)
{
        return false;
}

static const struct hooks_calls no_calls = {
        .rights_end = nothing,
        .user_changes = nothing,
        .user_changed = nothing,
        .threads_end = nothing,
        .must_be_alone = nothing,
        .exec_begins = nothing,
        .exec_failed = nothing,
        .code_unloaded = nothing,
        .owns_signal = is_never,
        .signal_is_taken = nothing,
        .signal_was_taken = nothing,
        .stack_given = nothing_of,
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

/* Our own address would not tell: in a library that is loaded late it is libc's, too. */
bool hooks_come_first(void)
{
        return hooks_real.mincore != NULL && dlsym(RTLD_DEFAULT, "mincore") != (void *)hooks_real.mincore;
}

/* The kernel says EFAULT where we would crash. A futex that is expected to hold something else is a look at one word of
 * memory by a call that every program makes. */
bool hooks_is_readable(const void *pointer)
{
        struct timespec no_time = { 0, 0 };
        uintptr_t word = (uintptr_t)pointer & ~(uintptr_t)3;
        return hooks_is_plausible(pointer) &&
               raw_syscall_sigsafe(SYS_futex, word, FUTEX_WAIT_PRIVATE, 0x5eed, (uintptr_t)&no_time, 0, 0) != -EFAULT;
}
