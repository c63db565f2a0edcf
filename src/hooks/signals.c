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

/* libc declares these only where they stand for others, or not at all. */
sighandler_t __sysv_signal(int number, sighandler_t handler);
sighandler_t bsd_signal(int number, sighandler_t handler);
int __sigaction(int number, const struct sigaction *action, struct sigaction *old);

/* A child of vfork has actions of its own. The number comes first: to know the process takes a system call. */
static bool is_ours(int number)
{
        return hooks_calls->owns_signal(number) && hooks_in_noted_process();
}

/* What sigaction() does about ours; `set` is libc's. */
static int set_action(int (*set)(int, const struct sigaction *, struct sigaction *), int number,
                      const struct sigaction *action, struct sigaction *old)
{
        int result = 0;
        if (!is_ours(number))
                return set(number, action, old);
        if (action != NULL && action->sa_handler != SIG_DFL) {
                hooks_calls->signal_is_taken();
                result = set(number, action, old);
                hooks_calls->signal_was_taken();
        }
        if (result == 0 && old != NULL)
                memset(old, 0, sizeof *old); /* SIG_DFL */
        return result;
}

EXPORTED int sigaction(int number, const struct sigaction *action, struct sigaction *old)
{
        return set_action(REAL(sigaction), number, action, old);
}

EXPORTED int __sigaction(int number, const struct sigaction *action, struct sigaction *old)
{
        return set_action(REAL(__sigaction), number, action, old);
}

/* What signal() in all its forms does about ours; `set` is libc's. */
static sighandler_t set_handler(sighandler_t (*set)(int, sighandler_t), int number, sighandler_t handler)
{
        if (!is_ours(number))
                return set(number, handler);
        if (handler == SIG_DFL)
                return SIG_DFL;
        hooks_calls->signal_is_taken();
        sighandler_t before = set(number, handler);
        hooks_calls->signal_was_taken();
        return before == SIG_ERR || before == SIG_HOLD ? before : SIG_DFL;
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

EXPORTED sighandler_t bsd_signal(int number, sighandler_t handler)
{
        return set_handler(REAL(bsd_signal), number, handler);
}

EXPORTED sighandler_t ssignal(int number, sighandler_t handler)
{
        return set_handler(REAL(ssignal), number, handler);
}

/* It unblocks the signal as well. */
EXPORTED sighandler_t sigset(int number, sighandler_t handler)
{
        sigset_t set, before;
        if (handler != SIG_DFL || !is_ours(number))
                return set_handler(REAL(sigset), number, handler);
        sigemptyset(&set);
        sigaddset(&set, number);
        if (sigprocmask(SIG_UNBLOCK, &set, &before) != 0)
                return SIG_ERR;
        return sigismember(&before, number) ? SIG_HOLD : SIG_DFL;
}

EXPORTED int sigignore(int number)
{
        bool ours = is_ours(number);
        if (ours)
                hooks_calls->signal_is_taken();
        int result = REAL(sigignore)(number);
        if (ours)
                hooks_calls->signal_was_taken();
        return result;
}

/* It changes a flag of the action, which is ours. */
EXPORTED int siginterrupt(int number, int interrupt)
{
        return is_ours(number) ? 0 : REAL(siginterrupt)(number, interrupt);
}

EXPORTED int sigaltstack(const stack_t *stack, stack_t *old)
{
        stack_t wanted = { .ss_flags = SS_DISABLE };
        /* Read first, as it may lie where `old` is written. A pointer that is none is the kernel's to refuse, also one
         * of which only the beginning is there. */
        if (hooks_is_readable(stack) && hooks_is_readable((const char *)(stack + 1) - 1))
                wanted = *stack;
        int result = REAL(sigaltstack)(stack, old);
        if (result == 0 && stack != NULL && hooks_in_own_memory()) /* a child of vfork has one of its own */
                loop_note_alternate_stack((uintptr_t)wanted.ss_sp, wanted.ss_flags & SS_DISABLE ? 0 : wanted.ss_size);
        return result;
}
