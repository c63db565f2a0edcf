/* SPDX-License-Identifier: Apache-2.0
 *
 * handler.c - the only code in a signal handler
 *
 * It copies registers and stack into a buffer that was made and touched beforehand, and returns. Where the signal has
 * interrupted a system call that the thread had entered meanwhile, it lets the thread return not into its program but
 * into a few instructions of ours that make the call go on (mend.h).
 *
 * While it runs, every other signal is held back, but for those that the processor raises. So a signal of the
 * program's own that comes together with ours stays pending and is seen by the mending, which then leaves the program
 * its EINTR; and an alternate stack of 8 KB never has to hold two signal frames because of us. (The program's signals
 * wait some 15 us; one sent to the process as a whole may meanwhile go to another thread, as signals do.)
 *
 * Nothing here takes a lock, allocates, touches errno or reads memory that might not be there.
 *
 * Context: signal handler on any thread of the host
 */
#include "capture/handler.h"

#include <errno.h>
#include <sys/syscall.h>
#include <ucontext.h>

#include "base/limits.h"
#include "base/memory.h"
#include "base/raw.h"
#include "capture/mend.h"

#define RED_ZONE 128 /* bytes below the stack pointer that a function may use (x86-64) */

struct handler handler;

bool handler_is_ours_sigsafe(const siginfo_t *info)
{
        uint64_t value = (uintptr_t)info->si_value.sival_ptr;
        return info->si_code == SI_QUEUE && info->si_pid == atomic_load(&handler.pid) &&
               value >> 32 == atomic_load(&handler.cookie);
}

/* The program, or somebody from outside, has sent this signal. Before we came its action was the default: so be it.
 * It is blocked here, so it arrives when the handler returns. */
static void pass_on_sigsafe(int number, siginfo_t *info)
{
        struct kernel_action action = { .handler = 0 };
        long pid = raw_syscall_sigsafe(SYS_getpid, 0, 0, 0, 0, 0, 0);
        long tid = raw_syscall_sigsafe(SYS_gettid, 0, 0, 0, 0, 0, 0);
        raw_syscall_sigsafe(SYS_rt_sigaction, (uint64_t)number, (uintptr_t)&action, 0, sizeof(action.mask), 0, 0);
        raw_syscall_sigsafe(SYS_rt_tgsigqueueinfo, (uint64_t)pid, (uint64_t)tid, (uint64_t)number, (uintptr_t)info, 0,
                            0);
}

/* Where the copy may end: the alternate stack's or the mapping's end, if it is known. libc puts the data of a thread
 * that it makes above its stack, so a stack that lies below the thread pointer does not reach beyond it. */
static uint64_t stack_end_sigsafe(const struct request *request, uint64_t stack_pointer, const stack_t *alternate)
{
        uint64_t low = (uintptr_t)alternate->ss_sp, end = 0;
        if ((alternate->ss_flags & SS_DISABLE) == 0 && stack_pointer - low < alternate->ss_size)
                end = low + alternate->ss_size;
        else if (stack_pointer >= request->stack_low && stack_pointer < request->stack_high)
                end = request->stack_high;
        if (request->bound > stack_pointer && request->bound < (end != 0 ? end : stack_pointer + LIMIT_STACK_BYTES))
                end = request->bound;
        return end;
}

static void copy_stack_sigsafe(struct request *request, uint64_t stack_pointer, const stack_t *alternate)
{
        uint64_t end = stack_end_sigsafe(request, stack_pointer, alternate);
        uint64_t start = stack_pointer - RED_ZONE;
        for (;;) {
                uint64_t length = LIMIT_STACK_BYTES;
                if (end != 0 && end - start < length)
                        length = end - start;
                ssize_t n = memory_read_sigsafe(start, request->buffer, length);
                request->stack_address = start;
                request->stack_length = n > 0 ? (uint64_t)n : 0;
                request->truncated = end != 0 ? start + request->stack_length < end : n == LIMIT_STACK_BYTES;
                if (n > 0 || start == stack_pointer)
                        return;
                start = stack_pointer; /* the red zone reaches below the lowest page */
        }
}

static void answer_sigsafe(const ucontext_t *context, uint32_t generation)
{
        struct request *request = &handler.request;
        uint64_t asked = REQUEST_WORD(generation, REQUEST_ASKED);
        if (!atomic_compare_exchange_strong(&request->word, &asked, REQUEST_WORD(generation, REQUEST_COPYING)))
                return; /* taken back: we are late */
        /* Here and not in the watchdog, which may run again only when the callback is long over. */
        request->mark_seen = request->mark != NULL ? atomic_load(request->mark) : 0;
        mend_registers_sigsafe(context, request->registers);
        request->bound = (uintptr_t)__builtin_thread_pointer();
        copy_stack_sigsafe(request, request->registers[SAMPLE_SP], &context->uc_stack);
        if (request->companion_sigsafe != NULL)
                request->companion_sigsafe();
        atomic_store(&request->word, REQUEST_WORD(generation, REQUEST_DONE));
}

static void times_of_sigsafe(uint32_t generation, struct mend_frame *frame)
{
        const struct sending *sending = &handler.sendings[generation % SENDINGS];
        frame->running_ns = atomic_load(&sending->running_ns);
        frame->sent_ns = atomic_load(&sending->sent_ns);
        if (atomic_load(&sending->generation) != generation)
                frame->running_ns = frame->sent_ns = 0;
}

/* An alternate stack may be just large enough for the kernel's frame; what is below it is not ours. */
static bool has_room_sigsafe(const ucontext_t *context)
{
        uint64_t here = (uintptr_t)__builtin_frame_address(0), low = (uintptr_t)context->uc_stack.ss_sp;
        bool has_alternate = (context->uc_stack.ss_flags & SS_DISABLE) == 0;
        return !has_alternate || here - low >= context->uc_stack.ss_size || here - low >= HANDLER_ROOM_BYTES;
}

/* So that the watchdog does not wait for what will not come. For this much there is room. */
static void decline_sigsafe(uint32_t generation)
{
        uint64_t asked = REQUEST_WORD(generation, REQUEST_ASKED);
        if (!atomic_compare_exchange_strong(&handler.request.word, &asked, REQUEST_WORD(generation, REQUEST_COPYING)))
                return;
        handler.request.no_room = true;
        atomic_store(&handler.request.word, REQUEST_WORD(generation, REQUEST_DONE));
}

static void serve_sigsafe(ucontext_t *context, uint32_t generation, struct mend_frame *frame)
{
        answer_sigsafe(context, generation);
        times_of_sigsafe(generation, frame);
        if (mend_sigsafe(context, frame))
                atomic_fetch_add(&handler.mended, 1);
        else if (mend_failed_sigsafe(context))
                atomic_fetch_add(&handler.unmended, 1);
}

void handler_sigsafe(int number, siginfo_t *info, void *opaque)
{
        ucontext_t *context = opaque;
        struct mend_frame frame; /* here and not deeper: it is read after this function has returned */
        if (!handler_is_ours_sigsafe(info)) {
                pass_on_sigsafe(number, info);
                return;
        }
        uint32_t generation = (uint32_t)(uintptr_t)info->si_value.sival_ptr;
        if (has_room_sigsafe(context))
                serve_sigsafe(context, generation, &frame);
        else
                decline_sigsafe(generation);
        atomic_fetch_add(&handler.arrived, 1);
        __asm__ volatile("" : : "r"(&frame) : "memory"); /* what is in it stays in memory */
}
