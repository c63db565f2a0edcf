/* SPDX-License-Identifier: Apache-2.0
 *
 * signals.c - the hooks of signal actions
 *
 * The signal that captures a thread had the default action when it was chosen, and to the program it still has: asked
 * for, it is told so, and the default set anew changes nothing, because our handler does for a signal of the program's
 * what the default does. Without that a program that resets all signals would die of ours when it is just on its way.
 * A handler of the program's own gets the signal for good, once none of ours can come any more.
 *
 * An alternate stack may be too small for our handler on top of the program's: its size must be known.
 *
 * Context: app thread, signal handlers and children of vfork included; async-signal-safe as the calls themselves must
 * be
 */
#include <signal.h>
#include <string.h>

#include "hooks/hooks.h"
#include "loop/loop.h"

/* libc declares it only where it stands for signal(). */
sighandler_t __sysv_signal(int number, sighandler_t handler);

/* A child of vfork has actions of its own. The number comes first: to know the process takes a system call. */
static bool is_ours(int number)
{
        return hooks_calls->owns_signal(number) && hooks_in_noted_process();
}

EXPORTED int sigaction(int number, const struct sigaction *action, struct sigaction *old)
{
        int result = 0;
        if (!is_ours(number))
                return REAL(sigaction)(number, action, old);
        if (action != NULL && action->sa_handler != SIG_DFL) {
                hooks_calls->signal_is_taken();
                result = REAL(sigaction)(number, action, old);
                hooks_calls->signal_was_taken();
        }
        if (result == 0 && old != NULL)
                memset(old, 0, sizeof *old); /* SIG_DFL */
        return result;
}

/* What signal() in its three forms does about ours; `set` is libc's. */
static sighandler_t set_handler(sighandler_t (*set)(int, sighandler_t), int number, sighandler_t handler)
{
        if (!is_ours(number))
                return set(number, handler);
        if (handler == SIG_DFL)
                return SIG_DFL;
        hooks_calls->signal_is_taken();
        sighandler_t before = set(number, handler);
        hooks_calls->signal_was_taken();
        return before == SIG_ERR ? SIG_ERR : SIG_DFL;
}

EXPORTED sighandler_t signal(int number, sighandler_t handler)
{
        return set_handler(REAL(signal), number, handler);
}

EXPORTED sighandler_t __sysv_signal(int number, sighandler_t handler)
{
        return set_handler(REAL(__sysv_signal), number, handler);
}

EXPORTED sighandler_t sysv_signal(int number, sighandler_t handler)
{
        return set_handler(REAL(sysv_signal), number, handler);
}

EXPORTED int sigaltstack(const stack_t *stack, stack_t *old)
{
        stack_t wanted = { .ss_flags = SS_DISABLE };
        /* Read first, as it may lie where `old` is written. A pointer that is none is the kernel's to refuse, also one
         * of which only the beginning is there. */
        if (hooks_is_readable(stack) && hooks_is_readable((const char *)(stack + 1) - 1))
                wanted = *stack;
        int result = REAL(sigaltstack)(stack, old);
        if (result == 0 && stack != NULL && hooks_in_noted_process()) /* a child of vfork has one of its own */
                loop_note_alternate_stack(wanted.ss_flags & SS_DISABLE ? 0 : wanted.ss_size);
        return result;
}
