/* SPDX-License-Identifier: Apache-2.0
 *
 * contexts_x86_64.c - the hook of makecontext(): how large are the stacks of a program's coroutines?
 *
 * A signal's frame goes onto the stack that the thread is on, and where it does not fit the kernel ends the process. On
 * which stack a running thread is nobody can tell from outside, but how small a coroutine's may be is said here.
 *
 * makecontext() takes as many arguments as its caller likes and its count says; so it is entered with all registers and
 * the stack as they were. It is no call on a hot path: coroutines are made seldom and switched often, and
 * swapcontext() is no hook.
 *
 * Context: app thread, signal handlers included
 */
#include <ucontext.h>

#include "hooks/hooks.h"

/* Called by the hook with the first argument; returns the function behind it. */
__attribute__((used)) void *hooks_note_context(const ucontext_t *context);

void *hooks_note_context(const ucontext_t *context)
{
        hooks_calls->stack_given(context->uc_stack.ss_size);
        return (void *)REAL(makecontext);
}

/* Six registers for arguments and the number of vectors (al), at 8 modulo 16 with the return address. */
__asm__(".text\n"
        ".p2align 4\n"
        ".globl makecontext\n"
        ".type makecontext, @function\n"
        "makecontext:\n"
        ".cfi_startproc\n"
        "endbr64\n"
        "pushq %rdi\n"
        ".cfi_adjust_cfa_offset 8\n"
        "pushq %rsi\n"
        ".cfi_adjust_cfa_offset 8\n"
        "pushq %rdx\n"
        ".cfi_adjust_cfa_offset 8\n"
        "pushq %rcx\n"
        ".cfi_adjust_cfa_offset 8\n"
        "pushq %r8\n"
        ".cfi_adjust_cfa_offset 8\n"
        "pushq %r9\n"
        ".cfi_adjust_cfa_offset 8\n"
        "pushq %rax\n"
        ".cfi_adjust_cfa_offset 8\n"
        "call hooks_note_context\n"
        "movq %rax, %r11\n"
        "popq %rax\n"
        ".cfi_adjust_cfa_offset -8\n"
        "popq %r9\n"
        ".cfi_adjust_cfa_offset -8\n"
        "popq %r8\n"
        ".cfi_adjust_cfa_offset -8\n"
        "popq %rcx\n"
        ".cfi_adjust_cfa_offset -8\n"
        "popq %rdx\n"
        ".cfi_adjust_cfa_offset -8\n"
        "popq %rsi\n"
        ".cfi_adjust_cfa_offset -8\n"
        "popq %rdi\n"
        ".cfi_adjust_cfa_offset -8\n"
        "jmp *%r11\n"
        ".cfi_endproc\n"
        ".size makecontext, .-makecontext\n");
