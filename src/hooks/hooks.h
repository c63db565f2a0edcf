/* SPDX-License-Identifier: Apache-2.0
 *
 * hooks.h - the functions behind the hooks
 *
 * Context: app thread, any moment of the process's life, constructors of other libraries included
 */
#ifndef LOOPDOG_HOOKS_HOOKS_H
#define LOOPDOG_HOOKS_HOOKS_H

#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/types.h>
#include <time.h>
#include <ucontext.h>

/* Exported from the library; everything else in it is hidden. */
#define EXPORTED __attribute__((visibility("default")))

struct real_functions {
#define HOOK(result, name, parameters) result(*name) parameters;
#include "hooks/hooks.def"
#undef HOOK
};
extern struct real_functions hooks_real;

/* Look all of them up. Called by the constructor, or by the first hook that runs before it. */
void hooks_resolve(void);

/* Do the calls of other libraries pass our hooks? Not where we were loaded late, or are part of a program. After
 * hooks_resolve(). */
bool hooks_come_first(void);

/* The function behind a hook. NULL where this libc does not have it. */
#define REAL(name) (__builtin_expect(hooks_real.name != NULL, 1) ? hooks_real.name : (hooks_resolve(), hooks_real.name))

/* What the process hooks tell the rest of the agent, which alone knows its stages. All keep errno. */
struct hooks_calls {
        void (*rights_end)(void);   /* the root directory, the user or the right to open files is about to go */
        void (*user_changes)(void); /* every thread is about to change its user or groups as this one does */
        void (*user_changed)(void);
        void (*threads_end)(void);   /* no thread can be made afterwards */
        void (*must_be_alone)(void); /* the kernel is about to ask whether the process has other threads */
        void (*exec_begins)(void);   /* this process is about to become another program */
        void (*exec_failed)(void);
        void (*code_unloaded)(void);
        bool (*owns_signal)(int number);     /* its handler is ours */
        void (*signal_is_taken)(void);       /* the program is about to use that signal itself; */
        void (*signal_was_taken)(void);      /* it does now, or has failed to */
        void (*stack_given)(uint64_t bytes); /* of a coroutine */
};
void hooks_setup(const struct hooks_calls *calls, bool follow);
extern const struct hooks_calls *hooks_calls;

/* A pointer that can't be one is left to the kernel to refuse with EFAULT. */
static inline bool hooks_is_plausible(const void *pointer)
{
        uintptr_t address = (uintptr_t)pointer;
        return address >= 4096 && address < (uintptr_t)1 << 47;
}

/* The same, and there is memory, as far as the first word says. */
bool hooks_is_readable(const void *pointer);

/* This process is the one that the agent runs in (after a fork); a child of vfork is not. */
void hooks_note_pid(void);
bool hooks_in_noted_process(void);

/* Is this no child of vfork(), which lives in its parent's memory? Also before anything was noted. Asks the kernel. */
bool hooks_in_own_memory(void);

#endif
